"""A recording as `mne.io.RawArray`, in volts, with gaps and trials as annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from eegprep.errors import UsageError
from eegprep.recording import Stretch

if TYPE_CHECKING:
    import mne


_MNE_TYPES = {"respiration": "resp", "other": "misc"}


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

    is_dataset = isinstance(recording, xr.Dataset)
    if not is_dataset or "signal_uv" not in recording or recording["signal_uv"].dims != ("electrode", "time"):
        raise UsageError(
            "not a recording of a store or shard set",
            found=", ".join(map(str, recording.data_vars)) if is_dataset else type(recording).__name__,
            expected="signal_uv (electrode, time), as store[id] or shards[id] of eegprep.open_store, open_shards",
        )
    sfreq_hz = float(recording.attrs["sfreq_hz"])
    signal_v = np.asarray(recording["signal_uv"].values, np.float64) * 1e-6
    names = [str(e) for e in recording["electrode"].values]
    kinds = [str(k) for k in recording["kind"].values] if "kind" in recording.coords else ["eeg"] * len(names)
    info = mne.create_info(names, sfreq_hz, [_MNE_TYPES.get(kind, kind) for kind in kinds])
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
    first = float(recording["time"][0]) if recording.sizes["time"] else 0.0
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
    runs: list[tuple[Stretch, list[str]]] = [(run, []) for run in _runs(common)]
    for row, name in enumerate(names):
        runs += [(run, [name]) for run in _runs(missing[row] & ~common)]
    runs.sort(key=lambda r: (r[0].start_sample, r[1]))
    return (
        [r.start_sample / sfreq_hz for r, _ in runs],
        [r.n_samples / sfreq_hz for r, _ in runs],
        ["BAD_gap"] * len(runs),
        [list(c) for _, c in runs],
    )


def _runs(bad: NDArray[np.bool_]) -> list[Stretch]:
    """The runs of True in (n_samples,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(np.int8)))
    return [Stretch(start_sample=int(a), n_samples=int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
