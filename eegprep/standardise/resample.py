"""Fourier resampling to the standard rate, like MNE's, with exact sample times.

The stretch is extended at both ends by point reflection, transformed, its spectrum cropped or padded, and transformed
back. MNE pads by 100 samples and rounds the padded length times the ratio, which shifts the samples by up to half a
sample (at 500 Hz by 0.8 ms). Here the padding is the smallest of at least 100 samples that the ratio divides, so
output sample k is at k / 256 s. If MNE's padding is already divisible (512, 160, 128, 100 Hz and whole seconds), both
give the same.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from eegprep.standardise.fir import odd_extension

MIN_PADDING = 100
# Ratios with larger denominators (an XDF stream at 499.871 Hz) have no short period: positions are then
# corrected by a phase shift, and the length is one that nearly fits.
MAX_PERIOD = 5000
_SEARCH = 512


def ratio_of(from_hz: float, to_hz: float) -> Fraction:
    """Output samples per input sample, exact for rates with up to six decimals."""
    return Fraction(to_hz).limit_denominator(10**6) / Fraction(from_hz).limit_denominator(10**6)


def n_resampled(n_samples: int, ratio: Fraction) -> int:
    """Output samples for `n_samples` input samples: the nearest number, halves upwards."""
    return int(n_samples * ratio + Fraction(1, 2))


def padding(n_samples: int, ratio: Fraction) -> tuple[int, int]:
    """Input samples to pad before and after, so that output samples have exact times."""
    period = ratio.denominator
    if period <= MAX_PERIOD:
        before = -(-MIN_PADDING // period) * period
        after = MIN_PADDING + (-(before + n_samples + MIN_PADDING)) % period
        return before, after
    total = n_samples + 2 * MIN_PADDING

    def misfit(extra: int) -> float:
        exact = (total + extra) * ratio
        return abs(float(exact - round(exact)))

    return MIN_PADDING, MIN_PADDING + min(range(_SEARCH), key=misfit)


def resample_fourier(signal: NDArray[np.float64], ratio: Fraction, n_out: int) -> NDArray[np.float64]:
    """`signal` (..., n_samples) at `ratio` times its rate, (..., n_out)."""
    from scipy.fft import irfft, rfft

    n = signal.shape[-1]
    if ratio == 1 or n == 0:
        return signal[..., :n_out]
    before, after = padding(n, ratio)
    total = before + n + after
    n_total = round(total * ratio)
    spectrum = change_rate(rfft(odd_extension(signal, before, after), axis=-1), total, n_total)
    # If `before` is not a whole number of output samples, a phase shift aligns sample 0.
    first = before * Fraction(n_total, total)
    lead = int(first)
    if first != lead:
        turns = np.arange(spectrum.shape[-1]) * float((first - lead) / n_total)
        spectrum = spectrum * np.exp(2j * np.pi * turns)
    return irfft(spectrum, n_total, axis=-1)[..., lead : lead + n_out]


def change_rate(spectrum: NDArray[np.complexfloating], n_in: int, n_out: int) -> NDArray[np.complexfloating]:
    """A real signal's half spectrum (..., n_in // 2 + 1), cropped or padded for an inverse transform of length `n_out`.

    A bin at the lower of the two Nyquist frequencies is doubled when downsampling and halved when upsampling, and all
    amplitudes are scaled by `n_out / n_in`. The result may share memory with `spectrum`, which is modified.
    """
    shorter = min(n_in, n_out)
    n_bins = n_out // 2 + 1
    if n_bins <= spectrum.shape[-1]:
        out = spectrum[..., :n_bins]
    else:
        out = np.zeros((*spectrum.shape[:-1], n_bins), spectrum.dtype)
        out[..., : spectrum.shape[-1]] = spectrum
    if n_in != n_out and shorter % 2 == 0:
        out[..., shorter // 2] *= 2.0 if n_out < n_in else 0.5
    out *= out.real.dtype.type(n_out / n_in)
    return out
