"""Text files of consumer headsets with known columns: OpenBCI, Muse, Emotiv. Signals are in microvolt.

Clocks and packet counters are used to find gaps and then dropped. Samples that a counter shows to be lost become a gap
of their length; a pause that only the time stamps show is a break, and times in seconds count on the file's clock.

- OpenBCI's GUI writes `%` lines (board, rate) and `EXG Channel n` in microvolt; before version 5 the
  columns have no names. Electrode positions depend on the user, so a manifest has to name them.
- Mind Monitor writes Muse's `RAW_...` in microvolt with an offset near 800, and blinks, jaw clenches and markers as
  separate rows. Its default is one row per second, which is not a signal; only files with constant recording are.
- Emotiv's apps write a title line with `sampling:` (EmotivPRO 3: `sampling rate:`) and name the columns in it or in
  the next line. COUNTER counts packets and wraps around; a jump means that packets were lost.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from pathlib import Path

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.decoded import Decoded, SourceChannel, SourceEvent, check_rate, whole
from eegprep.formats.segments import break_at
from eegprep.formats.tables.text import TextTable, column_events, is_number, open_text, read_table
from eegprep.formats.tables.time_column import IGNORED, TimeColumn, clock_of, pauses_of, time_column
from eegprep.recording import LeftOut, Stretch, subtract

#: A counter wraps around after the last number below one of these; EPOC's counts from 0 to 128.
_PERIODS = (128, 129, 256, 1 << 16, 1 << 32)
#: A longer pause becomes a break, without its length.
_LONGEST_GAP_S = 600.0
_PAUSE_MS = 1000.0
#: A longer step between two rows of Mind Monitor is a break.
_LONGEST_STEP_S = 0.25


def _decoded(
    name: str,
    channels: dict[str, np.ndarray],
    sfreq_hz: float,
    evidence: str,
    *,
    events: list[SourceEvent],
    breaks: list[int] | None = None,
    lost: dict[int, int] | None = None,
    times: TimeColumn | None = None,
    notes: list[str] | None = None,
) -> Decoded:
    """`lost`: how many samples are missing before a row; they become a gap of that length, unless that is too long."""
    signal = np.stack(list(channels.values()))
    steps = np.zeros(signal.shape[1], dtype=np.int64)
    gaps: list[Stretch] = []
    for row, n_lost in sorted((lost or {}).items()):
        if n_lost <= _LONGEST_GAP_S * sfreq_hz:
            gaps.append(Stretch(start_sample=row + int(steps.sum()), n_samples=n_lost))
            steps[row] = n_lost
    places = np.arange(steps.size) + np.cumsum(steps)
    if gaps:
        rows, signal = signal, np.full((len(channels), int(places[-1]) + 1), np.nan)
        signal[:, places] = rows
        events = [
            dataclasses.replace(e, start_sample=int(places[min(e.start_sample, places.size - 1)])) for e in events
        ]
    edges = [int(places[b]) for b in {*(breaks or []), *(lost or {})} if b < places.size]
    if times is None:  # without time stamps, the counter alone tells how long a break is
        times = _counted(places.size, lost or {}, sfreq_hz)
    return Decoded(
        format=name,
        sfreq_hz=sfreq_hz,
        channels=tuple(SourceChannel(name=c, kind="eeg", unit="uV", unit_evidence=evidence) for c in channels),
        signal=signal,
        stretches=break_at(subtract(whole(signal.shape[1]), gaps), edges),
        events=tuple(sorted(events)),
        left_out=tuple(
            LeftOut(
                kind="stretch", name="all", code="gap", reason="packets were lost",
                start_sample=gap.start_sample, n_samples=gap.n_samples,
            )
            for gap in gaps
        ),
        notes=tuple(notes or ()),
        clock=clock_of(times, places, signal.shape[1]),
    )  # fmt: skip


def _counted(n_rows: int, lost: dict[int, int], sfreq_hz: float) -> TimeColumn:
    """The times of rows according to the packet counter."""
    steps = np.ones(n_rows)
    for row, n_lost in lost.items():
        steps[row] += n_lost
    return _stamped(np.cumsum(steps) / sfreq_hz, list(lost), sfreq_hz, 0.5 / sfreq_hz)


def _stamped(times_s: np.ndarray, jumps: list[int], sfreq_hz: float, tolerance_s: float) -> TimeColumn:
    """Times at a known rate, with the rows before which they jump."""
    pauses = pauses_of(times_s, jumps, sfreq_hz)
    return TimeColumn(times_s=times_s, breaks=jumps, pauses=pauses, tolerance_s=tolerance_s, notes=[])


def _lost_packets(counter: np.ndarray, times: TimeColumn | None, sfreq_hz: float) -> dict[int, int]:
    """How many samples are missing before each row according to the packet counter, if it counts evenly.

    A counter does not show complete wraparounds; if rows have times, their pauses give their number.
    """
    known = np.isfinite(counter)
    if known.sum() < 16 or not known.all():
        return {}
    numbers = counter.astype(np.int64)
    period = next((p for p in _PERIODS if p > numbers.max()), 0)
    if not period or numbers.min() < 0:
        return {}
    steps = np.diff(numbers) % period
    usual, count = Counter(steps.tolist()).most_common(1)[0]
    if not usual or count < 0.9 * steps.size:
        return {}
    out: dict[int, int] = {}
    for i in np.flatnonzero(steps != usual):
        # a counter that repeats or steps back slightly is a repeated or late packet: a break without a gap
        step = int(steps[i])
        out[int(i) + 1] = 0 if step == 0 or step > period - 3 * usual else round(step / usual) - 1
    round_trip = period // int(usual)
    missed_s = {} if times is None else {row: times.times_s[row] - times.times_s[row - 1] for row in times.pauses}
    for row, lasts_s in missed_s.items():
        missed = lasts_s * sfreq_hz - 1
        rounds = round((missed - out.get(row, 0)) / round_trip)
        if rounds > 0:
            out[row] = out.get(row, 0) + rounds * round_trip
    return out


def _packet_notes(lost: dict[int, int]) -> list[str]:
    if not lost:
        return []
    return [f"the packet counter jumps {len(lost)} times: {sum(lost.values())} samples were lost"]


def read_openbci(path: Path) -> Decoded:
    """OpenBCI's raw text. Raises InputError if the rate is missing or the channels cannot be determined."""
    head = open_text(path)[:65536].decode("latin-1").splitlines()
    comments = list(itertools.takewhile(lambda line: line.startswith("%"), head))
    rate = next((m for line in comments if (m := re.search(r"Sample Rate\s*=\s*(\d+(?:\.\d*)?)", line))), None)
    if rate is None:
        raise InputError(
            f"{path.name} does not state its sampling rate", where=path, expected="a line `%Sample Rate = ...`"
        )
    sfreq_hz = check_rate(float(rate[1]), path)
    table = read_table(path, separator=",", skip_rows=len(comments))
    columns = {n: table.numbers(n) for n in table.names if re.fullmatch(r"(EXG|EEG) Channel \d+", n)}
    counter = next((n for n in table.names if n in ("Sample Index", "SampleIndex")), "")
    clock = "Timestamp" if "Timestamp" in table.names else ""
    first = [field.strip() for field in head[len(comments)].split(",")]
    if not columns and table.names[0] == "1":
        columns, counter = _before_version_5(path, table, comments, first, sfreq_hz), "1"
    if not columns:
        raise InputError(
            f"{path.name} has no EXG columns", where=path, expected="columns `EXG Channel 0`, `EXG Channel 1`, ..."
        )
    times: TimeColumn | None = None
    notes: list[str] = []
    if clock:
        times = time_column(table.numbers(clock), sfreq_hz, path)
        notes = [IGNORED] if times is None else times.notes
    elif counter == "1" and is_number(first[-1]) and float(first[-1]) > 1e11:
        # times at which batches of rows were written, in milliseconds: only a long pause is informative
        stamps = table.numbers(str(len(first)))
        jumps = [int(i) + 1 for i in np.flatnonzero(np.abs(np.diff(stamps)) > _PAUSE_MS)]
        times = _stamped(stamps / 1000, jumps, sfreq_hz, _PAUSE_MS / 2000) if np.isfinite(stamps).all() else None
    lost = _lost_packets(table.numbers(counter), times, sfreq_hz) if counter else {}
    marks = column_events(table.texts("Marker Channel")) if "Marker Channel" in table.names else []
    return _decoded(
        "openbci", columns, sfreq_hz, "OpenBCI's text format is in microvolt",
        events=marks, breaks=times.breaks if times else [], lost=lost, times=times,
        notes=[*notes, *_packet_notes(lost)],
    )  # fmt: skip


