"""Zero-phase band-pass, high-pass or low-pass: MNE's default FIR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eegprep.manifest.recipe import BandPass
from eegprep.steps.arrays import like, sfreq_of, values_of
from eegprep.steps.fir import band_pass_taps, filter_zero_phase

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["band_pass", "usable_edges"]


def band_pass(signal: xr.DataArray, step: BandPass) -> xr.DataArray:
    """`signal` between `step.low_hz` and `step.high_hz`; an upper edge beyond the Nyquist frequency is left open.

    Raises
    ------
    InputError
        Where the filter is longer than the signal.
    """
    low, high = usable_edges(step, sfreq_of(signal))
    if low is None and high is None:
        return signal
    return like(signal, filter_zero_phase(values_of(signal), band_pass_taps(low, high, sfreq_of(signal))))


def usable_edges(step: BandPass, sfreq_hz: float) -> tuple[float | None, float | None]:
    """The step's edges at this rate: nothing lies above the Nyquist frequency that would have to be cut off."""
    high = step.high_hz if step.high_hz is not None and step.high_hz < sfreq_hz / 2 else None
    return step.low_hz, high
