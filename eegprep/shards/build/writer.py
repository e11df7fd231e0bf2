"""Write the blocks of one electrode to its shards, each complete or absent.

Shards are tar files of at most `max_bytes` (larger for a block that is larger alone). The position of every block's
samples is returned. A shard is hashed in a separate thread while it is written; memory is a few blocks.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from eegprep.files import PART
from eegprep.platform import replace, sync_folder
from eegprep.shards.format import END_OF_TAR, Block, Frame, frame, shard_name

# Queue of written blocks to hash, at most 8 MiB of samples, so that neither thread waits for the other.
_MAX_WAITING = 16


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Position of a block's samples: shard number, byte offset, and the CRC-32 of their bytes."""

    shard: int
    offset: int
    crc32: int


@dataclass(frozen=True, kw_only=True)
class WrittenShard:
    """A finished shard: its path inside the set, size and hash."""

    name: str
    n_bytes: int
    sha256: str


class ShardWriter:
    """Write the shards of one electrode.

    Parameters
    ----------
    folder : Path
        The shard set's folder.
    electrode : str
        Vocabulary name.
    max_bytes : int
        A shard is closed before a block that would make it larger.
    first_number : int
        Number of the first shard, above zero if a set is extended.
    sync : bool
        Whether to sync every shard to disk before it is renamed.
    """

    def __init__(
        self, folder: Path, electrode: str, *, max_bytes: int, first_number: int = 0, sync: bool = True
    ) -> None:
        self._folder = folder
        self._electrode = electrode
        self._max_bytes = max_bytes
        self._first_number = first_number
        self._sync = sync
        self._file: FileIO | None = None
        self._position = 0
        self._hash = hashlib.sha256()
        self._hasher = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sha256")
        self._waiting: list[Future[None]] = []
        self.shards: list[WrittenShard] = []

    def add(self, block: Block, samples: NDArray[np.int16]) -> Placed:
        """Append one block; `samples` is (block.n_samples,) little-endian int16 and must not change afterwards."""
        data = memoryview(np.ascontiguousarray(samples, dtype="<i2").data).cast("B")
        around = frame(block)
        length = len(around.head) + len(data) + len(around.tail)
        if self._file is not None and self._position + length + len(END_OF_TAR) > self._max_bytes:
            self._close()
        file = self._file or self._open()
        crc32 = self._write(file, around, data)
        placed = Placed(shard=len(self.shards), offset=self._position + len(around.head), crc32=crc32)
        self._position += length
        return placed

    def finish(self) -> list[WrittenShard]:
        """Close the last shard and return all shards in order."""
        self._close()
        self._hasher.shutdown()
        return self.shards

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hasher.shutdown(cancel_futures=True)
        if self._file is not None:
            self._file.close()
            self._part().unlink(missing_ok=True)
            self._file = None

    def _target(self) -> Path:
        return self._folder / shard_name(self._electrode, self._first_number + len(self.shards))

    def _part(self) -> Path:
        target = self._target()
        return target.with_name(target.name + PART)

    def _open(self) -> FileIO:
        self._target().parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part().open("wb", buffering=0)
        self._position = 0
        self._hash = hashlib.sha256()
        return self._file

    def _write(self, file: FileIO, around: Frame, data: memoryview) -> int:
        pieces = (memoryview(around.head), data, memoryview(around.tail))
        self._waiting.append(self._hasher.submit(_update, self._hash, pieces))
        _write_all(file.fileno(), pieces)
        crc32 = zlib.crc32(data)
        while len(self._waiting) > _MAX_WAITING:
            self._waiting.pop(0).result()
        return crc32

    def _close(self) -> None:
        if self._file is None:
            return
        end = memoryview(END_OF_TAR)
        self._waiting.append(self._hasher.submit(_update, self._hash, (end,)))
        _write_all(self._file.fileno(), (end,))
        if self._sync:
            os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        for future in self._waiting:
            future.result()
        self._waiting.clear()
        target = self._target()
        replace(self._part(), target)
        if self._sync:
            sync_folder(target.parent)
        self.shards.append(
            WrittenShard(
                name=shard_name(self._electrode, self._first_number + len(self.shards)),
                n_bytes=self._position + len(END_OF_TAR),
                sha256=self._hash.hexdigest(),
            )
        )


def _update(digest: hashlib._Hash, pieces: tuple[memoryview, ...]) -> None:
    for piece in pieces:
        digest.update(piece)


def _write_all(descriptor: int, pieces: tuple[memoryview, ...]) -> None:
    """Write all pieces with one writev, repeated for the rest if the system wrote only part."""
    left = list(pieces)
    while left:
        n = os.writev(descriptor, left)
        while left and n >= len(left[0]):
            n -= len(left.pop(0))
        if left and n:
            left[0] = left[0][n:]
