"""Fingerprints of signals, to find altered copies of a recording.

A hash of the samples misses every copy that differs in one bit. Here the signal is reduced to the intervals between
zero crossings of its band from about 3 to 20 Hz: gain, sign, offset and position in the recording do not change them,
and another rate or filter changes few. Every ten consecutive ones make one hash; a recording keeps the smallest 256.
Differences between electrodes are included, since the reference cancels in them.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_HASHES = 256
# The difference of two boxcars, in pairs of samples (128 Hz): it passes about 3 to 20 Hz.
_SHORT, _LONG = 5, 21
_INTERVALS = 10
# Intervals are compared in whole pairs of samples (8 ms); a copy at another rate moves a crossing by less than half.
# Regular rhythms (line noise, flicker) give equal intervals, which do not distinguish recordings.
_LEAST_DISTINCT = 5
_N_SIGNALS = 3
# Electrodes present in most caps, far from each other.
_PREFERRED = ("Cz", "O1", "F4", "P3", "T8", "Fp1", "Oz", "C3", "F8", "Pz", "Fz", "C4", "P7", "F3", "O2", "T7")


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """The hashes of one recording below 2^(32 - level), sorted; the level grows with the recording's length."""

    level: int
    hashes: NDArray[np.uint32]

    def __str__(self) -> str:
        return f"{self.level}:{base64.b64encode(self.hashes.astype('<u4').tobytes()).decode('ascii')}"

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """The inverse of `str`; ValueError if the text is invalid."""
        level, _, data = text.partition(":")
        try:
            raw = base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise ValueError(f"not a fingerprint: {error}") from None
        if not level.isdecimal() or int(level) > 32 or len(raw) % 4 or len(raw) > 4 * MAX_HASHES:
            raise ValueError("not a fingerprint")
        return cls(level=int(level), hashes=np.frombuffer(raw, "<u4"))

    def at(self, level: int) -> NDArray[np.uint32]:
        """The hashes that remain at a higher level."""
        return self.hashes[: np.searchsorted(self.hashes, np.uint64(1) << np.uint64(32 - level))]


def similarity(one: Fingerprint, other: Fingerprint) -> tuple[int, float]:
    """Number of hashes that two recordings share, and its fraction of the smaller set."""
    level = max(one.level, other.level)
    a, b = one.at(level), other.at(level)
    n = int(np.intersect1d(a, b, assume_unique=True).size)
    return n, n / max(1, min(a.size, b.size))


# A copy shares at least this many hashes, and this fraction of the smaller set. In all available data, two different
# recordings share at most one (benchmarks/copies.py).
LEAST_SHARED = 4
LEAST_PART = 0.02


class Copies:
    """Find a recording with the same signal among many fingerprints.

    Parameters
    ----------
    fingerprints : iterable of (str, str)
        A recording's id and its fingerprint as text; empty ones never match.
    """

    def __init__(self, fingerprints: Iterable[tuple[str, str]]) -> None:
        known = sorted((name, text) for name, text in fingerprints if text)
        self._names = [name for name, _ in known]
        self._prints = [Fingerprint.parse(text) for _, text in known]
        sizes = [one.hashes.size for one in self._prints]
        everything = np.concatenate([np.zeros(0, np.uint32), *(one.hashes for one in self._prints)])
        order = np.argsort(everything, kind="stable")
        self._hashes, self._owner = everything[order], np.repeat(np.arange(len(known)), sizes)[order]

    def of(self, fingerprint: str) -> str:
        """The id of a recording with the same signal; empty if there is none."""
        if not fingerprint or not self._names:
            return ""
        one = Fingerprint.parse(fingerprint)
        first = np.searchsorted(self._hashes, one.hashes, side="left")
        stop = np.searchsorted(self._hashes, one.hashes, side="right")
        owners = np.concatenate([np.zeros(0, np.int64), *(self._owner[a:b] for a, b in zip(first, stop, strict=True))])
        found, counts = np.unique(owners, return_counts=True)
        for k in found[counts >= LEAST_SHARED]:
            n, part = similarity(one, self._prints[k])
            if n >= LEAST_SHARED and part >= LEAST_PART:
                return self._names[k]
        return ""


