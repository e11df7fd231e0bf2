"""A recording of a store or a shard set as an `xarray.Dataset`, and back to MNE.

`signal_uv` (electrode, time) is in microvolt, NaN in gaps, and read on demand; the trials are variables beside it.
`to_raw` gives an `mne.io.RawArray` in volts with gaps and trials as annotations.
"""

from __future__ import annotations

import math
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import UsageError, nearest
from eegprep.manifest.recipe import describe_steps
from eegprep.recording import RecordingInfo, Trial
from eegprep.store.file import RecordingFile

if TYPE_CHECKING:
    import mne
    import xarray as xr

    from eegprep.store.lazy import ReadRow


class Recordings:
    """A mapping of recording ids to `xarray.Dataset`; a base of `Store` and `ShardSet`."""

    def ids(self) -> Sequence[str]:
        """Ids of the recordings, `dataset/subject/session/run`."""
        raise NotImplementedError

    def _dataset(self, recording_id: str) -> xr.Dataset:
        raise NotImplementedError

    def __getitem__(self, recording_id: str) -> xr.Dataset:
        if recording_id not in self:
            # A mapping must raise KeyError.
            raise KeyError(f"no recording {recording_id!r}. {nearest(str(recording_id), self.ids())}")
        return self._dataset(recording_id)

    def __len__(self) -> int:
        return len(self.ids())

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids())

    def __contains__(self, recording_id: object) -> bool:
        return recording_id in self.ids()

    def keys(self) -> KeysView[str]:
        """Ids of the recordings."""
        return KeysView(self)  # type: ignore[arg-type]

    def values(self) -> ValuesView[xr.Dataset]:
        """The recordings, each opened when it is reached."""
        return ValuesView(self)  # type: ignore[arg-type]

    def items(self) -> ItemsView[str, xr.Dataset]:
        """Ids and recordings."""
        return ItemsView(self)  # type: ignore[arg-type]

    def raw(self, recording_id: str) -> mne.io.RawArray:
        """A recording as `mne.io.RawArray` in volts; see `to_raw`."""
        return to_raw(self[recording_id])


def recording_dataset(
    read: ReadRow,
    *,
    electrodes: Sequence[str],
    sigma_uv: Sequence[float],
    references: Sequence[str],
    n_samples: int,
    sfreq_hz: float,
    trials: Sequence[Trial],
    steps: Sequence[Mapping[str, Any]],
    source_sfreq_hz: float,
    line_freq_hz: float | None,
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """The dataset of one recording; `read` gives samples of a row, NaN in gaps."""
    import xarray as xr

    from eegprep.store.lazy import lazy_variable

    return xr.Dataset(
        {
            "signal_uv": lazy_variable((len(electrodes), n_samples), read),
            "trial_start_sample": ("trial", np.array([t.start_sample for t in trials], np.int64)),
            "trial_n_samples": ("trial", np.array([t.n_samples for t in trials], np.int64)),
            "trial_task": ("trial", [t.task for t in trials]),
            "trial_label": ("trial", [t.label for t in trials]),
        },
        coords={
            "electrode": list(electrodes),
            "time": ("time", np.arange(n_samples) / sfreq_hz, {"units": "s"}),
            "sigma_uv": ("electrode", list(sigma_uv), {"units": "uV"}),
            "reference": ("electrode", list(references)),
        },
        attrs={
            **attributes,
            "sfreq_hz": sfreq_hz,
            "line_freq_hz": math.nan if line_freq_hz is None else line_freq_hz,
            "source_sfreq_hz": source_sfreq_hz,
            "steps": list(describe_steps(steps, sfreq_hz=source_sfreq_hz, line_freq_hz=line_freq_hz)),
        },
    )


def dataset_of(file: RecordingFile, info: RecordingInfo) -> xr.Dataset:
    """A recording of a store."""
    kept = [info.kept(e) for e in info.electrodes]

    def read(row: int, start: int, stop: int) -> NDArray[np.float32]:
        out = np.full(stop - start, np.nan, np.float32)
        for part in kept[row]:
            a, b = max(start, part.start_sample), min(stop, part.stop_sample)
            if a < b:
                out[a - start : b - start] = file.read(row, a, b - a)
        return out

    return recording_dataset(
        read,
        electrodes=info.electrodes,
        sigma_uv=info.sigma_uv or [math.nan] * len(info.electrodes),
        references=info.references,
        n_samples=info.n_samples,
        sfreq_hz=info.sfreq_hz,
        trials=info.trials,
        steps=info.steps,
        source_sfreq_hz=info.source_sfreq_hz,
        line_freq_hz=info.line_freq_hz,
        attributes={"recording": info.id, "subject": info.subject, "session": info.session, "run": info.run},
    )


def to_raw(recording: xr.Dataset) -> mne.io.RawArray:
    """Convert a recording to `mne.io.RawArray` in volts, with known electrode positions and annotations.

    Gaps are annotated as `BAD_gap` for the electrodes concerned (without channels if common to all) and filled with
    zeros, since MNE's filters do not accept NaN. Trials become annotations `task/label`.

    Parameters
    ----------
    recording : xarray.Dataset
        A recording of a store or a shard set (`store[id]`, `shards[id]`), or a selection of it.
    """
    import mne

    from eegprep.electrodes import Vocabulary

    signal = recording.get("signal_uv") if hasattr(recording, "data_vars") else None
    if signal is None or signal.dims != ("electrode", "time"):
        raise UsageError(
            "not a recording of a store or a shard set",
            found=", ".join(map(str, recording.data_vars)) if hasattr(recording, "data_vars") else type(recording),
            expected="signal_uv (electrode, time), as `shards[id]` of eegprep.open_shards",
        )
    sfreq_hz = float(recording.attrs["sfreq_hz"])
    signal_v = np.asarray(signal.values, np.float64) * 1e-6
    names = [str(e) for e in recording["electrode"].values]
    info = mne.create_info(names, sfreq_hz, "eeg")
    line_hz = float(recording.attrs["line_freq_hz"])
    if not math.isnan(line_hz):
        with info._unlock():
            info["line_freq"] = line_hz
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
    missing = np.isnan(signal)
    common = np.asarray(missing.all(axis=0), bool)
    runs: list[tuple[int, int, list[str]]] = [(a, b, []) for a, b in _runs(common)]
    for row, name in enumerate(names):
        runs += [(a, b, [name]) for a, b in _runs(missing[row] & ~common)]
    runs.sort()
    return (
        [a / sfreq_hz for a, _, _ in runs],
        [(b - a) / sfreq_hz for a, b, _ in runs],
        ["BAD_gap"] * len(runs),
        [list(c) for _, _, c in runs],
    )


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First sample, and one past the last, of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
