"""Read BIDS tables leniently: they are read if their meaning is unambiguous, else refused with a reason.

Accepted are UTF-16, byte order marks, any line endings, capitals in column names, decimal commas, and commas,
semicolons or spaces instead of tabs if every row has as many fields as the first.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path

_MAX_BYTES = 256 << 20
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WITH_COMMA = re.compile(r"([+-]?\d*),(\d+)")


def text_of(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or else Latin-1. Raises ValueError with the reason."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("it is too large")
        data = path.read_bytes()
    except OSError:
        raise ValueError("it cannot be opened") from None
    try:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode("utf-16")
        if b"\0" in data[:64]:
            return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
    except UnicodeDecodeError:
        raise ValueError("its encoding is neither UTF-8 nor UTF-16") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def rows_of(path: Path, columns: Sequence[str], needed: str) -> tuple[list[dict[str, str]], int]:
    """The rows of a table with those of `columns` that exist, and the number of broken rows.

    Raises
    ------
    ValueError
        With the reason why the table cannot be used.
    """
    lines = [line for line in re.split(r"\r\n|\r|\n", text_of(path)) if line.strip()]
    if not lines:
        return [], 0
    tab = "\t" in lines[0] or not re.search(r"[,; ]", lines[0].strip())
    table = [_fields(line, lines[0]) for line in lines]
    head, body = [name.strip() for name in table[0]], table[1:]
    if not tab and any(len(row) != len(head) for row in body):
        raise ValueError("its columns are not separated by tabs, and its rows differ in length")
    body = [row[: len(head)] if not any(row[len(head) :]) else row for row in body]
    whole = [[*row, *[""] * (len(head) - len(row))] for row in body if len(row) <= len(head)]
    if body and not whole:
        raise ValueError("its rows have more fields than its first line")
    places = {name: at for name in columns if (at := _place(name, head, whole)) is not None}
    if needed not in places:
        raise ValueError(f"it has no column `{needed}`")
    return [{name: row[at] for name, at in places.items()} for row in whole], len(body) - len(whole)


def _fields(line: str, head: str) -> list[str]:
    if "\t" in head:
        return [_unquoted(field.strip()) for field in line.split("\t")]
    for separator in (",", ";"):
        if separator in head:
            return [field.strip() for field in next(csv.reader([line], delimiter=separator))]
    return [_unquoted(field) for field in line.split()] if " " in head.strip() else [_unquoted(line.strip())]


def _unquoted(field: str) -> str:
    quoted = len(field) > 1 and field[0] == field[-1] == '"'
    return field[1:-1].replace('""', '"').strip() if quoted else field


def _place(name: str, head: Sequence[str], body: Sequence[Sequence[str]]) -> int | None:
    """Index of a column by its exact name, else ignoring case."""
    for found in (
        [i for i, h in enumerate(head) if h == name],
        [i for i, h in enumerate(head) if h.casefold() == name],
    ):
        if len({tuple(row[i] for row in body) for i in found}) > 1:
            raise ValueError(f"it has several columns `{name}`, which differ")
        if found:
            return found[0]
    return None


def numbers(cells: Sequence[str], longest: float = math.inf) -> list[float | None]:
    """The numbers of a column; None for other fields. A comma is decimal if it cannot separate thousands.

    Parameters
    ----------
    longest : float
        Larger values are impossible, so a comma before three digits must be decimal.

    Raises
    ------
    ValueError
        Commas are ambiguous.
    """
    commas = [m for cell in cells if (m := _WITH_COMMA.fullmatch(cell))]
    decimal = any(len(m[2]) != 3 or m[1].strip("+-") in ("", "0") for m in commas)
    decimal = decimal or any(abs(float(m[1] + m[2])) > longest for m in commas)
    if commas and not decimal:
        raise ValueError("commas in its numbers may be decimal or separate thousands")
    plain = [cell.replace(",", ".") if _WITH_COMMA.fullmatch(cell) else cell for cell in cells]
    return [float(cell) if _NUMBER.fullmatch(cell) else None for cell in plain]