def _before_version_5(
    path: Path, table: TextTable, comments: list[str], first: list[str], sfreq_hz: float
) -> dict[str, np.ndarray]:
    """The channels of a file without column names: index, channels, three accelerometer axes, clocks."""
    n_clocks = sum(":" in field or (is_number(field) and float(field) > 1e9) for field in first[-2:])
    stated = next((m for line in comments if (m := re.search(r"Number of channels\s*=\s*(\d+)", line))), None)
    room = len(first) - 1 - n_clocks
    n_channels = int(stated[1]) if stated else room - 3
    if n_channels not in (4, 8, 16) or n_channels > room:
        raise InputError(
            f"{path.name}: unknown which of its {len(first)} columns are channels",
            where=path,
            found=f"{n_channels} channels" + (" stated" if stated else " by the number of columns"),
            expected="4 (Ganglion), 8 (Cyton) or 16 (Cyton and Daisy)",
            todo="describe the columns in a manifest (source: kind: table)",
        )
    channels = [table.numbers(str(i + 2)) for i in range(n_channels)]
    if not stated and n_channels == 8 and sfreq_hz in (200.0, 256.0) and not any(np.any(c) for c in channels[4:]):
        channels = channels[:4]  # Ganglion, whose rows had as many columns as Cyton's
    return {f"EXG Channel {i}": values for i, values in enumerate(channels)}


