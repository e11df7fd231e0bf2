"""Read text tables, plain or gzipped, one row of numbers per line, and their event columns.

Columns are returned as float64. Byte order marks, line endings and decimal commas are detected; if a comma is
ambiguous, the manifest has to define it.
"""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.decoded import SourceEvent
from eegprep.manifest.labels import code_text
from eegprep.privacy import clean_message

#: A few compressed bytes can expand to any amount of text.
MAX_UNPACKED = 4 << 30
_ANY_BYTES = 64 << 20
# Packed texts from this size are never in memory as a whole.
_STREAMED_BYTES = 4 << 20
_BLOCK_BYTES = 4 << 20
_MAX_RATIO = 100
_LINES_LOOKED_AT = 20
#: Missing values in tables.
_NOTHING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "NULL", "null", "None", "?", "-", "#N/A"]
_CLOCK = re.compile(r"\d[\d/.-]*([ T]\d+)?:\d\d(:\d\d([.,:]\d+)?)?|\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./]\d{4}")
_COMMA_NUMBER = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table with column `names`; `read` returns a column as numbers, `texts` as text."""

    names: tuple[str, ...]
    table: object
    where: Path

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64, empty fields as NaN. Raises InputError if a field is not a number."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self._column(name)
        try:
            if pa.types.is_string(column.type):
                column = pc.utf8_trim_whitespace(column)
                missing = pc.is_in(column, value_set=pa.array(_NOTHING))  # blanks around them kept them as text
                column = pc.if_else(missing, pa.scalar(None, pa.string()), column)
            column = pc.cast(column, pa.float64(), safe=False)  # whole nanoseconds have more digits than a float
            return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            texts = enumerate(self.texts(name), 1)
            row = next((i for i, text in texts if text not in _NOTHING and not is_number(text)), "unknown")
            raise InputError(
                f"column {name!r} of {self.where.name} contains text",
                where=self.where,
                found=f"text in row {row}",
                expected="one number per row",
            ) from error

    def times(self, name: str) -> np.ndarray:
        """A column of times as float64: numbers as they are, dates and times of day in seconds after the first."""
        import pyarrow as pa

        kind = self._column(name).type
        if pa.types.is_floating(kind) or pa.types.is_integer(kind) or not self.is_clock(name):
            return self.numbers(name)
        texts = self.texts(name)
        day = "" if re.match(r"\d{4}-", next(filter(None, texts))) else "1970-01-01T"
        try:
            whole = [re.sub(r"^(\d):", r"0\1:", text.replace(",", ".")) for text in texts]
            stamps = np.array([day + text if text else "NaT" for text in whole], dtype="datetime64[ns]")
        except ValueError:
            return self.numbers(name)  # which says what is wrong
        known = np.flatnonzero(~np.isnat(stamps))
        seconds = np.full(stamps.size, np.nan)
        seconds[known] = (stamps[known] - stamps[known[0]]).astype(np.int64) / 1e9
        if day:  # past midnight
            seconds[known[1:]] += 86400.0 * np.cumsum(np.diff(seconds[known]) < -43200)
        return seconds

    def texts(self, name: str) -> list[str]:
        """A column as text."""
        return ["" if v is None else str(v).strip() for v in self._column(name).to_pylist()]

    def is_clock(self, name: str) -> bool:
        """Whether a column contains only times of day or dates."""
        texts = [text for text in self.texts(name) if text]
        return bool(texts) and all(_CLOCK.fullmatch(text) for text in texts)

    def _column(self, name: str):  # type: ignore[no-untyped-def]
        if name not in self.names:
            # a first line that is not a header may contain anything, so it is not quoted
            raise InputError(
                f"{self.where.name} has no column {name!r}",
                where=self.where,
                found=f"{len(self.names)} columns of other names",
                todo="correct `source: channels:`, or `skip_rows:` if the header line comes later",
            )
        if self.names.count(name) > 1:
            raise InputError(
                f"{self.where.name} has {self.names.count(name)} columns of the name {name!r}",
                where=self.where,
                expected="one column of each name that is read",
                todo="rename all but one of them in the header line",
            )
        return self.table.column(self.names.index(name))  # type: ignore[attr-defined]


def open_text(path: Path) -> bytes:
    """A text file's bytes, decompressed if it is gzipped."""
    try:
        if not _is_packed(path):
            return path.read_bytes()
        with _Unpacking(path) as unpacking:
            return unpacking.read()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path.name} cannot be decompressed", where=path, found=clean_message(error)) from error


