"""The selected rows of the source's signal, with gaps of missing values interpolated.

A filter spreads one NaN over its entire length, so runs of samples that are not finite are replaced by linear
interpolation while filtering; the runs themselves are rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import Stretch

# Signals up to this size are read once and kept; larger ones are read block by block, as often as needed.
IN_MEMORY_BYTES = 512 << 20
_BLOCK = 1 << 16


def in_memory(signal: Any, rows: Sequence[int]) -> Any:
    """The given rows, as an array if they are small enough, else read on demand."""
    if len(rows) * signal.shape[1] * 8 > IN_MEMORY_BYTES:
        return Rows(signal, rows)
    if isinstance(signal, np.ndarray):
        return signal if list(rows) == list(range(signal.shape[0])) else signal[list(rows)]
    some = Rows(signal, rows)
    out = np.empty(some.shape)
    for start in range(0, some.shape[1], _BLOCK):
        out[:, start : start + _BLOCK] = some[:, start : start + _BLOCK]
    return out


class Rows:
    """Some rows of an array-like, read on demand as `rows[:, start:stop]`."""

    dtype = np.dtype(np.float64)
    ndim = 2

    def __init__(self, signal: Any, rows: Sequence[int]) -> None:
        self._signal = signal
        self._rows = np.asarray(rows, dtype=np.intp)
        self._all = list(rows) == list(range(signal.shape[0]))
        self.shape = (len(rows), int(signal.shape[1]))

    def __getitem__(self, key: tuple[Any, slice]) -> NDArray[np.float64]:
        block = np.asarray(self._signal[:, key[1]], dtype=np.float64)
        return (block if self._all else block[self._rows])[key[0]]


class Bridged:
    """A signal with its runs of missing samples interpolated.

    Parameters
    ----------
    signal : array-like, (n_rows, n_samples)
    missing : sequence of sequence of Stretch
        Per row, the runs that are not finite, sorted and disjoint.
    stretches : sequence of Stretch
        Interpolation never crosses a boundary; at a boundary the value of the run's other end is repeated.
    """

    dtype = np.dtype(np.float64)
    ndim = 2

    def __init__(self, signal: Any, missing: Sequence[Sequence[Stretch]], stretches: Sequence[Stretch]) -> None:
        self._signal = signal
        self.shape = signal.shape
        self._lines = [(row, run, *self._ends(row, run, stretches)) for row, runs in enumerate(missing) for run in runs]

    def __getitem__(self, key: tuple[Any, slice]) -> NDArray[np.float64]:
        start, stop, _ = key[1].indices(self.shape[1])
        block = np.array(self._signal[:, start:stop], dtype=np.float64)
        for row, run, left, right in self._lines:
            a, b = max(start, run.start_sample), min(stop, run.stop_sample)
            if a < b:
                weights = (np.arange(a, b) - run.start_sample + 1) / (run.n_samples + 1)
                block[row, a - start : b - start] = left + (right - left) * weights
        return block[key[0]]

    def _ends(self, row: int, run: Stretch, stretches: Sequence[Stretch]) -> tuple[float, float]:
        def value(sample: int) -> float | None:
            inside = any(
                s.start_sample <= sample < s.stop_sample and s.start_sample <= run.start_sample < s.stop_sample
                for s in stretches
            )
            return float(self._signal[:, sample : sample + 1][row, 0]) if inside else None

        left, right = value(run.start_sample - 1), value(run.stop_sample)
        if left is None:
            left = right if right is not None else 0.0
        return left, right if right is not None else left
