"""Stored signals as lazy xarray variables: indexing selects, `.values` reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from eegprep.errors import InputError
from eegprep.recording import RecordingInfo
from eegprep.store.file import RecordingFile

#: The samples `start` to `stop` of a row, (stop - start,) float32.
ReadRow = Callable[[int, int, int], NDArray[np.float32]]


class _Rows(BackendArray):
    """(n_rows, n_samples) float32 behind xarray's protocol for lazy backends."""

    def __init__(self, shape: tuple[int, int], read: ReadRow) -> None:
        self.shape, self.read = shape, read
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[np.float32] | np.float32:
        rows, times = key
        wanted_rows = range(self.shape[0])[rows] if isinstance(rows, slice) else [rows % self.shape[0]]
        wanted = range(self.shape[1])[times if isinstance(times, slice) else slice(times, times + 1 or None)]
        low, high = sorted((wanted[0], wanted[-1])) if wanted else (0, -1)
        high += 1
        try:
            out = np.empty((len(wanted_rows), len(wanted)), np.float32)
            for place, row in enumerate(wanted_rows):
                samples = self.read(row, low, high)
                out[place] = samples[:: wanted.step] if wanted.step > 0 else samples[::-1][:: -wanted.step]
        except MemoryError as error:
            raise InputError(
                "the signal does not fit in memory",
                found=f"{len(wanted_rows)} rows of {len(wanted):,} samples",
                todo="select a part of it before it is loaded: `.isel(time=slice(start, stop))`",
            ) from error
        if not isinstance(times, slice):
            out = out[:, 0]
        return out if isinstance(rows, slice) else out[0]


def lazy_variable(shape: tuple[int, int], read: ReadRow) -> xr.Variable:
    """An (electrode, time) variable in microvolt whose samples are read on demand."""
    return xr.Variable(("electrode", "time"), indexing.LazilyIndexedArray(_Rows(shape, read)), {"units": "uV"})


def lazy_signal(file: RecordingFile, info: RecordingInfo) -> xr.DataArray:
    """(electrode, time) float32 in microvolt; electrodes are named as in `info.inputs`.

    `time` is the sample number at `attrs["sfreq_hz"]`.
    """
    return xr.DataArray(
        lazy_variable(file.shape, lambda row, start, stop: file.read(row, start, stop - start)),
        coords={
            "electrode": list(info.inputs),
            "reference": ("electrode", list(info.references)),
            "time": np.arange(info.n_samples),
        },
        name="signal_uv",
        attrs={"sfreq_hz": info.sfreq_hz, "unit": "uV", "recording": info.id},
    )
