"""Tables beside the recordings (CSV, TSV); only columns named by the manifest are read."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection
from pathlib import Path

from eegprep.errors import UsageError
from eegprep.formats.tables.tsv import text_of

_MAX_BYTES = 256 << 20


def named_columns(path: Path, separator: str, columns: Collection[str], what: str) -> list[dict[str, str]]:
    """The rows of a table, with only these columns.

    Parameters
    ----------
    what : str
        What the table is, for messages.

    Raises
    ------
    UsageError
        The table is absent, unreadable, too large, or lacks a column.
    """
    if not path.is_file():
        raise UsageError(f"{what} is missing", where=path, todo="place it beside the recordings")
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise UsageError(f"{what} is too large", where=path, found=f"{size} bytes", expected=f"{_MAX_BYTES} at most")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{what} cannot be read", where=path, todo="check its permissions")
    wanted = sorted(set(columns))
    try:
        text = text_of(path)
    except ValueError as error:
        raise UsageError(f"{what} cannot be read", where=path, found=error) from error
    with io.StringIO(text, newline="") as handle:
        reader = csv.DictReader(handle, delimiter=separator)
        try:
            found = [c.strip() for c in reader.fieldnames or []]
            reader.fieldnames = found
            if missing := [c for c in wanted if c not in found]:
                raise UsageError(f"{what} lacks columns", where=path, found=found, expected=missing)
            return [{c: (row[c] or "").strip() for c in wanted} for row in reader]
        except csv.Error as error:
            raise UsageError(f"{what} is not a valid table", where=path, found=error) from error
