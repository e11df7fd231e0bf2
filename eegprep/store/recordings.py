"""The recordings of a store by id: lazily read as `xarray.Dataset`, or as MNE objects and trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from eegprep.errors import UsageError, nearest
from eegprep.recording import RecordingInfo, Stretch, subtract
from eegprep.store.reader import Store


@dataclass(frozen=True, kw_only=True)
class LabelledTrial:
    """One trial of a recording: its window, task and label."""

    recording: str
    subject: str
    task: str
    label: str
    start_sample: int
    n_samples: int


class Recordings(Mapping[str, xr.Dataset]):
    """The finished recordings of a store by id, sorted.

    Each is an `xarray.Dataset` with `signal_uv` (electrode, time) in microvolt, read on demand and NaN in gaps, and
    `trial_start_sample`, `trial_n_samples`, `trial_task` and `trial_label` (trial).

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._infos = {info.id: info for info in store.infos()}

    def __len__(self) -> int:
        return len(self._infos)

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __repr__(self) -> str:
        hours = sum(i.covered(i.stretches) / i.sfreq_hz for i in self._infos.values()) / 3600
        n_trials = sum(len(i.trials) for i in self._infos.values())
        return (
            f"<Recordings: {self.store.manifest.name}, {len(self)} recordings of {len(self.subjects)} subjects, "
            f"{hours:.2f} h, {n_trials} trials>"
        )

    def __getitem__(self, recording: str) -> xr.Dataset:
        if recording not in self._infos:
            # A mapping must raise KeyError for `in` and `get` to work.
            raise KeyError(f"no recording {recording!r} in this store. {nearest(recording, self._infos)}")
        info = self._infos[recording]
        return xr.Dataset(
            {
                "signal_uv": (
                    ("electrode", "time"),
                    indexing.LazilyIndexedArray(_Signal(self.store, info)),
                    {"units": "uV"},
                ),
                "trial_start_sample": ("trial", np.array([t.start_sample for t in info.trials], np.int64)),
                "trial_n_samples": ("trial", np.array([t.n_samples for t in info.trials], np.int64)),
                "trial_task": ("trial", [t.task for t in info.trials]),
                "trial_label": ("trial", [t.label for t in info.trials]),
            },
            coords={
                "electrode": list(info.electrodes),
                "time": ("time", np.arange(info.n_samples) / info.sfreq_hz, {"units": "s"}),
                "sigma_uv": ("electrode", list(info.sigma_uv), {"units": "uV"}),
                "reference": ("electrode", list(info.references)),
            },
            attrs={
                "recording": info.id,
                "subject": info.subject,
                "session": info.session,
                "run": info.run,
                "sfreq_hz": info.sfreq_hz,
                "line_freq_hz": np.nan if info.line_freq_hz is None else info.line_freq_hz,
                "source_sfreq_hz": info.source_sfreq_hz,
                **{f"attribute_{name}": value for name, value in sorted(info.attributes.items())},
            },
        )

    @property
    def subjects(self) -> list[str]:
        """The subjects, sorted."""
        return sorted({info.subject for info in self._infos.values()})

    def info(self, recording: str) -> RecordingInfo:
        """The complete description of a recording: its channels, what was left out and why, quality."""
        return self._infos[recording]

    def raw(self, recording: str) -> Any:
        """A recording as `mne.io.RawArray`: volts, electrode positions, gaps and trials as annotations."""
        from eegprep.store.raw import to_raw

        return to_raw(self[recording])

    def trials(self, task: str | None = None) -> list[LabelledTrial]:
        """All trials in order, or those of one task.

        Raises
        ------
        UsageError
            There is no such task.
        """
        found = [
            LabelledTrial(
                recording=info.id, subject=info.subject, task=t.task, label=t.label,
                start_sample=t.start_sample, n_samples=t.n_samples,
            )
            for info in self._infos.values()
            for t in info.trials
            if task in (None, t.task)
        ]  # fmt: skip
        known = sorted({t.name for t in self.store.manifest.tasks})
        if task is not None and not found and task not in known:
            raise UsageError(
                f"{self.store.manifest.name} has no task {task!r}",
                expected=" or ".join(known) or "no task: the manifest names none",
            )
        return found

    def windows(self, task: str | None = None) -> Iterator[tuple[NDArray[np.float32], LabelledTrial]]:
        """Each trial's signal, (electrode, time) in microvolt, with its trial."""
        for trial in self.trials(task):
            signal = self[trial.recording].signal_uv
            yield signal[:, trial.start_sample : trial.start_sample + trial.n_samples].values, trial


class _Signal(BackendArray):
    """(n_electrodes, n_samples) float32 with NaN outside stretches and in rejected parts, for xarray's lazy backend."""

    def __init__(self, store: Store, info: RecordingInfo) -> None:
        self.store, self.info = store, info
        self.kept = [subtract(info.stretches, info.rejected.get(e, ())) for e in info.electrodes]
        self.shape = (len(info.electrodes), info.n_samples)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[np.float32] | np.float32:
        rows, times = key
        wanted_rows = range(self.shape[0])[rows] if isinstance(rows, slice) else [rows % self.shape[0]]
        wanted = range(self.shape[1])[times if isinstance(times, slice) else slice(times, times + 1 or None)]
        low, high = (min(wanted), max(wanted) + 1) if len(wanted) else (0, 0)
        out = np.full((len(wanted_rows), high - low), np.nan, np.float32)
        for place, row in enumerate(wanted_rows):
            for part in self.kept[row]:
                a, b = max(low, part.start_sample), min(high, part.stop_sample)
                if a < b:
                    stretch = Stretch(start_sample=a, n_samples=b - a)
                    out[place, a - low : b - low] = self.store.electrode_uv(
                        self.info, self.info.electrodes[row], stretch
                    )
        out = out[:, :: wanted.step] if wanted.step > 0 else out[:, ::-1][:, :: -wanted.step]
        if not isinstance(times, slice):
            out = out[:, 0]
        return out if isinstance(rows, slice) else out[0]
