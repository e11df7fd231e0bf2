"""Overlap-save: filter and resample a long stretch in blocks, with one pair of real float32 FFTs each.

A block of N input samples is transformed, multiplied by the filter's (real) response, cropped or padded to the new
rate and transformed back; samples within the filter's length of either end are discarded. Blocks of about 65536
samples stay in the cache and are faster than one large transform; a day of EEG needs no more memory than ten minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import Stretch
from eegprep.standardise.fir import zero_phase_response
from eegprep.standardise.resample import MAX_PERIOD, change_rate

# Input samples per transform, unless the filter is longer.
TARGET = 65536
# With no filter the block's ends ring with 1 / distance; this many samples are discarded.
LEAST_MARGIN = 4096
# Channels per transform: enough for the vector units, few enough for the cache.
GROUP = 8
_SEARCH = 4096


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """How a stretch is divided into blocks.

    Attributes
    ----------
    n_in, n_out : int
        Lengths of the forward and of the inverse transform.
    margin : int
        Input samples discarded at either end of a block, at least half the filter.
    n_valid : int
        Valid output samples per block.
    response : ndarray, (n_in // 2 + 1,) float32
        The filter at the transform's frequencies.
    ratio : Fraction
    """

    n_in: int
    n_out: int
    margin: int
    n_valid: int
    response: NDArray[np.float32]
    ratio: Fraction

    def starts(self, outputs: range) -> Iterator[range]:
        """The output samples of each block, in order."""
        for start in range(outputs.start, outputs.stop, self.n_valid):
            yield range(start, min(start + self.n_valid, outputs.stop))

    def run(
        self,
        signal: Any,
        stretch: Stretch,
        rows: NDArray[np.intp],
        offsets: NDArray[np.float64],
        parts: Sequence[range],
        pool: ThreadPoolExecutor | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Output samples of each part (counted from the stretch's start) of the given rows, (n_rows, n) float32.

        With a pool, the next part is computed while the caller processes the previous one.

        Parameters
        ----------
        signal : array-like, (n_channels, n_samples)
            In microvolt, indexed as `signal[:, start:stop]`.
        offsets : ndarray, (n_rows,)
            Subtracted in float64, before the cast.
        """
        if pool is None:
            for part in parts:
                yield self._begin(signal, stretch, rows, offsets, part, None)()
            return
        finish = None
        for part in parts:
            following = self._begin(signal, stretch, rows, offsets, part, pool)
            if finish is not None:
                yield finish()
            finish = following
        if finish is not None:
            yield finish()

    def _begin(
        self,
        signal: Any,
        stretch: Stretch,
        rows: NDArray[np.intp],
        offsets: NDArray[np.float64],
        outputs: range,
        pool: ThreadPoolExecutor | None,
    ) -> Callable[[], NDArray[np.float32]]:
        """Read the input of one part and, with a pool, start computing it; the returned function waits for it."""
        period = _period(self.ratio)
        start = math.floor((outputs.start / self.ratio - self.margin) / period) * period
        # If no input sample is on the output grid, the remainder is a phase shift.
        lead = (outputs.start / self.ratio - start) * Fraction(self.n_out, self.n_in)
        skip, shift = int(lead), float((lead - int(lead)) / self.n_out)
        window = _Window(signal, stretch, start, self.n_in)
        out = np.empty((len(rows), len(outputs)), np.float32)

        def one(first: int) -> None:
            part = slice(first, min(first + GROUP, len(rows)))
            work = window.extended(rows[part], offsets[part])
            out[part] = self._transform(work, shift)[:, skip : skip + len(outputs)]

        groups = range(0, len(rows), GROUP)
        begun = [] if pool is None else [pool.submit(one, first) for first in groups]

        def finish() -> NDArray[np.float32]:
            for future in begun:
                future.result()
            if pool is None:
                for first in groups:
                    one(first)
            return out

        return finish

    def _transform(self, work: NDArray[np.float32], shift: float) -> NDArray[np.float32]:
        from scipy.fft import irfft, rfft

        spectrum = rfft(work, axis=-1, overwrite_x=True)
        n = min(spectrum.shape[-1], self.n_out // 2 + 1)
        spectrum = spectrum[:, :n] if self.n_out < self.n_in else spectrum
        spectrum *= self.response[: spectrum.shape[-1]]
        if self.n_in != self.n_out:
            spectrum = change_rate(spectrum, self.n_in, self.n_out)
        if shift:
            spectrum *= np.exp(2j * np.pi * shift * np.arange(spectrum.shape[-1])).astype(np.complex64)
        return irfft(spectrum, self.n_out, axis=-1, overwrite_x=True)


def plan_blocks(taps: NDArray[np.float64], ratio: Fraction, n_outputs: int) -> Blocks:
    """Blocks for `n_outputs` output samples through a symmetric filter.

    The work is spread evenly, so that the last block is not nearly empty.
    """
    half = taps.size // 2
    period = _period(ratio)
    margin = -(-max(half, LEAST_MARGIN) // period) * period
    span = math.ceil(n_outputs / ratio)
    n_blocks = max(1, round(span / max(TARGET - 2 * margin, 3 * margin)))
    valid = -(-span // (n_blocks * period)) * period
    n_in, n_out = _lengths(valid + 2 * margin + 2 * period, ratio, period)
    response = zero_phase_response(taps, n_in).astype(np.float32)
    n_valid = math.ceil(valid * ratio)
    return Blocks(n_in=n_in, n_out=n_out, margin=margin, n_valid=n_valid, response=response, ratio=ratio)


def _lengths(least: int, ratio: Fraction, period: int) -> tuple[int, int]:
    """Transform lengths in the ratio `ratio`, of small prime factors, at least `least` input samples long."""
    from scipy.fft import next_fast_len

    if ratio.denominator == period:
        # An odd length has no bin at the Nyquist frequency, so a component there would drift within the block.
        step = period if period % 2 == 0 else 2 * period
        first = -(-least // step)
        for k in range(first, first + max(first // 4, 64)):
            n_in, n_out = k * step, k * step * ratio.numerator // ratio.denominator
            if next_fast_len(n_in, real=True) == n_in and next_fast_len(n_out, real=True) == n_out:
                return n_in, n_out
        return first * step, first * step * ratio.numerator // ratio.denominator
    least += least % 2
    best = min(range(least, least + _SEARCH, 2), key=lambda n: abs(float(n * ratio - round(n * ratio))))
    return best, round(best * ratio)


def _period(ratio: Fraction) -> int:
    """Input samples after which the input and output grids coincide again; 1 if the period is too long to use."""
    return ratio.denominator if ratio.denominator <= MAX_PERIOD else 1


class _Window:
    """`n` samples from `start` of a stretch, extended by point reflection and then by zeros."""

    def __init__(self, signal: Any, stretch: Stretch, start: int, n: int) -> None:
        length, stop = stretch.n_samples, start + n
        self._last = length - 1
        first = min(max(start, 0), length)
        end = min(stop, length)
        if start < 0:
            end = max(end, min(1 - start, length))
        if stop > length:
            first = min(first, max(2 * length - 1 - stop, 0))
        self._block = np.asarray(signal[:, stretch.start_sample + first : stretch.start_sample + end], dtype=np.float64)
        # Layout: [zeros) [left reflection) [samples) [right reflection) [zeros), in window coordinates.
        self._n, self._start, self._first = n, start, first

    def extended(self, rows: NDArray[np.intp], offsets: NDArray[np.float64]) -> NDArray[np.float32]:
        """(len(rows), n) float32, without the rows' offsets."""
        out = np.zeros((len(rows), self._n), np.float32)
        inside = slice(max(self._start, 0), min(self._start + self._n, self._last + 1))
        for target, row, offset in zip(out, rows, offsets, strict=True):
            samples = self._block[row]
            np.subtract(
                samples[inside.start - self._first : inside.stop - self._first],
                offset,
                out=target[inside.start - self._start : inside.stop - self._start],
                casting="same_kind",
            )
            if self._start < 0:
                # i = start ... -1 takes 2 x[0] - x[-i], within the stretch.
                count = min(-self._start, self._last)
                edge = samples[0] - offset  # a window that begins before the stretch contains its sample 0
                mirrored = samples[count:0:-1]
                target[-self._start - count : -self._start] = 2 * edge - (mirrored - offset)
            beyond = self._start + self._n - (self._last + 1)
            if beyond > 0:
                count = min(beyond, self._last)
                edge = samples[self._last - self._first] - offset
                at = self._last - self._first
                mirrored = samples[at - count : at][::-1]
                begin = self._last + 1 - self._start
                target[begin : begin + count] = 2 * edge - (mirrored - offset)
        return out