def _is_packed(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


class _Unpacking(io.RawIOBase):
    """Text of a gzipped file, read in parts; a bomb is refused as soon as it is too large."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._handle = gzip.open(path, "rb")  # noqa: SIM115  (closed with this object)
        self._limit = self._left = min(MAX_UNPACKED, max(_ANY_BYTES, _MAX_RATIO * path.stat().st_size))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        n = self._handle.readinto(buffer)
        self._left -= n
        if self._left < 0:
            raise InputError(
                f"{self._path.name} decompresses to more than {self._limit >> 20} MiB of text",
                where=self._path,
                expected=f"at most {_MAX_RATIO} times the compressed size, as for tables of numbers",
                todo="decompress it by hand (gunzip -k) if it is valid, or convert it to EDF",
            )
        return n

    def close(self) -> None:
        self._handle.close()
        super().close()


def read_table(
    path: Path,
    *,
    separator: str | None = None,
    skip_rows: int = 0,
    encoding: str = "utf-8",
    names: Sequence[str] | None = None,
    ragged: bool = False,
    rows_are_channels: bool = False,
    as_text: Collection[str] = (),
) -> TextTable:
    """Read a text table.

    Parameters
    ----------
    separator : str, optional
        Default: detected in the first line (tab, semicolon, comma, else spaces).
    skip_rows : int
        Lines before the header (or before the numbers).
    names : sequence of str, optional
        Column names of a table without a header line.
    ragged : bool
        Whether rows may lack their last fields, which are then empty.
    rows_are_channels : bool
        Whether the first field of a line may be a channel's name; a first line with one is then not a header.
    as_text : collection of str
        Columns whose fields are words, also if they look like numbers: `01` is not 1.

    Raises
    ------
    InputError
        The file is empty, or rows differ in length.
    """
    import pyarrow as pa

    streamed = not ragged and _can_be_streamed(path, encoding, separator)
    data = _head(path) if streamed else _plain(open_text(path), encoding, path)
    lines = data.split(b"\n", skip_rows + _LINES_LOOKED_AT)[skip_rows : skip_rows + _LINES_LOOKED_AT]
    if not lines or not lines[0].strip():
        raise InputError(f"{path.name} is empty", where=path, expected=f"rows after the first {skip_rows} lines")
    sample = [line.decode("utf-8", "replace").strip() for line in lines]
    first = sample[0]
    separator = separator or _separator(sample, path)
    decimal_comma = separator != "," and any(
        _COMMA_NUMBER.fullmatch(field) for line in sample for field in _fields(line, separator)
    )
    if separator == " ":  # any number of spaces between two columns
        rows = [b" ".join(line.split()) for line in data.split(b"\n")]
        data = b"\n".join(rows)
    columns = [c.strip('"') for c in _fields(first, separator)]
    plain = [c.replace(",", ".") if decimal_comma else c for c in columns]
    # pandas writes column numbers after an empty field
    headless = _all_numbers(plain) and not (not plain[0] and _rises_evenly(plain[1:]))
    headless = headless or (rows_are_channels and _is_channel(plain))
    if headless:
        columns = list(names) if names else [str(i + 1) for i in range(len(columns))]
    if ragged:
        data = b"\n".join(
            line.rstrip(b"\r") + b"," * (len(columns) - 1 - line.count(b","))
            for line in data.split(b"\n")
            if line.strip()
        )
    rows_before = skip_rows if headless else skip_rows + 1
    try:
        words = [c for c in columns if c in as_text]
        table = _parse(path if streamed else io.BytesIO(data), rows_before, columns, separator, decimal_comma, words)
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path.name} is not a table of {len(columns)} columns",
            where=path,
            found=_fault(error),
            expected=f"{len(columns)} values per row, separated by {separator!r}",
        ) from error
    if decimal_comma and words:  # the parser leaves it there
        import pyarrow.compute as pc

        for at in (i for i, c in enumerate(columns) if c in words):
            plain_words = pc.replace_substring_regex(table.column(at), r"^([-+]?\d+),(\d+)$", r"\1.\2")
            table = table.set_column(at, columns[at], plain_words)
    return TextTable(names=tuple(columns), table=table, where=path)


def _can_be_streamed(path: Path, encoding: str, separator: str | None) -> bool:
    """Whether a packed text is large, and its lines can be parsed as they are."""
    if path.stat().st_size < _STREAMED_BYTES or not _is_packed(path) or codecs.lookup(encoding).name != "utf-8":
        return False
    head = _head(path)
    lines = [line.decode("utf-8", "replace").strip() for line in head.split(b"\n")[:_LINES_LOOKED_AT]]
    utf_16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return b"\n" in head and not utf_16 and (separator or _separator(lines, path)) != " "


def _head(path: Path) -> bytes:
    """The first lines of a packed text."""
    try:
        with _Unpacking(path) as unpacking, io.BufferedReader(unpacking) as buffered:
            return buffered.read(1 << 20).removeprefix(b"\xef\xbb\xbf")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path.name} cannot be decompressed", where=path, found=clean_message(error)) from error


def _parse(
    source: Path | io.BytesIO,
    rows_before: int,
    columns: Sequence[str],
    separator: str,
    decimal_comma: bool,
    words: Sequence[str] = (),
) -> Any:
    """The Arrow table of a text, or of a packed file, which is never in memory as text."""
    import pyarrow as pa
    from pyarrow import csv

    def options(block_size: int | None = None, types: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {
            "read_options": csv.ReadOptions(skip_rows=rows_before, column_names=columns, block_size=block_size),
            "parse_options": csv.ParseOptions(delimiter=separator),
            "convert_options": csv.ConvertOptions(
                strings_can_be_null=True,
                null_values=_NOTHING,
                decimal_point="," if decimal_comma else ".",
                column_types={**(types or {}), **dict.fromkeys(words, pa.string())},
            ),
        }

    def in_parts(path: Path, types: Mapping[str, Any] | None = None) -> pa.Table:
        with _Unpacking(path) as unpacking, csv.open_csv(unpacking, **options(_BLOCK_BYTES, types)) as reader:
            schema = reader.schema
            wider.update({f.name: pa.float64() for f in schema if pa.types.is_integer(f.type)})
            return pa.Table.from_batches(list(reader), schema)

    wider: dict[str, Any] = {}
    if isinstance(source, io.BytesIO):
        return csv.read_csv(source, **options())
    try:
        return in_parts(source)
    except pa.ArrowInvalid:  # the types of the first block: a column of whole numbers may have others later
        if not wider:
            raise
        return in_parts(source, dict(wider))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{source.name} cannot be decompressed", where=source, found=clean_message(error)) from error


def _plain(data: bytes, encoding: str, path: Path) -> bytes:
    """Text as UTF-8 without a byte order mark and with line feeds as line endings."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        if codecs.lookup(encoding).name != "utf-8":
            data = data.decode(encoding).encode("utf-8")
    except (LookupError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path.name} is not text in the encoding {encoding!r}", where=path, todo="correct `source: encoding:`"
        ) from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    # line endings of old Macintosh programs; a carriage return before a line feed is left to the parser
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def _separator(lines: Sequence[str], path: Path) -> str:
    """Detect the column separator from the first lines."""
    for mark in ("\t", ";"):
        if mark in lines[0]:
            return mark
    whole = [line for line in lines if line]
    if all(_COMMA_NUMBER.fullmatch(line) for line in whole):
        raise InputError(
            f"the commas in {path.name} are ambiguous: decimal commas or separators",
            where=path,
            expected="`source: separator:` in the manifest: `,` for two numbers per line, `;` for one",
        )
    last = whole[-1].split()
    if "," in lines[0] and not (len(last) > 1 and all(_COMMA_NUMBER.fullmatch(f) for f in last)):
        return ","
    return " "


