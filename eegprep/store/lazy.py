"""A stored recording as a lazy xarray.DataArray: indexing selects, `.values` reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from eegprep.recording import RecordingInfo
from eegprep.store.file import RecordingFile


class _ArrowArray(BackendArray):
    """(n_electrodes, n_samples) float32 behind xarray's protocol for lazy backends."""

    def __init__(self, file: RecordingFile) -> None:
        self.file = file
        self.shape = file.shape
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[np.float32] | np.float32:
        rows, times = key
        row_range = range(self.shape[0])[rows] if isinstance(rows, slice) else [rows % self.shape[0]]
        if isinstance(times, slice):
            wanted = range(self.shape[1])[times]
        else:
            wanted = range(self.shape[1])[times : times + 1 or None]
        low = min(wanted, default=0)
        high = max(wanted, default=-1)
        out = np.empty((len(row_range), len(wanted)), np.float32)
        for i, row in enumerate(row_range):
            samples = self.file.read(row, low, high - low + 1)
            out[i] = samples[:: wanted.step] if wanted.step > 0 else samples[::-1][:: -wanted.step]
        if not isinstance(times, slice):
            out = out[:, 0]
        return out if isinstance(rows, slice) else out[0]


def lazy_signal(file: RecordingFile, info: RecordingInfo) -> xr.DataArray:
    """(electrode, time) float32 in microvolt; electrodes are named as in `info.inputs`.

    `time` is the sample number at `attrs["sfreq_hz"]`.
    """
    variable = xr.Variable(("electrode", "time"), indexing.LazilyIndexedArray(_ArrowArray(file)))
    return xr.DataArray(
        variable,
        coords={
            "electrode": list(info.inputs),
            "reference": ("electrode", list(info.references)),
            "time": np.arange(info.n_samples),
        },
        name="signal_uv",
        attrs={"sfreq_hz": info.sfreq_hz, "unit": "uV", "recording": info.id},
    )
