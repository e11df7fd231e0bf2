"""One task's trials as one array, as the baselines need them.

Baselines cannot take trials with different electrodes or lengths as our model does: they get the electrodes that at
least half of the trials have, an electrode that a trial lacks (a rejected stretch) as the mean of its others, and the
samples up to the shortest trial's end. A note in the result says where this removes or adds something.

Shapes: N trials, E electrodes, S samples.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass

import numpy as np

from eegprep.recording import STANDARD_SFREQ_HZ, electrode_of, input_name
from eegpt.data import TrialIndex
from eegpt.transfer.inputs import inputs_of

_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """All trials of a task."""

    rows: np.ndarray  # (N,) int64, of the index
    signal_uv: np.ndarray  # (N, E, S) float32
    sigma_uv: np.ndarray  # (N, E) float32 robust SD of the trial's recording
    target: np.ndarray  # (N,) float32: class number, or the value of a regression
    subject: np.ndarray  # (N,) int64 number of the subject
    electrodes: tuple[str, ...]
    kind: str
    n_classes: int  # 1 for a regression
    notes: tuple[str, ...]
    sfreq_hz: float = STANDARD_SFREQ_HZ

    def take(self, rows: np.ndarray) -> TaskData:
        """The task's trials at the given rows of the index, in order."""
        place = {int(r): i for i, r in enumerate(self.rows)}
        at = np.array([place[int(r)] for r in rows if int(r) in place], np.int64)
        arrays = ("rows", "signal_uv", "sigma_uv", "target", "subject")
        return dataclasses.replace(self, **{name: getattr(self, name)[at] for name in arrays})

    def joined(self, other: TaskData) -> TaskData:
        """The trials of both, of the same task."""
        return dataclasses.replace(
            self,
            rows=np.concatenate((self.rows, other.rows)),
            signal_uv=np.concatenate((self.signal_uv, other.signal_uv)),
            sigma_uv=np.concatenate((self.sigma_uv, other.sigma_uv)),
            target=np.concatenate((self.target, other.target)),
            subject=np.concatenate((self.subject, other.subject)),
        )


def task_data(index: TrialIndex, task: int) -> TaskData | None:
    """All trials of a task; None if no electrode is in half of them, or if a trial has no such electrode."""
    rows = np.flatnonzero(index.task == task)
    info = index.tasks[task]
    names = index.vocabulary.names
    several = {names[i] for i in inputs_of(index)[1]}
    found: Counter[str] = Counter()
    for start in range(0, len(rows), _AT_ONCE):
        batch = index.gather(rows[start : start + _AT_ONCE])
        pairs = np.stack([batch.electrode, batch.reference], axis=-1)[np.asarray(batch.electrode_mask)]
        for (e, r), n in zip(*np.unique(pairs, axis=0, return_counts=True), strict=True):
            found[input_name(names[e], index.references[r]) if names[e] in several else names[e]] += int(n)
    # In the order of electrode ids
    electrodes = sorted(
        (name for name, n in found.items() if 2 * n >= max(1, len(rows))),
        key=lambda name: (index.vocabulary.id_of(electrode_of(name)), name),
    )
    if not electrodes or not len(rows):
        return None
    n_samples = int(index.n_samples[rows].min())
    signal = np.empty((len(rows), len(electrodes), n_samples), np.float32)
    sigma = np.empty(signal.shape[:2], np.float32)
    present = np.empty(signal.shape[:2], bool)
    for start in range(0, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        batch = index.gather(rows[part], electrodes=electrodes)
        signal[part] = np.asarray(batch.signal_i16)[:, :, :n_samples]
        signal[part] *= np.asarray(batch.scale_uv)[:, :, None]
        sigma[part] = batch.sigma_uv
        present[part] = batch.electrode_mask
    if not present.any(axis=1).all():
        return None
    for i in np.flatnonzero(~present.all(axis=1)):
        signal[i, ~present[i]] = signal[i, present[i]].mean(axis=0)
        sigma[i, ~present[i]] = sigma[i, present[i]].mean()
    notes = []
    if n_filled := int((~present.all(axis=1)).sum()):
        notes.append(f"for baselines, missing electrodes are the mean of the others ({n_filled} trials)")
    if (lost := len(found) - len(electrodes)) > 0:
        notes.append(f"baselines use {len(electrodes)} electrodes; {lost} others are in too few trials")
    if n_samples < int(index.n_samples[rows].max()):
        notes.append(f"baselines use the first {n_samples} samples of each trial; some are longer")
    return TaskData(
        rows=rows,
        signal_uv=signal,
        sigma_uv=np.maximum(sigma, 0.01),
        target=np.asarray(index.target, np.float32)[rows],
        subject=np.unique([index.subject[r] for r in rows], return_inverse=True)[1],
        electrodes=tuple(electrodes),
        kind=info.kind,
        n_classes=max(1, len(info.classes)),
        notes=tuple(notes),
    )
