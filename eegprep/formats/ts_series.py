"""Repair a known damage of `.ts` files: dimensions that are windows of one series instead of channels.

Some conversions wrote a case's channels one after another as one series and then cut it every `n_channels` samples
instead of every `n_samples`. Dimension c is then the series from `c * step` on: dimension 1 is dimension 0 shifted by
a few samples, and the apparent second channel is the first. The overlap is exact to the last digit, so the damage can
be proven and the series rebuilt: its first `(step * (n - 1) + n_samples) // n_samples` channels are complete, the
others are lost.
"""

from __future__ import annotations

import numpy as np


def evident_step(case_CS: np.ndarray) -> int | None:
    """The step by which each dimension is shifted against the previous one, or None if they are not such windows.

    Parameters
    ----------
    case_CS : (n_dimensions, n_samples) float64
        Constant dimensions are no evidence and give None.
    """
    n_dimensions, n_samples = case_CS.shape
    # The step that the faulty conversions use; any other would be a different fault.
    step = n_dimensions
    # Eight overlapping samples do not agree to the last digit by chance.
    if n_dimensions < 2 or n_samples < step + 8 or np.ptp(case_CS, axis=1).min() == 0:
        return None
    return step if np.array_equal(case_CS[:-1, step:], case_CS[1:, :-step]) else None


def whole_channels(case_CS: np.ndarray, step: int) -> np.ndarray | None:
    """The complete channels of the series, (n_whole, n_samples) float64; None if the overlaps disagree."""
    n_dimensions, n_samples = case_CS.shape
    if not np.array_equal(case_CS[:-1, step:], case_CS[1:, : n_samples - step]):
        return None
    series = np.concatenate([case_CS[:-1, :step].reshape(-1), case_CS[-1]])
    n_whole = min(series.size // n_samples, n_dimensions)
    return series[: n_whole * n_samples].reshape(n_whole, n_samples)
