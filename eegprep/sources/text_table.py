"""One row of numbers a line: reading text tables, plain or gzipped, and what columns of time and events say.

What enters: a path and how it is written. What leaves: columns as float64, events, and breaks where the time
column jumps. Columns that were not asked for are not parsed.
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eegprep.errors import InputError
from eegprep.sources.base import SourceEvent
from eegprep.sources.privacy import clean_message

__all__ = ["TextTable", "column_events", "read_table", "time_breaks"]

#: Seconds, milliseconds, microseconds, nanoseconds: which one a time column counts is found by its steps.
_TIME_FACTORS = (1.0, 1e3, 1e6, 1e9)
_MAX_RATE_ERROR = 0.01
#: A few packed bytes can claim to be any amount of text.
MAX_UNPACKED = 4 << 30


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """`names` of all columns; `read` gives one as numbers, `texts` as text."""

    names: tuple[str, ...]
    table: object
    where: Path

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64, empty fields as NaN. Raises InputError where it is no number."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self._column(name)
        try:
            if pa.types.is_string(column.type):
                column = pc.utf8_trim_whitespace(column)
            return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"column {name!r} of {self.where.name} is not all numbers",
                where=self.where,
                found="text in a column of numbers",
                expected="one number a row",
            ) from error

    def texts(self, name: str) -> list[str]:
        """A column as text."""
        return ["" if v is None else str(v).strip() for v in self._column(name).to_pylist()]

    def _column(self, name: str):  # type: ignore[no-untyped-def]
        if name not in self.names:
            raise InputError(
                f"{self.where.name} has no column {name!r}", where=self.where, found=", ".join(self.names[:40])
            )
        return self.table.column(self.names.index(name))  # type: ignore[attr-defined]


def open_text(path: Path) -> bytes:
    """A text file's bytes, unpacked where it is gzipped."""
    with path.open("rb") as handle:
        packed = handle.read(2) == b"\x1f\x8b"
    try:
        if packed:
            with gzip.open(path, "rb") as handle:
                data = handle.read(MAX_UNPACKED + 1)
            if len(data) > MAX_UNPACKED:
                raise InputError(
                    f"{path.name} unpacks to more than {MAX_UNPACKED >> 30} GiB of text",
                    where=path,
                    todo="convert it to a format that is read in parts, such as EDF",
                )
            return data
        return path.read_bytes()
    except (OSError, EOFError) as error:
        raise InputError(f"{path.name} can't be unpacked", where=path, found=clean_message(error)) from error


def read_table(
    path: Path,
    *,
    separator: str | None = None,
    skip_rows: int = 0,
    encoding: str = "utf-8",
    names: Sequence[str] | None = None,
    ragged: bool = False,
) -> TextTable:
    """Read a text table.

    Parameters
    ----------
    separator : str, optional
        Found from the first line where it is not given: tab, semicolon, comma, else blanks.
    skip_rows : int
        Lines before the header (or before the numbers).
    names : sequence of str, optional
        Names of the columns of a table without a header line.
    ragged : bool
        Whether rows may lack their last fields, which then are empty.

    Raises
    ------
    InputError
        An empty file, rows of different lengths.
    """
    import pyarrow as pa
    from pyarrow import csv

    data = open_text(path)
    lines = data.split(b"\n", skip_rows + 1)
    if len(lines) <= skip_rows or not lines[skip_rows].strip():
        raise InputError(f"{path.name} is empty", where=path, expected=f"rows after the first {skip_rows} lines")
    first = lines[skip_rows].decode(encoding, "replace")
    separator = separator or next((s for s in ("\t", ";", ",") if s in first), " ")
    if separator == " ":  # any number of blanks between two columns
        rows = [b" ".join(line.split()) for line in data.split(b"\n")]
        data = b"\n".join(rows)
    columns = [c.strip().strip('"') for c in first.split(separator)] if separator != " " else first.split()
    headless = _all_numbers(columns)
    if headless:
        columns = list(names) if names else [str(i + 1) for i in range(len(columns))]
    if ragged:
        data = b"\n".join(
            line.rstrip(b"\r") + b"," * (len(columns) - 1 - line.count(b","))
            for line in data.split(b"\n")
            if line.strip()
        )
    try:
        table = csv.read_csv(
            io.BytesIO(data),
            read_options=csv.ReadOptions(
                skip_rows=skip_rows if headless else skip_rows + 1, column_names=columns, encoding=encoding
            ),
            parse_options=csv.ParseOptions(delimiter=separator),
            convert_options=csv.ConvertOptions(strings_can_be_null=True, null_values=["", "NA", "NaN", "nan", "?"]),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path.name} is no table of {len(columns)} columns",
            where=path,
            found=_fault(error),
            expected=f"{len(columns)} values a row, parted by {separator!r}",
        ) from error
    return TextTable(names=tuple(columns), table=table, where=path)


def _all_numbers(fields: Sequence[str]) -> bool:
    try:
        for field in fields:
            if field:
                float(field)
    except ValueError:
        return False
    return any(fields)


def _fault(error: Exception) -> str:
    """What is wrong with a row, without the row's text."""
    counts = re.search(r"Expected (\d+) columns, got (\d+)", str(error))
    return f"a row of {counts[2]} values" if counts else type(error).__name__


def column_events(values: Sequence[str]) -> list[SourceEvent]:
    """An event wherever a column's text changes to something that is neither empty nor zero."""
    out: list[SourceEvent] = []
    before = ""
    for i, text in enumerate(values):
        short = text[:-2] if text.endswith(".0") else text
        if short != before and short not in ("", "0"):
            out.append(SourceEvent(start_sample=i, text=short))
        before = short
    return out


def time_breaks(times: np.ndarray, sfreq_hz: float, where: Path) -> tuple[list[int], list[str]]:
    """Samples before which the time column jumps; notes. Raises InputError where its rate is another one."""
    steps = np.diff(times[np.isfinite(times)])
    steps_up = steps[steps > 0]
    if steps_up.size < 10:
        return [], ["the time column does not advance and was not used"]
    span = float(np.sum(steps_up[steps_up <= 5 * np.median(steps_up) + np.mean(steps_up)]))
    mean = span / max(1, np.sum(steps <= 5 * np.median(steps_up) + np.mean(steps_up)))
    factor = min(_TIME_FACTORS, key=lambda f: abs(np.log(mean / f * sfreq_hz)))
    measured = factor / mean
    if abs(measured - sfreq_hz) > 10 * _MAX_RATE_ERROR * sfreq_hz:
        raise InputError(
            "the time column gives another rate than the one stated",
            where=where,
            found=f"{measured:.4g} Hz",
            expected=f"{sfreq_hz:g} Hz",
            todo="correct the rate in the manifest",
        )
    notes = []
    if abs(measured - sfreq_hz) > _MAX_RATE_ERROR * sfreq_hz:
        notes.append(f"the time column gives {measured:.4g} Hz where {sfreq_hz:g} Hz is stated")
    # Rows often come in packets with one time each, so only jumps of a quarter second or more are gaps.
    jumps = np.flatnonzero((steps < 0) | (steps > 0.25 * factor)) + 1
    return [int(j) for j in jumps], notes
