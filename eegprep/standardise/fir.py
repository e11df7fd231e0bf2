"""Zero-phase FIR filters with MNE's default design, and their use on short signals.

Each filter is a sum of windowed-sinc low-passes (Hamming), one per edge of its response, each 3.3 / (transition
width) seconds long. A band-pass is the low-pass of its upper edge minus that of its lower
edge; an open upper edge and a notch start from the unit impulse. MNE 1.x (`mne.filter.create_filter`, method
"fir", `fir_design="firwin"`) gives the same coefficients (compared in the tests).

Widths are MNE's: min(max(0.25 f, 2), f) Hz below a lower edge, min(max(0.25 f, 2), Nyquist - f) above an upper
edge; a notch at f removes f +- f/400 with transitions of 0.5 Hz on either side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import InputError, UsageError

_HAMMING_FACTOR = 3.3
_NOTCH_TRANSITION_HZ = 0.5


def upper_stop_hz(high_hz: float, sfreq_hz: float) -> float:
    """Start of the stop band of an upper edge."""
    return high_hz + min(max(0.25 * high_hz, 2.0), sfreq_hz / 2 - high_hz)


def notch_stop_hz(freq_hz: float) -> float:
    """The highest frequency that a notch affects; it must be below the Nyquist frequency."""
    return freq_hz + freq_hz / 400 + _NOTCH_TRANSITION_HZ


def band_pass_taps(low_hz: float | None, high_hz: float | None, sfreq_hz: float) -> NDArray[np.float64]:
    """Coefficients of a band-pass, high-pass (`high_hz` None) or low-pass (`low_hz` None), odd in number.

    Raises
    ------
    UsageError
        If an edge is not between 0 and the Nyquist frequency, or the lower is not below the upper.
    """
    nyquist = sfreq_hz / 2
    edges = [f for f in (low_hz, high_hz) if f is not None]
    if not edges or not all(0 < f < nyquist for f in edges) or edges != sorted(set(edges)):
        raise UsageError(
            "invalid band-pass edges",
            found=f"{low_hz} to {high_hz} Hz at {sfreq_hz:g} Hz",
            expected=f"0 < low < high < {nyquist:g} Hz",
        )
    parts: list[tuple[float, float, float]] = []
    if high_hz is not None:
        parts.append((high_hz, upper_stop_hz(high_hz, sfreq_hz), 1.0))
    if low_hz is not None:
        parts.append((low_hz - min(max(0.25 * low_hz, 2.0), low_hz), low_hz, -1.0))
    return _sum_of_low_passes(parts, sfreq_hz, impulse=high_hz is None)


def notch_taps(freqs_hz: Sequence[float], sfreq_hz: float) -> NDArray[np.float64]:
    """Coefficients of one filter with a notch at each frequency.

    Raises
    ------
    UsageError
        If a notch would reach the Nyquist frequency or two notches would touch.
    """
    parts: list[tuple[float, float, float]] = []
    below = 0.0
    for freq in sorted(freqs_hz):
        half, width = freq / 400, _NOTCH_TRANSITION_HZ
        if freq - half - width <= below or notch_stop_hz(freq) >= sfreq_hz / 2:
            raise UsageError(
                f"invalid notch at {freq:g} Hz",
                found=f"notches at {sorted(freqs_hz)} Hz, {sfreq_hz:g} Hz sampling",
                expected=f"separate notches below {sfreq_hz / 2:g} Hz",
            )
        below = notch_stop_hz(freq)
        parts.append((freq - half - width, freq - half, 1.0))
        parts.append((freq + half, freq + half + width, -1.0))
    return _sum_of_low_passes(parts, sfreq_hz, impulse=True)


def _sum_of_low_passes(
    parts: Sequence[tuple[float, float, float]], sfreq_hz: float, *, impulse: bool
) -> NDArray[np.float64]:
    """Sum of `sign` x low-pass over `(from_hz, to_hz, sign)`, centred, optionally plus the unit impulse."""
    nyquist = sfreq_hz / 2
    narrowest = min(stop - start for start, stop, _ in parts)
    length = max(math.ceil(_HAMMING_FACTOR / narrowest * sfreq_hz), 1)
    length += 1 - length % 2
    # MNE uses `round` for a single edge and `ceil` for the filter, which must be as long as each edge.
    lengths = []
    for start, stop, _ in parts:
        n = round(_HAMMING_FACTOR / ((stop / nyquist - start / nyquist) / 2))
        lengths.append(n + 1 - n % 2)
    taps = np.zeros(max(length, *lengths))
    if impulse:
        taps[taps.size // 2] = 1.0
    for (start, stop, sign), n in zip(parts, lengths, strict=True):
        offset = (taps.size - n) // 2
        taps[offset : offset + n] += sign * _low_pass(n, (start / nyquist + stop / nyquist) / 2)
    return taps


def _low_pass(n: int, cutoff: float) -> NDArray[np.float64]:
    """Windowed sinc (Hamming) of unit gain at 0 Hz; `cutoff` as a fraction of the Nyquist frequency.

    Equals `scipy.signal.firwin`, whose import costs each worker process half a second.
    """
    taps = cutoff * np.sinc(cutoff * (np.arange(n) - (n - 1) / 2)) * np.hamming(n)
    return taps / taps.sum()


def odd_extension(signal: NDArray[np.float64], n_before: int, n_after: int) -> NDArray[np.float64]:
    """Extend the last axis by point reflection, then by zeros if the signal is too short.

    A reflected sample is `2 x[0] - x[k]`: value and slope are continuous, so a filter sees no step.
    """
    n = signal.shape[-1]
    left, right = min(n_before, n - 1), min(n_after, n - 1)
    out = np.zeros((*signal.shape[:-1], n_before + n + n_after), signal.dtype)
    out[..., n_before : n_before + n] = signal
    out[..., n_before - left : n_before] = 2 * signal[..., :1] - signal[..., left:0:-1]
    out[..., n_before + n : n_before + n + right] = 2 * signal[..., -1:] - signal[..., ::-1][..., 1 : 1 + right]
    return out


def filter_zero_phase(signal: NDArray[np.float64], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply a symmetric filter to `signal` (..., n_samples) without delay.

    Raises
    ------
    InputError
        If the filter is longer than the signal: most of the output would come from the reflected ends.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    n = signal.shape[-1]
    if taps.size > n:
        raise InputError(
            "a stretch is shorter than the filter",
            found=f"{n} samples",
            expected=f"{taps.size} samples or more",
            todo="use a recipe with wider transitions (no high-pass, no notch) for short trials",
        )
    edge = taps.size - 1
    extended = odd_extension(signal, edge, edge)
    # Wrap-around only affects half a filter at either end, which is cut off.
    n_fft = next_fast_len(extended.shape[-1], real=True)
    response = zero_phase_response(taps, n_fft)
    return irfft(rfft(extended, n_fft, axis=-1) * response, n_fft, axis=-1)[..., edge : edge + n]


def zero_phase_response(taps: NDArray[np.float64], n_fft: int) -> NDArray[np.float64]:
    """The real response of a symmetric filter at the frequencies of a real transform, (n_fft // 2 + 1,)."""
    half = taps.size // 2
    kernel = np.zeros(n_fft)
    kernel[: half + 1] = taps[half:]
    kernel[n_fft - half :] = taps[:half]
    response: NDArray[np.float64] = np.fft.rfft(kernel).real
    return response
