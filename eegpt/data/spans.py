"""Spans of several shard sets combined: the location of every sample, and the gather that all reading uses.

A span is a contiguous stretch of one electrode of one recording. NumPy gathers windows of any length, starting at any
sample of a span, from one flat map of all shards. Ids are matched by electrode name: the first set's vocabulary is
extended with the names it lacks.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.references import UNKNOWN, canonical_reference, numbered_references
from eegprep.electrodes.vocabulary import KINDS
from eegprep.errors import UsageError, nearest
from eegprep.remote import open_shards
from eegprep.shards import FlatMap, ShardFile, ShardSet
from eegprep.splits import SPLITS

Sets = Sequence[ShardSet | Path | str] | ShardSet | Path | str


def opened(sets: Sets) -> tuple[ShardSet, ...]:
    """One or more shard sets as a tuple, opening folders and addresses."""
    several = (sets,) if isinstance(sets, (ShardSet, Path, str)) else sets
    return tuple(s if isinstance(s, ShardSet) else open_shards(s) for s in several)


def merge_vocabularies(sets: Sequence[ShardSet]) -> tuple[Vocabulary, list[NDArray[np.int32]]]:
    """One vocabulary for all sets, and for each set the new id of each of its own ids (-1: unused)."""
    vocabulary = sets[0].vocabulary
    for other in sets[1:]:
        used = {int(i) for i in np.unique(other.blocks.electrode)}
        vocabulary = vocabulary.extend(
            row for i, row in enumerate(other.vocabulary) if i in used and row.name not in vocabulary
        )
    ids = []
    for s in sets:
        names = s.vocabulary.names
        ids.append(np.array([vocabulary.id_of(n) if n in vocabulary else -1 for n in names], dtype=np.int32))
    return vocabulary, ids


def _reference(vocabulary: Vocabulary, name: str) -> str:
    """A reference as an electrode or scheme; a word that is neither stays as it is."""
    known = canonical_reference(vocabulary, name)
    return name if known == UNKNOWN else known


def _references(sets: Sequence[ShardSet], vocabulary: Vocabulary) -> tuple[str, ...]:
    # A scheme that is also an electrode of the vocabulary (a lab's A1) keeps its place: encoders count it.
    known = numbered_references(vocabulary)
    words = [_reference(vocabulary, name) for s in sets for name in s.blocks.reference_names]
    return (*known, *dict.fromkeys(word for word in words if word not in known))


def _whole_map(sets: Sequence[ShardSet]) -> FlatMap:
    """All shards of local sets as one array."""
    if len(sets) == 1:
        return sets[0].map
    return FlatMap([(p, f.n_bytes) for s in sets for p, f in zip(s.shard_paths(), s.shards, strict=True)])


class Nearby:
    """All shards in one flat `map`; remote ones are fetched when needed, within the cache size."""

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
        """Keep some shards available until the block ends; UsageError if they exceed the cache size."""
        needed = [int(k) for k in shards if self._shards[int(k)][0].remote is not None]
        n_bytes = sum(self._shards[k][1].n_bytes for k in needed)
        if n_bytes > self.max_bytes:
            raise UsageError(
                "the shards of a batch do not fit into the cache",
                found=f"{len(needed)} shards of {n_bytes} bytes",
                expected=f"at most {self.max_bytes} bytes",
                todo="use TwoLevelOrder with fewer chunks per group, or increase EEGPT_CACHE_BYTES",
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
        """Start loading shards into the cache, in this order; errors are raised when they are needed."""
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


@dataclass(frozen=True, kw_only=True)
class _Table:
    recording: NDArray[np.int32]
    electrode: NDArray[np.int32]
    reference: NDArray[np.int32]
    first_block: NDArray[np.int64]
    start_sample: NDArray[np.int64]
    n_samples: NDArray[np.int64]
    block_samples: NDArray[np.int64]
    scale_uv: NDArray[np.float32]
    sigma_uv: NDArray[np.float32]
    block_position: NDArray[np.int64]
    block_shard: NDArray[np.int32]


class Spans:
    """All spans of some shard sets. Thread-safe for reading; a pickled copy reopens the sets.

    Attributes
    ----------
    vocabulary, recording_ids : Vocabulary, tuple of str
        What `electrode` and `recording` refer to.
    set_of : ndarray, (n_spans,) int32
        Number of the set that each span comes from.
    references : tuple of str
        What `reference` refers to: unknown, the vocabulary's electrodes, the named schemes, as an encoder numbers them
        (`eegprep.electrodes.references.reference_numbers`), then any other words of the sets.
    recording, electrode, reference, start_sample, n_samples, scale_uv, sigma_uv : ndarray, (n_spans,)
        Ids, time of the first sample, length, µV per step, robust SD in µV.
    """

    def __init__(self, sets: Sets) -> None:
        self.sets = sets = opened(sets)
        if not sets:
            raise UsageError("no shard set given", todo="pass folders written by `eegprep shard`")
        self.vocabulary, ids = merge_vocabularies(sets)
        self.recording_ids = tuple(i for s in sets for i in s.recordings.id)
        if len(set(self.recording_ids)) != len(self.recording_ids):
            twice = sorted(i for i in set(self.recording_ids) if self.recording_ids.count(i) > 1)
            raise UsageError("two shard sets contain the same recording", found=", ".join(twice[:3]))
        self.first_recording = np.cumsum([0, *(len(s.recordings) for s in sets)])
        self.nearby = Nearby(sets) if any(s.remote is not None for s in sets) else None
        self.map = self.nearby.map if self.nearby else _whole_map(sets)
        self.references = _references(sets, self.vocabulary)
        table = self._table(ids)
        self.recording, self.electrode, self.reference = table.recording, table.electrode, table.reference
        self.start_sample, self.n_samples = table.start_sample, table.n_samples
        self.scale_uv, self.sigma_uv = table.scale_uv, table.sigma_uv
        self._first_block, self._block_samples = table.first_block, table.block_samples
        self._block_position, self._block_shard = table.block_position, table.block_shard
        lengths = np.unique(table.block_samples[table.block_samples < table.n_samples])
        # A span of one block may have any length that fits it.
        longest = int(table.block_samples.max(initial=1))
        self._block_length = longest if not len(lengths) or lengths.tolist() == [longest] else None
        self.set_of = np.repeat(np.arange(len(sets), dtype=np.int32), [len(s.spans) for s in sets])

    def __len__(self) -> int:
        return len(self.recording)

    def __reduce__(self) -> tuple[Any, ...]:
        return Spans, (self.sets,)

    def _table(self, ids: Sequence[NDArray[np.int32]]) -> _Table:
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _Table.__annotations__}
        first_shard = first_block = 0
        for k, s in enumerate(self.sets):
            spans, blocks = s.spans, s.blocks
            parts["recording"].append(spans.recording + np.int32(self.first_recording[k]))
            parts["electrode"].append(ids[k][spans.electrode])
            numbers = {name: number for number, name in reversed([*enumerate(self.references)])}
            words = [_reference(self.vocabulary, name) for name in blocks.reference_names]
            names = np.array([numbers[word] for word in words], np.int32)
            parts["reference"].append(names[spans.reference] if len(names) else spans.reference)
            parts["first_block"].append(spans.first_block + first_block)
            parts["start_sample"].append(spans.start_sample)
            parts["n_samples"].append(spans.n_samples)
            parts["block_samples"].append(spans.block_samples)
            parts["scale_uv"].append(blocks.scale_uv[spans.first_block])
            parts["sigma_uv"].append(blocks.sigma_uv[spans.first_block])
            parts["block_position"].append((self.map.starts[blocks.shard + first_shard] + blocks.offset) // 2)
            parts["block_shard"].append(blocks.shard + np.int32(first_shard))
            first_shard += len(s.shards)
            first_block += len(blocks)
        return _Table(**{name: np.concatenate(arrays) for name, arrays in parts.items()})

    def chosen(self, splits: Iterable[str] | None, datasets: Iterable[str] | None) -> NDArray[np.bool_]:
        """Mask of the recordings in some splits and data sets (None: all); UsageError for an unknown one."""
        keep = np.ones(len(self.recording_ids), dtype=bool)
        if splits is not None:
            own, wanted = [x for s in self.sets for x in s.recordings.split], set(splits)
            if unknown := sorted(wanted - {*SPLITS, *own}):
                raise UsageError(
                    f"unknown split {unknown[0]!r}", expected=", ".join(SPLITS), todo=nearest(unknown[0], SPLITS)
                )
            keep &= np.array([x in wanted for x in own], dtype=bool)
        if datasets is not None:
            names, wanted = [x for s in self.sets for x in s.recordings.dataset], set(datasets)
            if unknown := sorted(wanted - set(names)):
                raise UsageError(
                    f"no data set {unknown[0]!r} in these shard sets",
                    expected=", ".join(sorted(set(names))),
                    todo=nearest(unknown[0], names),
                )
            keep &= np.array([x in wanted for x in names], dtype=bool)
        return keep

    def measured(self, references: Iterable[str] | None, kinds: Iterable[str] | None) -> NDArray[np.bool_]:
        """Mask of the spans with some references and kinds (None: all); UsageError for one that does not occur."""
        keep = np.ones(len(self), dtype=bool)
        if references is not None:
            wanted = [_reference(self.vocabulary, name) for name in references]
            used = [self.references[number] for number in np.unique(self.reference)]
            if unknown := [r for r in wanted if r not in used]:
                raise UsageError(
                    f"nothing was measured against {unknown[0]!r} in these shard sets",
                    expected=", ".join(used),
                    todo="`eegprep shard --reference` re-references where the derivations allow it",
                )
            keep &= np.isin(self.reference, [self.references.index(r) for r in wanted])
        if kinds is not None:
            wanted = list(kinds)
            if unknown := [k for k in wanted if k not in KINDS]:
                raise UsageError(f"unknown kind of channel {unknown[0]!r}", expected=", ".join(KINDS))
            of_id = np.array([row.kind in wanted for row in self.vocabulary], dtype=bool)
            keep &= of_id[self.electrode]
        return keep

    def shard(self, span: NDArray[np.int64], offset: NDArray[np.int64]) -> NDArray[np.int32]:
        """Shard that contains a given sample of each span, (N,) int32, numbered over all sets."""
        return self._block_shard[self._first_block[span] + offset // self._block_samples[span]]

    @property
    def n_shards(self) -> int:
        """Number of shards in all sets."""
        return sum(len(s.shards) for s in self.sets)

    def gather(self, span: NDArray[np.int64], offset: NDArray[np.int64], n_samples: int) -> NDArray[np.int16]:
        """Gather windows of one length into a new array (N, n_samples) int16.

        `offset` (N,) int64 is each window's first sample relative to the start of its `span` (N,) int64; the window
        must end within the span.
        """
        if self.nearby is not None:
            with self.nearby.holding(self._shards_touched(span, offset, n_samples)):
                return self._gather(span, offset, n_samples)
        return self._gather(span, offset, n_samples)

    def _shards_touched(self, span: NDArray[np.int64], offset: NDArray[np.int64], n_samples: int) -> NDArray[np.int32]:
        """All shards that contain samples of some windows."""
        if not len(span):
            return np.empty(0, np.int32)
        first, last = self.shard(span, offset), self.shard(span, offset + n_samples - 1)
        # Blocks of a span are in consecutive shards.
        more = range(1, int((last - first).max()) + 1)
        return np.unique(np.concatenate([first, *((first + np.int32(k))[first + k <= last] for k in more)]))

    def _gather(self, span: NDArray[np.int64], offset: NDArray[np.int64], n_samples: int) -> NDArray[np.int16]:
        # Blocks nearly always have one length, and dividing by a single number takes a tenth of the time.
        length = self._block_samples[span] if self._block_length is None else self._block_length
        number = offset // length
        inside = offset - number * length
        position = self._block_position[self._first_block[span] + number] + inside
        crossing = np.flatnonzero(inside + n_samples > length)
        if len(crossing) == len(span) or n_samples > len(self.map.samples):
            out = np.empty((len(span), n_samples), dtype=np.int16)
            crossing = np.arange(len(span))
        else:
            windows = self.map.windows(n_samples)
            if len(crossing):  # corrected below; until then any readable position will do
                position[crossing] = 0
            # Read one sample of each window first. The processor overlaps many of these reads, but only a few of the
            # copies that follow, which then find their first bytes and page address in the cache.
            self.map.samples[position]
            out = windows[position].view(np.int16).reshape(len(span), n_samples)
        for row in crossing:
            self._across(int(span[row]), int(offset[row]), out[row])
        return out

    def _across(self, span: int, offset: int, out: NDArray[np.int16]) -> None:
        """Gather one window that crosses block borders, piece by piece."""
        length, first = int(self._block_samples[span]), int(self._first_block[span])
        done = 0
        while done < len(out):
            number, inside = divmod(offset + done, length)
            n = min(len(out) - done, length - inside)
            start = int(self._block_position[first + number]) + inside
            out[done : done + n] = self.map.samples[start : start + n]
            done += n
