"""Trials with eye activity regressed out.

The sources are what frontal electrodes see: vertical, their mean, and horizontal, right minus left.

Shapes: N trials, E electrodes of a trial, S samples, R sources, V electrodes of a recording.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter1d

from eegpt.data import TrialBatch, TrialIndex

_VERTICAL = (("Fp1", "Fp2"), ("Fpz",), ("AF7", "AF8"), ("AF3", "AF4"), ("AFz",))
_HORIZONTAL = (("F7", "F8"), ("AF7", "AF8"), ("F9", "F10"), ("FT7", "FT8"), ("Fp1", "Fp2"))
_RIDGE = 1e-6
_SMOOTH = 26  # samples, a tenth of a second: eyes are slow


class Regressed:
    """The trials of an index with the activity of eyes, as seen by frontal electrodes, removed from the others.

    Weights are least-squares fits per recording.
    """

    def __init__(self, index: TrialIndex) -> None:
        self._index = index
        self._removed: dict[tuple[int, int], tuple[list[int], np.ndarray, np.ndarray] | None] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def __len__(self) -> int:
        return len(self._index)

    def gather(self, indices: np.ndarray) -> TrialBatch:
        """Trials in microvolt, with the frontal electrodes masked."""
        batch = self._index.gather(indices)
        signal_NES, mask_NE = signal_of(batch), np.asarray(batch.electrode_mask).copy()
        electrode_NE = np.asarray(batch.electrode)
        for i, row in enumerate(indices):
            found = self.coefficients(int(self._index.task[row]), int(self._index.recording[row]))
            if found is None:
                continue
            used, electrodes, weight_RV = found
            sources_RS = _sources(signal_NES[i], electrode_NE[i], self._index)
            own = np.flatnonzero(mask_NE[i])
            at = np.searchsorted(electrodes, electrode_NE[i, own])
            known = electrodes[np.minimum(at, len(electrodes) - 1)] == electrode_NE[i, own]
            if sources_RS is not None and len(sources_RS[0]) == len(weight_RV):
                signal_NES[i, own[known]] -= weight_RV[:, at[known]].T @ sources_RS[0]
            mask_NE[i] &= ~np.isin(electrode_NE[i], used)
        # In microvolt: a batch may hold its samples in any unit, given their scale.
        ones = np.ones_like(np.asarray(batch.scale_uv, np.float32))
        return dataclasses.replace(batch, signal_i16=signal_NES, scale_uv=ones, electrode_mask=mask_NE)

    def fingerprint(self, indices: np.ndarray) -> str:
        """As of `TrialIndex`, different from that of the trials as they are."""
        return hashlib.sha256(b"eog" + self._index.fingerprint(indices).encode()).hexdigest()

    def coefficients(self, task: int, recording: int) -> tuple[list[int], np.ndarray, np.ndarray] | None:
        """Frontal electrodes, all electrodes (V,) sorted, and their weights on the sources, (R, V), of a recording."""
        key = task, recording
        if key not in self._removed:
            rows = np.flatnonzero((self._index.task == task) & (self._index.recording == recording))
            self._removed[key] = self._fitted(rows)
        return self._removed[key]

    def _fitted(self, rows: np.ndarray) -> tuple[list[int], np.ndarray, np.ndarray] | None:
        square: np.ndarray | None = None
        right: dict[int, np.ndarray] = {}
        used: list[int] = []
        for batch in batches_of(self._index, rows):
            signal_NES, electrode_NE = signal_of(batch), np.asarray(batch.electrode)
            for x_ES, electrode_E in zip(signal_NES, electrode_NE, strict=True):
                x_ES = uniform_filter1d(x_ES, _SMOOTH, axis=1)  # noise in the sources would weaken the weights
                found = _sources(x_ES, electrode_E, self._index)
                if found is None or (square is not None and len(found[0]) != len(square)):
                    continue
                sources_RS, used = found
                sources_RS = sources_RS - sources_RS.mean(axis=1, keepdims=True)
                own = sources_RS @ sources_RS.T
                square = own if square is None else square + own
                for electrode, x_S in zip(electrode_E.tolist(), x_ES, strict=True):
                    right[electrode] = right.get(electrode, 0) + sources_RS @ (x_S - x_S.mean())
        if square is None:
            return None
        electrodes = np.array(sorted(e for e in right if e >= 0))
        ridge = _RIDGE * np.trace(square) * np.eye(len(square))
        weight_RV = np.linalg.solve(square + ridge, np.stack([right[e] for e in electrodes.tolist()], axis=1))
        return used, electrodes, weight_RV


def _sources(x_ES: np.ndarray, electrode_E: np.ndarray, index: TrialIndex) -> tuple[np.ndarray, list[int]] | None:
    """Vertical and horizontal EOG-like signals (R, S) of a trial, and the electrodes that they are from."""
    place = {index.vocabulary.name_of(int(e)): i for i, e in enumerate(electrode_E) if e >= 0}
    sources, used = [], []
    for group in _VERTICAL:
        if all(name in place for name in group):
            sources.append(np.mean([x_ES[place[name]] for name in group], axis=0))
            used += [int(electrode_E[place[name]]) for name in group]
            break
    for left, right in _HORIZONTAL:
        if left in place and right in place:
            sources.append(x_ES[place[right]] - x_ES[place[left]])
            used += [int(electrode_E[place[name]]) for name in (left, right)]
            break
    if not sources:
        return None
    return np.stack(sources), sorted(set(used))


def batches_of(index: TrialIndex, rows: np.ndarray) -> Any:
    """The trials of some rows, 32 at a time."""
    return (index.gather(rows[start : start + 32]) for start in range(0, len(rows), 32))


def signal_of(batch: Any) -> np.ndarray:
    """Signals in microvolt, (N, E, S)."""
    signal: np.ndarray = np.asarray(batch.signal_i16) * np.asarray(batch.scale_uv, np.float32)[:, :, None]
    return signal
