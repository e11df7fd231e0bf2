"""A recipe on one stretch of signal in memory: the steps one after another, in float64.

This is the readable reference of what `eegprep.steps.standardise` does fused; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from eegprep.manifest.recipe import BandPass, Notch, Recipe, Reference, RemoveOffset, Resample
from eegprep.steps.arrays import sfreq_of
from eegprep.steps.band_pass import band_pass
from eegprep.steps.chain import plan_chain
from eegprep.steps.fir import upper_stop_hz
from eegprep.steps.notch import notch
from eegprep.steps.reference import reference
from eegprep.steps.remove_offset import remove_offset
from eegprep.steps.resample import resample

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["apply_recipe"]


def apply_recipe(
    signal: xr.DataArray, recipe: Recipe, *, line_freq_hz: float | None = None, bad: Collection[str] = ()
) -> xr.DataArray:
    """`signal` (electrode, time) in microvolt at 256 Hz, after the steps of `recipe`; `reject` removes nothing here.

    Parameters
    ----------
    signal : DataArray
        One contiguous stretch, from `eegprep.steps.as_signal`.
    line_freq_hz : float, optional
        For `notch` with `freq_hz: line`.
    bad : collection of str
        Electrodes that the average reference leaves out.

    Raises
    ------
    UsageError
        Where the recipe cannot be run (see `plan_chain`).
    InputError
        Where the signal is shorter than a filter.
    """
    source_hz = sfreq_of(signal)
    plan_chain(recipe, sfreq_hz=source_hz, line_freq_hz=line_freq_hz)
    high_hz = next((s.high_hz for s in recipe.steps if isinstance(s, BandPass)), None)
    stop_hz = None if high_hz is None or high_hz >= source_hz / 2 else upper_stop_hz(high_hz, source_hz)
    for step in recipe.steps:
        if isinstance(step, RemoveOffset):
            signal = remove_offset(signal, step)
        elif isinstance(step, BandPass):
            signal = band_pass(signal, step)
        elif isinstance(step, Notch):
            signal = notch(signal, step, line_freq_hz=line_freq_hz, stop_hz=stop_hz)
        elif isinstance(step, Resample):
            signal = resample(signal, step)
        elif isinstance(step, Reference):
            signal = reference(signal, step, bad=bad)
    return signal
