"""The order of training: which windows make up batch `number` of epoch `epoch`, for any process, at any time.

What enters: one index of windows per window length. What leaves: batches of int16 tensors. Nothing here has
a state: a batch is a function of (seed, epoch, number), so a run that was stopped anywhere goes on with the
very next batch, whatever the number of processes. A global batch is split among processes row by row
(process r of w takes rows r, r + w, ...).

With several window lengths a batch holds one length; an epoch goes once through every length's windows, and
the lengths take turns in an order that the seed decides. Every batch has about as many samples to predict, so
that a step costs the same and a sample counts the same whatever its window's length: with as many windows in
each batch, a sample of a window of 3.5 s would count an eighth of one of a window of half a second.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from eegprep.errors import UsageError
from eegpt.data.loader import gather_ahead
from eegpt.data.order import epoch_keys, permute

__all__ = ["Batches", "Rows", "Windows", "as_rows"]

_SHIFTS = 1 << 20  # stream of random numbers that start windows later


class Windows(Protocol):
    """What is needed of `eegpt.data.WindowIndex`."""

    n_samples: int
    stride: int

    def __len__(self) -> int: ...

    def gather(self, indices: np.ndarray, *, shift: np.ndarray | None = None) -> Any:
        """A batch with the attributes of `Rows`, as numpy arrays or tensors."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Windows of one length: (N, S) int16 and per row microvolt per step, SD, electrode id, recording number."""

    signal_i16: Tensor
    scale_uv: Tensor
    sigma_uv: Tensor
    electrode: Tensor
    recording: Tensor

    def __len__(self) -> int:
        return self.signal_i16.shape[0]

    def to(self, device: torch.device) -> Rows:
        """The same on `device`; a copy to a GPU goes through pinned memory, so that it does not wait."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        if device.type == "cuda":
            moved = {name: value.contiguous().pin_memory() for name, value in moved.items()}
        return Rows(**{name: value.to(device, non_blocking=True) for name, value in moved.items()})

    def part(self, start: int, stop: int) -> Rows:
        """Rows start <= i < stop, as views."""
        return Rows(**{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})


def as_rows(batch: Any) -> Rows:
    """A gathered batch as tensors; arrays are not copied."""
    return Rows(**{f.name: torch.as_tensor(getattr(batch, f.name)) for f in fields(Rows)})


class Batches:
    """All batches of all epochs.

    Parameters
    ----------
    indexes : sequence of Windows
        One per window length.
    orders : sequence
        For each index its `eegpt.data.SampleOrder`: `indices(epoch, start, count)`.
    batch_size : int
        Windows of a global batch of the length with most samples to predict; shorter windows come in larger
        batches and longer ones in smaller. An index with fewer windows gives one batch of what it has.
    seed : int
        Decides how lengths take turns.
    token_samples : int
        Samples that a window shows before the first one that is predicted.
    max_windows : int
        Use so many windows of an epoch at most, the same in every epoch; 0 for all.
    random_offset : bool
        Start every window up to one stride later, by an amount that (seed, epoch, window) decide.
    """

    def __init__(
        self,
        indexes: Sequence[Windows],
        orders: Sequence[Any],
        *,
        batch_size: int,
        seed: int,
        token_samples: int = 0,
        max_windows: int = 0,
        random_offset: bool = False,
    ) -> None:
        usable = [(i, o) for i, o in zip(indexes, orders, strict=True) if len(i) > 0]
        if not usable:
            raise UsageError(
                "there is no window to train on",
                expected="blocks at least as long as the shortest of window_samples, in the splits to train on",
                todo="set window_samples to a shorter length, or train_splits to what the shard set has",
            )
        self._indexes = [i for i, _ in usable]
        self._orders = [o for _, o in usable]
        self._seed = seed
        self._random_offset = random_offset
        predicted = [i.n_samples - token_samples for i in self._indexes]
        usual = max(zip(self._indexes, predicted, strict=True), key=lambda pair: len(pair[0]) * pair[1])[1]
        self._sizes = [
            min(len(i), max(1, round(batch_size * usual / n))) for i, n in zip(self._indexes, predicted, strict=True)
        ]
        counts = [len(i) // b for i, b in zip(self._indexes, self._sizes, strict=True)]
        if max_windows:
            total = sum(len(i) for i in self._indexes)
            counts = [max(1, min(c, round(c * max_windows / total))) for c in counts]
        self._counts = counts
        self._turns: tuple[int, np.ndarray] | None = None
        # A fraction of the data is the same windows in every epoch: their order is that of epoch 0 again.
        self._fraction = bool(max_windows)

    @property
    def smallest(self) -> int:
        """Windows of the smallest global batch."""
        return min(self._sizes)

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch."""
        return sum(self._counts)

    @property
    def windows_per_epoch(self) -> int:
        """Windows of an epoch."""
        return sum(c * b for c, b in zip(self._counts, self._sizes, strict=True))

    def _turn(self, epoch: int, number: int) -> tuple[int, int]:
        """Which index serves batch `number`, and how many batches it has served in this epoch before."""
        if len(self._counts) == 1:
            return 0, number
        if self._turns is None or self._turns[0] != epoch:
            turns = np.repeat(np.arange(len(self._counts)), self._counts)
            np.random.default_rng((self._seed, epoch, 0x7475726E)).shuffle(turns)
            self._turns = (epoch, turns)
        turns = self._turns[1]
        which = int(turns[number])
        return which, int(np.count_nonzero(turns[:number] == which))

    def shape(self, epoch: int, number: int) -> tuple[int, int]:
        """Windows of a global batch, and samples of each."""
        which, _ = self._turn(epoch, number)
        return self._sizes[which], self._indexes[which].n_samples

    def fetch(self, epoch: int, number: int, *, rank: int = 0, world: int = 1) -> Rows:
        """The part of process `rank` of `world` of a global batch."""
        which, before = self._turn(epoch, number)
        size = self._sizes[which]
        if self._fraction:
            picked = self._orders[which].indices(0, 0, self._counts[which] * size)
            mixed = np.random.default_rng((self._seed, epoch, which)).permutation(len(picked))
            indices = picked[mixed[before * size : (before + 1) * size]]
        else:
            indices = self._orders[which].indices(epoch, before * size, size)
        index, indices = self._indexes[which], np.ascontiguousarray(indices[rank::world])
        shift = None
        if self._random_offset:
            shift = permute(indices, len(index), epoch_keys(self._seed, epoch, _SHIFTS + which)) % index.stride
        return as_rows(index.gather(indices, shift=shift))

    def stream(self, epoch: int, number: int, *, rank: int = 0, world: int = 1) -> Generator[tuple[int, int, Rows]]:
        """(epoch, number, rows) from there on, without end; the next ones are gathered while one is used."""
        return gather_ahead(self._endless(epoch, number, rank, world), 2)

    def _endless(self, epoch: int, number: int, rank: int, world: int) -> Iterator[tuple[int, int, Rows]]:
        while True:
            if number >= self.per_epoch:
                epoch, number = epoch + 1, 0
            yield epoch, number, self.fetch(epoch, number, rank=rank, world=world)
            number += 1
