"""The wrap-around term that MNE's Fourier resampling adds at the ends of a recording, in closed form.

MNE treats the padded stretch as one period of a periodic signal. At the seam, 100 samples outside the stretch, the end
jumps to the beginning, and cutting the spectrum at the Nyquist frequency makes that jump ring through the signal: a
few tenths of a microvolt at the ends, falling with 1 / distance. A block-wise transform has no such seam. The term
is computed and added to agree with MNE, whether or not a stretch was short enough for one transform.

With z the filtered, padded stretch of M samples, w a smooth bump around the seam and D the periodic sinc of the bins
that survive, the smooth part (1 - w) z passes unchanged, so only g = w z matters:

    term(t) = sum_s g(s) D(t - s) - g(t)

Near the seam this is summed directly. Far from it, D(t - s) = sin(pi B (t - s) / M) c(t - s) / M has a smooth envelope
c, expanded to second order in s: six numbers per channel suffice for the recording.

Positions u count input samples from the seam: u >= 0 in the stretch's beginning, u < 0 in its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# Half width of the bump w, input samples: a Kaiser ramp this long has its spectrum within 2 % of the rate.
_WIDTH = 288
# Below this ratio 2 % of the rate is too wide relative to the new Nyquist frequency, so the ramp is longer.
_WIDE_BELOW = Fraction(1, 8)
_FLAT = 32
_KAISER_BETA = 12.0
# Points per sample at which w is tabulated: it must be the same w at output samples as at input samples.
_FINE = 32
# Half width, output samples, of the interpolation from the output grid back to the input grid.
INTERPOLATION = 32
_INTERPOLATION_BETA = 12.0
# Beyond this many input samples from the seam a jump of 100 µV adds less than 0.0002 µV.
_REACH = 2**18


@dataclass(frozen=True, kw_only=True)
class _Geometry:
    """Geometry: n input samples padded by `before` and `after`, resampled by `ratio`."""

    n_samples: int
    n_out: int
    before: int
    after: int
    ratio: Fraction

    @property
    def total(self) -> int:
        return self.before + self.n_samples + self.after

    @property
    def bins(self) -> int:
        """B of the module docstring: the number of bins of the two-sided spectrum that survive."""
        shorter = min(self.total, round(self.total * self.ratio))
        return shorter + 1 if shorter % 2 == 0 and self.ratio < 1 else shorter

    def kernel(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """D at a distance of `u` input samples."""
        x = np.pi * u / self.total
        safe = np.where(np.abs(np.sin(x)) < 1e-12, 1.0, np.sin(x))
        envelope = np.cos(x) / safe if self._halved else 1.0 / safe
        values = np.sin(self.bins * x) * envelope / self.total
        return np.where(np.abs(np.sin(x)) < 1e-12, self.bins / self.total, values)

    @property
    def _halved(self) -> bool:
        """Upsampling of an even length halves the bin at the Nyquist frequency: cot instead of 1 / sin."""
        return self.ratio > 1 and self.total % 2 == 0

    def far(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """(6, n): sin and cos of the carrier times the envelope's zeroth to second derivative, over M."""
        x = np.pi * u / self.total
        sin, cos, k = np.sin(x), np.cos(x), np.pi / self.total
        if self._halved:
            orders = (cos / sin, -k / sin**2, 2 * k**2 * cos / sin**3)
        else:
            orders = (1 / sin, -k * cos / sin**2, k**2 * (1 + cos**2) / sin**3)
        carrier = (np.sin(self.bins * x) / self.total, -np.cos(self.bins * x) / self.total)
        return np.stack([c * o for o in orders for c in carrier])


def width(ratio: Fraction) -> int:
    """Half width of the bump w in input samples."""
    return _WIDTH if ratio >= _WIDE_BELOW else math.ceil(_WIDTH * _WIDE_BELOW / ratio)


def strip_outputs(n_samples: int, before: int, after: int, ratio: Fraction) -> tuple[range, range]:
    """The output samples (also outside 0..n_out) at the beginning and at the end that `Seam` needs."""
    low = math.floor(-before * ratio) - INTERPOLATION - 1
    high = math.ceil((2 * width(ratio) - before) * ratio) + INTERPOLATION + 1
    low_end = math.floor((n_samples + after - 2 * width(ratio)) * ratio) - INTERPOLATION - 1
    high_end = math.ceil((n_samples + after) * ratio) + INTERPOLATION + 1
    return range(low, high), range(low_end, high_end)


