"""Detect a wrong sampling rate from the line noise peak in the spectrum.

The mains are 50 or 60 Hz. If the header says 256 Hz but the file was sampled at 250 Hz, the peak is at 51.2 Hz and its
harmonic at 102.4 Hz. The result is a note, never a correction, since a generator may be off its frequency. The
conditions are strict, since a note on a correct file is worse than none: a narrow peak in nine of ten channels, with
its harmonic, none at 50 or 60 Hz, and a frequency that a common rate would explain. Rates wrong by a factor of two are
not detected, since a 25 Hz stimulus looks the same.
"""

from __future__ import annotations

import numpy as np

from eegprep.sources.units import Sampled

_MAINS_HZ = (50.0, 60.0)
_USUAL_HZ = (
    100.0, 125.0, 128.0, 160.0, 200.0, 220.0, 240.0, 250.0, 256.0, 300.0, 400.0, 500.0, 512.0, 600.0, 1000.0, 1024.0,
    1200.0, 2000.0, 2048.0, 2400.0, 2500.0, 4096.0, 5000.0,
)  # fmt: skip
#: Search range for a shifted line: stimuli (40 Hz) are below it, screens above.
_LOOKED_AT_HZ = (42.0, 59.0)
_NARROW, _HARMONIC, _ABSENT = 20.0, 5.0, 3.0
_TOLERANCE_HZ = 0.15


def rate_notes(sampled: Sampled, rows: np.ndarray, sfreq_hz: float) -> tuple[str, ...]:
    """At most one note that the sampling rate may be wrong.

    Parameters
    ----------
    sampled : Sampled
        Densities of all channels, (n_channels, n_freqs).
    rows : (n_channels,) bool
        The channels to use.
    """
    freqs = sampled.freqs_hz
    density = sampled.density[rows]
    density = density[np.isfinite(density).all(axis=1) & (density > 0).all(axis=1)] if density.size else density
    if density.shape[0] < 3 or freqs.size < 2 or sampled.n_segments < 3 or freqs[1] > 0.26:
        return ()
    inside = np.flatnonzero((freqs >= _LOOKED_AT_HZ[0]) & (freqs <= min(_LOOKED_AT_HZ[1], freqs[-1] - 6)))
    if inside.size == 0:
        return ()
    prominence = np.array([_prominence(freqs, density, float(freqs[i])) for i in inside])
    near = int(inside[int(np.argmax(prominence))])
    # adjacent windows may contain the same peak
    top = near - 1 + int(np.argmax(np.median(density[:, near - 1 : near + 2], axis=0)))
    line_hz = _interpolated(freqs, density, top)
    absent = [m for m in _MAINS_HZ if m < freqs[-1] - 6 and _prominence(freqs, density, m) < _ABSENT]
    usual = all(abs(line_hz - m) > 0.7 for m in _MAINS_HZ)
    known = [m for m in _MAINS_HZ if m < freqs[-1] - 6]
    if prominence.max() < _NARROW or not usual or absent != known:
        return ()
    if 2 * line_hz > freqs[-1] - 6 or _prominence(freqs, density, 2 * line_hz) < _HARMONIC:
        return ()
    others = [
        (abs(np.log(rate / sfreq_hz)), rate, mains)
        for rate in _USUAL_HZ
        for mains in _MAINS_HZ
        if abs(mains * sfreq_hz / rate - line_hz) <= _TOLERANCE_HZ and abs(rate - sfreq_hz) > 0.5
    ]
    if not others:
        return ()
    _, rate, mains = min(others)
    return (
        f"there is line noise with a harmonic at {line_hz:.1f} Hz and none at 50 or 60 Hz: "
        f"if it is the {mains:g} Hz mains, the sampling rate is {rate:g} Hz, not {sfreq_hz:g} Hz",
    )


def _prominence(freqs: np.ndarray, density: np.ndarray, at_hz: float) -> float:
    """Ratio of the density at a frequency to its surroundings that nine of ten channels reach."""
    peak = np.abs(freqs - at_hz) <= 0.26
    beside = (np.abs(freqs - at_hz) >= 1.5) & (np.abs(freqs - at_hz) <= 5.0)
    ratios = density[:, peak].max(axis=1) / np.median(density[:, beside], axis=1)
    return float(np.quantile(ratios, 0.1))


def _interpolated(freqs: np.ndarray, density: np.ndarray, top: int) -> float:
    """The line's frequency, interpolated by a parabola through the log densities of three bins."""
    left, middle, right = np.median(np.log(density[:, top - 1 : top + 2]), axis=0)
    bend = left - 2 * middle + right
    return float(freqs[top] + (0.0 if bend == 0 else 0.5 * (left - right) / bend) * (freqs[1] - freqs[0]))
