"""Shard sets at an address: `s3://`, `https://`, `hf://` (and `http://` on this machine), through fsspec.

The index of the returned `ShardSet` is in the cache, and shards are fetched when they are needed, each checked by its
hash before use; the rest of the code is that of a local set. A lost connection is retried; a wrong hash is an error.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eegprep.errors import RefusedError, UsageError, install
from eegprep.files import write_atomic
from eegprep.remote.cache import Cache
from eegprep.shards.columns import ShardFile
from eegprep.shards.flatmap import FlatMap
from eegprep.shards.format import INDEX_FILES, SUMS
from eegprep.shards.reader import ShardSet
from eegprep.shards.sums import parse_sums
from eegprep.shards.verify.shard_set import verify_shard_set

_CHUNK = 4 << 20
_ATTEMPTS = 5
_FIRST_WAIT_S = 0.2
_AT_ONCE = 4
# A server that is silent for this long is treated as gone. The time for a complete file is not limited (fsspec's own
# limit, five minutes, aborts every slow fetch of a large shard).
_SILENCE_S = 60.0
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_MAX_SUMS_BYTES = 16 << 20
_MAX_INDEX_BYTES = 4 << 30
_SCHEME = re.compile(r"(s3|https?|hf):/{1,2}")
_ADDRESS = re.compile(r"(s3|https|hf|http)://[^\s?#]+")
_THIS_MACHINE = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/.*)?")


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
        if not _ADDRESS.fullmatch(address) or (address.startswith("http://") and not _THIS_MACHINE.fullmatch(address)):
            raise UsageError(
                "invalid address of a shard set", found=address, expected="s3://bucket/..., https://... or hf://..."
            )
        self.address = address.rstrip("/")
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
        for left in reversed(range(_ATTEMPTS)):
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

    def _again(self, attempt: Any, name: str) -> Any:
        """Retry a fetch; errors that the user can fix are raised immediately."""
        wait_s = _FIRST_WAIT_S
        for left in reversed(range(_ATTEMPTS)):
            try:
                return attempt()
            except (RefusedError, UsageError):
                raise
            except Exception as error:
                status = _status(error)
                if isinstance(error, FileNotFoundError) or status in (404, 410):
                    raise RefusedError(f"{name} is missing at the address", where=self.address) from error
                if isinstance(error, PermissionError) or status in (401, 403):
                    raise UsageError(f"no permission to read {name}", where=self.address, found=error) from error
                if isinstance(error, OSError) and error.errno in _DISK:
                    raise UsageError(
                        f"{name} cannot be written to the cache", where=self.cache.folder, found=error.strerror,
                        todo="free some disk space, or set EEGPT_CACHE to another folder",
                    ) from error  # fmt: skip
                if left == 0:
                    raise UsageError(
                        f"{name} cannot be downloaded",
                        where=self.address,
                        found=f"{type(error).__name__}: {error}",
                        todo="run the same command again to resume",
                    ) from error
                time.sleep(wait_s)
                wait_s *= 2
        raise AssertionError("unreachable")

    def _pieces(self, name: str) -> Iterator[bytes]:
        system = self._file_system()
        # Streams without seeking are enough, and the only kind from servers without ranges.
        if self.address.startswith("http"):
            # Given a size, fsspec requests the file directly; its size request reports any error as "not found".
            more: dict[str, Any] = {"block_size": 0, "size": 1}
        elif self.address.startswith("hf"):
            more = {"block_size": 0}
        else:
            more = {"block_size": _CHUNK, "cache_type": "readahead"}
        with system.open(f"{self.address}/{name}", "rb", **more) as file:
            while piece := file.read(_CHUNK):
                yield piece

    def _file_system(self) -> Any:
        if self._fs is None:
            import fsspec

            scheme = self.address.split("://")[0]
            try:
                # Listings and blocks are not cached by fsspec: a set never changes, and we have our own cache.
                self._fs = fsspec.filesystem(scheme, skip_instance_cache=True, **_patience(scheme), **self.options)
            except ImportError as error:
                extra = {"hf": "hub"}.get(scheme, "cloud")
                raise UsageError(f"{scheme}:// needs another package", found=error, todo=install(extra)) from error
        return self._fs

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address, "cache": self.cache, "options": self.options, "_fs": None}


def _status(error: Exception) -> int | None:
    """The HTTP status in an error of aiohttp or the hub's client, which store it differently."""
    status = getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _patience(scheme: str) -> dict[str, Any]:
    """Timeouts of the web file system; the others have their own."""
    if scheme not in ("http", "https"):
        return {}
    import aiohttp

    return {"client_kwargs": {"timeout": aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=_SILENCE_S)}}


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
    if options is None and address.startswith("s3://") and (endpoint := os.environ.get("EEGPT_S3_ENDPOINT")):
        options = {"endpoint_url": endpoint}
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
