"""Samples for pre-training: every window of every electrode of some shard sets, numbered from 0.

Windows are never listed: a window's number is converted to (span, offset) by arithmetic when it is read, so changing
the length or stride costs nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import UsageError
from eegprep.recording import electrode_of

from .index import WindowBatch
from .spans import Sets, Spans

#: Recording id to split to (first, one past the last) sample.
Parts = Mapping[str, Mapping[str, Sequence[tuple[int, int]]]]

_CELLS_PER_INTERVAL = 4
_STEPS = 3


class NoWindowError(UsageError):
    """No window passes the filters."""


class WindowIndex:
    """Every window of `n_samples` samples, `stride` apart, within a contiguous stretch.

    `index[i]` is one window in microvolt, so it works with `torch.utils.data.DataLoader` and any worker start method.
    `WindowLoader` is faster, reports each window's origin and can be resumed. Thread-safe for reading.

    Parameters
    ----------
    sets : ShardSet, path or address, or a sequence of them
        Read together; electrodes are matched by name.
    splits, electrodes, datasets : iterable of str, optional
        Restrict to these; electrodes by name or alias. `splits=None` selects all.
    references, kinds : iterable of str, optional
        Only derivations against these references, or channels of these kinds; all by default.
    quality : mapping of str to (float, float), optional
        Keep only electrodes whose recording has this figure (see `RecordingTable.facts`) in the interval.
    parts : mapping, optional
        Recordings that are divided in time: recording id to split to (first, one past the last) sample of the parts of
        this split. Other recordings are in the split that the set gives.
    group_by : {"set", "dataset"}
        What `group_names` and `group_sizes` count; windows of one group are numbered consecutively.

    Raises
    ------
    NoWindowError
        No window is left.
    UsageError
        A filter names something that does not exist.
    """

    def __init__(
        self,
        sets: Sets,
        *,
        n_samples: int,
        stride: int,
        splits: Iterable[str] | None = ("train",),
        electrodes: Iterable[str] | None = None,
        datasets: Iterable[str] | None = None,
        references: Iterable[str] | None = None,
        kinds: Iterable[str] | None = None,
        quality: Mapping[str, tuple[float, float]] | None = None,
        parts: Parts | None = None,
        group_by: str = "set",
    ) -> None:
        if n_samples < 1 or stride < 1:
            raise UsageError(
                "the length and stride of windows must be at least one sample", found=f"{n_samples}, {stride}"
            )
        self.n_samples, self.stride = n_samples, stride
        self.spans = Spans(sets)
        self.vocabulary = self.spans.vocabulary
        self.recording_ids, self.references = self.spans.recording_ids, self.spans.references
        self._measured = self.spans.measured(references, kinds)
        rows, first, length = self._stretches(splits, parts or {}, electrodes, datasets, quality)
        counts = np.maximum((length - n_samples) // stride + 1, 0)
        some = np.flatnonzero(counts > 0)
        rows, first, length, counts = rows[some], first[some], length[some], counts[some]
        group, self.group_names = self._groups(group_by, rows)
        order = np.argsort(group, kind="stable")
        self._rows, self._first, self._last = rows[order], first[order], (first + length - n_samples)[order]
        self._ends = np.cumsum(counts[order])
        self._begins = self._ends - counts[order]
        self._find = Borders(self._ends)
        self.group_sizes: NDArray[np.int64] = np.bincount(
            group, weights=counts, minlength=len(self.group_names)
        ).astype(np.int64)
        if not len(self._rows):
            raise NoWindowError(
                "no windows left",
                found=f"{len(self.spans)} stretches, the longest of {int(self.spans.n_samples.max(initial=0))} samples",
                expected=f"stretches of {n_samples} samples or more that pass the filters",
                todo="use shorter windows, or other splits, electrodes, data sets or quality limits",
            )

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __repr__(self) -> str:
        n_electrodes = len(np.unique(self.spans.electrode[self._rows]))
        return (
            f"WindowIndex({len(self):,} windows of {self.n_samples} samples, stride {self.stride}: {n_electrodes} "
            f"electrodes, {len(np.unique(self.spans.recording[self._rows]))} recordings, {len(self.spans.sets)} sets)"
        )

    def __getitem__(self, number: int) -> NDArray[np.float32]:
        """One window in microvolt, (n_samples,) float32; negative numbers count from the end."""
        if not -len(self) <= number < len(self):
            raise IndexError(f"window {number} of {len(self)}")
        return self.__getitems__([number % len(self)])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[NDArray[np.float32]]:
        """Several windows in one gather, as `DataLoader` requests them."""
        return list(self.gather(np.asarray(numbers, dtype=np.int64)).signal_uv())

    def locate(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Span of each window and its first sample within the span, (N,) int64 each."""
        k = self._find(indices)
        return self._rows[k], self._first[k] + (indices - self._begins[k]) * self.stride

    def gather(self, indices: NDArray[np.int64], *, shift: NDArray[np.int64] | None = None) -> WindowBatch:
        """Gather a batch of windows by number, in any order; repeats are allowed.

        Each window starts `shift` samples later, but never extends beyond its stretch.
        """
        indices = np.asarray(indices, dtype=np.int64)
        if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < len(self)):
            raise IndexError(f"windows {int(indices.min())} to {int(indices.max())} of {len(self)}")
        span, offset = self.locate(indices)
        if shift is not None:
            offset = np.minimum(offset + shift, self._last[self._find(indices)])
        return WindowBatch(
            signal_i16=self.spans.gather(span, offset, self.n_samples),
            scale_uv=self.spans.scale_uv[span],
            sigma_uv=self.spans.sigma_uv[span],
            electrode=self.spans.electrode[span],
            recording=self.spans.recording[span],
            reference=self.spans.reference[span],
        )

    def fetch_ahead(self, indices: NDArray[np.int64]) -> None:
        """Start fetching the remote shards that these windows need, in order; no-op for local sets."""
        if self.spans.nearby is not None:
            shards = self.spans.shard(*self.locate(np.asarray(indices, dtype=np.int64)))
            _, first = np.unique(shards, return_index=True)
            self.spans.nearby.fetch_ahead(shards[np.sort(first)])

    def start_samples(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """First sample of each window, counted from the start of its recording, (N,) int64."""
        span, offset = self.locate(np.asarray(indices, dtype=np.int64))
        return self.spans.start_sample[span] + offset

    @functools.cached_property
    def shard_sizes(self) -> NDArray[np.int64]:
        """Windows that begin in each shard, (n_shards,): chunks of a `TwoLevelOrder`, for windows grouped by set."""
        n = self.spans.n_shards
        sizes = np.zeros(n, dtype=np.int64)
        first = self.spans.shard(self._rows, self._first)
        counts = self._ends - self._begins
        last = self.spans.shard(self._rows, self._first + (counts - 1) * self.stride)
        np.add.at(sizes, first[first == last], counts[first == last])
        for k in np.flatnonzero(first != last):
            offset = self._first[k] + np.arange(counts[k], dtype=np.int64) * self.stride
            sizes += np.bincount(self.spans.shard(np.full(len(offset), self._rows[k]), offset), minlength=n)
        return sizes

    # -- filters -------------------------------------------------------------------------------------------

    def _stretches(
        self,
        splits: Iterable[str] | None,
        parts: Parts,
        electrodes: Iterable[str] | None,
        datasets: Iterable[str] | None,
        quality: Mapping[str, tuple[float, float]] | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """What may be read: spans, and first sample and number of samples inside each, (n,) int64."""
        splits = None if splits is None else tuple(splits)
        divided = np.array([i in parts for i in self.recording_ids], bool)[self.spans.recording]
        keep = self._keep(splits, electrodes, datasets, quality)
        whole = np.flatnonzero(keep & ~divided)
        if not divided.any():
            return whole, np.zeros(len(whole), np.int64), self.spans.n_samples[whole]
        found = [(int(k), 0, int(self.spans.n_samples[k])) for k in whole]
        # The filters without the splits of the set
        for k in np.flatnonzero(self._keep(None, electrodes, datasets, quality) & divided):
            own, start = parts[self.recording_ids[self.spans.recording[k]]], int(self.spans.start_sample[k])
            stop = start + int(self.spans.n_samples[k])
            for first, end in (part for split in splits or own for part in own.get(split, ())):
                if max(first, start) < min(end, stop):
                    found.append((int(k), max(first, start) - start, min(end, stop) - max(first, start)))
        table = np.array(found, np.int64).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2]

    def _keep(
        self,
        splits: Iterable[str] | None,
        electrodes: Iterable[str] | None,
        datasets: Iterable[str] | None,
        quality: Mapping[str, tuple[float, float]] | None,
    ) -> NDArray[np.bool_]:
        keep = self.spans.chosen(splits, datasets)[self.spans.recording] & self._measured
        if electrodes is not None:
            allowed = np.zeros(len(self.vocabulary), dtype=bool)
            allowed[[self.vocabulary.id_of(e) for e in electrodes]] = True
            keep &= allowed[self.spans.electrode]
        if quality:
            keep &= self._good(quality, keep)
        return keep

    def _good(self, quality: Mapping[str, tuple[float, float]], keep: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Spans whose input has every figure within its interval."""
        good: set[tuple[int, int, str]] = set()
        row = 0
        for s in self.spans.sets:
            for own in range(len(s.recordings)):
                for name, facts in s.recordings.facts(own).items():
                    figures = [(facts.get(figure), low, high) for figure, (low, high) in quality.items()]
                    electrode = electrode_of(name)
                    if electrode in self.vocabulary and all(v is not None and a <= v <= b for v, a, b in figures):
                        good.add((row, self.vocabulary.id_of(electrode), str(facts.get("reference"))))
                row += 1
        names = np.array(self.spans.references, dtype=object)[self.spans.reference]
        found = zip(self.spans.recording.tolist(), self.spans.electrode.tolist(), names, strict=True)
        return np.array([one in good for one in found], dtype=bool)

    def _groups(self, by: str, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Group of each chosen span, and the groups' names."""
        if by == "set":
            return self.spans.set_of[rows].astype(np.int64), tuple(str(s.path) for s in self.spans.sets)
        if by != "dataset":
            raise UsageError(f"windows cannot be grouped by {by!r}", expected="set or dataset")
        names = [x for s in self.spans.sets for x in s.recordings.dataset]
        used = sorted({names[r] for r in np.unique(self.spans.recording[rows])})
        code = np.array([used.index(n) if n in used else -1 for n in names], dtype=np.int64)
        return code[self.spans.recording[rows]], tuple(used)


class Borders:
    """Find the interval of each number: `searchsorted(ends, i, side="right")` by table lookup.

    Binary search of random numbers waits for memory at every step. Here the range is divided into about four equal
    cells per interval, a table gives the interval in which each cell begins, and the few numbers past a border within
    their cell are moved on. Cells with many very short intervals fall back to binary search.

    Parameters
    ----------
    ends : ndarray, (n,) int64
        One past the last number of each interval, non-decreasing.
    """

    def __init__(self, ends: NDArray[np.int64]) -> None:
        self._ends = ends
        total = int(ends[-1]) if len(ends) else 0
        self._shift = max(0, (total // max(1, _CELLS_PER_INTERVAL * len(ends))).bit_length() - 1)
        # The interval of a cell's first number is the number of ends at or before it.
        cell = (ends + ((1 << self._shift) - 1)) >> self._shift
        self._first = np.cumsum(np.bincount(cell, minlength=1), dtype=np.int32)

    def __call__(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The interval of each number, 0 <= i < ends[-1]; (N,) int64 to (N,) int64."""
        found = self._first[numbers >> self._shift].astype(np.int64)
        for _ in range(_STEPS):
            behind = self._ends[found] <= numbers
            if not behind.any():
                return found
            found += behind
        behind = self._ends[found] <= numbers
        if behind.any():
            found[behind] = np.searchsorted(self._ends, numbers[behind], side="right")
        return found
