"""Text files of consumer headsets whose format says what the columns are: OpenBCI, Muse, Emotiv.

What enters: a path. What leaves: `Decoded` in microvolt. Wall-clock columns are used for gaps and dropped.

- OpenBCI's GUI writes `%` lines (board, rate) and `EXG Channel n` in microvolt; electrodes are the wearer's choice, so
  a manifest has to name them.
- Mind Monitor writes Muse's `RAW_...` in microvolt with an offset near 800. Its default is one row a second, which is
  no signal; only files with constant recording hold one.
- Emotiv's apps write a title line with `sampling:` and `labels:`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from eegprep.errors import InputError
from eegprep.sources.base import Decoded, SourceChannel
from eegprep.sources.segments import break_at, segment
from eegprep.sources.text_table import TextTable, column_events, open_text, read_table
from eegprep.sources.time_column import time_breaks

__all__ = ["read_emotiv", "read_muse", "read_openbci"]


def _decoded(
    name: str,
    table: TextTable,
    columns: dict[str, str],
    sfreq_hz: float,
    evidence: str,
    *,
    breaks: list[int],
    notes: list[str],
    events_column: str | None = None,
) -> Decoded:
    """`columns` maps channel names to column names."""
    signal = np.stack([table.numbers(c) for c in columns.values()])
    events = column_events(table.texts(events_column)) if events_column in table.names and events_column else []
    stretches, left_out = segment(signal.shape[1], events)
    return Decoded(
        format=name,
        sfreq_hz=sfreq_hz,
        channels=tuple(SourceChannel(name=c, kind="eeg", unit="uV", unit_evidence=evidence) for c in columns),
        signal=signal,
        stretches=break_at(stretches, breaks),
        events=tuple(events),
        left_out=left_out,
        notes=tuple(notes),
    )


def read_openbci(path: Path) -> Decoded:
    """OpenBCI's raw text. Raises InputError where rate or EXG columns are missing."""
    head = open_text(path)[:65536].decode("latin-1").splitlines()
    comments = [line for line in head if line.startswith("%")]
    rate = next((m for line in comments if (m := re.search(r"Sample Rate\s*=\s*([\d.]+)", line))), None)
    if rate is None:
        raise InputError(f"{path.name} does not state its rate", where=path, expected="a line `%Sample Rate = ...`")
    sfreq_hz = float(rate[1])
    table = read_table(path, separator=",", skip_rows=len(comments))
    columns = {n: n for n in table.names if re.fullmatch(r"(EXG|EEG) Channel \d+", n)}
    if not columns:
        raise InputError(
            f"{path.name} has no EXG columns", where=path, expected="columns `EXG Channel 0`, `EXG Channel 1`, ..."
        )
    breaks: list[int] = []
    notes: list[str] = []
    if "Timestamp" in table.names:
        breaks, notes = time_breaks(table.numbers("Timestamp"), sfreq_hz, path)
    return _decoded(
        "openbci", table, columns, sfreq_hz, "OpenBCI's text format is in microvolt",
        breaks=breaks, notes=notes, events_column="Marker Channel",
    )  # fmt: skip


def read_muse(path: Path) -> Decoded:
    """Mind Monitor's CSV. The rate is measured from the time stamps."""
    table = read_table(path, separator=",", ragged=True)
    columns = {n.removeprefix("RAW_"): n for n in table.names if n.startswith("RAW_")}
    times = _seconds(table)
    lasts = float(times[-1] - times[0]) if times.size > 1 else 0.0
    if lasts <= 0:
        raise InputError(f"{path.name}: the time stamps do not advance", where=path)
    measured = (times.size - 1) / lasts
    sfreq_hz = min((220.0, 256.0, 500.0), key=lambda r: abs(r - measured))
    if abs(measured - sfreq_hz) > 0.1 * sfreq_hz:
        raise InputError(
            f"{path.name} was recorded at {measured:.3g} rows a second, which is no EEG signal",
            where=path,
            found=f"{measured:.3g} Hz",
            expected="220 or 256 Hz (Mind Monitor: recording interval `constant`)",
            todo="record again with the constant interval, or leave the file out",
        )
    jumps = [int(i) + 1 for i in np.flatnonzero(np.abs(np.diff(times)) > 0.25)]
    return _decoded(
        "muse", table, columns, sfreq_hz, "Mind Monitor's RAW columns are in microvolt", breaks=jumps, notes=[]
    )


def _seconds(table: TextTable) -> np.ndarray:
    """Seconds of the time stamps (`2017-11-02 12:33:05.090`), from the first one on."""
    out = []
    for text in table.texts("TimeStamp"):
        found = re.search(r"(\d+):(\d+):(\d+(?:\.\d+)?)", text)
        out.append(int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else np.nan)
    values = np.array(out)
    return values[np.isfinite(values)] - values[np.isfinite(values)][0] if np.isfinite(values).any() else values[:0]


def read_emotiv(path: Path) -> Decoded:
    """Emotiv's CSV with a title line."""
    title = open_text(path)[:65536].split(b"\n", 1)[0].decode("latin-1")
    rate = re.search(r"sampling:\s*(?:eeg_)?(\d+)", title)
    labels = re.search(r"labels:\s*([^,]+)", title)
    if rate is None or labels is None:
        raise InputError(
            f"{path.name} does not state rate and labels", where=path, expected="`sampling:` and `labels:`"
        )
    names = labels[1].split()
    table = read_table(path, separator=",", skip_rows=1, names=names)
    eeg = {n.removeprefix("EEG."): n for n in table.names if n.removeprefix("EEG.") in EPOC}
    if not eeg:
        raise InputError(
            f"{path.name} has no column of an electrode", where=path, found=f"{len(table.names)} columns of other names"
        )
    return _decoded(
        "emotiv_csv", table, eeg, float(rate[1]), "Emotiv's CSV is in microvolt with an offset near 4200",
        breaks=[], notes=[],
    )  # fmt: skip


#: The electrodes of Emotiv's EPOC, EPOC Flex and Insight that their files name.
EPOC = frozenset(
    f"{row}{column}"
    for row, columns in {
        "AF": "34", "F": "3478z", "FC": "1256", "FT": ("9", "10"), "Fp": "12", "T": "78", "C": "34z", "TP": ("9", "10"),
        "CP": "1256", "P": "3478z", "PO": ("9", "10"), "O": "12z",
    }.items()
    for column in columns
)  # fmt: skip
