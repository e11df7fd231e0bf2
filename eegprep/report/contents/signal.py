"""Spectra and amplitudes from a sample of the signal.

One spectrum and one histogram per data set, from at most `MAX_RECORDINGS` recordings, evenly spread over the
sorted list, and `MAX_WINDOWS` windows of each electrode, evenly spread over its kept signal. The choice depends on the
list only, so equal inputs give equal figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import Stretch, spread
from eegprep.report.contents.facts import Amplitudes, Spectrum

MAX_RECORDINGS = 120
MAX_WINDOWS = 6
WINDOW_SAMPLES = 512
SHORTEST_WINDOW = 32
HISTOGRAM_BINS = 80


@dataclass(frozen=True, kw_only=True)
class ElectrodeSignal:
    """One electrode of one recording; `read(start_sample, n_samples)` returns (n_samples,) in microvolt."""

    dataset: str
    recording: str
    electrode: str
    sfreq_hz: float
    stretches: tuple[Stretch, ...]
    read: Callable[[int, int], NDArray[np.floating]]


def look_at(signals: Sequence[ElectrodeSignal]) -> tuple[tuple[Spectrum, ...], Amplitudes | None, int]:
    """Spectra by data set, amplitudes over all, and the number of recordings used."""
    recordings = sorted({s.recording for s in signals})
    chosen = {recordings[i] for i in spread(len(recordings), MAX_RECORDINGS)}
    by_dataset: dict[str, list[ElectrodeSignal]] = defaultdict(list)
    for signal in signals:
        if signal.recording in chosen:
            by_dataset[signal.dataset].append(signal)
    spectra, samples = [], []
    for dataset in sorted(by_dataset):
        spectrum, seen = _dataset_spectrum(dataset, by_dataset[dataset])
        samples.append(seen)
        if spectrum is not None:
            spectra.append(spectrum)
    everything = np.concatenate(samples) if samples else np.empty(0)
    return tuple(spectra), _amplitudes(everything), len(chosen)


def _dataset_spectrum(dataset: str, signals: Sequence[ElectrodeSignal]) -> tuple[Spectrum | None, NDArray[np.float64]]:
    lengths = [s.n_samples for signal in signals for s in signal.stretches]
    if not lengths:
        return None, np.empty(0)
    longest = max(SHORTEST_WINDOW, int(np.median(lengths)))
    n_window = min(WINDOW_SAMPLES, 1 << (longest.bit_length() - 1))
    rate = signals[0].sfreq_hz
    freq_hz = np.fft.rfftfreq(n_window, 1 / rate)
    densities, seen = [], []
    for signal in signals:
        windows = _windows(signal, n_window)  # (n_windows, n_window)
        if not len(windows):
            continue
        seen.append(windows.ravel())
        densities.append(power_density(windows, rate))
    values = np.concatenate(seen) if seen else np.empty(0)
    if not densities:
        return None, values
    low, median, high = np.percentile(np.array(densities), [10, 50, 90], axis=0)
    inside = (freq_hz > 0) & (freq_hz <= rate * 0.47)  # the last bins contain the anti-alias filter's edge
    spectrum = Spectrum(
        dataset=dataset,
        stage="after",
        freq_hz=tuple(freq_hz[inside].tolist()),
        median=tuple(median[inside].tolist()),
        low=tuple(low[inside].tolist()),
        high=tuple(high[inside].tolist()),
        n=len(densities),
    )
    return spectrum, values


def _windows(signal: ElectrodeSignal, n_window: int) -> NDArray[np.float64]:
    starts = [
        start for s in signal.stretches for start in range(s.start_sample, s.stop_sample - n_window + 1, n_window)
    ]
    rows = [np.asarray(signal.read(starts[i], n_window), dtype=np.float64) for i in spread(len(starts), MAX_WINDOWS)]
    kept = [row for row in rows if np.isfinite(row).all()]
    return np.array(kept) if kept else np.empty((0, n_window))


def power_density(windows: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Welch's estimate: Hann windows, mean removed, averaged; one-sided, µV²/Hz."""
    n = windows.shape[1]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    spectrum = np.abs(np.fft.rfft((windows - windows.mean(axis=1, keepdims=True)) * hann, axis=1)) ** 2
    spectrum *= 2 / (rate * (hann**2).sum())
    spectrum[:, 0] /= 2
    if n % 2 == 0:
        spectrum[:, -1] /= 2
    mean: NDArray[np.float64] = spectrum.mean(axis=0)
    return mean


def _amplitudes(values: NDArray[np.float64]) -> Amplitudes | None:
    if not values.size:
        return None
    bound = float(np.percentile(np.abs(values), 99.5)) or 1.0
    magnitude = 10.0 ** np.floor(np.log10(bound))
    bound = float(np.ceil(bound / magnitude * 2) / 2 * magnitude)  # a round number for the axis
    edges = np.linspace(-bound, bound, HISTOGRAM_BINS + 1)
    counts, _ = np.histogram(values, edges)
    return Amplitudes(
        edges_uv=tuple(edges.tolist()),
        counts=tuple(int(c) for c in counts),
        n_beyond=int(values.size - counts.sum()),
        n_samples=int(values.size),
    )
