"""Figures computed while the standardised signal is streamed: robust amplitude, too large samples.

The robust standard deviation is computed from every k-th sample, at most 131072 per electrode, chosen by position, so
it depends neither on chunks nor on workers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import Stretch, merge, seconds_to_samples
from eegprep.standardise.spans import runs_of
from eegprep.store.view import MAX_SAMPLES, robust_sd

# Samples next to one that is too large are likely part of the same event.
_MARGIN_S = 0.25


class StreamMeasure:
    """Accumulates the figures: `add` every chunk, then read them.

    Parameters
    ----------
    n_rows, n_samples : int
        Shape of the recording.
    above_uv : float or sequence of float, optional
        Limit of the amplitude, of all rows or of each; infinite for none.
    """

    def __init__(self, n_rows: int, n_samples: int, above_uv: float | Sequence[float] | None, sfreq_hz: float) -> None:
        self._step = -(-n_samples // MAX_SAMPLES) if n_samples else 1
        self._sample = np.full((n_rows, -(-n_samples // self._step)), np.nan, np.float32)
        self._above_uv = None if above_uv is None else np.reshape(np.asarray(above_uv, np.float32), (-1, 1))
        self._margin = seconds_to_samples(_MARGIN_S, sfreq_hz)
        self._large: list[list[Stretch]] = [[] for _ in range(n_rows)]

    def add(self, start: int, chunk: NDArray[np.float32]) -> None:
        """(n_rows, n) float32 from sample `start` of the recording."""
        first = -start % self._step
        part = chunk[:, first :: self._step]
        at = (start + first) // self._step
        self._sample[:, at : at + part.shape[1]] = part
        if self._above_uv is None:
            return
        large = ~(np.abs(chunk) <= self._above_uv)
        for row in np.flatnonzero(large.any(axis=1)):
            for run in runs_of(large[row]):
                begin = max(start + run.start_sample - self._margin, 0)
                stop = start + run.stop_sample + self._margin
                self._large[row].append(Stretch(start_sample=begin, n_samples=stop - begin))

    def too_large(self, row: int) -> tuple[Stretch, ...]:
        """Runs beyond the limit with their margins, merged; they may extend over stretch boundaries."""
        return merge(self._large[row])

    def sigma_uv(self, row: int, rejected: Sequence[Stretch]) -> float:
        """1.4826 x median absolute deviation of the row without its rejected parts; 0 if no samples are left."""
        values = self._sample[row].copy()
        for s in rejected:
            values[-(-s.start_sample // self._step) : -(-s.stop_sample // self._step)] = np.nan
        values = values[np.isfinite(values)].astype(np.float64)
        if values.size == 0:
            return 0.0
        return float(robust_sd(values))