class Fingerprinter:
    """Compute the fingerprint of a standardised recording (256 Hz) chunk by chunk.

    Parameters
    ----------
    electrodes : sequence of str
        Names of the rows.
    """

    def __init__(self, electrodes: Sequence[str]) -> None:
        chosen = sorted(range(len(electrodes)), key=lambda i: rank(electrodes[i]))[: _N_SIGNALS + 1]
        self._rows = chosen[:_N_SIGNALS]
        self._pairs = list(itertools.pairwise(chosen))
        self._tail = np.zeros((0, 0), np.float32)
        self._n_done = 0
        self._next = -1
        self._crossings: list[list[NDArray[np.float64]]] = []
        self._kept = np.zeros(0, np.uint32)
        self._level = 0

    def add(self, start: int, chunk: NDArray[np.float32]) -> None:
        """(n_rows, n) float32 from sample `start` of the recording."""
        if start != self._next:
            self._flush()
            self._tail = np.zeros((len(self._rows) + len(self._pairs), 0), np.float32)
            self._crossings = [[] for _ in self._tail]
            self._n_done = 0
        self._next = start + chunk.shape[1]
        new = np.stack([chunk[i] for i in self._rows] + [chunk[i] - chunk[j] for i, j in self._pairs])
        signals = np.concatenate([self._tail, new], axis=1)
        pairs = signals.shape[1] // 2
        for k, row in enumerate(signals):
            self._crossings[k].append(self._n_done + _crossings(row[: 2 * pairs : 2] + row[1 : 2 * pairs : 2]))
        done = max(0, pairs - _LONG)  # the search for crossings resumes at the last value of the band
        self._n_done += done
        self._tail = signals[:, 2 * done :]

    def finish(self) -> Fingerprint:
        """The fingerprint of all added chunks."""
        self._flush()
        return Fingerprint(level=self._level, hashes=self._kept)

    def _flush(self) -> None:
        """Hash the crossings of a stretch."""
        for times in self._crossings:
            self._keep(_hashes(np.concatenate(times)))
        self._crossings = []

    def _keep(self, hashes: NDArray[np.uint32]) -> None:
        limit = np.uint64(1) << np.uint64(32 - self._level)
        kept = np.union1d(self._kept, hashes[hashes < limit])
        while kept.size > MAX_HASHES:
            self._level += 1
            kept = kept[kept < np.uint64(1) << np.uint64(32 - self._level)]
        self._kept = kept


def rank(electrode: str) -> tuple[int, str]:
    """Sort key for choosing electrodes."""
    return (_PREFERRED.index(electrode) if electrode in _PREFERRED else len(_PREFERRED)), electrode


def _crossings(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Zero crossings of the band-passed signal, in samples from its first value."""
    n = x.size - _LONG + 1
    if n < 2:
        return np.zeros(0)
    total = np.zeros(x.size + 1)
    np.cumsum(x, out=total[1:], dtype=np.float64)
    off = (_LONG - _SHORT) // 2
    band = (total[off + _SHORT : off + _SHORT + n] - total[off : off + n]) * (_LONG / _SHORT)
    band -= total[_LONG : _LONG + n] - total[:n]
    above = band > 0
    k = np.flatnonzero(above[1:] != above[:-1])
    return k + band[k] / (band[k] - band[k + 1])


def _hashes(times: NDArray[np.float64]) -> NDArray[np.uint32]:
    """One hash for every run of intervals, except regular rhythms."""
    steps = np.rint(np.diff(times)).astype(np.uint64)
    if steps.size < _INTERVALS:
        return np.zeros(0, np.uint32)
    runs = np.lib.stride_tricks.sliding_window_view(steps, _INTERVALS)
    ordered = np.sort(runs, axis=1)
    distinct = 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1)
    value = np.zeros(len(runs), np.uint64)
    for column in range(_INTERVALS):
        value = value * np.uint64(1000003) ^ runs[:, column]
    # A mixing step (splitmix64), so that the smallest hashes are a random sample.
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(27)
    value *= np.uint64(0x94D049BB133111EB)
    return (value >> np.uint64(32)).astype(np.uint32)[distinct >= _LEAST_DISTINCT]
