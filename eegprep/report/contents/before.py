"""Spectra before the steps, collected from the recordings' sidecars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from eegprep.recording import RecordingInfo
from eegprep.report.contents.facts import Spectrum

# Tolerance for rounding, so that the last frequency of a grid is not lost.
_ROUNDING = 1e-9


def spectra_before(infos: Sequence[RecordingInfo]) -> tuple[Spectrum, ...]:
    """One spectrum per data set: the median over recordings, on the finest grid among them."""
    own: dict[str, list[RecordingInfo]] = defaultdict(list)
    for info in infos:
        if info.spectrum_before_uv2_hz and info.spectrum_step_hz > 0:
            own[info.dataset].append(info)
    return tuple(_spectrum(dataset, own[dataset]) for dataset in sorted(own))


def _spectrum(dataset: str, infos: Sequence[RecordingInfo]) -> Spectrum:
    step_hz = min(i.spectrum_step_hz for i in infos)
    highest = max(len(i.spectrum_before_uv2_hz) * i.spectrum_step_hz for i in infos)
    freq_hz = step_hz * np.arange(1, int(highest / step_hz * (1 + _ROUNDING)) + 1)
    rows = np.array([_on_grid(i, freq_hz) for i in infos])
    # Recordings at a lower rate lack the highest frequencies; each frequency has at least one finite row.
    low, median, high = np.nanpercentile(rows, [10, 50, 90], axis=0)
    return Spectrum(
        dataset=dataset,
        stage="before",
        freq_hz=tuple(freq_hz.tolist()),
        median=tuple(median.tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        n=len(infos),
    )


def _on_grid(info: RecordingInfo, freq_hz: np.ndarray) -> np.ndarray:
    own_hz = info.spectrum_step_hz * np.arange(1, len(info.spectrum_before_uv2_hz) + 1)
    density = np.interp(freq_hz, own_hz, info.spectrum_before_uv2_hz)
    density[freq_hz > own_hz[-1] * (1 + _ROUNDING)] = np.nan
    return density
