"""A shard set as xarray, read lazily, and back to MNE.

A shard set is a mapping of recording ids to `xarray.Dataset` with `signal_uv` (electrode, time) in microvolt, NaN in
gaps, and the trials; `to_raw` converts one to `mne.io.RawArray`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from eegprep.errors import nearest
from eegprep.manifest.recipe import describe_steps
from eegprep.remote import open_shards as open_set
from eegprep.shards import ShardSet
from eegprep.store.raw import to_raw

__all__ = ["ShardRecordings", "open_shards", "to_raw"]


def open_shards(path: Path | str) -> ShardRecordings:
    """Open a shard set as xarray; only its index is read.

    Parameters
    ----------
    path : Path or str
        A folder written by `eegprep shard`, or an address (`s3://`, `https://`, `hf://`).

    Examples
    --------
    >>> recordings = open_shards("shards")  # doctest: +SKIP
    >>> recordings["eegmat/Subject00/-/1"].signal_uv.sel(electrode="Cz")[:1024].values  # doctest: +SKIP
    """
    return ShardRecordings(open_set(path))


class ShardRecordings(Mapping[str, xr.Dataset]):
    """Recordings of a shard set by id, in the set's order.

    Parameters
    ----------
    shards : ShardSet
    """

    def __init__(self, shards: ShardSet) -> None:
        self.shards = shards
        self._row = {name: row for row, name in enumerate(shards.recordings.id)}
        order = np.argsort(shards.blocks.recording, kind="stable")
        edges = np.searchsorted(shards.blocks.recording[order], np.arange(len(self._row) + 1))
        self._blocks = [order[a:b] for a, b in itertools.pairwise(edges)]

    def __len__(self) -> int:
        return len(self._row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __getitem__(self, recording: str) -> xr.Dataset:
        if recording not in self._row:
            # A mapping must raise KeyError for `in` and `get` to work.
            raise KeyError(f"no recording {recording!r} in this shard set. {nearest(recording, self._row)}")
        return self._dataset(self._row[recording])

    def _dataset(self, row: int) -> xr.Dataset:
        table, blocks = self.shards.recordings, self._blocks[row]
        ids = np.unique(self.shards.blocks.electrode[blocks])
        names = [self.shards.vocabulary.name_of(int(i)) for i in ids]
        array = _Signal(self.shards, blocks, ids, int(table.n_samples[row]))
        sigma = {int(self.shards.blocks.electrode[b]): float(self.shards.blocks.sigma_uv[b]) for b in blocks}
        sfreq_hz = float(table.sfreq_hz[row])
        trials, t = self.shards.trials, np.flatnonzero(self.shards.trials.recording == row)
        facts = table.facts(row)
        plain = {c: table.table[c][row].as_py() for c in ("source_sfreq_hz", "line_freq_hz")}
        line_freq_hz = None if math.isnan(plain["line_freq_hz"]) else plain["line_freq_hz"]
        steps = describe_steps(
            table.steps(row).steps_json(), sfreq_hz=plain["source_sfreq_hz"], line_freq_hz=line_freq_hz
        )
        return xr.Dataset(
            {
                "signal_uv": (("electrode", "time"), indexing.LazilyIndexedArray(array), {"units": "uV"}),
                "trial_start_sample": ("trial", trials.start_sample[t]),
                "trial_n_samples": ("trial", trials.n_samples[t]),
                "trial_task": ("trial", [trials.task_names[i] for i in trials.task[t]]),
                "trial_label": ("trial", [trials.label_names[i] for i in trials.label[t]]),
            },
            coords={
                "electrode": names,
                "time": ("time", np.arange(array.shape[1]) / sfreq_hz, {"units": "s"}),
                "sigma_uv": ("electrode", [sigma[int(i)] for i in ids], {"units": "uV"}),
                "reference": ("electrode", [str(facts.get(n, {}).get("reference", "")) for n in names]),
            },
            attrs={
                "recording": table.id[row],
                "subject": table.subject[row],
                "session": table.session[row],
                "run": table.run[row],
                "split": table.split[row],
                "sfreq_hz": sfreq_hz,
                "line_freq_hz": plain["line_freq_hz"],
                "source_sfreq_hz": plain["source_sfreq_hz"],
                "steps": list(steps),
                "shard_set_sha256": self.shards.sha256,
            },
        )


class _Signal(BackendArray):
    """(n_electrodes, n_samples) float32 for xarray's lazy backend protocol."""

    def __init__(self, shards: ShardSet, blocks: NDArray[np.intp], ids: NDArray[np.int32], n_samples: int) -> None:
        self.shards = shards
        self.of_row = [blocks[shards.blocks.electrode[blocks] == i] for i in ids]
        self.shape = (len(ids), n_samples)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[np.float32] | np.float32:
        rows, times = key
        wanted_rows = range(self.shape[0])[rows] if isinstance(rows, slice) else [rows % self.shape[0]]
        wanted = range(self.shape[1])[times if isinstance(times, slice) else slice(times, times + 1 or None)]
        low, high = (min(wanted), max(wanted) + 1) if len(wanted) else (0, 0)
        out = np.full((len(wanted_rows), high - low), np.nan, np.float32)
        table = self.shards.blocks
        for place, row in enumerate(wanted_rows):
            for block in self.of_row[row]:
                start = int(table.start_sample[block])
                a, b = max(low, start), min(high, start + int(table.n_samples[block]))
                if a < b:
                    samples = self.shards.signal_i16(int(block))[a - start : b - start]
                    out[place, a - low : b - low] = samples * table.scale_uv[block]
        out = out[:, :: wanted.step] if wanted.step > 0 else out[:, ::-1][:, :: -wanted.step]
        if not isinstance(times, slice):
            out = out[:, 0]
        return out if isinstance(rows, slice) else out[0]