class Seam:
    """The term of one stretch, ready to be added to any part of its output.

    Parameters
    ----------
    n_samples, n_out : int
        Length of the stretch before and after resampling.
    before, after : int
        Padding in input samples (`eegprep.standardise.resample.padding`).
    ratio : Fraction
        Output samples per input sample.
    begin, end : ndarray, (n_channels, len(strip)) float
        The resampled signal over the two ranges of `strip_outputs`.
    """

    def __init__(
        self,
        *,
        n_samples: int,
        n_out: int,
        before: int,
        after: int,
        ratio: Fraction,
        begin: NDArray[np.floating],
        end: NDArray[np.floating],
    ) -> None:
        self._at = _Geometry(n_samples=n_samples, n_out=n_out, before=before, after=after, ratio=ratio)
        strips = strip_outputs(n_samples, before, after, ratio)
        self._width = width(ratio)
        u = np.arange(-self._width, self._width, dtype=np.float64)
        # Input positions of the two halves of the bump, on the stretch's own time line.
        right = _interpolate(end, strips[1].start, (u[: self._width] + n_samples + after) * float(ratio))
        left = _interpolate(begin, strips[0].start, (u[self._width :] - before) * float(ratio))
        self._g = np.concatenate([right, left], axis=1) * _bump(u, self._width)
        self._u = u
        self._near = {
            0: self._direct(strips[0], begin, lambda k: k / float(ratio) + before),
            1: self._direct(strips[1], end, lambda k: k / float(ratio) - n_samples - after),
        }
        theta = np.pi * self._at.bins * u / self._at.total
        moments = [(-u) ** j / f for j, f in ((0, 1), (1, 1), (2, 2))]
        carriers = (np.cos(theta), np.sin(theta))
        self._coefficients = np.stack([self._g @ (m * c) for m in moments for c in carriers], axis=1)

    def add_to(self, chunk: NDArray[np.float32], start: int) -> None:
        """Add the term to output samples `start ...` of the stretch, (n_channels, n) float32, in place."""
        stop = start + chunk.shape[1]
        begin, first = self._near[0]
        end, last = self._near[1]
        for term, offset in ((begin, first), (end, last)):
            a, b = max(start, offset), min(stop, offset + term.shape[1])
            if a < b:
                chunk[:, a - start : b - start] += term[:, a - offset : b - offset]
        reach = int(_REACH * self._at.ratio)
        low, high = first + begin.shape[1], last
        for a, b in (
            (max(start, low), min(stop, high, low + reach)),
            (max(start, low + reach, high - reach), min(stop, high)),
        ):
            if a < b:
                u = np.arange(a, b) / float(self._at.ratio) + self._at.before
                chunk[:, a - start : b - start] += (self._coefficients @ self._at.far(u)).astype(np.float32)

    def _direct(
        self, strip: range, values: NDArray[np.floating], position: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ) -> tuple[NDArray[np.float32], int]:
        """The term within 2 widths of the seam, and its first output sample.

        Empty if the padding is wider than that (5000 Hz): the entire stretch is then far from the seam.
        """
        k = np.arange(max(strip.start, 0), min(strip.stop, self._at.n_out))
        u = position(k.astype(np.float64))
        k, u = k[np.abs(u) < 2 * self._width], u[np.abs(u) < 2 * self._width]
        if not k.size:
            return np.empty((len(values), 0), np.float32), 0 if strip.start < 0 else self._at.n_out
        ideal = values[:, k - strip.start] * _bump(u, self._width)
        term = self._g @ self._at.kernel(u[None, :] - self._u[:, None]) - ideal
        return term.astype(np.float32), int(k[0])


def _bump(u: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """w: 1 at the seam, 0 from its half width on, between them the integral of a Kaiser window."""
    distance = np.linspace(_FLAT, half, (half - _FLAT) * _FINE + 1)
    window = np.kaiser(distance.size, _KAISER_BETA)
    area = np.concatenate([[0.0], np.cumsum((window[1:] + window[:-1]) / 2)])
    return np.interp(np.abs(u + 0.5), distance, 1 - area / area[-1], left=1.0, right=0.0)


def _interpolate(strip: NDArray[np.floating], start: int, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_channels, len(positions)): the strip, whose first sample is output sample `start`, at any positions."""
    nearest = np.floor(positions).astype(int)
    offsets = np.arange(1 - INTERPOLATION, INTERPOLATION + 1)
    index = nearest[:, None] + offsets
    distance = positions[:, None] - index
    shape = np.clip(1 - (distance / INTERPOLATION) ** 2, 0, None)
    weights = np.sinc(distance) * np.i0(_INTERPOLATION_BETA * np.sqrt(shape)) / np.i0(_INTERPOLATION_BETA)
    return np.einsum("cpk,pk->cp", strip[:, index - start].astype(np.float64), weights)
