"""XDF: the EEG stream of a Lab Streaming Layer recording, with its marker and trigger streams as events.

Stream names, host names and free descriptions are dropped. The stream is split into segments at clock resets and gaps
of a quarter of a second or more, and times in seconds count on its clock; shorter jumps are treated as jitter and
smoothed. The rate is measured from the time
stamps inside the segments and replaces the stated one if they differ by more than 1 %. With several EEG streams the
manifest selects one by `source: variable:`.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.decoded import Decoded, SourceChannel, SourceEvent, whole
from eegprep.formats.events import trigger_events
from eegprep.formats.segments import break_at
from eegprep.formats.tables.text import is_number
from eegprep.formats.tables.time_column import TimeColumn, clock_of
from eegprep.formats.unit_names import unit_of
from eegprep.privacy import clean_message

_MAX_RATE_ERROR = 0.01
_TYPES = frozenset({
    "eeg", "ecog", "meg", "nirs", "ecg", "emg", "eog", "gsr", "eda", "ppg", "markers", "stim", "gaze", "pupil", "mocap",
    "accelerometer", "gyroscope", "audio", "video", "control", "data", "quality", "signal", "misc", "mouse", "keyboard",
})  # fmt: skip
#: Types of streams, and of channels of the EEG stream, whose numbers are codes.
_TRIGGERS = frozenset({"marker", "markers", "event", "events", "stim", "stimulus", "trigger", "triggers"})
#: pyxdf's default threshold for a break, 500 samples, is half a second or more.
_LONGEST_JITTER_S = 0.25


def _text(entry: Any, *names: str) -> str:
    """The text at a path of an XDF description, or an empty string; every level is a list of one."""
    for name in names:
        if isinstance(entry, list):
            entry = entry[0] if entry else None
        if not isinstance(entry, dict):
            return ""
        entry = entry.get(name)
    while isinstance(entry, list):
        entry = entry[0] if entry else None
    return "" if entry is None else str(entry)


def read_xdf(path: Path, stream_name: str | None = None) -> Decoded:
    """Read the EEG stream of an XDF file, or the one of that name, whatever its type.

    Raises
    ------
    InputError
        No such stream with samples, or more than one.
    """
    import pyxdf

    logging.getLogger("pyxdf").setLevel(logging.CRITICAL)  # its log contains host and stream names
    try:
        streams, _ = pyxdf.load_xdf(
            str(path), jitter_break_threshold_seconds=_LONGEST_JITTER_S, jitter_break_threshold_samples=1
        )
    except Exception as error:  # pyxdf raises any exception on damaged files
        raise InputError(
            f"{path.name} cannot be read as XDF", where=path, found=clean_message(error), todo="leave it out"
        ) from error
    stream = _chosen(streams, stream_name, path)
    stamps = np.asarray(stream["time_stamps"], dtype=np.float64)
    signal = np.asarray(stream["time_series"], dtype=np.float64).T
    segments = [(int(a), int(b)) for a, b in stream["info"].get("segments", [])] or [(0, stamps.size - 1)]
    sfreq_hz, notes = _rate(stream, stamps, segments, path)
    events, more = _events(stream, signal, streams, stamps)
    notes += more
    breaks = {a for a, _ in segments}
    if len(segments) == 1:  # segments are evenly sampled; a stream without a stated rate has none
        uneven = np.abs(np.diff(stamps) - 1 / sfreq_hz) > max(1.5 / sfreq_hz, _LONGEST_JITTER_S)
        breaks |= {int(i) + 1 for i in np.flatnonzero(uneven)}
    if (rest := _rest(path)) > 0:
        notes.append(
            f"the last part of {rest} bytes is incomplete and left out: the file is truncated or its writer crashed"
        )
    if len(breaks) > 1:
        notes.append(f"the clock was reset or samples are missing {len(breaks) - 1} times")
    times = TimeColumn(
        times_s=stamps - stamps[0],
        breaks=sorted(breaks),
        pauses=sorted(breaks - {0}),
        tolerance_s=0.5 / sfreq_hz,
        notes=[],
    )
    return Decoded(
        format="xdf",
        sfreq_hz=sfreq_hz,
        channels=_channels(stream, signal.shape[0]),
        signal=signal,
        stretches=tuple(s for s in break_at(whole(signal.shape[1]), breaks) if s.n_samples > 0),
        events=tuple(sorted(events)),
        notes=tuple(notes),
        clock=clock_of(times, np.arange(stamps.size), stamps.size),
    )


def _chosen(streams: list[Any], name: str | None, path: Path) -> Any:
    signals = [s for s in streams if isinstance(s["time_series"], np.ndarray) and len(s["time_stamps"]) > 1]
    if name is not None:
        signals = [s for s in signals if _text(s["info"], "name") == name]
    else:
        signals = [s for s in signals if _text(s["info"], "type").casefold() == "eeg"]
    if len(signals) == 1:
        return signals[0]
    # types are free text, so only those of LSL's programs are quoted
    kinds = sorted({kind if (kind := _text(s["info"], "type").casefold()) in _TYPES else "?" for s in streams})
    raise InputError(
        f"{path.name} has {len(signals) or 'no'} EEG streams with samples"
        if name is None
        else f"{path.name} has {len(signals) or 'no'} streams with samples and the name in `source: variable:`",
        where=path,
        found=f"{len(streams)} streams of the types {', '.join(kinds)}",
        expected="one stream of the type EEG, or the name of one",
        todo="name the stream in the manifest: `source: variable:`",
    )


def _rest(path: Path) -> int:
    """Bytes of an incomplete last chunk, according to the chunk lengths."""
    n_file, at = path.stat().st_size, 4
    with path.open("rb") as handle:
        while at < n_file:
            handle.seek(at)
            head = handle.read(9)
            width = head[0] if head and head[0] in (1, 4, 8) else 0
            if not width or len(head) < 1 + width:
                return n_file - at
            end = at + 1 + width + int.from_bytes(head[1 : 1 + width], "little")
            if end > n_file:
                return n_file - at
            at = end
    return 0


def _stated_hz(stream: Any) -> float:
    """The stated rate of a stream; 0 for one without a regular rate, or if it is not a number."""
    text = _text(stream["info"], "nominal_srate")
    stated = float(text) if is_number(text) else 0.0
    return stated if math.isfinite(stated) else 0.0


def _rate(stream: Any, stamps: np.ndarray, segments: list[tuple[int, int]], path: Path) -> tuple[float, list[str]]:
    stated = _stated_hz(stream)
    longest = max(segments, key=lambda s: s[1] - s[0])
    lasts = float(stamps[longest[1]] - stamps[longest[0]])
    if lasts <= 0:
        raise InputError(f"{path.name}: the time stamps do not increase", where=path)
    measured = (longest[1] - longest[0]) / lasts
    if stated > 0 and abs(measured - stated) <= _MAX_RATE_ERROR * stated:
        return stated, []
    return measured, [f"the time stamps give {measured:.4g} Hz, the header states {stated:g} Hz; the former is used"]


def _channels(stream: Any, n_channels: int) -> tuple[SourceChannel, ...]:
    description = stream["info"].get("desc") or [None]
    entries: list[Any] = []
    if isinstance(description[0], dict):
        holder = description[0].get("channels") or [None]
        if isinstance(holder[0], dict):
            entries = holder[0].get("channel") or []
    out: list[SourceChannel] = []
    for i in range(n_channels):
        entry = entries[i] if i < len(entries) else {}
        unit = _text(entry, "unit")
        known = unit_of(unit)
        if unit and not known:
            evidence = ""
        elif known:
            evidence = f"the stream says {known}"
        else:
            known, evidence = "uV", "the convention of XDF for EEG is microvolt"
        kind = _text(entry, "type").casefold()
        if kind in _TRIGGERS:
            kind = "stim"
        out.append(
            SourceChannel(
                name=_text(entry, "label") or str(i + 1),
                kind=kind if kind in ("eeg", "eog", "ecg", "emg", "misc", "stim") else "unknown",
                unit=known,
                unit_evidence=evidence,
            )
        )
    return tuple(out)


def _events(
    eeg: Any, signal: np.ndarray, streams: list[Any], stamps: np.ndarray
) -> tuple[list[SourceEvent], list[str]]:
    """Events of all streams except the EEG signal, at the nearest EEG samples, and notes on what was not read.

    In text streams, and in marker streams of numbers at an irregular rate, each entry of each channel is an event.
    Numbers at a regular rate are a trigger channel, with an event at each change.
    """
    out: list[SourceEvent] = []
    notes: list[str] = []
    for row, channel in enumerate(_channels(eeg, signal.shape[0])):
        if channel.kind == "stim":
            found, more = trigger_events([signal[row]], channel.name)
            out, notes = out + found, notes + more
    passed_over = n_outside = 0
    for number, stream in enumerate((s for s in streams if s is not eeg), start=1):
        times, rows = np.asarray(stream["time_stamps"], dtype=np.float64), stream["time_series"]
        if not times.size:
            continue
        is_text = _text(stream["info"], "channel_format") == "string"
        if not is_text and _text(stream["info"], "type").casefold() not in _TRIGGERS:
            passed_over += _stated_hz(stream) == 0
            continue
        marks: list[tuple[float, str, str]] = []
        if is_text or _stated_hz(stream) == 0:
            for when, values in zip(times, rows, strict=True):
                marks += [(when, str(v), f"markers {number}") for v in np.ravel(np.array(values, dtype=object))]
        else:
            for i, column in enumerate(np.asarray(rows).reshape(times.size, -1).T, start=1):
                found, more = trigger_events([column], f"{number}.{i}")
                marks += [(times[e.start_sample], e.text, e.witness) for e in found]
                notes += more
        for when, text, witness in marks:
            after = int(np.clip(np.searchsorted(stamps, when), 1, stamps.size - 1))
            nearest = after if stamps[after] - when < when - stamps[after - 1] else after - 1
            if not stamps[0] <= when <= stamps[-1] or abs(stamps[nearest] - when) > _LONGEST_JITTER_S:
                n_outside += 1
            elif text.strip() and text != "nan":
                out.append(SourceEvent(start_sample=nearest, text=text, witness=witness))
    if n_outside:
        notes.append(f"markers at times without EEG samples are left out: {n_outside}")
    if passed_over:
        notes.append(f"irregular numeric streams that are not marker streams were ignored: {passed_over}")
    return out, notes