def _fields(line: str, separator: str) -> list[str]:
    return line.split() if separator == " " else [f.strip() for f in line.split(separator)]


def is_number(text: str) -> bool:
    """Whether a text is one number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _all_numbers(fields: Sequence[str]) -> bool:
    """Whether a first line contains values, not names: numbers, possibly with clock times or dates."""
    return any(is_number(f) for f in fields) and all(is_number(f) or _CLOCK.fullmatch(f) for f in fields if f)


def _is_channel(fields: Sequence[str]) -> bool:
    """Whether a line is a channel's name and its samples; evenly spaced numbers are times or counts in a header."""
    numbers = [is_number(f) for f in fields[1:] if f not in _NOTHING]
    return bool(fields[0]) and any(numbers) and all(numbers) and not _rises_evenly(fields[1:])


def _rises_evenly(fields: Sequence[str]) -> bool:
    """Whether fields are numbers that increase by a constant step."""
    if len(fields) < 2 or not all(map(is_number, fields)):
        return False
    steps = np.diff(np.array(fields, dtype=np.float64))
    return bool(steps[0] > 0 and np.allclose(steps, steps.mean(), rtol=0.05))


def _fault(error: Exception) -> str:
    """Describe what is wrong with a row, without its text."""
    counts = re.search(r"Expected (\d+) columns, got (\d+)", str(error))
    return f"a row of {counts[2]} values" if counts else type(error).__name__


def column_events(
    values: Sequence[str], *, named: Collection[str] = (), shortest_state: int | None = None
) -> list[SourceEvent]:
    """An event at each change of a column's text to something other than empty or zero.

    Parameters
    ----------
    named : collection of str
        Texts named by tasks: zero is an event if it is one of them.
    shortest_state : int, optional
        A text that stays for this many rows is a state that lasts; by default all events are instants.
    """
    texts = [code_text(text) for text in values]
    starts = [i for i, text in enumerate(texts) if text != (texts[i - 1] if i else "")]
    nothing = {"", "0"} - {code_text(name) for name in named}
    return [
        SourceEvent(
            start_sample=start,
            n_samples=stop - start if shortest_state is not None and stop - start >= shortest_state else 0,
            text=texts[start],
        )
        for start, stop in itertools.pairwise([*starts, len(texts)])
        if texts[start] not in nothing
    ]
