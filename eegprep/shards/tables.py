"""Read untrusted Parquet tables with bounded memory.

Returns an Arrow table with exactly the given schema, without nulls, strings dictionary-encoded. A Parquet file can
claim any number of rows, compress gigabytes into a page, or nest lists of any length, so this reader accepts only
flat, uncompressed columns, and at most one row per eight bytes of file, which our own files always meet (one 64-bit
column is plain). A table's memory is then bounded by a small multiple of its file's size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eegprep.errors import RefusedError
from eegprep.files import atomic_path
from eegprep.shards.footer import check_parquet
from eegprep.shards.format import ELECTRODE_COLUMNS

MAX_INDEX_BYTES = 4 << 30
_MAX_VOCABULARY_BYTES = 64 << 20
_BYTES_PER_ROW = 8
_VOCABULARY_TEXTS = ["name", "source", "kind", "shards"]
# Columns that were added to version 1 before it was frozen.
_SINCE_PRE_RELEASE = frozenset({"reference", "kind", "fingerprint", "montage"})
_PRE_RELEASE = "made by a pre-release version: rebuild from the store or the raw files"
_MAX_TEXT = 1 << 28
_TODO = "download or build the shard set again; `eegprep verify` lists all damage"


def _strings(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_string(field.type)]


def write_table(path: Path, table: pa.Table) -> None:
    """Write a flat table without compression, atomically; strings as dictionaries, numbers plain."""
    with atomic_path(path) as part:
        pq.write_table(table, part, compression="none", use_dictionary=_strings(table.schema), version="2.6")


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a table of this schema.

    Raises
    ------
    RefusedError
        The file is not Parquet, has nulls or other columns or types, or could need too much memory for its size.
    """
    table = _read(path, MAX_INDEX_BYTES, _strings(schema))
    found = {f.name: f.type.value_type if pa.types.is_dictionary(f.type) else f.type for f in table.schema}
    expected = {f.name: f.type for f in schema}
    if found != expected or len(table.schema) != len(schema):
        raise RefusedError(
            "the columns of an index file do not match format version 1",
            where=path, found=", ".join(found), expected=", ".join(expected), todo=_TODO,
        )  # fmt: skip
    for key, version in (schema.metadata or {}).items():
        if (stated := (table.schema.metadata or {}).get(key)) != version:
            raise RefusedError("unsupported version of an index file", where=path, found=stated, expected=version)
    for name in table.column_names:
        if table[name].null_count:
            raise RefusedError(f"column {name!r} of an index file has missing values", where=path, todo=_TODO)
    return table.replace_schema_metadata(None)


def read_electrodes(path: Path) -> pa.Table:
    """The vocabulary table of a shard set: the one table with a nested column (aliases), and the set's counts.

    Raises
    ------
    RefusedError
        See `read_table`.
    """
    table = _read(path, _MAX_VOCABULARY_BYTES, _VOCABULARY_TEXTS)
    for k, name in enumerate(table.column_names):
        if pa.types.is_dictionary(table[name].type):
            if table[name].null_count:
                raise RefusedError(f"column {name!r} of an index file has missing values", where=path, todo=_TODO)
            table = table.set_column(k, name, plain(table[name], where=path, most=_MAX_VOCABULARY_BYTES))
    found = {f.name: f.type for f in table.schema}
    if missing := [f.name for f in ELECTRODE_COLUMNS if found.get(f.name) != f.type or table[f.name].null_count]:
        raise RefusedError("the vocabulary of a shard set lacks columns", where=path, found=", ".join(missing))
    return table


def texts(column: pa.ChunkedArray) -> tuple[str, ...]:
    """A column of dictionary-encoded text; equal values share one object, so memory is that of the dictionary."""
    out: list[str] = []
    for chunk in column.chunks:
        words = chunk.dictionary.to_pylist()
        out += [words[k] for k in numbers(pa.chunked_array([chunk.indices])).tolist()]
    return tuple(out)


def plain(column: pa.ChunkedArray, *, where: Path, most: int = _MAX_TEXT) -> pa.ChunkedArray:
    """Decode dictionary-encoded text; RefusedError if a short file would become a long table."""
    values = texts(column)
    if (n_bytes := sum(map(len, values))) > most:
        raise RefusedError(
            "a column of an index file is far larger than the file", where=where, found=f"{n_bytes} characters",
            expected=f"at most {most}", todo=_TODO,
        )  # fmt: skip
    encoded = [text.encode() for text in values]
    ends, data = np.cumsum([0, *map(len, encoded)], dtype=np.int32), pa.py_buffer(b"".join(encoded))
    return pa.chunked_array([pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), data)])


def numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column of numbers or flags without nulls, (n,), read-only and without a copy if possible.

    Arrow's `to_numpy` imports pandas if it is installed, which takes longer than opening a shard set and more memory
    than its index.
    """
    parts = [_chunk(chunk) for chunk in column.chunks]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, column.type.to_pandas_dtype()), *parts])


def _chunk(chunk: pa.Array) -> NDArray[Any]:
    _, data = chunk.buffers()
    begin, end = chunk.offset, chunk.offset + len(chunk)
    if pa.types.is_boolean(chunk.type):
        bits = np.unpackbits(np.frombuffer(data or b"", np.uint8), count=end, bitorder="little")
        return bits[begin:].astype(np.bool_)
    return np.frombuffer(data or b"", chunk.type.to_pandas_dtype())[begin:end]


def _read(path: Path, max_bytes: int, dictionaries: list[str]) -> pa.Table:
    n_bytes = path.stat().st_size
    if n_bytes > max_bytes:
        raise RefusedError(
            "an index file is too large", where=path, found=f"{n_bytes} bytes", expected=f"at most {max_bytes}"
        )
    try:
        data = path.read_bytes()
        check_parquet(data, bytes_per_row=_BYTES_PER_ROW, dictionaries=dictionaries)
        with pq.ParquetFile(pa.BufferReader(data), read_dictionary=dictionaries) as file:
            table = file.read(use_threads=False)
            table.validate(full=True)
    except KeyError as error:  # a column of text is missing
        name = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
        old = name in _SINCE_PRE_RELEASE
        what = _PRE_RELEASE if old else "the columns of an index file do not match format version 1"
        raise RefusedError(what, where=path, found=f"no column {name!r}", todo=None if old else _TODO) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RefusedError("an index file is damaged", where=path, found=error, todo=_TODO) from error
    return table
