"""What every step takes and gives: an xarray.DataArray (electrode, time) in microvolt with `attrs["sfreq_hz"]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import UsageError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["as_signal", "values_of", "like", "sfreq_of"]


def as_signal(
    values_uv: NDArray[np.floating], electrodes: list[str] | tuple[str, ...], sfreq_hz: float
) -> xr.DataArray:
    """(n_electrodes, n_samples) microvolt as the DataArray that steps take."""
    import xarray as xr  # loaded on demand: ingest works on plain arrays, and pandas takes a quarter of a second

    return xr.DataArray(
        values_uv,
        dims=("electrode", "time"),
        coords={"electrode": list(electrodes)},
        name="signal_uv",
        attrs={"sfreq_hz": float(sfreq_hz), "unit": "uV"},
    )


def sfreq_of(signal: xr.DataArray) -> float:
    """The signal's rate.

    Raises
    ------
    UsageError
        Where the array is not (electrode, time) or carries no rate.
    """
    if signal.dims != ("electrode", "time") or not signal.attrs.get("sfreq_hz", 0) > 0:
        raise UsageError(
            "a step needs a DataArray with dims (electrode, time) and attrs['sfreq_hz']",
            found=f"dims {signal.dims}, attrs {sorted(map(str, signal.attrs))}",
            todo="make one with eegprep.steps.as_signal",
        )
    return float(signal.attrs["sfreq_hz"])


def values_of(signal: xr.DataArray) -> NDArray[np.float64]:
    """The samples as float64, (n_electrodes, n_samples); the caller's array is never written to."""
    return np.asarray(signal.values, dtype=np.float64)


def like(signal: xr.DataArray, values_uv: NDArray[np.floating], sfreq_hz: float | None = None) -> xr.DataArray:
    """`values_uv` under the names of `signal`, in a new array."""
    out = as_signal(values_uv, [str(e) for e in signal.electrode.values], sfreq_hz or sfreq_of(signal))
    return out.assign_attrs({**signal.attrs, "sfreq_hz": sfreq_hz or sfreq_of(signal)})