def read_muse(path: Path) -> Decoded:
    """Mind Monitor's CSV. The rate is measured from the time stamps; rows without samples are events."""
    table = read_table(path, separator=",", ragged=True)
    columns = {n.removeprefix("RAW_"): table.numbers(n) for n in table.names if n.startswith("RAW_")}
    is_sample = np.isfinite(np.stack(list(columns.values()))).any(axis=0)
    times = _seconds(table)[is_sample]
    steps = np.diff(times)
    usual = np.abs(steps) <= _LONGEST_STEP_S
    if 2 * usual.sum() < usual.size:  # a row a second
        usual[:] = True
    lasts = float(steps[usual].sum())
    if not lasts > 0:
        raise InputError(f"{path.name}: the time stamps do not increase", where=path)
    measured = int(usual.sum()) / lasts
    sfreq_hz = min((220.0, 256.0, 500.0), key=lambda r: abs(r - measured))
    if abs(measured - sfreq_hz) > 0.1 * sfreq_hz:
        raise InputError(
            f"{path.name} was recorded at {measured:.3g} rows per second, too few for EEG",
            where=path,
            found=f"{measured:.3g} Hz",
            expected="220 or 256 Hz (Mind Monitor: recording interval `constant`)",
            todo="record again with the constant interval, or leave the file out",
        )
    jumps = [int(i) + 1 for i in np.flatnonzero(~usual)]
    # an event has its own row and is placed at the next sample
    places = np.cumsum(is_sample) - is_sample
    texts = table.texts("Elements") if "Elements" in table.names else []
    events = [SourceEvent(start_sample=int(places[row]), text=text) for row, text in enumerate(texts) if text]
    if "HeadBandOn" in table.names:
        edges = np.concatenate(([False], table.numbers("HeadBandOn")[is_sample] == 0, [False])).astype(np.int8)
        off = np.flatnonzero(np.diff(edges))
        events += [
            SourceEvent(start_sample=int(a), n_samples=int(b - a), text="BAD_headband_off", role="gap")
            for a, b in zip(off[::2], off[1::2], strict=True)
        ]
    return _decoded(
        "muse", {name: values[is_sample] for name, values in columns.items()}, sfreq_hz,
        "Mind Monitor's RAW columns are in microvolt", events=events, breaks=jumps,
        times=_stamped(times, jumps, sfreq_hz, _LONGEST_STEP_S / 2),
    )  # fmt: skip


