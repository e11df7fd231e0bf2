"""A shard set as xarray, read lazily, and back to MNE.

A shard set is a mapping of recording ids to `xarray.Dataset` with `signal_uv` (electrode, time) in microvolt, NaN in
gaps, and the trials; a data set can be converted to `mne.io.RawArray` in volts with gaps and trials as annotations.
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

from eegprep.errors import UsageError, nearest
from eegprep.manifest.recipe import describe_steps
from eegprep.recording import Stretch
from eegprep.remote import open_shards as open_set
from eegprep.shards import ShardSet


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


def to_raw(recording: xr.Dataset) -> Any:
    """Convert a recording to `mne.io.RawArray` in volts, with known electrode positions and annotations.

    Gaps are annotated as `BAD_gap` for the electrodes concerned (without channels if common to all) and filled with
    zeros, since MNE's filters do not accept NaN. Trials become annotations `task/label`.

    Parameters
    ----------
    recording : xarray.Dataset
        A recording from `open_shards`, or a selection of it.
    """
    import mne

    from eegprep.electrodes import Vocabulary

    if "signal_uv" not in recording or recording["signal_uv"].dims != ("electrode", "time"):
        raise UsageError(
            "not a recording of a shard set",
            found=", ".join(map(str, recording.data_vars)),
            expected="signal_uv (electrode, time), from eegpt.interop.open_shards",
        )
    sfreq_hz = float(recording.attrs["sfreq_hz"])
    signal_v = np.asarray(recording["signal_uv"].values, np.float64) * 1e-6
    names = [str(e) for e in recording["electrode"].values]
    info = mne.create_info(names, sfreq_hz, "eeg")
    line_hz = recording.attrs.get("line_freq_hz")
    if line_hz is not None and line_hz == line_hz:
        with info._unlock():
            info["line_freq"] = float(line_hz)
    base = Vocabulary.base()
    places = {n: p for n in names if n in base and (p := base.position_m(n)) is not None}
    raw = mne.io.RawArray(np.nan_to_num(signal_v), info, verbose="ERROR")
    if places:
        montage = mne.channels.make_dig_montage(places, coord_frame="head")
        raw.set_montage(montage, on_missing="ignore", verbose="ERROR")
    first = float(recording["time"].values[0]) if recording.sizes["time"] else 0.0
    onset, duration, text, channels = _gaps(signal_v, names, sfreq_hz)
    trials = zip(
        recording["trial_start_sample"].values, recording["trial_n_samples"].values,
        recording["trial_task"].values, recording["trial_label"].values, strict=True,
    )  # fmt: skip
    for start, n, task, label in trials:
        begin = float(start) / sfreq_hz - first
        if -1e-9 <= begin < signal_v.shape[1] / sfreq_hz:
            onset.append(begin)
            duration.append(float(n) / sfreq_hz)
            text.append(f"{task}/{label}")
            channels.append([])
    raw.set_annotations(mne.Annotations(onset, duration, text, ch_names=channels), verbose="ERROR")
    return raw


def _gaps(
    signal: NDArray[np.float64], names: list[str], sfreq_hz: float
) -> tuple[list[float], list[float], list[str], list[list[str]]]:
    """Runs of NaN: those common to all electrodes, then others by electrode."""
    from eegprep.standardise.spans import runs_of

    missing = np.isnan(signal)
    common = np.asarray(missing.all(axis=0), bool)
    runs: list[tuple[Stretch, list[str]]] = [(run, []) for run in runs_of(common)]
    for row, name in enumerate(names):
        runs += [(run, [name]) for run in runs_of(missing[row] & ~common)]
    runs.sort(key=lambda r: (r[0].start_sample, r[1]))
    return (
        [r.start_sample / sfreq_hz for r, _ in runs],
        [r.n_samples / sfreq_hz for r, _ in runs],
        ["BAD_gap"] * len(runs),
        [list(c) for _, c in runs],
    )
