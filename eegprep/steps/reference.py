"""Re-reference to the average of the electrodes, or keep what was recorded."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from eegprep.manifest.recipe import Reference
from eegprep.steps.arrays import like, values_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["reference"]


def reference(signal: xr.DataArray, step: Reference, *, bad: Collection[str] = ()) -> xr.DataArray:
    """`signal` minus the mean over the electrodes that are not in `bad` (`to: average`), or unchanged (`to: keep`)."""
    if step.to == "keep":
        return signal
    values = values_of(signal)
    good = np.array([str(e) not in bad for e in signal.electrode.values])
    if not good.any():
        return signal
    return like(signal, values - values[good].mean(axis=0))
