"""`SHA256SUMS`: every file of a shard set with its hash, written last; readable by `sha256sum -c`.

A set without it is incomplete. Only file names of format version 1 are accepted, so no line can point outside the
folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from eegprep.errors import RefusedError, UsageError
from eegprep.files import not_found, parse_sum, write_atomic
from eegprep.shards.format import INDEX_FILES, OPTIONAL_FILES, SUMS

ELECTRODE_NAME = r"[A-Za-z][A-Za-z0-9_]{0,31}"
SHARD_PATH = re.compile(rf"shards/({ELECTRODE_NAME})/\1-(\d{{6}})\.tar")
_MAX_BYTES = 16 << 20


def write_sums(folder: Path, hashes: Mapping[str, str]) -> None:
    """Write the file that marks the set as complete."""
    write_atomic(folder / SUMS, "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)))


def read_sums(folder: Path) -> dict[str, str]:
    """Hash by path, in order.

    Raises
    ------
    UsageError
        The folder is not a complete shard set.
    RefusedError
        A line is invalid, a duplicate, or names an unexpected file; or an index file is not listed.
    """
    path = folder / SUMS
    if not folder.is_dir():
        raise not_found("shard set", folder, "a folder written by `eegprep shard`, or s3://, https://, hf://")
    if not path.is_file():
        raise UsageError(
            "not a complete shard set",
            where=folder,
            found=f"no {SUMS}",
            todo="run the same `eegprep shard` command again to resume",
        )
    if path.stat().st_size > _MAX_BYTES:
        raise RefusedError(f"{SUMS} is too large", where=path, expected=f"at most {_MAX_BYTES} bytes")
    return parse_sums(path.read_bytes(), where=str(path))


def parse_sums(data: bytes, *, where: str) -> dict[str, str]:
    """Hash by path from the file's bytes; RefusedError as in `read_sums`."""
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise RefusedError(f"{SUMS} is damaged", where=where, found=error) from error
    hashes: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        entry = parse_sum(line)
        if entry is None or line != f"{entry[0]}  {entry[1]}":
            raise RefusedError(
                f"a line of {SUMS} is damaged", where=f"{where}, line {number}", found=repr(line[:120]),
                expected="a SHA-256, two spaces, a path inside the set",
            )  # fmt: skip
        digest, name = entry
        known = name in INDEX_FILES or name in OPTIONAL_FILES or SHARD_PATH.fullmatch(name)
        if not known or name in hashes:
            raise RefusedError(
                f"{SUMS} lists {'a file twice' if known else 'an unexpected file'}",
                where=f"{where}, line {number}",
                found=name,
            )
        hashes[name] = digest
    if missing := [name for name in INDEX_FILES if name not in hashes]:
        raise RefusedError(f"{SUMS} does not list every index file", where=where, found=f"no {', '.join(missing)}")
    return hashes
