"""Rebuild a shard set from its stores and compare the two byte by byte.

If bytes differ, the stages are compared in processing order: manifests, steps, raw files and decoded signals by
locks and index, then the samples, then their layout in the shards, then the index.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import eegprep
from eegprep.errors import RefusedError, UsageError
from eegprep.manifest.lock import LOCK_NAME, first_difference, read_lock, versions
from eegprep.shards.build.shard_set import build_shard_set
from eegprep.shards.format import CROISSANT, LOCK, OPTIONAL_FILES
from eegprep.shards.lock import SetLock, read_set_lock
from eegprep.shards.protocol import RecordingStore
from eegprep.shards.reader import ShardSet
from eegprep.shards.sums import read_sums
from eegprep.shards.verify.lock_of_set import lock_of
from eegprep.shards.verify.signal_difference import SignalDifference, signal_difference


def compare_rebuilt(
    path: Path,
    stores: Sequence[Path | RecordingStore],
    *,
    workers: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Rebuild the set in a temporary folder with the options in its lock, and compare every file's hash.

    Raises
    ------
    RefusedError
        A file differs; the message names the first ones, the first stage that differs, the difference of the samples,
        and differing versions.
    UsageError
        The set extends another one, which must be rebuilt from its own stores.
    """
    path = Path(path)
    opened = ShardSet.open(path)
    lock = read_set_lock(path)
    if lock.extends:
        raise UsageError("a set that extends another cannot be rebuilt from stores", where=path)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.resolve().parent) as folder:
        again = Path(folder) / path.name
        build_shard_set(
            stores,
            again,
            vocabulary=opened.vocabulary,
            max_shard_bytes=lock.max_shard_bytes,
            block_samples=lock.block_samples,
            workers=workers,
            allow_unfinished=bool(lock.unfinished),
            reference=lock.reference or None,
            sync=False,
            progress=progress,
        )
        found, expected = read_sums(again), read_sums(path)
        different = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
        if not different or (
            set(different) <= {LOCK, CROISSANT} and _but_for_versions(path) == _but_for_versions(again)
        ):
            return
        samples = signal_difference(opened, ShardSet.open(again))
        lines = [
            f"{len(different)} files differ: {', '.join(different[:5])}",
            f"first difference: {_first(path, again, samples, different)}",
            samples.in_words(),
            *_versions(lock, stores),
        ]
    raise RefusedError(
        "the shard set rebuilt from the stores differs",
        where=path,
        found="\n    ".join(lines),
        todo="start with the first stage that differs: later differences follow from it",
    )


def _but_for_versions(path: Path) -> SetLock:
    """The set's lock without the versions of its stores, which may differ even if no byte does."""
    return read_set_lock(path).model_copy(update={"made_with": {}})


def _first(path: Path, again: Path, samples: SignalDifference, different: Sequence[str]) -> str:
    """The first stage, in processing order, whose result differs; "here" is the set."""
    ours, theirs = lock_of(path), lock_of(again)
    # The stage `shard` is described below in more detail than by its file hashes.
    before = first_difference(
        ours.model_copy(update={"stages": ours.stages[:1]}), theirs.model_copy(update={"stages": theirs.stages[:1]})
    )
    if before is not None:
        return before
    if samples.n_beyond_rounding or samples.n_only_first or samples.n_only_second:
        return "stage ingest, the store's signal: raw files, manifest and steps are equal, samples differ"
    if samples:
        return "stage shard, scale: the same signal, rounded differently"
    if shards := [name for name in different if name.endswith(".tar")]:
        return f"stage shard, frames: equal samples are in other shards or have other headers, first in {shards[0]}"
    # Files derived from the others come last.
    index = sorted(different, key=lambda name: (name in OPTIONAL_FILES, name == LOCK, name))
    return f"stage shard, index: all shards are equal, {index[0]} differs"


def _versions(lock: SetLock, stores: Sequence[Path | RecordingStore]) -> list[str]:
    """Versions in the locks of the set and the stores that differ from the running ones."""
    now = versions()
    out = []
    if (wrote := lock.eegprep) != eegprep.__version__:
        out.append(f"versions: the set was written by eegprep {wrote}, this is {eegprep.__version__}")
    for store in stores:
        if isinstance(store, str | Path) and (Path(store) / LOCK_NAME).is_file():
            then = read_lock(Path(store)).versions
            for name in sorted(n for n in {*then, *now} if then.get(n) != now.get(n)):
                out.append(
                    f"versions: {Path(store).name} was ingested with {name} {then.get(name, 'unknown')}, "
                    f"this is {now.get(name, 'none')}"
                )
    return out or ["versions: no difference"]
