"""Verify a shard set: index against tars, hashes, counts, names, alignment, vocabulary.

Returns a report, or raises a RefusedError that names every damaged shard and member. The frame around every block
follows from the index (format.py), so the expected bytes are computed and compared; no shard is parsed, so a
manipulated one cannot mislead the check. The quick check reads the frames (about half a percent of the bytes), the
deep one every byte: the SHA-256 of each shard and the CRC-32 of each block.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import RefusedError
from eegprep.files import sha256_file
from eegprep.platform import open_readonly, pread, read_into
from eegprep.shards.columns import ShardFile
from eegprep.shards.format import END_OF_TAR, OPTIONAL_FILES, SUMS, Block, block_key, frame
from eegprep.shards.lock import read_set_lock
from eegprep.shards.reader import ShardSet
from eegprep.shards.sums import read_sums
from eegprep.shards.verify.agreement import disagreements

_CHUNK = 1 << 20
_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """What was checked. `n_bytes` is the number of bytes read from shards.

    `unfinished` are data sets whose ingest had not finished.
    """

    path: Path
    deep: bool
    n_shards: int
    n_blocks: int
    n_trials: int
    n_bytes: int
    unfinished: tuple[str, ...] = ()


def verify_shard_set(
    path: Path,
    *,
    deep: bool = False,
    workers: int = 2,
    progress: Callable[[str, int, int], None] | None = None,
) -> VerifyReport:
    """Check a shard set against its own index.

    Parameters
    ----------
    path : Path
        The set's folder.
    deep : bool
        Read every byte.
    workers : int
        Number of threads; hashing releases the GIL.
    progress : callable, optional
        Called with (shard, bytes checked, bytes in total).

    Raises
    ------
    RefusedError
        The set is damaged; the message lists up to 20 problems, each with its shard and member.
    UsageError
        The folder is not a complete shard set.
    """
    path = Path(path)
    read_sums(path)
    opened = ShardSet(path)
    problems = [*_strange_files(opened), *disagreements(opened)]
    total = sum(s.n_bytes for s in opened.shards)
    checked = n_read = 0
    rows = _rows_by_shard(opened)
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        futures = {
            pool.submit(_check_shard, opened, shard, rows[k], deep): shard for k, shard in enumerate(opened.shards)
        }
        found: dict[str, list[str]] = {}
        for future in as_completed(futures):
            shard = futures[future]
            found[shard.name], n = future.result()
            n_read += n
            checked += shard.n_bytes
            if progress is not None:
                progress(shard.name, checked, total)
    problems += [text for name in sorted(found) for text in found[name]]
    if problems:
        shown = problems[:_SHOWN] + ([f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else [])
        raise RefusedError(
            f"the shard set is damaged: {problems[0]}",
            where=path,
            found=f"{len(problems)} problems\n    " + "\n    ".join(shown),
            todo="download or build the shard set again; do not train on it",
        )
    return VerifyReport(
        path=path,
        deep=deep,
        n_shards=len(opened.shards),
        n_blocks=len(opened.blocks),
        n_trials=len(opened.trials),
        n_bytes=n_read,
        unfinished=tuple(read_set_lock(path).unfinished),
    )


def _strange_files(opened: ShardSet) -> Iterator[str]:
    """Files in the folder that SHA256SUMS does not list, and auxiliary files that differ from it."""
    known = {*opened.hashes, SUMS}
    for name in OPTIONAL_FILES:
        listed, path = opened.hashes.get(name), opened.path / name
        if listed is not None and not path.is_file():
            yield f"{name} is missing"
        elif listed is not None and sha256_file(path) != listed:
            yield f"the hash of {name} does not match {SUMS}"
    for folder, folders, files in os.walk(opened.path):
        folders.sort()
        for name in sorted(files):
            relative = (Path(folder) / name).relative_to(opened.path).as_posix()
            if relative not in known:
                yield f"{relative} is in the folder but not in SHA256SUMS"


def _rows_by_shard(opened: ShardSet) -> list[NDArray[np.int64]]:
    """Rows of blocks.parquet for every shard, sorted by offset."""
    borders = np.searchsorted(opened.blocks.shard, np.arange(len(opened.shards) + 1))
    return [np.arange(a, b) for a, b in itertools.pairwise(borders)]


def _check_shard(opened: ShardSet, shard: ShardFile, rows: NDArray[np.int64], deep: bool) -> tuple[list[str], int]:
    """All problems of one shard, and the number of bytes read."""
    path = opened.path / shard.name
    try:
        descriptor = open_readonly(path)  # a pipe has no size
    except OSError as error:
        return [f"shard {shard.name}: {error.strerror}"], 0
    try:
        size = os.fstat(descriptor).st_size
        if size != shard.n_bytes:
            return [f"shard {shard.name} has {size} bytes, but {shard.n_bytes} in the index"], 0
        return _ShardCheck(opened, shard, descriptor, deep).run(rows)
    finally:
        os.close(descriptor)


class _ShardCheck:
    """One pass over a shard: compares the expected bytes and, with `deep`, hashes every byte."""

    def __init__(self, opened: ShardSet, shard: ShardFile, descriptor: int, deep: bool) -> None:
        self.opened, self.shard, self.descriptor, self.deep = opened, shard, descriptor, deep
        self.digest = hashlib.sha256()
        self.problems: list[str] = []
        self.n_read = 0

    def run(self, rows: NDArray[np.int64]) -> tuple[list[str], int]:
        """Return the problems and the number of bytes read."""
        shard, position = self.shard, 0
        for row in rows:
            after = self._member(int(row), position)
            if after is None:
                return self.problems, self.n_read
            position = after
        if position + len(END_OF_TAR) != shard.n_bytes:
            self.problems.append(
                f"shard {shard.name}: the blocks end at byte {position},  not at {shard.n_bytes - 1024}"
            )
        elif not self._stands(END_OF_TAR, position):
            self.problems.append(f"shard {shard.name} does not end with two empty records")
        elif self.deep and (found := self.digest.hexdigest()) != shard.sha256:
            self.problems.append(f"shard {shard.name} has SHA-256 {found}, but {shard.sha256} in the index")
        return self.problems, self.n_read

    def _member(self, row: int, position: int) -> int | None:
        """Check one block that must begin at `position`; return the byte after it, or None if it is elsewhere."""
        opened, blocks = self.opened, self.opened.blocks
        block = Block(
            recording=opened.recordings.id[blocks.recording[row]],
            electrode=opened.vocabulary.name_of(int(blocks.electrode[row])),
            reference=blocks.reference_names[blocks.reference[row]],
            stretch=int(blocks.stretch[row]),
            start_sample=int(blocks.start_sample[row]),
            n_samples=int(blocks.n_samples[row]),
            sfreq_hz=float(opened.recordings.sfreq_hz[blocks.recording[row]]),
            scale_uv=float(blocks.scale_uv[row]),
        )
        key = block_key(block.recording, block.electrode, block.stretch, block.start_sample)
        member = f"shard {self.shard.name}, member {key}"
        expected = frame(block)
        offset, n_bytes = int(blocks.offset[row]), 2 * block.n_samples
        if offset != position + len(expected.head):
            self.problems.append(f"{member}.npy: the index states an impossible offset, byte {offset}")
            return None
        if not self._stands(expected.head, position):
            self.problems.append(f"{member}.npy: the header (byte {position}) does not match the index")
        if self.deep and (crc32 := self._crc32(offset, n_bytes)) != int(blocks.crc32[row]):
            self.problems.append(f"{member}.npy: the samples have CRC-32 {crc32:08x}, not {int(blocks.crc32[row]):08x}")
        if not self._stands(expected.tail, offset + n_bytes):
            self.problems.append(f"{member}.json (byte {offset + n_bytes}) does not match the index")
        return offset + n_bytes + len(expected.tail)

    def _stands(self, expected: bytes, position: int) -> bool:
        found = pread(self.descriptor, len(expected), position)
        self.n_read += len(found)
        if self.deep:
            self.digest.update(found)
        return found == expected

    def _crc32(self, start: int, n_bytes: int) -> int:
        value = 0
        for piece in _pieces(self.descriptor, start, n_bytes):
            value = zlib.crc32(piece, value)
            self.digest.update(piece)
            self.n_read += len(piece)
        return value


def _pieces(descriptor: int, start: int, n_bytes: int) -> Iterator[memoryview]:
    """Read part of a file through one buffer; ends early if the file does."""
    buffer = bytearray(min(_CHUNK, n_bytes))
    while n_bytes > 0:
        view = memoryview(buffer)[: min(len(buffer), n_bytes)]
        n = read_into(descriptor, view, start)
        if n == 0:
            return
        yield view[:n]
        start += n
        n_bytes -= n
