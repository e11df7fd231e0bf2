"""Shard sets at an address: `s3://`, `https://`, `hf://` (and `http://` on this machine), through fsspec.

The index of the returned `ShardSet` is in the cache, and shards are fetched when they are needed, each checked by its
hash before use; the rest of the code is that of a local set. A lost connection is retried; a wrong hash is an error.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from eegprep.errors import RefusedError, UsageError
from eegprep.files import write_atomic
from eegprep.remote.cache import Cache
from eegprep.remote.transport import ATTEMPTS, again, check_address, file_system, options_of, pieces
from eegprep.shards.columns import ShardFile
from eegprep.shards.flatmap import FlatMap
from eegprep.shards.format import INDEX_FILES, SUMS
from eegprep.shards.reader import ShardSet
from eegprep.shards.sums import parse_sums
from eegprep.shards.verify.shard_set import verify_shard_set

_AT_ONCE = 4
_MAX_SUMS_BYTES = 16 << 20
_MAX_INDEX_BYTES = 4 << 30
T = TypeVar("T")
_SCHEME = re.compile(r"(s3|https?|hf):/{1,2}")


class Remote:
    """The files of a remote set.

    Parameters
    ----------
    address : str
        Address of the set's folder.
    cache : Cache
    options : dict
        Options of fsspec's file system, e.g. `endpoint_url` of an S3 server.
    """

    def __init__(self, address: str, cache: Cache, options: dict[str, Any] | None = None) -> None:
        self.address = check_address(address, "a shard set")
        self.cache = cache
        self.options = options or {}
        self._fs: Any = None

    @property
    def max_bytes(self) -> int:
        """Size limit of the cache."""
        return self.cache.max_bytes

    def path(self, shard: ShardFile) -> Path:
        """A shard's file in the cache, fetched and checked if missing."""

        def attempt() -> Path:
            return self.cache.get(
                shard.sha256, shard.n_bytes, lambda: self._pieces(shard.name), name=f"shard {shard.name}"
            )

        return self._again(attempt, shard.name)

    def place(self, flat: FlatMap, number: int, shard: ShardFile) -> None:
        """Map a shard into its place; fetch it again if it was evicted from the cache before it was mapped."""
        for left in reversed(range(ATTEMPTS)):
            path = self.path(shard)
            try:
                flat.put(number, path)
                return
            except RefusedError:
                if left == 0 or path.exists():
                    raise

    def paths(self, shards: list[ShardFile]) -> list[Path]:
        """The files of several shards, fetched a few at a time."""
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            return list(pool.map(self.path, shards))

    def read(self, name: str, max_bytes: int) -> bytes:
        """Read a small file; RefusedError if it is larger."""

        def attempt() -> bytes:
            pieces, total = [], 0
            for piece in self._pieces(name):
                total += len(piece)
                if total > max_bytes:
                    raise RefusedError(
                        f"{name} is too large", where=self.address, expected=f"at most {max_bytes} bytes"
                    )
                pieces.append(piece)
            return b"".join(pieces)

        return self._again(attempt, name)

    def _again(self, attempt: Callable[[], T], name: str) -> T:
        return again(attempt, name, self.address, folder=self.cache.folder, failure=UsageError)

    def _pieces(self, name: str) -> Iterator[bytes]:
        if self._fs is None:
            # Listings and blocks are not cached by fsspec: a set never changes, and we have our own cache.
            self._fs = file_system(self.address.split("://")[0], self.options)
        return pieces(self._fs, f"{self.address}/{name}")

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address, "cache": self.cache, "options": self.options, "_fs": None}


def open_shards(
    path: str | Path, *, verify: bool = False, cache: Cache | None = None, options: dict[str, Any] | None = None
) -> ShardSet:
    """Open a shard set in a folder or at an address.

    Parameters
    ----------
    path : str or Path
        A folder, or an address such as `s3://bucket/shards`, `https://...`, `hf://...`.
    verify : bool
        Check every byte of every shard now.
    cache : Cache, optional
        Used for a remote set.
    options : dict, optional
        Options of fsspec's file system. `EEGPT_S3_ENDPOINT` names an S3 server that is not Amazon's.

    Raises
    ------
    UsageError
        Invalid address, nothing found, no connection, or a missing package.
    RefusedError
        The index contradicts itself or its hashes.
    """
    if (match := _SCHEME.match(str(path))) is None:
        opened = ShardSet.open(path)
        if verify:
            verify_shard_set(opened.path, deep=True)
        return opened
    address = f"{match[1]}://{str(path)[match.end() :]}"  # pathlib collapses two slashes into one
    cache = cache or Cache()
    if options is None:
        options = options_of(match[1])
    remote = Remote(address, cache, options)
    try:
        sums = remote.read(SUMS, _MAX_SUMS_BYTES)
    except RefusedError as error:
        raise UsageError("no complete shard set found", where=address, found=error.what) from error
    hashes = parse_sums(sums, where=f"{address}/{SUMS}")
    folder = cache.folder / "sets" / hashlib.sha256(sums).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    with cache.locked(folder.name):
        if not (folder / SUMS).exists():
            _fetch_index(remote, hashes, folder)
            write_atomic(folder / SUMS, sums)
    opened = ShardSet(folder, remote=remote)
    if verify:
        for shard in opened.shards:
            remote.path(shard)
    return opened


def _fetch_index(remote: Remote, hashes: dict[str, str], folder: Path) -> None:
    """Fetch every index file into a folder and check its hash."""
    for name in INDEX_FILES:
        data = remote.read(name, _MAX_INDEX_BYTES)
        if (found := hashlib.sha256(data).hexdigest()) != hashes[name]:
            raise RefusedError(
                f"the hash of {name} does not match {SUMS}", where=remote.address, found=found, expected=hashes[name]
            )
        write_atomic(folder / name, data)
