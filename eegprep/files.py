"""Atomic file writing (`.part`, fsync, rename), and file hashes.

A process killed at any time leaves at most a `.part` file, which no reader accepts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PART = ".part"
_CHUNK = 1 << 20
_SUM = re.compile(r"([0-9a-fA-F]{64})[ \t]+\*?(?:\./)?(\S.{0,499})")


def cache_folder() -> Path:
    """The folder for downloads and remote shards: `EEGPT_CACHE`, else `eegpt` in the user's cache folder."""
    if own := os.environ.get("EEGPT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eegpt"


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a `.part` path to write to; on success sync it and rename it to `target`.

    The `.part` file is removed when the body raises, so that a full disk leaves the folder as it was.
    """
    target = Path(target)
    part = target.with_name(target.name + PART)
    try:
        yield part
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        part.replace(target)
        sync_folder(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(target: Path, data: bytes | str) -> None:
    """Write `data` (text as UTF-8) atomically: `target` is either complete or absent."""
    with atomic_path(target) as part:
        part.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def canonical_json(value: Any) -> str:
    """Deterministic JSON: sorted keys, no NaN, a newline at the end."""
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(target: Path, value: Any) -> None:
    """Write `value` as canonical JSON, atomically."""
    write_atomic(target, canonical_json(value))


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def parse_sum(line: str) -> tuple[str, str] | None:
    """Parse hash (lower case) and path of one `sha256sum` line; None if it is invalid.

    The path is untrusted: the caller must check it.
    """
    match = _SUM.fullmatch(line)
    return (match[1].lower(), match[2]) if match else None
