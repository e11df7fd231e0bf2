"""Subtract each channel's median, so that a large offset costs no precision in float32.

Amplifiers add offsets of tens of millivolt; float32 resolves 20 mV only to 0.002 µV. The median of a long recording is
computed from 16384 samples, 64 evenly spaced runs of 256.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import Stretch

N_RUNS = 64
RUN_SAMPLES = 256


def spread_runs(stretches: Sequence[Stretch], n_runs: int, run_samples: int) -> Iterator[Stretch]:
    """Up to `n_runs` runs, evenly spaced over the stretches' samples; all samples where there are no more."""
    total = sum(s.n_samples for s in stretches)
    if total <= n_runs * run_samples:
        yield from stretches
        return
    starts = [round(k * (total - run_samples) / (n_runs - 1)) for k in range(n_runs)]
    before, k = 0, 0
    for stretch in stretches:
        while k < n_runs and starts[k] < before + stretch.n_samples:
            start = stretch.start_sample + starts[k] - before
            yield Stretch(start_sample=start, n_samples=min(run_samples, stretch.stop_sample - start))
            k += 1
        before += stretch.n_samples


def median_offsets(signal: Any, stretches: Sequence[Stretch]) -> NDArray[np.float64]:
    """Each channel's median over (a sample of) the stretches, (n_channels,); 0 if it has no finite sample.

    Parameters
    ----------
    signal : array-like, (n_channels, n_samples)
        Indexed as `signal[:, start:stop]`.
    """
    pieces = [
        np.asarray(signal[:, run.start_sample : run.stop_sample], dtype=np.float64)
        for run in spread_runs(stretches, N_RUNS, RUN_SAMPLES)
    ]
    if not pieces:
        return np.zeros(signal.shape[0])
    values = np.concatenate(pieces, axis=1)
    finite = np.isfinite(values)
    if finite.all():
        return np.median(values, axis=1)
    return np.array([np.median(v[f]) if f.any() else 0.0 for v, f in zip(values, finite, strict=True)])
