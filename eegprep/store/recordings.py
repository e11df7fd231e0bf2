"""The recordings of a store by id: lazily read as `xarray.Dataset`, or as MNE objects and trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from eegprep.errors import UsageError, nearest
from eegprep.recording import RecordingInfo
from eegprep.store.reader import Store

if TYPE_CHECKING:
    import mne


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
        return self.store[recording]

    @property
    def subjects(self) -> list[str]:
        """The subjects, sorted."""
        return sorted({info.subject for info in self._infos.values()})

    def info(self, recording: str) -> RecordingInfo:
        """The complete description of a recording: its channels, what was left out and why, quality."""
        return self._infos[recording]

    def raw(self, recording: str) -> mne.io.RawArray:
        """A recording as `mne.io.RawArray`: volts, electrode positions, gaps and trials as annotations."""
        return self.store.raw(recording)

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
