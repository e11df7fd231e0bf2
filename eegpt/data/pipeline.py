"""The `webdataset` library on our shards, with a shuffle that mixes electrodes.

What enters: a shard set and a window. What leaves: a `webdataset.DataPipeline` of windows, for training code that is
built on that library. Per-electrode shards read one after another give batches of two or three electrodes; here
many shards are open at once, blocks are drawn from them at random, and windows are shuffled in a buffer. The
library's own decoding unpickles by default; this pipeline never does. `WindowLoader` is several times faster and
resumes exactly.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import RefusedError
from eegprep.shards import ShardSet

__all__ = ["webdataset_pipeline", "decode_member", "interleave", "windows_of"]


def webdataset_pipeline(
    shard_set: ShardSet,
    *,
    n_samples: int,
    stride: int,
    seed: int = 0,
    open_shards: int = 64,
    buffer_windows: int = 16_384,
    splits: Iterable[str] | None = ("train",),
) -> Any:
    """A `webdataset.DataPipeline` of samples {"__key__", "signal_uv", "electrode", "recording", "start_sample"}.

    Parameters
    ----------
    shard_set : ShardSet
        Local, or remote (its shards are fetched into the cache).
    n_samples, stride : int
        Windows inside a block; those over the border of two blocks are only in `WindowIndex`.
    seed : int
        Of shard order, block order and buffer; the same in every epoch of one object.
    open_shards : int
        Tars read at once; more electrodes meet in a batch, more file handles are used.
    buffer_windows : int
        Size of the shuffle buffer.
    splits : iterable of str, optional
        Only recordings of these splits; all where None.
    """
    import webdataset as wds

    wanted = None if splits is None else set(splits)
    recordings = {
        i
        for i, s in zip(shard_set.recordings.id, shard_set.recordings.split, strict=True)
        if wanted is None or s in wanted
    }
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(shard_set.shards)).tolist()
    paths = shard_set.shard_paths(order)

    def blocks(source: Iterable[Path]) -> Iterator[dict[str, Any]]:
        yield from interleave(list(source), open_shards, np.random.default_rng([seed, 1]))

    def windows(source: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for block in source:
            if block["recording"] in recordings:
                yield from windows_of(block, n_samples, stride)

    return wds.DataPipeline(
        wds.SimpleShardList([str(p) for p in paths]),
        _unwrap,
        wds.split_by_node,
        wds.split_by_worker,
        blocks,
        windows,
        wds.shuffle(buffer_windows, initial=buffer_windows, seed=seed),
    )


def _unwrap(source: Iterable[dict[str, Any]]) -> Iterator[Path]:
    for entry in source:
        yield Path(entry["url"])


def decode_member(npy: bytes, name: str) -> NDArray[np.int16]:
    """The samples of one `.npy` member; RefusedError where it is no one-dimensional int16."""
    try:
        samples = np.load(io.BytesIO(npy), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise RefusedError(f"member {name} is no NumPy array", found=error) from error
    if samples.dtype != np.dtype("<i2") or samples.ndim != 1:
        raise RefusedError(f"member {name} is no int16 signal", found=f"{samples.dtype}, {samples.shape}")
    return samples


def _blocks_of(path: Path) -> Iterator[dict[str, Any]]:
    """The blocks of one shard, in order: {"key", "samples", and what its JSON says}."""
    with tarfile.open(path) as tar:
        pending: tuple[str, bytes] | None = None
        for member in tar:
            key, _, kind = member.name.partition(".")
            data = tar.extractfile(member)
            if data is None:
                raise RefusedError(f"{path.name} has a member that is no file", found=member.name)
            if kind == "npy":
                pending = (key, data.read())
            elif pending is not None and pending[0] == key:
                yield {"key": key, "samples": decode_member(pending[1], member.name), **json.loads(data.read())}
                pending = None
            else:
                raise RefusedError(f"{path.name} has members out of order", found=member.name)
        if pending is not None:
            raise RefusedError(f"{path.name} ends inside a block", found=pending[0])


def interleave(paths: list[Path], open_shards: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Blocks of many shards, each drawn from one of up to `open_shards` open ones at random."""
    waiting = iter(paths)
    readers = [_blocks_of(p) for _, p in zip(range(open_shards), waiting, strict=False)]
    while readers:
        k = int(rng.integers(len(readers)))
        block = next(readers[k], None)
        if block is not None:
            yield block
            continue
        following = next(waiting, None)
        if following is None:
            readers.pop(k)
        else:
            readers[k] = _blocks_of(following)


def windows_of(block: dict[str, Any], n_samples: int, stride: int) -> Iterator[dict[str, Any]]:
    """The windows of one block as WebDataset samples, float32 microvolt."""
    samples = block["samples"]
    for start in range(0, len(samples) - n_samples + 1, stride):
        yield {
            "__key__": f"{block['key']}+{start}",
            "signal_uv": samples[start : start + n_samples] * np.float32(block["scale_uv"]),
            "electrode": block["electrode"],
            "recording": block["recording"],
            "start_sample": block["start_sample"] + start,
        }
