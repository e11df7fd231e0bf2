"""Validate the claims of a Parquet file (sizes, counts, encodings, pages) before Arrow reads it.

Returns the row count if reading the file takes at most a small multiple of its size, else raises a ValueError. Arrow's
own metadata accessors cannot be used: some crash the process on a malformed footer. The footer and page headers are
Thrift structs in the compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md), with the field numbers of
parquet.thrift.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

_MAGIC = b"PAR1"
_MAX_DEPTH = 24
_UNCOMPRESSED = 0
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
# Plain, and the two names of dictionary codes. Other encodings (e.g. prefixes of the previous value) can repeat a long
# text in one byte.
_ENCODINGS = (0, 2, 3, 8)
_TEXT = (6, 7)
# Types of the compact protocol.
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)


class _Reader:
    """A position in some bytes; it returns only parts of the input, which bounds its memory."""

    def __init__(self, data: memoryview, position: int) -> None:
        self.data, self.position = data, position

    def byte(self) -> int:
        if self.position >= len(self.data):
            raise ValueError("a struct is truncated")
        self.position += 1
        return self.data[self.position - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            b = self.byte()
            value |= (b & 0x7F) << shift
            if b < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number is too long")

    def zigzag(self) -> int:
        n = self.varint()
        return (n >> 1) ^ -(n & 1)

    def take(self, n: int) -> bytes:
        if n > len(self.data) - self.position:
            raise ValueError("a field is truncated")
        self.position += n
        return bytes(self.data[self.position - n : self.position])

    def value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self.byte()
        if kind in (_I16, _I32, _I64):
            return self.zigzag()
        if kind == _DOUBLE:
            return self.take(8)
        if kind == _BINARY:
            return self.take(self.varint())
        if kind in (_LIST, _SET):
            return self.items(depth)
        if kind == _STRUCT:
            return self.struct(depth)
        raise ValueError(f"a field of unknown type {kind}")

    def items(self, depth: int) -> list[Any]:
        head = self.byte()
        n, kind = head >> 4, head & 0x0F
        if n == 15:
            n = self.varint()
        if n > len(self.data) - self.position:
            raise ValueError("a list claims more elements than there are bytes")
        if kind in (_TRUE, _FALSE):
            return [self.byte() == _TRUE for _ in range(n)]
        return [self.value(kind, depth + 1) for _ in range(n)]

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _MAX_DEPTH:
            raise ValueError("structs are nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while (head := self.byte()) != _STOP:
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            fields[number] = self.value(head & 0x0F, depth + 1)
        return fields


def read_struct(data: bytes | memoryview, position: int = 0) -> tuple[dict[int, Any], int]:
    """One Thrift struct as {field number: value}, and the position after it; ValueError if invalid."""
    reader = _Reader(memoryview(data), position)
    return reader.struct(), reader.position


def check_parquet(data: bytes | memoryview, *, bytes_per_row: int, dictionaries: Collection[str] = ()) -> int:
    """Refuse a Parquet file that could grow when read, else return its number of rows.

    Parameters
    ----------
    data : bytes-like
        The complete file.
    bytes_per_row : int
        Minimum size of a row in a valid file; files with more rows than that allows are refused.
    dictionaries : collection of str
        Text columns that are read as codes and a dictionary. All other text must be stored in full.

    Raises
    ------
    ValueError
        Not a Parquet file; compressed; more rows or values than fit; misplaced pages.
    """
    data = memoryview(data)
    if len(data) < 12 or data[:4] != _MAGIC or data[-4:] != _MAGIC:
        raise ValueError("not a Parquet file")
    length = int.from_bytes(data[-8:-4], "little")
    body = len(data) - 8 - length
    if body < 4:
        raise ValueError("the footer is longer than the file")
    try:
        footer, end = read_struct(data[: len(data) - 8], body)
        if end != len(data) - 8:
            raise ValueError("the footer has the wrong length")
        n_rows, groups = footer[3], footer[4]
        if not 0 <= n_rows * bytes_per_row <= len(data):
            raise ValueError(f"more rows than possible: {n_rows}")
        for group in groups:
            for column in group[1]:
                names = [bytes(x).decode("utf-8", "replace") for x in column[3][3]]
                text_in_full = column[3][1] in _TEXT and not (len(names) == 1 and names[0] in dictionaries)
                _check_column(data, body, column[3], n_rows_of_group=group[3], in_full=text_in_full)
        if sum(group[3] for group in groups) != n_rows or any(group[3] < 0 for group in groups):
            raise ValueError("its row groups do not add up")
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"a field of the footer is missing or has another type ({error})") from error
    return int(n_rows)


def _check_column(data: memoryview, body: int, meta: dict[int, Any], *, n_rows_of_group: int, in_full: bool) -> None:
    """Check one column of one row group: uncompressed, pages inside the file, as many values as it claims."""
    if meta[4] != _UNCOMPRESSED:
        raise ValueError("it is compressed")
    n_values, size = meta[5], meta[7]
    flat = len(meta[3]) == 1
    if not 0 <= n_values <= len(data) or (flat and n_values != n_rows_of_group):
        raise ValueError(f"a column claims {n_values} values")
    if n_values == n_rows_of_group == 0:
        return  # an empty table has no pages
    position = meta.get(11) or meta[9]
    if not (position >= 4 and size >= 0 and position + size <= body and meta[9] >= position):
        raise ValueError("a column is outside the file")
    end, found = position + size, 0
    while position < end:
        header, position = read_struct(data[:end], position)
        if header[2] != header[3] or not 0 <= header[3] <= end - position:
            raise ValueError("a page has an invalid size")
        position += header[3]
        if header[1] == _DATA_PAGE:
            count = header[5][1]
            found += count
            if header[5][2] not in _ENCODINGS:
                raise ValueError(f"a page is encoded in a way that could outgrow it ({header[5][2]})")
        elif header[1] == _DICTIONARY_PAGE and in_full:
            raise ValueError("an unexpected dictionary page")
        elif header[1] == _DICTIONARY_PAGE:
            count = header[7][1]
        else:
            raise ValueError(f"a page of unknown kind {header[1]}")
        if not 0 <= count <= len(data):
            raise ValueError(f"a page claims {count} values")
    if found != n_values:
        raise ValueError(f"the pages of a column have {found} values, not {n_values}")
