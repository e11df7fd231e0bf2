"""Apply a recipe to a signal in memory, with the code that ingest uses."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import UsageError
from eegprep.manifest.recipe import Recipe
from eegprep.recording import Stretch
from eegprep.standardise.chain import plan_chain
from eegprep.standardise.signal import standardise
from eegprep.standardise.timeline import lay_out

if TYPE_CHECKING:
    import xarray as xr


def as_signal(
    values_uv: NDArray[np.floating], electrodes: list[str] | tuple[str, ...], sfreq_hz: float
) -> xr.DataArray:
    """Wrap (n_electrodes, n_samples) microvolt as an array (electrode, time) with its rate in `attrs`."""
    import xarray as xr  # loaded on demand: ingest uses plain arrays, and importing pandas takes a quarter of a second

    return xr.DataArray(
        values_uv,
        dims=("electrode", "time"),
        coords={"electrode": list(electrodes)},
        name="signal_uv",
        attrs={"sfreq_hz": float(sfreq_hz), "unit": "uV"},
    )


def apply_recipe(
    signal: xr.DataArray, recipe: Recipe, *, line_freq_hz: float | None = None, bad: Collection[str] = ()
) -> xr.DataArray:
    """Apply the steps of `recipe` to `signal`: (electrode, time) float32 in microvolt at 256 Hz.

    The step `reject` is ignored.

    Parameters
    ----------
    signal : DataArray
        One contiguous stretch in microvolt, from `as_signal`.
    line_freq_hz : float, optional
        For `notch` with `freq_hz: line`.
    bad : collection of str
        Electrodes that the average reference leaves out.

    Raises
    ------
    UsageError
        If the array has other dimensions or no rate, or the recipe cannot be run (see `plan_chain`).
    InputError
        If the signal is shorter than a filter.
    """
    if signal.dims != ("electrode", "time") or not signal.attrs.get("sfreq_hz", 0) > 0:
        raise UsageError(
            "a recipe needs a DataArray with dims (electrode, time) and attrs['sfreq_hz']",
            found=f"dims {signal.dims}, attrs {sorted(map(str, signal.attrs))}",
            todo="make one with eegprep.standardise.as_signal",
        )
    names = [str(e) for e in signal.electrode.values]
    chain = plan_chain(recipe, sfreq_hz=float(signal.attrs["sfreq_hz"]), line_freq_hz=line_freq_hz)
    n = signal.sizes["time"]
    timeline = lay_out([Stretch(start_sample=0, n_samples=n)], n, chain.ratio)
    out = np.empty((len(names), timeline.n_samples), np.float32)
    values = np.asarray(signal.values, dtype=np.float64)
    averaged = [name not in bad for name in names]
    for start, chunk in standardise(values, timeline, chain, rows=range(len(names)), averaged=averaged):
        out[:, start : start + chunk.shape[1]] = chunk
    return as_signal(out, names, chain.to_sfreq_hz).assign_attrs({**signal.attrs, "sfreq_hz": chain.to_sfreq_hz})
