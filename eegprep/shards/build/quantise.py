"""Convert microvolt to int16 and back: one power-of-two scale per stretch, without clipping.

The scale is the smallest power of two at which the stretch's largest sample fits. A power of two makes `int16 * scale`
exact in float32 on every machine, and one scale per stretch lets windows cross block boundaries. The step
must stay far below the electrode's noise; a sample too large for that is not EEG, and the stretch is broken there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import Stretch
from eegprep.shards.format import INT16_PEAK

# At least this many int16 steps per robust standard deviation. Rounding then adds at most
# 1 / (sqrt(12) * 8) = 3.6 % of sigma as noise, 0.13 % of its variance.
STEPS_PER_SIGMA = 8


def scale_for(peak_uv: float) -> float:
    """The smallest power of two (µV per step) at which `peak_uv` fits into int16; 2^-40 for silence."""
    if not math.isfinite(peak_uv):
        raise ValueError(f"invalid peak of {peak_uv} µV")
    least = 2.0**-40
    if peak_uv <= least * INT16_PEAK:
        return least
    scale = 2.0 ** math.ceil(math.log2(peak_uv / INT16_PEAK))
    # log2 rounds, so an exact power of two may be off by one step.
    if scale * INT16_PEAK < peak_uv:
        scale *= 2
    elif scale / 2 * INT16_PEAK >= peak_uv:
        scale /= 2
    return scale


def quantise(signal_uv: NDArray[np.float32], scale_uv: float) -> NDArray[np.int16]:
    """Nearest int16 of `signal_uv / scale_uv` (halves to even), (n_samples,) little-endian.

    The scale is a power of two, so the division is an exact multiplication.
    """
    steps = signal_uv * np.float32(1.0 / scale_uv)
    np.rint(steps, out=steps)
    return steps.astype("<i2")


def largest_usable(sigma_uv: float) -> float:
    """The largest magnitude (µV) that keeps `STEPS_PER_SIGMA` steps in one sigma."""
    step = 2.0 ** math.floor(math.log2(sigma_uv / STEPS_PER_SIGMA))
    return step * INT16_PEAK


def usable(
    read: Callable[[Stretch], NDArray[np.float32]], stretch: Stretch, sigma_uv: float, chunk_samples: int
) -> Iterator[tuple[Stretch, float]]:
    """The parts of a stretch that fit into int16, each with its largest magnitude (µV), in order.

    Parameters
    ----------
    read : callable
        Returns the float32 samples of a stretch; called with at most `chunk_samples` at a time.
    stretch : Stretch
        A kept stretch of the recording.
    sigma_uv : float
        Robust standard deviation of the electrode, above zero.
    chunk_samples : int
        Limits memory use.

    Notes
    -----
    Samples that are not finite, or beyond `largest_usable`, are in no part.
    """
    limit = largest_usable(sigma_uv)
    begin, peak = stretch.start_sample, 0.0
    for start in range(stretch.start_sample, stretch.stop_sample, chunk_samples):
        piece = Stretch(start_sample=start, n_samples=min(chunk_samples, stretch.stop_sample - start))
        magnitude = np.abs(read(piece))
        highest = float(magnitude.max())
        if highest <= limit:  # false for NaN too
            peak = max(peak, highest)
            continue
        good = 0
        for first, after in _runs(~(magnitude <= limit)):
            if first > good:
                peak = max(peak, float(magnitude[good:first].max()))
            if start + first > begin:
                yield Stretch(start_sample=begin, n_samples=start + first - begin), peak
            good = after
            begin, peak = start + good, 0.0
        if good < len(magnitude):
            peak = float(magnitude[good:].max())
    if begin < stretch.stop_sample:
        yield Stretch(start_sample=begin, n_samples=stretch.stop_sample - begin), peak


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last index of every run of True."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
