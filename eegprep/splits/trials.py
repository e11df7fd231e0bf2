"""Splits within a subject: validation trials from train, and a few labelled trials of a new subject.

Windows are arrays (recording number, first sample, length) with one label each; the result is masks over them. Windows
of one recording that share a sample never end up in different splits; if necessary, windows at the boundary are
dropped, as given by the third mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .assign import rank_key


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Labelled windows: `recording`, `start_sample`, `n_samples` and `label`, each (N,) integers."""

    recording: np.ndarray
    start_sample: np.ndarray
    n_samples: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.recording)

    def take(self, index: np.ndarray) -> Windows:
        """The windows at `index`, in that order."""
        return Windows(
            recording=self.recording[index],
            start_sample=self.start_sample[index],
            n_samples=self.n_samples[index],
            label=self.label[index],
        )


def overlap_units(windows: Windows) -> np.ndarray:
    """Number of the connected group of overlapping windows that each window belongs to, (N,) int64."""
    unit = np.empty(len(windows), np.int64)
    current, reach, previous = -1, -1, None
    for i in np.lexsort((windows.n_samples, windows.start_sample, windows.recording)):
        recording, start = int(windows.recording[i]), int(windows.start_sample[i])
        if recording != previous or start >= reach:
            current, reach, previous = current + 1, -1, recording
        unit[i] = current
        reach = max(reach, start + int(windows.n_samples[i]))
    return unit


def hold_out(windows: Windows, fraction: float, *, seed: int = 0, least: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Take about `fraction` of each label's windows out of a set of windows.

    Complete groups of overlapping windows are taken, in an order fixed by `seed` and their position in the recording.
    A label whose windows form a single group is cut in time: its last windows are held out and those that cross the
    cut are dropped.

    Returns
    -------
    held, dropped : (N,) bool arrays
        Held-out windows, and windows in neither part. The others stay.
    """
    held = np.zeros(len(windows), bool)
    dropped = np.zeros(len(windows), bool)
    unit = overlap_units(windows)
    for label in np.unique(windows.label):
        own = np.flatnonzero(windows.label == label)
        wanted = max(least, round(fraction * len(own)))
        if len(own) <= least or held[own].sum() >= wanted:
            continue
        for u in _ordered_units(windows, unit[own], own, seed):
            members = np.flatnonzero(unit == u)
            already = int(held[own].sum())
            if already >= wanted:
                break
            # A group is taken if the count gets closer to the target and the label keeps some windows.
            gain = int((windows.label[members] == label).sum())
            if already + gain - wanted < wanted - already and already + gain < len(own):
                held[members] = True
        if not held[own].any():
            _cut_in_time(windows, unit, own, wanted, held, dropped)
    return held, dropped


def _ordered_units(windows: Windows, units: np.ndarray, own: np.ndarray, seed: int) -> list[int]:
    first: dict[int, tuple[int, int]] = {}
    for u, i in zip(units, own, strict=True):
        place = (int(windows.recording[i]), int(windows.start_sample[i]))
        first[int(u)] = min(first.get(int(u), place), place)
    return sorted(first, key=lambda u: rank_key(seed, *first[u]))


def _cut_in_time(
    windows: Windows, unit: np.ndarray, own: np.ndarray, wanted: int, held: np.ndarray, dropped: np.ndarray
) -> None:
    """Hold out the last `wanted` windows of the longest group of a label."""
    longest = np.bincount(unit[own]).argmax()
    members = np.flatnonzero(unit == longest)
    starts = np.sort(windows.start_sample[members])
    cut = starts[max(0, len(starts) - wanted)]
    late = windows.start_sample[members] >= cut
    straddling = ~late & (windows.start_sample[members] + windows.n_samples[members] > cut)
    if late.all() or (late | straddling).all():
        return
    held[members[late]] = True
    dropped[members[straddling]] = True


def few_shot(windows: Windows, k: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Choose `k` training windows per label of a new subject; the others are tested.

    Returns
    -------
    support, query : (N,) bool arrays
        Training windows, and test windows, which share no sample with them.
    """
    support = np.zeros(len(windows), bool)
    for label in np.unique(windows.label):
        own = np.flatnonzero(windows.label == label)
        order = sorted(
            own, key=lambda i: rank_key(seed, int(windows.recording[i]), int(windows.start_sample[i]), int(label))
        )
        support[order[:k]] = True
    return support, ~support & ~touching(windows, support)


def touching(windows: Windows, chosen: np.ndarray) -> np.ndarray:
    """Windows that share a sample with one of `chosen` (N,) bool, themselves included, (N,) bool."""
    out = np.zeros(len(windows), bool)
    stop = windows.start_sample + windows.n_samples
    for i in np.flatnonzero(chosen):
        out |= (
            (windows.recording == windows.recording[i])
            & (windows.start_sample < stop[i])
            & (stop > windows.start_sample[i])
        )
    return out
