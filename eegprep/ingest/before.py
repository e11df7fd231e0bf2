"""The spectrum of a recording before any step, so that a report can show the effect of the steps.

One density per recording, the median over its electrodes, from a few evenly spread windows of two seconds (shorter in
shorter stretches), at the source's rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eegprep.recording import Stretch, spread
from eegprep.report.contents.signal import power_density

MAX_WINDOWS = 6
WINDOW_S = 2.0
HIGHEST_HZ = 128.0


def spectrum_before(signal: Any, sfreq_hz: float, stretches: Sequence[Stretch]) -> tuple[tuple[float, ...], float]:
    """Power density in µV²/Hz, and its frequency step in Hz.

    Parameters
    ----------
    signal : array-like, (n_electrodes, n_samples)
        Microvolt at the source's rate; read as `signal[:, start:stop]`.
    stretches : sequence of Stretch
        Windows do not cross their boundaries.

    Returns
    -------
    density : tuple of float
        At 1, 2, 3, ... times the step, up to 128 Hz or half the rate, with three significant digits. Empty if every
        window has missing values.
    step_hz : float
    """
    longest = max((s.n_samples for s in stretches), default=0)
    n_window = min(round(WINDOW_S * sfreq_hz), longest)
    if n_window < 16:
        return (), 0.0
    starts = [start for s in stretches for start in range(s.start_sample, s.stop_sample - n_window + 1, n_window)]
    chosen = [
        np.asarray(signal[:, starts[i] : starts[i] + n_window], np.float64) for i in spread(len(starts), MAX_WINDOWS)
    ]
    whole = np.array([w for w in chosen if np.isfinite(w).all()])  # (n_windows, n_electrodes, n_window)
    if not whole.size:
        return (), 0.0
    density = np.median([power_density(whole[:, row], sfreq_hz) for row in range(whole.shape[1])], axis=0)
    step_hz = sfreq_hz / n_window
    last = min(int(HIGHEST_HZ / step_hz), len(density) - 1)
    return tuple(float(f"{v:.3g}") for v in density[1 : last + 1]), float(step_hz)
