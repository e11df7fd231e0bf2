"""Remote shards in reach: fetched when a batch needs them, a bounded number of bytes mapped at a time.

What enters: shard sets, some of them remote, and the shards that are needed next. What leaves: one flat map of all
shards in which those are in place. Local shards always are.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eegprep.errors import UsageError
from eegprep.shards import FlatMap, ShardFile, ShardSet

__all__ = ["Nearby"]


class Nearby:
    """The shards of some sets, numbered over all sets.

    Attributes
    ----------
    map : FlatMap
        All shards; the places of remote ones are filled by `holding`.
    """

    def __init__(self, sets: Sequence[ShardSet]) -> None:
        self._shards: list[tuple[ShardSet, ShardFile]] = [(s, f) for s in sets for f in s.shards]
        files: list[tuple[Path | None, int]] = [
            (None if s.remote is not None else s.path / f.name, f.n_bytes) for s, f in self._shards
        ]
        self.map = FlatMap(files)
        self.max_bytes = min(s.remote.max_bytes for s in sets if s.remote is not None)
        self._mapped: OrderedDict[int, int] = OrderedDict()
        self._lock = threading.Lock()
        self._ahead = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fetch-ahead")

    @contextlib.contextmanager
    def holding(self, shards: Iterable[int]) -> Iterator[None]:
        """Have some shards in place until the block ends; UsageError where they are more than the cache may hold."""
        needed = [int(k) for k in shards if self._shards[int(k)][0].remote is not None]
        n_bytes = sum(self._shards[k][1].n_bytes for k in needed)
        if n_bytes > self.max_bytes:
            raise UsageError(
                "a batch needs more shards at once than the cache may hold",
                found=f"{len(needed)} shards of {n_bytes} bytes",
                expected=f"at most {self.max_bytes} bytes",
                todo="read in two levels (TwoLevelOrder with fewer chunks per group), or set EEGPT_CACHE_BYTES to more",
            )
        with self._lock:
            self._put([k for k in needed if k not in self._mapped])
            for k in needed:
                self._mapped.move_to_end(k)
            while sum(self._mapped.values()) > self.max_bytes:
                oldest, _ = self._mapped.popitem(last=False)
                self.map.drop(oldest)
            yield

    def fetch_ahead(self, shards: Iterable[int]) -> None:
        """Begin to bring some shards into the cache, in this order; an error shows when they are needed."""
        for k in shards:
            shard_set, shard = self._shards[int(k)]
            if shard_set.remote is not None and int(k) not in self._mapped:
                self._ahead.submit(shard_set.remote.paths, [shard])

    def _put(self, shards: Sequence[int]) -> None:
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(self._place, shards))
        for k in shards:
            self._mapped[k] = self._shards[k][1].n_bytes

    def _place(self, number: int) -> None:
        shard_set, shard = self._shards[number]
        if shard_set.remote is not None:
            shard_set.remote.place(self.map, number, shard)
