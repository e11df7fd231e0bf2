"""A cache of files by hash, in a folder of bounded size, shared safely between processes.

A file is renamed to its hash only after verification. The least recently used files are deleted when the folder would
exceed its limit; a file mapped by a process stays readable to it. If two processes need the same file, it is fetched
once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from eegprep.errors import RefusedError, UsageError
from eegprep.files import PART, cache_folder
from eegprep.platform import Lock, replace

DEFAULT_BYTES = 50 << 30
_CHUNK = 4 << 20


def cache_bytes() -> int:
    """The size limit of the cache: `EEGPT_CACHE_BYTES`, else 50 GiB."""
    stated = os.environ.get("EEGPT_CACHE_BYTES")
    if stated is not None and not stated.isdecimal():
        raise UsageError("EEGPT_CACHE_BYTES is not a valid number of bytes", found=stated)
    return int(stated) if stated else DEFAULT_BYTES


class Cache:
    """A folder of files named by their SHA-256.

    Parameters
    ----------
    folder : Path, optional
        Default: `eegprep.files.cache_folder`.
    max_bytes : int, optional
        `EEGPT_CACHE_BYTES`, else 50 GiB.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int | None = None) -> None:
        self.folder = Path(folder) if folder is not None else cache_folder()
        self.max_bytes = cache_bytes() if max_bytes is None else max_bytes
        self.files = self.folder / "files"

    def get(self, sha256: str, n_bytes: int, fetch: Callable[[], Iterator[bytes]], *, name: str) -> Path:
        """The file of this hash, fetched if it is missing.

        Parameters
        ----------
        fetch : callable
            Yields the bytes in pieces; called at most once. Its errors are propagated.
        name : str
            Name of the file in errors.

        Raises
        ------
        RefusedError
            The bytes have another hash, or there are more of them than `n_bytes`.
        UsageError
            The file is larger than the size limit of the cache.
        ConnectionError
            There are fewer bytes than `n_bytes`.
        """
        if n_bytes > self.max_bytes:
            raise UsageError(
                f"{name} does not fit into the cache", where=self.folder, found=f"{n_bytes} bytes",
                expected=f"at most {self.max_bytes} bytes", todo="increase EEGPT_CACHE_BYTES",
            )  # fmt: skip
        self.files.mkdir(parents=True, exist_ok=True)
        target = self.files / sha256
        with self.locked(sha256):
            if target.exists() and target.stat().st_size == n_bytes:
                self._touch(target)
                return target
            part = self.files / (sha256 + PART)
            try:
                with self.locked("all"):
                    part.unlink(missing_ok=True)
                    self._make_room(n_bytes)
                    # Allocated at full size, so that other processes count it when they make room.
                    with part.open("wb") as out:
                        out.truncate(n_bytes)
                self._write(part, sha256, n_bytes, fetch, name)
                self._touch(part)
                with self.locked("all"):  # a concurrent listing could miss it
                    replace(part, target)
            finally:
                part.unlink(missing_ok=True)
        return target

    def _write(self, part: Path, sha256: str, n_bytes: int, fetch: Callable[[], Iterator[bytes]], name: str) -> None:
        digest, position = hashlib.sha256(), 0
        with part.open("rb+") as out:
            for piece in fetch():
                position += len(piece)
                if position > n_bytes:
                    raise RefusedError(f"{name} is larger than stated in the index", expected=f"{n_bytes} bytes")
                digest.update(piece)
                out.write(piece)
        if position < n_bytes:
            raise ConnectionError(f"{name}: received {position} of {n_bytes} bytes")
        if digest.hexdigest() != sha256:
            raise RefusedError(
                f"the hash of {name} does not match the index",
                found=digest.hexdigest(),
                expected=sha256,
                todo="ask the publisher of the shard set; do not train on it",
            )

    @staticmethod
    def _touch(path: Path) -> None:
        """Mark as used now, in nanoseconds, since the system's own timestamps repeat within milliseconds."""
        now = time.time_ns()
        os.utime(path, ns=(now, now))

    def _make_room(self, n_bytes: int) -> None:
        """Delete the least recently used files until `n_bytes` more fit, abandoned partial files first."""
        entries = []
        for path in self.files.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process was quicker
                stat = path.stat()
                entries.append((path.suffix != PART, stat.st_mtime_ns, path, stat.st_size))
        total = sum(size for *_, size in entries)
        for _, _, path, size in sorted(entries):
            if total + n_bytes <= self.max_bytes:
                return
            if path.suffix == PART and not self._is_free(path.stem):
                continue
            path.unlink(missing_ok=True)
            total -= size

    def _is_free(self, name: str) -> bool:
        lock = Lock(self.folder / "locks" / name)
        if free := lock.acquire(wait=False):
            lock.release()
        return free

    def locked(self, name: str) -> contextlib.AbstractContextManager[None]:
        """A lock for one thread of one process; the system releases it if the process dies."""
        return Lock(self.folder / "locks" / name).held()
