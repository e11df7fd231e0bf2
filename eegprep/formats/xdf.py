"""XDF: the EEG stream of a Lab Streaming Layer recording, with its marker and trigger streams as events.

Stream names, host names and free descriptions are dropped. The stream is split at clock resets and where samples are
missing, as far as the jitter of its time stamps shows that, and times in seconds count on its clock. The rate is
measured from the time stamps inside the parts and replaces the stated one if they differ by more than 1 %. With several
EEG streams the manifest selects one by `source: variable:`.
"""

from __future__ import annotations

import itertools
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.decoded import Decoded, SourceChannel, SourceEvent, whole
from eegprep.formats.events import trigger_events
from eegprep.formats.segments import break_at
from eegprep.formats.tables.text import is_number
from eegprep.formats.tables.time_column import TimeColumn, clock_of, pauses_of
from eegprep.formats.unit_names import unit_of
from eegprep.privacy import clean_message

_MAX_RATE_ERROR = 0.01
_TYPES = frozenset({
    "eeg", "ecog", "meg", "nirs", "ecg", "emg", "eog", "gsr", "eda", "ppg", "markers", "stim", "gaze", "pupil", "mocap",
    "accelerometer", "gyroscope", "audio", "video", "control", "data", "quality", "signal", "misc", "mouse", "keyboard",
})  # fmt: skip
#: Types of streams, and of channels of the EEG stream, whose numbers are codes.
_TRIGGERS = frozenset({"marker", "markers", "event", "events", "stim", "stimulus", "trigger", "triggers"})
#: A longer step between two samples is a break, however irregular the stamps are.
_LONGEST_JITTER_S = 0.25
#: A shorter loss is taken for jitter.
_SHORTEST_LOSS_S = 0.03


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
        streams, _ = pyxdf.load_xdf(str(path), dejitter_timestamps=False)
    except Exception as error:  # pyxdf raises any exception on damaged files
        raise InputError(
            f"{path.name} cannot be read as XDF", where=path, found=clean_message(error), todo="leave it out"
        ) from error
    stream = _chosen(streams, stream_name, path)
    signal = np.asarray(stream["time_series"], dtype=np.float64).T
    times = _even(stream)
    if times is None:
        raise InputError(f"{path.name}: the time stamps do not increase", where=path)
    sfreq_hz, notes = _rate(stream, times)
    events, more = _events(stream, signal, streams, times)
    notes += more
    if (rest := _rest(path)) > 0:
        notes.append(
            f"the last part of {rest} bytes is incomplete and left out: the file is truncated or its writer crashed"
        )
    if times.breaks:
        notes.append(f"the clock was reset or samples are missing {len(times.breaks)} times")
    column = TimeColumn(
        times_s=times.stamps - times.stamps[0],
        breaks=times.breaks,
        pauses=times.firsts[1:].tolist(),
        tolerance_s=0.5 / sfreq_hz,
        notes=[],
    )
    return Decoded(
        format="xdf",
        sfreq_hz=sfreq_hz,
        channels=_channels(stream, signal.shape[0]),
        signal=signal,
        stretches=tuple(s for s in break_at(whole(signal.shape[1]), times.breaks) if s.n_samples > 0),
        events=tuple(sorted(events)),
        notes=tuple(notes),
        clock=clock_of(column, np.arange(times.stamps.size), times.stamps.size),
    )


@dataclass(frozen=True, kw_only=True)
class _Times:
    """When the samples of a stream were recorded, evenly within each part of it.

    `firsts` are the first samples of the parts. At `breaks` the stamps jump, or rows arrived very late.
    """

    stamps: np.ndarray
    firsts: np.ndarray
    breaks: list[int]
    sfreq_hz: float

    def sample_at(self, when: float) -> int | None:
        """The nearest sample to a time; None if no part, or more than one, was recorded then."""
        stops = np.append(self.firsts[1:], self.stamps.size)
        starts_s, ends_s = self.stamps[self.firsts], self.stamps[stops - 1]
        away = np.maximum(np.maximum(starts_s - when, when - ends_s), 0.0)
        part = int(np.argmin(away))
        if away[part] > 0.5001 / self.sfreq_hz or np.count_nonzero(away == 0.0) > 1:
            return None
        first, stop = int(self.firsts[part]), int(stops[part])
        if stop - first < 2:
            return first
        step = (ends_s[part] - starts_s[part]) / (stop - first - 1)
        return first + min(max(math.ceil((when - starts_s[part]) / step - 0.5 - 1e-6), 0), stop - first - 1)