def _seconds(table: TextTable) -> np.ndarray:
    """Time stamps (`2017-11-02 12:33:05.090`) in seconds, across midnight; missing ones are interpolated."""
    found = [re.search(r"(\d+):(\d+):(\d+(?:\.\d+)?)", text) for text in table.texts("TimeStamp")]
    times = np.array([int(m[1]) * 3600 + int(m[2]) * 60 + float(m[3]) if m else np.nan for m in found])
    known = np.flatnonzero(np.isfinite(times))
    if not known.size:
        return times
    clock = times[known] + 86400.0 * np.concatenate(([0], np.cumsum(np.diff(times[known]) < -43200)))
    return np.interp(np.arange(times.size), known, clock)


def read_emotiv(path: Path) -> Decoded:
    """Emotiv's CSV; the rate is taken from the title line, or measured from the time stamps."""
    first = open_text(path)[:65536].removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("latin-1")
    titled = "title:" in first.casefold()
    rate = re.search(r"sampling(?: rate)?:\s*(?:eeg_)?(\d+)", first, re.IGNORECASE)
    labels = re.search(r"labels:\s*([^,]+)", first)
    table = read_table(path, separator=",", skip_rows=int(titled), names=labels[1].split() if labels else None)
    plain = {_plain_name(n): n for n in table.names}
    electrodes = {e.casefold(): e for e in EPOC}
    eeg = {electrodes[n]: column for n, column in plain.items() if n in electrodes}
    if not eeg:
        raise InputError(
            f"{path.name} has no electrode column", where=path, found=f"{len(table.names)} columns of other names"
        )
    stamps = table.numbers(plain["timestamp"]) if "timestamp" in plain else None
    sfreq_hz = check_rate(float(rate[1]), path) if rate is not None else _stamped_rate(path, stamps)
    channels = {name: table.numbers(column) for name, column in eeg.items()}
    times, notes = None, list[str]()
    if stamps is not None:
        try:
            times = time_column(stamps, sfreq_hz, path)
            notes += [] if times is None else times.notes
        except InputError:
            notes.append("the time stamps contradict the sampling rate and were ignored")
    lost = _lost_packets(table.numbers(plain["counter"]), times, sfreq_hz) if "counter" in plain else {}
    notes += _packet_notes(lost)
    if "interpolated" in plain and (made := np.nan_to_num(table.numbers(plain["interpolated"])) != 0).any():
        channels = {name: np.where(made, np.nan, values) for name, values in channels.items()}
        notes.append(f"{int(made.sum())} samples are marked as interpolated and treated as missing")
    events: list[SourceEvent] = []
    for columns in (("markervalueint", "marker", "markerindex"), ("marker_hardware", "markerhardware")):
        marks = (column_events(table.texts(plain[c])) for c in columns if c in plain)
        events += next((found for found in marks if found), [])
    return _decoded(
        "emotiv_csv", channels, sfreq_hz, "Emotiv's CSV is in microvolt with an offset near 4200",
        events=events, breaks=times.breaks if times else [], lost=lost, times=times, notes=notes,
    )  # fmt: skip


def _plain_name(column: str) -> str:
    return column.strip().strip('"').removeprefix("EEG.").casefold()


def _stamped_rate(path: Path, times: np.ndarray | None) -> float:
    steps = np.diff(times[np.isfinite(times)]) if times is not None else np.zeros(0)
    measured = 1 / float(np.median(steps)) if steps.size > 16 and np.median(steps) > 0 else 0.0
    sfreq_hz = min((128.0, 256.0, 2048.0), key=lambda r: abs(r - measured))
    if abs(measured - sfreq_hz) > 0.05 * sfreq_hz:
        raise InputError(
            f"{path.name} does not state its sampling rate",
            where=path,
            found=f"time stamps of {measured:.4g} Hz" if measured else "no title line and no time stamps",
            expected="`sampling:` in a title line, or time stamps of 128 or 256 Hz",
            todo="describe the columns in a manifest (source: kind: table) with sfreq_hz",
        )
    return sfreq_hz


#: Electrode names in the files of Emotiv's EPOC, EPOC Flex and Insight.
EPOC = frozenset(
    f"{row}{column}"
    for row, columns in {
        "AF": "34", "F": "3478z", "FC": "1256", "FT": ("9", "10"), "Fp": "12", "T": "78", "C": "34z", "TP": ("9", "10"),
        "CP": "1256", "P": "3478z", "PO": ("9", "10"), "O": "12z",
    }.items()
    for column in columns
)  # fmt: skip
