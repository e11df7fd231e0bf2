"""Parquet tables that a stranger may have written, read with the memory that their own size allows.

What enters: a file and the schema it must have. What leaves: an Arrow table of exactly this schema without nulls,
strings dictionary-encoded. A Parquet file can claim any number of rows, compress gigabytes into a page, or nest
lists of any length, so this reader takes flat columns, no compression, and at most one row per eight bytes of
file: our own files store one 64-bit column plain and so always meet that. A table's size in memory is then
bounded by a small multiple of its file's.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from eegprep.errors import RefusedError
from eegprep.files import atomic_path
from eegprep.shards.format import ELECTRODE_COLUMNS

__all__ = ["MAX_INDEX_BYTES", "write_table", "read_table", "read_electrodes"]

MAX_INDEX_BYTES = 4 << 30
_MAX_VOCABULARY_BYTES = 64 << 20
_BYTES_PER_ROW = 8
_TODO = "fetch or write the shard set again; `eegprep verify` names everything that is wrong with it"


def _strings(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_string(field.type)]


def write_table(path: Path, table: pa.Table) -> None:
    """Write a flat table without compression, atomically; strings as dictionaries, numbers plain."""
    with atomic_path(path) as part:
        pq.write_table(table, part, compression="none", use_dictionary=_strings(table.schema), version="2.6")


def read_table(path: Path, schema: pa.Schema, *, columns: list[str] | None = None) -> pa.Table:
    """Read a table of this schema, or some of its columns.

    Raises
    ------
    RefusedError
        The file is no Parquet, has other columns, types or nulls, or could take more memory than its size allows.
    """
    n_bytes = path.stat().st_size
    if n_bytes > MAX_INDEX_BYTES:
        raise RefusedError(
            "an index file is too large", where=path, found=f"{n_bytes} bytes", expected=f"at most {MAX_INDEX_BYTES}"
        )
    try:
        with (
            pa.memory_map(str(path)) as source,
            pq.ParquetFile(source, read_dictionary=_strings(schema)) as file,
        ):
            _check(file, schema, n_bytes, path)
            table = file.read(columns=columns, use_threads=False)
            table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RefusedError("an index file is damaged", where=path, found=error, todo=_TODO) from error
    for name in table.column_names:
        if table[name].null_count:
            raise RefusedError(f"column {name!r} of an index file has empty fields", where=path, todo=_TODO)
    return table.replace_schema_metadata(None)


def _check(file: pq.ParquetFile, schema: pa.Schema, n_bytes: int, path: Path) -> None:
    """Refuse, from the footer alone, whatever could grow."""

    def refuse(what: str, found: object, expected: object) -> None:
        raise RefusedError(what, where=path, found=found, expected=expected, todo=_TODO)

    found = {f.name: f.type for f in file.schema_arrow}
    plain = {k: t.value_type if pa.types.is_dictionary(t) else t for k, t in found.items()}
    expected = {f.name: f.type for f in schema}
    if plain != expected or len(file.schema_arrow) != len(schema):
        refuse("an index file has other columns than format version 1", plain, expected)
    key = next(iter(schema.metadata or {b"": b""}))
    stated = (file.metadata.metadata or {}).get(key)
    if stated != (schema.metadata or {}).get(key):
        refuse("an index file has another version", stated, (schema.metadata or {}).get(key))
    _check_chunks(file, n_bytes, path)


def _check_chunks(file: pq.ParquetFile, n_bytes: int, path: Path) -> None:
    """No compression, no more values than bytes, and row groups that add up."""

    def refuse(what: str, found: object, expected: object) -> None:
        raise RefusedError(what, where=path, found=found, expected=expected, todo=_TODO)

    if file.metadata.num_rows * _BYTES_PER_ROW > n_bytes:
        refuse("an index file claims more rows than fit into it", file.metadata.num_rows, n_bytes // _BYTES_PER_ROW)
    total = 0
    for g in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(g)
        total += group.num_rows
        for c in range(group.num_columns):
            chunk = group.column(c)
            nested = "." in chunk.path_in_schema
            if chunk.compression != "UNCOMPRESSED":
                refuse("an index file is compressed", chunk.compression, "no compression")
            if chunk.total_compressed_size > n_bytes or chunk.num_values > n_bytes:
                refuse("a column of an index file claims more than it can hold", chunk.num_values, n_bytes)
            if not nested and chunk.num_values != group.num_rows:
                refuse("a column of an index file has another length", chunk.num_values, group.num_rows)
    if total != file.metadata.num_rows:
        refuse("the row groups of an index file do not add up", total, file.metadata.num_rows)


def read_electrodes(path: Path) -> pa.Table:
    """The vocabulary table of a shard set: the one table with a nested column (aliases), so bounded on its own.

    Raises
    ------
    RefusedError
        See `read_table`.
    """
    n_bytes = path.stat().st_size
    if n_bytes > _MAX_VOCABULARY_BYTES:
        raise RefusedError(
            "the vocabulary's file is too large", where=path, found=n_bytes, expected=f"at most {_MAX_VOCABULARY_BYTES}"
        )
    try:
        with pa.memory_map(str(path)) as source, pq.ParquetFile(source) as file:
            _check_chunks(file, n_bytes, path)
            table = file.read(use_threads=False)
            table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RefusedError("an index file is damaged", where=path, found=error, todo=_TODO) from error
    found = {f.name: f.type for f in table.schema}
    if missing := [f.name for f in ELECTRODE_COLUMNS if found.get(f.name) != f.type or table[f.name].null_count]:
        raise RefusedError("the vocabulary of a shard set lacks columns", where=path, found=", ".join(missing))
    return table
