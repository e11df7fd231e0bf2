"""Further orders: two-level, for data larger than memory, and mixed, by weight.

Like `SampleOrder`, both can be computed at any position of any epoch without memory proportional to the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import UsageError

from .order import epoch_keys, permute


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """One epoch's chunks in reading order, with the position bounds of chunks and groups."""

    chunks: NDArray[np.int64]
    chunk_begins: NDArray[np.int64]
    chunk_ends: NDArray[np.int64]
    group_begins: NDArray[np.int64]
    group_ends: NDArray[np.int64]


class TwoLevelOrder:
    """Chunks of neighbouring samples in random order, and samples in random order within groups of chunks.

    Groups are read one at a time, so only one group's chunks need to be in memory or fetched; an epoch still contains
    every sample once. A chunk is the unit of fetching: the windows of one shard (`WindowIndex.shard_sizes`).
    `chunks_per_group` of them, and so about as many electrodes, are mixed.
    """

    def __init__(self, chunk_sizes: Sequence[int], chunks_per_group: int, seed: int) -> None:
        self._sizes = np.asarray(chunk_sizes, dtype=np.int64)
        if not len(self._sizes) or int(self._sizes.min()) < 0 or not int(self._sizes.sum()):
            raise UsageError("a two-level order needs non-empty chunks", found=f"{len(self._sizes)} chunks")
        if chunks_per_group < 1 or seed < 0:
            raise UsageError("chunks_per_group must be at least 1 and the seed at least 0", found=chunks_per_group)
        self._begins = np.cumsum(self._sizes) - self._sizes
        self.chunks_per_group, self.seed = chunks_per_group, seed
        self._last: tuple[int, _Layout] | None = None

    def __len__(self) -> int:
        return int(self._sizes.sum())

    def groups(self, epoch: int) -> list[NDArray[np.int64]]:
        """The chunks of each group of an epoch, in reading order: what to fetch ahead."""
        chunks, k = self._layout(epoch).chunks, self.chunks_per_group
        return [chunks[a : a + k] for a in range(0, len(chunks), k)]

    def at(self, epoch: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The samples at some positions, (N,) int64."""
        layout = self._layout(epoch)
        positions = np.asarray(positions, dtype=np.int64)
        out = np.empty_like(positions)
        group = np.searchsorted(layout.group_ends, positions, side="right")
        for g in np.unique(group):
            here = group == g
            begin = layout.group_begins[g]
            inside = permute(
                positions[here] - begin, int(layout.group_ends[g] - begin), epoch_keys(self.seed, epoch, 1 + int(g))
            )
            # Position in the group's concatenated chunks, then in the index.
            place = begin + inside
            k = np.searchsorted(layout.chunk_ends, place, side="right")
            out[here] = self._begins[layout.chunks[k]] + place - layout.chunk_begins[k]
        return out

    def describe(self) -> dict[str, object]:
        """Kind, number of samples and chunks, group size, seed."""
        return {
            "kind": "two-level",
            "n": len(self),
            "chunks": len(self._sizes),
            "chunks_per_group": self.chunks_per_group,
            "seed": self.seed,
        }

    def _layout(self, epoch: int) -> _Layout:
        """Layout of one epoch, a few numbers per chunk; the last one is cached as one object, for thread safety."""
        last = self._last
        if last is not None and last[0] == epoch:
            return last[1]
        n = len(self._sizes)
        chunks = permute(np.arange(n, dtype=np.int64), n, epoch_keys(self.seed, epoch))
        chunk_ends = np.cumsum(self._sizes[chunks])
        final = np.minimum(np.arange(self.chunks_per_group, n + self.chunks_per_group, self.chunks_per_group), n) - 1
        group_ends = chunk_ends[final]
        layout = _Layout(
            chunks=chunks,
            chunk_begins=chunk_ends - self._sizes[chunks],
            chunk_ends=chunk_ends,
            group_begins=np.concatenate([[0], group_ends[:-1]]),
            group_ends=group_ends,
        )
        self._last = epoch, layout
        return layout


def temperature_weights(sizes: Sequence[int], temperature: float) -> list[float]:
    """Weights `size ** (1 / temperature)`, normalised: 1 keeps the shares of the sizes, infinity makes all equal."""
    if temperature <= 0 or min(sizes, default=0) < 1:
        raise UsageError(
            "the temperature must be above 0 and every part must have samples", found=f"{temperature}, {list(sizes)}"
        )
    power = 0.0 if math.isinf(temperature) else 1.0 / temperature
    largest = max(sizes)
    raw = [(size / largest) ** power for size in sizes]
    return [w / sum(raw) for w in raw]


class MixedOrder:
    """Mix several parts of an index with given shares per epoch.

    Part i contributes `round(weight_i * epoch_size)` samples to each epoch, spread evenly at random. Each part has its
    own permutations: no sample repeats before all samples of the part have been used.

    Parameters
    ----------
    sizes : sequence of int
        Number of samples of each part, in index order (`WindowIndex.group_sizes`).
    weights : sequence of float
        Share of each part; scaled to sum to 1. See `temperature_weights`.
    seed : int
    epoch_size : int, optional
        Samples per epoch; all by default.
    """

    def __init__(
        self, sizes: Sequence[int], weights: Sequence[float], seed: int, *, epoch_size: int | None = None
    ) -> None:
        self._sizes = np.asarray(sizes, dtype=np.int64)
        self._weights = np.asarray(weights, dtype=np.float64)
        good = len(self._sizes) == len(self._weights) > 0 and bool((self._weights >= 0).all())
        if not good or self._weights.sum() <= 0 or bool(((self._sizes < 1) & (self._weights > 0)).any()) or seed < 0:
            raise UsageError(
                "a mixture needs one non-negative weight per part, and samples in every part with a weight",
                found=f"sizes {list(sizes)}, weights {list(weights)}, seed {seed}",
            )
        self._weights = self._weights / self._weights.sum()
        self._begins = np.cumsum(self._sizes) - self._sizes
        self._n = int(self._sizes.sum()) if epoch_size is None else epoch_size
        if self._n < 1:
            raise UsageError("an epoch must have at least one sample", found=self._n)
        # Borders are rounded rather than shares, so that the integer shares add up.
        self._ends = np.rint(np.cumsum(self._weights) * self._n).astype(np.int64)
        self.shares = np.diff(self._ends, prepend=0)
        self.seed = seed

    def __len__(self) -> int:
        return self._n

    def at(self, epoch: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The samples at some positions, (N,) int64."""
        drawn = permute(np.asarray(positions, dtype=np.int64), self._n, epoch_keys(self.seed, epoch))
        part = np.searchsorted(self._ends, drawn, side="right")
        out = np.empty_like(drawn)
        for p in np.unique(part):
            here = part == p
            count = epoch * int(self.shares[p]) + drawn[here] - (int(self._ends[p]) - int(self.shares[p]))
            out[here] = self._begins[p] + self._own(int(p), count)
        return out

    def describe(self) -> dict[str, object]:
        """Kind, sizes, weights, epoch size, seed."""
        return {
            "kind": "mixed",
            "n": self._n,
            "sizes": self._sizes.tolist(),
            "weights": [float(f"{w:.12g}") for w in self._weights],
            "seed": self.seed,
        }

    def _own(self, part: int, count: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sample of a part that is drawn `count`-th over all epochs."""
        size = int(self._sizes[part])
        passes = count // size
        out = np.empty_like(count)
        for p in np.unique(passes):
            here = passes == p
            out[here] = permute(count[here] - p * size, size, epoch_keys(self.seed, int(p), 1 + part))
        return out