def _even(stream: Any) -> _Times | None:
    """The times of a stream's samples without jitter; None if they do not increase.

    Samples that arrive in chunks or late have the time of a straight line through their part, as in pyxdf, which
    however takes a loss of less than half a second for jitter.
    """
    stamps = np.asarray(stream["time_stamps"], dtype=np.float64)
    steps = np.diff(stamps)
    usual = np.abs(steps) <= _LONGEST_JITTER_S
    lasts_s = float(steps[usual].sum())
    if lasts_s <= 0:
        return None
    width = min(stamps.size - 1, max(8, round(int(usual.sum()) / lasts_s / 2)))
    usual_hz = width / max(float(np.median(stamps[width:] - stamps[:-width])), 1e-9)
    # chunks may begin before the previous one ends; rows that arrive late are followed by others that catch up
    limit = max(1.5 * float(np.quantile(steps, 0.99)), _SHORTEST_LOSS_S + 1 / usual_hz)
    long = (np.flatnonzero(~usual) + 1).tolist()
    pauses = pauses_of(stamps, {*long, *(np.flatnonzero(steps > limit) + 1).tolist()}, usual_hz)
    breaks = sorted({*long, *pauses})
    firsts = np.array([0, *pauses])
    parts = list(itertools.pairwise([*firsts.tolist(), stamps.size]))
    longest = max(parts, key=lambda part: part[1] - part[0])
    slope = _line(stamps[slice(*longest)])[1]
    if not slope > 0:
        return None
    even = np.empty(stamps.size)
    for first, stop in parts:
        rows, own = np.arange(stop - first), stamps[first:stop]
        start, step = _line(own)
        if not (stop - first) * slope >= 1.0 or not 0.9 < step / slope < 1.1:
            start, step = float(np.median(own - rows * slope)), slope
        even[first:stop] = start + rows * step
    return _Times(stamps=even, firsts=firsts, breaks=breaks, sfreq_hz=1 / slope)


def _line(stamps: np.ndarray) -> tuple[float, float]:
    """The straight line through time stamps: the time of the first sample, and the step."""
    if stamps.size < 2:
        return float(stamps[0]), 0.0
    rows = np.arange(stamps.size) - (stamps.size - 1) / 2
    middle = float(stamps.mean())
    step = float(rows @ (stamps - middle) / (rows @ rows))
    return middle + float(rows[0]) * step, step


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


def _rate(stream: Any, times: _Times) -> tuple[float, list[str]]:
    stated, measured = _stated_hz(stream), times.sfreq_hz
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
        # amplifiers often give all their channels the type EEG
        if kind in _TRIGGERS or _text(entry, "label").casefold() in (*_TRIGGERS, "trig"):
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


def _events(eeg: Any, signal: np.ndarray, streams: list[Any], recorded: _Times) -> tuple[list[SourceEvent], list[str]]:
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
            even = _even(stream)
            times = times if even is None else even.stamps
            for i, column in enumerate(np.asarray(rows).reshape(times.size, -1).T, start=1):
                found, more = trigger_events([column], f"{number}.{i}")
                marks += [(times[e.start_sample], e.text, e.witness) for e in found]
                notes += more
        for when, text, witness in marks:
            nearest = recorded.sample_at(float(when))
            if nearest is None:
                n_outside += 1
            elif text.strip() and text != "nan":
                out.append(SourceEvent(start_sample=nearest, text=text, witness=witness))
    if n_outside:
        notes.append(f"markers at times without EEG samples are left out: {n_outside}")
    if passed_over:
        notes.append(f"irregular numeric streams that are not marker streams were ignored: {passed_over}")
    return out, notes
