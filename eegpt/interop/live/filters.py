"""A recipe's filters for a live signal, in chunks of any length; samples at 256 Hz are returned as soon as possible.

The offline filters are zero-phase and need future samples. For a live signal there are two choices:

- `minimum`: the same attenuation at every frequency with minimal delay: a few milliseconds in the alpha band, but
  phases are shifted near the edges of the band, most below 2 Hz.
- `linear`: the offline filter, delayed by half its length (3.3 s for 0.5 Hz).

The offset, which the recipe computes over the recording, is the median of the first chunk; the high-pass removes the
rest. Nothing is rejected.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eegprep.standardise.chain import Chain

Phase = Literal["minimum", "linear"]

_STOP_DB = 80.0
_FLOOR = 1e-8


def minimum_phase(taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The causal filter with the same attenuation and length and minimal delay.

    By the folded cepstrum: Oppenheim and Schafer, Discrete-Time Signal Processing, on the complex cepstrum.
    """
    n = 1 << int(np.ceil(np.log2(taps.size * 16)))
    magnitude = np.abs(np.fft.fft(taps, n))
    cepstrum = np.fft.ifft(np.log(np.maximum(magnitude, _FLOOR))).real
    fold = np.zeros(n)
    fold[[0, n // 2]] = 1.0
    fold[1 : n // 2] = 2.0
    return np.fft.ifft(np.exp(np.fft.fft(cepstrum * fold))).real[: taps.size]


class CausalChain:
    """Apply filters, resampling and reference of a `Chain` at the source's rate chunk by chunk.

    `latency_s` is the delay of the filters (at 10 Hz for `minimum`) plus the look-ahead of the resampling.
    """

    def __init__(self, chain: Chain, n_channels: int, *, phase: Phase = "minimum") -> None:
        self._chain, self._ratio = chain, Fraction(chain.ratio)
        joined = chain.joined()
        self._taps = minimum_phase(joined) if phase == "minimum" else joined
        self._past = np.zeros((n_channels, self._taps.size - 1))
        self._offset: NDArray[np.float64] | None = None
        self._half = self._half_width()
        self._held = np.zeros((n_channels, self._half))
        self._first = -self._half  # input index of the first buffered sample
        self._next = 0  # index of the next output sample
        delay = _delay(self._taps, 10.0, chain.sfreq_hz) if phase == "minimum" else (joined.size - 1) / 2
        self.filter_delay_s = delay / chain.sfreq_hz
        self.latency_s = self.filter_delay_s + self._half / chain.sfreq_hz

    def push(self, chunk_uv: NDArray[np.floating]) -> NDArray[np.float32]:
        """Output samples completed by the chunk (n_channels, n), (n_channels, m) float32 at 256 Hz."""
        from scipy.signal import oaconvolve

        work = np.asarray(chunk_uv, np.float64)
        if work.shape[1] == 0:
            return np.zeros((work.shape[0], 0), np.float32)
        if self._offset is None:
            none = self._chain.offset == "none"
            self._offset = np.zeros((len(work), 1)) if none else np.median(work, axis=1, keepdims=True)
        work = work - self._offset
        if self._taps.size > 1:
            joined = np.concatenate((self._past, work), axis=1)
            self._past = joined[:, joined.shape[1] - self._past.shape[1] :]
            work = oaconvolve(joined, self._taps[None, :], mode="valid", axes=1)
        out = work if self._ratio == 1 else self._resample(work)
        if self._chain.average and out.shape[1]:
            out = out - out.mean(axis=0, keepdims=True)
        return out.astype(np.float32)

    def _half_width(self) -> int:
        """Half width of the resampling kernel in input samples."""
        if self._ratio == 1:
            return 0
        low_hz = min(self._chain.sfreq_hz, self._chain.to_sfreq_hz)
        # After a low-pass there is nothing near the Nyquist frequency, so a short kernel suffices.
        edge = 0.36 if self._chain.guarded else 0.45
        width_hz = (1 - 2 * edge) * low_hz
        self._cutoff = low_hz / 2 / self._chain.sfreq_hz
        seconds = (_STOP_DB - 7.95) / (14.36 * width_hz)
        return int(np.ceil(seconds * self._chain.sfreq_hz / 2))

    def _resample(self, work: NDArray[np.float64]) -> NDArray[np.float64]:
        self._held = np.concatenate((self._held, work), axis=1)
        stop = self._first + self._held.shape[1]
        # Output k is at k / ratio; it can be computed once the kernel's last sample is known.
        last = int((stop - 1 - self._half) * self._ratio)
        k = np.arange(self._next, last + 1)
        if not len(k):
            return np.zeros((len(work), 0))
        place = np.array([float(Fraction(int(i)) / self._ratio) for i in k])
        centre = np.floor(place).astype(np.int64)
        offsets = np.arange(1 - self._half, self._half + 1)
        distance = place[:, None] - (centre[:, None] + offsets)
        weights = 2 * self._cutoff * np.sinc(2 * self._cutoff * distance)
        inside = np.clip(1 - (distance / self._half) ** 2, 0, None)
        beta = 0.1102 * (_STOP_DB - 8.7)
        weights *= np.i0(beta * np.sqrt(inside)) / np.i0(beta)
        weights /= weights.sum(axis=1, keepdims=True)
        index = np.minimum(centre[:, None] + offsets - self._first, self._held.shape[1] - 1)
        out = np.einsum("ckl,kl->ck", self._held[:, np.maximum(index, 0)], weights)
        self._next = int(k[-1]) + 1
        needed = int(np.floor(float(Fraction(self._next) / self._ratio))) + 1 - self._half
        drop = max(0, min(needed - self._first, self._held.shape[1]))
        self._held, self._first = self._held[:, drop:], self._first + drop
        return out


def _delay(taps: NDArray[np.float64], freq_hz: float, sfreq_hz: float) -> float:
    """Group delay in samples at one frequency."""
    if taps.size == 1:
        return 0.0
    turn = np.exp(-2j * np.pi * freq_hz / sfreq_hz * np.arange(taps.size))
    return float(((taps * np.arange(taps.size)) @ turn / (taps @ turn)).real)
