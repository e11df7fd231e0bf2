"""Batches for training: gathered ahead in a thread, exactly resumable, the same samples for any number of ranks.

What enters: an index, an order, a batch size, this process's rank. What leaves: batches as torch tensors. Position
p of an epoch belongs to rank p mod world; a step takes `batch_size * world` positions. The state is (epoch,
position) of the batches handed out, not of those gathered ahead, so a run that stopped anywhere goes on with the
next sample, also with another number of ranks: the global order is the same.

A thread gathers while the model computes; NumPy's gather does not hold the interpreter. Every batch owns its
memory, so a batch that is still in use is never overwritten.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eegprep.errors import UsageError

from .order import Order, epoch_keys, permute
from .windows import WindowBatch, WindowIndex

__all__ = ["WindowLoader", "gather_ahead"]

# Orders are computed for this many samples at once: many small NumPy calls would cost more than the gather.
_ORDER_CHUNK = 1 << 15
_SHIFT_STREAM = 1 << 20


class WindowLoader:
    """Iterate over one epoch's batches; the next `iter` gives the next epoch.

    Parameters
    ----------
    index : WindowIndex
    order : Order
        `SampleOrder(len(index), seed)`, or a two-level or mixed one.
    batch_size : int
        Windows per batch of this rank.
    rank, world : int
        Which of how many processes this is.
    drop_last : bool
        Leave out the last positions of an epoch that don't fill a batch on every rank; else each rank gets what
        is left for it, possibly nothing.
    prefetch : int
        Batches gathered ahead; 0 gathers in the calling thread.
    random_offset : bool
        Start every window up to one stride later, by an amount that (offset_seed, epoch, sample) decide.
    """

    def __init__(
        self,
        index: WindowIndex,
        order: Order,
        batch_size: int,
        *,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = True,
        prefetch: int = 2,
        random_offset: bool = False,
        offset_seed: int = 0,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world:
            raise UsageError(
                "a loader needs a batch of one or more and a rank below the world's size",
                found=f"batch_size={batch_size}, rank={rank}, world={world}",
            )
        self.index, self.order, self.batch_size = index, order, batch_size
        self.rank, self.world, self.drop_last, self.prefetch = rank, world, drop_last, prefetch
        self.random_offset, self.offset_seed = random_offset, offset_seed
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        step = self.batch_size * self.world
        whole, rest = divmod(len(self.order), step)
        return whole if self.drop_last or rest <= self.rank else whole + 1

    def state_dict(self) -> dict[str, Any]:
        """Where the run is: plain data, JSON will do."""
        return {"epoch": self.epoch, "position": self.position, "order": self.order.describe()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state, also one of another number of ranks; UsageError where the order is another one."""
        if state["order"] != self.order.describe():
            raise UsageError(
                "this state belongs to another order of samples",
                found=state["order"],
                expected=self.order.describe(),
                todo="resume with the same shard sets, windows, filters and seed",
            )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])

    def __iter__(self) -> Iterator[WindowBatch]:
        epoch, step = self.epoch, self.batch_size * self.world
        left = len(self.order) - self.position
        stop = self.position + (left // step * step if self.drop_last else left)
        source = gather_ahead(self._batches(epoch, self.position, stop), self.prefetch)
        try:
            for position, batch in source:
                after = position + step
                self.epoch, self.position = (epoch, after) if after < stop else (epoch + 1, 0)
                if batch is not None:
                    yield batch
        finally:
            source.close()
        self.epoch, self.position = epoch + 1, 0

    def _batches(self, epoch: int, position: int, stop: int) -> Iterator[tuple[int, WindowBatch | None]]:
        """Every batch from a position on, with the position that it begins at; None where this rank has nothing."""
        step = self.batch_size * self.world
        chunk = max(1, _ORDER_CHUNK // self.batch_size) * step

        def mine(begin: int) -> NDArray[np.int64]:
            positions = np.arange(begin + self.rank, min(begin + chunk, stop), self.world, dtype=np.int64)
            return self.order.at(epoch, positions)

        upcoming = mine(position)
        while position < stop:
            end = min(position + chunk, stop)
            indices, upcoming = upcoming, mine(end)
            if len(upcoming):
                self.index.fetch_ahead(upcoming)
            for first in range(0, max(len(indices), 1), self.batch_size):
                part = indices[first : first + self.batch_size]
                yield position + first * self.world, self._gather(epoch, part) if len(part) else None
            position = end

    def _gather(self, epoch: int, indices: NDArray[np.int64]) -> WindowBatch:
        shift = None
        if self.random_offset:
            keys = epoch_keys(self.offset_seed, epoch, _SHIFT_STREAM)
            shift = permute(indices, len(self.index), keys) % self.index.stride
        batch = self.index.gather(indices, shift=shift)
        fields = {f.name: torch.from_numpy(getattr(batch, f.name)) for f in dataclasses.fields(batch)}
        return WindowBatch(**fields)


def gather_ahead(items: Iterator[Any], n: int) -> Generator[Any, None, None]:
    """The same items, up to `n` of them made ahead in a thread that ends with the iterator."""
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
