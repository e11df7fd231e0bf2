"""Write a shard set anew from its stores and compare the two byte by byte: the proof of promise 6."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from eegprep.errors import RefusedError, UsageError
from eegprep.shards.build import build_shard_set
from eegprep.shards.format import LOCK
from eegprep.shards.manifests import read_yaml
from eegprep.shards.protocol import RecordingStore
from eegprep.shards.reader import ShardSet
from eegprep.shards.sums import read_sums

__all__ = ["compare_rebuilt"]


def compare_rebuilt(
    path: Path,
    stores: Sequence[Path | RecordingStore],
    *,
    workers: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Build the set again beside itself, with the options in its lock, and compare every file's hash.

    Raises
    ------
    RefusedError
        A file differs; the text names the first ones.
    UsageError
        The set extends another one: rebuild that first, from its own stores.
    """
    path = Path(path)
    opened = ShardSet.open(path)
    lock = read_yaml(path / LOCK)
    if lock.get("extends"):
        raise UsageError("a set that extends another can't be rebuilt from stores alone", where=path)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.resolve().parent) as folder:
        again = Path(folder) / path.name
        build_shard_set(
            stores,
            again,
            vocabulary=opened.vocabulary,
            max_shard_bytes=int(lock["max_shard_bytes"]),
            block_samples=int(lock["block_samples"]),
            workers=workers,
            sync=False,
            progress=progress,
        )
        found, expected = read_sums(again), read_sums(path)
    different = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
    if different:
        raise RefusedError(
            "the stores give other bytes than this shard set holds",
            where=path,
            found=f"{len(different)} files differ: {', '.join(different[:5])}",
            todo="compare `eegprep` in lock.yaml with this version, and ask whether the stores have changed",
        )
