"""Batches for training: prefetched in a thread, exactly resumable, with the same samples for any number of ranks.

`WindowLoader` reads windows of one length in a given order. Its state is the (epoch, position) of the batches handed
out, not of those prefetched, so an interrupted run resumes with the next sample, even with a different number of ranks.
`Mixture` alternates between several loaders, one per window length; pre-training uses it. Every batch owns its memory
and is never overwritten while in use.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import UsageError

from .index import WindowBatch, WindowSource
from .order import Order, epoch_keys, permute

# Orders are computed for this many samples at a time: many small NumPy calls would cost more than the gather.
_ORDER_CHUNK = 1 << 15
_SHIFT_STREAM = 1 << 20
_TURNS = 0x7475726E


class WindowLoader:
    """Iterate over one epoch's batches; the next `iter` gives the next epoch.

    Parameters
    ----------
    index : WindowSource
        A `WindowIndex`, or anything that gathers windows.
    order : Order
        `SampleOrder(len(index), seed)`, or a two-level or mixed one.
    batch_size : int
        Windows per batch of this rank, or per step over all ranks with `split_batches`.
    rank, world : int
        Rank of this process and number of processes.
    drop_last : bool
        Drop the last positions of an epoch that do not fill a batch on every rank; otherwise each rank gets its share
        of the rest, possibly nothing.
    prefetch : int
        Batches to prefetch; 0 gathers in the calling thread.
    random_offset : bool
        Shift every window by up to one stride, determined by (offset_seed, epoch, sample).
    split_batches : bool
        Divide each batch of `batch_size` windows among the ranks.
    offset_stream : int
        Distinguishes the offsets of several loaders that share a seed.
    """

    def __init__(
        self,
        index: WindowSource,
        order: Order,
        batch_size: int,
        *,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = True,
        prefetch: int = 2,
        random_offset: bool = False,
        offset_seed: int = 0,
        split_batches: bool = False,
        offset_stream: int = 0,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world:
            raise UsageError(
                "batch_size must be at least 1 and rank below world",
                found=f"batch_size={batch_size}, rank={rank}, world={world}",
            )
        self.index, self.order, self.batch_size = index, order, batch_size
        self.rank, self.world, self.drop_last, self.prefetch = rank, world, drop_last, prefetch
        self.random_offset, self.offset_seed, self.offset_stream = random_offset, offset_seed, offset_stream
        self.step = batch_size if split_batches else batch_size * world
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        """Number of batches per epoch."""
        whole, rest = divmod(len(self.order), self.step)
        return whole if self.drop_last or rest <= self.rank else whole + 1

    def state_dict(self) -> dict[str, Any]:
        """The loader's state as JSON-compatible data."""
        return {"epoch": self.epoch, "position": self.position, "order": self.order.describe()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a state, with any number of ranks; UsageError if the order differs."""
        if state["order"] != self.order.describe():
            raise UsageError(
                "the state belongs to another order of samples",
                found=state["order"],
                expected=self.order.describe(),
                todo="resume with the same shard sets, windows, filters and seed",
            )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])

    def __iter__(self) -> Iterator[WindowBatch]:
        epoch = self.epoch
        left = len(self.order) - self.position
        stop = self.position + (left // self.step * self.step if self.drop_last else left)
        source = gather_ahead(self.batches(epoch, self.position, stop), self.prefetch)
        try:
            for position, batch in source:
                after = position + self.step
                self.epoch, self.position = (epoch, after) if after < stop else (epoch + 1, 0)
                if batch is not None:
                    yield batch
        finally:
            source.close()
        self.epoch, self.position = epoch + 1, 0

    def batches(self, epoch: int, position: int, stop: int) -> Iterator[tuple[int, WindowBatch | None]]:
        """Every batch between two positions, with its first position; None if this rank has no share of it."""
        step, own = self.step, len(range(self.rank, self.step, self.world))
        chunk = max(1, _ORDER_CHUNK // max(1, own)) * step

        def mine(begin: int) -> NDArray[np.int64]:
            positions = np.arange(begin, min(begin + chunk, stop), dtype=np.int64)
            if self.world > 1:
                positions = positions[(positions - begin) % step % self.world == self.rank]
            return self.order.at(epoch, positions)

        upcoming = mine(position)
        while position < stop:
            end = min(position + chunk, stop)
            indices, upcoming = upcoming, mine(end)
            if len(upcoming):
                self.index.fetch_ahead(upcoming)
            for number, begin in enumerate(range(position, end, step)):
                part = indices[number * own : (number + 1) * own]
                yield begin, self._gather(epoch, part) if len(part) else None
            position = end

    def _gather(self, epoch: int, indices: NDArray[np.int64]) -> WindowBatch:
        shift = None
        if self.random_offset:
            keys = epoch_keys(self.offset_seed, epoch, _SHIFT_STREAM + self.offset_stream)
            shift = permute(indices, len(self.index), keys) % self.index.stride
        return self.index.gather(indices, shift=shift).tensors()


class Mixture:
    """Endless batches of several window lengths, each batch of one length.

    An epoch passes once through every loader's windows, `counts` batches of each, in an order drawn from the seed. A
    batch depends only on (seed, epoch, number), not on the number of processes.
    """

    def __init__(self, loaders: Sequence[WindowLoader], *, seed: int, counts: Sequence[int]) -> None:
        self.loaders, self.counts, self._seed = loaders, list(counts), seed

    def __len__(self) -> int:
        """Number of batches per epoch."""
        return sum(self.counts)

    @property
    def windows_per_epoch(self) -> int:
        """Windows per epoch over all ranks."""
        return sum(c * loader.step for c, loader in zip(self.counts, self.loaders, strict=True))

    def turns(self, epoch: int) -> NDArray[np.int64]:
        """The loader of each batch of an epoch."""
        turns = np.repeat(np.arange(len(self.counts)), self.counts)
        if len(self.counts) > 1:
            np.random.default_rng((self._seed, epoch, _TURNS)).shuffle(turns)
        return turns

    def stream(self, epoch: int = 0, number: int = 0) -> Generator[tuple[int, int, WindowBatch], None, None]:
        """Yield (epoch, number, batch) from a given batch on, prefetching the next ones."""
        return gather_ahead(self._endless(epoch, number), 2)

    def _endless(self, epoch: int, number: int) -> Iterator[tuple[int, int, WindowBatch]]:
        epoch, number = (epoch + 1, 0) if number >= len(self) else (epoch, number)
        while True:
            turns = self.turns(epoch)
            done = np.bincount(turns[:number], minlength=len(self.counts)).tolist()
            sources = [
                loader.batches(epoch, before * loader.step, count * loader.step)
                for loader, before, count in zip(self.loaders, done, self.counts, strict=True)
            ]
            for which in turns[number:]:
                _, batch = next(sources[which])
                yield epoch, number, batch if batch is not None else self._empty(int(which))
                number += 1
            epoch, number = epoch + 1, 0

    def _empty(self, which: int) -> WindowBatch:
        return self.loaders[which].index.gather(np.empty(0, np.int64)).tensors()


def in_batches(index: WindowSource, indices: Sequence[int], batch_size: int) -> Iterator[WindowBatch]:
    """Yield windows as tensors, in batches and in order."""
    for start in range(0, len(indices), batch_size):
        yield index.gather(np.asarray(indices[start : start + batch_size], np.int64)).tensors()


def gather_ahead(items: Iterator[Any], n: int) -> Generator[Any, None, None]:
    """Prefetch up to `n` items in a thread that ends with the iterator."""
    if n < 1:
        yield from items
        return
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=n)
    stop = threading.Event()

    def put(entry: tuple[str, Any]) -> bool:
        while not stop.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(("item", item)):
                    return
            put(("end", None))
        except BaseException as error:
            put(("error", error))

    thread = threading.Thread(target=work, name="window-loader", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stop.set()
        thread.join()
