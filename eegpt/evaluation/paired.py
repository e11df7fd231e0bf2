"""Differences of two methods' main scores on the same trials, with intervals and exchange tests, also over tasks.

A score is of all trials together. It depends on each unit (a subject; a trial, if there is one subject) through sums
alone, so that all draws of units are one product of matrices: recalls through the right answers of each class, R²
through the squared errors and the moments of the targets.

Shapes: M seeds, N trials, K outputs, U units, C sums, T tasks, D draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eegpt.evaluation.intervals import units_of

LEVEL = 0.95
_BOOTSTRAP_DRAWS = 1000
_EXCHANGES = 10_000
_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Ours minus theirs, its 95 % percentile interval over units, and p of exchanging both methods' outputs by unit."""

    value: float
    low: float
    high: float
    p_value: float
    n_units: int


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The trials of a task and the outputs of two methods; subjects with one name are the same in all tasks.

    `group` is the data set, within which units are drawn.
    """

    kind: str
    group: str
    target_N: np.ndarray
    ours_MNK: np.ndarray
    theirs_MNK: np.ndarray
    subject_N: np.ndarray

    @property
    def over(self) -> str:
        """What is drawn: `subjects` or `trials`."""
        return units_of(self.subject_N)[1]


def difference(pairs: Sequence[Pair]) -> Difference | None:
    """The mean of the tasks' differences; None if it is undefined.

    Units are drawn within their group, once for all of its tasks, and exchanged in all tasks at once.
    """
    units = [_units(pair) for pair in pairs]
    names = sorted({(pair.group, u) for pair, own in zip(pairs, units, strict=True) for u in own.tolist()})
    place = {name: i for i, name in enumerate(names)}
    group_U = np.array([group for group, _ in names])
    sums = []
    for pair, own in zip(pairs, units, strict=True):
        there, unit_N = np.unique(own, return_inverse=True)
        at_U = np.array([place[pair.group, u] for u in there.tolist()])
        ours, theirs = (_Sums.of(pair, x, unit_N) for x in (pair.ours_MNK, pair.theirs_MNK))
        sums.append((pair.kind, at_U, ours, theirs))

    def mean(weight_DU: np.ndarray, exchanged_DU: np.ndarray) -> np.ndarray:
        found = []
        for kind, at_U, ours, theirs in sums:
            kept_DU = weight_DU[:, at_U] * (1 - exchanged_DU[:, at_U])
            other_DU = weight_DU[:, at_U] - kept_DU
            found.append(_score(kind, kept_DU, other_DU, ours, theirs) - _score(kind, other_DU, kept_DU, ours, theirs))
        found_TD = np.array(found)
        there_TD = np.isfinite(found_TD)
        n_D = there_TD.sum(axis=0)
        return np.where(n_D > 0, np.where(there_TD, found_TD, 0).sum(axis=0) / np.maximum(n_D, 1), np.nan)

    value = float(mean(np.ones((1, len(names))), np.zeros((1, len(names))))[0]) if names else np.nan
    if not np.isfinite(value):
        return None
    random = np.random.default_rng(0)
    draws, extreme = [], 0
    for _ in range(_BOOTSTRAP_DRAWS // _AT_ONCE):
        weight_DU = np.zeros((_AT_ONCE, len(names)))
        for group in np.unique(group_U):
            own = np.flatnonzero(group_U == group)
            weight_DU[:, own] = random.multinomial(len(own), np.full(len(own), 1 / len(own)), size=_AT_ONCE)
        draws.append(mean(weight_DU, np.zeros_like(weight_DU)))
    for _ in range(_EXCHANGES // _AT_ONCE):
        exchanged_DU = random.integers(0, 2, size=(_AT_ONCE, len(names))).astype(float)
        found_D = mean(np.ones_like(exchanged_DU), exchanged_DU)
        extreme += int((np.abs(found_D) >= abs(value) - 1e-12).sum())
    low, high = np.nanquantile(np.concatenate(draws), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    p_value = (extreme + 1) / (_EXCHANGES + 1)
    return Difference(value=value, low=float(low), high=float(high), p_value=p_value, n_units=len(names))


def _units(pair: Pair) -> np.ndarray:
    """Name of each trial's unit."""
    return pair.subject_N.astype(str) if pair.over == "subjects" else np.arange(len(pair.subject_N)).astype(str)


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """Sums over each unit's trials.

    Of a classification: trials of each class, and right answers of each seed. Of a regression: number, sum and sum of
    squares of the targets, and squared errors of each seed.
    """

    targets_UC: np.ndarray
    outputs_MUC: np.ndarray

    @classmethod
    def of(cls, pair: Pair, output_MNK: np.ndarray, unit_N: np.ndarray) -> _Sums:
        """Sums of a method with these outputs."""

        def summed(x_NC: np.ndarray) -> np.ndarray:
            out_UC = np.zeros((int(unit_N.max(initial=-1)) + 1, x_NC.shape[1]))
            np.add.at(out_UC, unit_N, x_NC)
            return out_UC

        if pair.kind == "classification":
            label_N = pair.target_N.astype(np.int64)
            class_NC = np.eye(int(label_N.max(initial=0)) + 1)[label_N]
            right_MN1 = (output_MNK.argmax(axis=2) == label_N)[:, :, None]
            return cls(targets_UC=summed(class_NC), outputs_MUC=np.stack([summed(class_NC * r) for r in right_MN1]))
        y_N = pair.target_N.astype(np.float64)
        error_MN1 = (output_MNK[:, :, 0] - y_N)[:, :, None]
        y_N = y_N - y_N.mean()
        moments_NC = np.stack([np.ones_like(y_N), y_N, y_N**2], axis=1)
        return cls(targets_UC=summed(moments_NC), outputs_MUC=np.stack([summed(e**2) for e in error_MN1]))


def _score(kind: str, ours_DU: np.ndarray, theirs_DU: np.ndarray, ours: _Sums, theirs: _Sums) -> np.ndarray:
    """Main score (D,), the mean over seeds, of our outputs for some units and theirs for the others."""
    targets_DC = (ours_DU + theirs_DU) @ ours.targets_UC
    # Methods with other numbers of seeds are exchanged as means of their sums.
    same = len(ours.outputs_MUC) == len(theirs.outputs_MUC)
    mine, others = ((s.outputs_MUC if same else s.outputs_MUC.mean(axis=0)[None]) for s in (ours, theirs))
    scores = []
    for mine_UC, others_UC in zip(mine, others, strict=True):
        found_DC = ours_DU @ mine_UC + theirs_DU @ others_UC
        if kind == "classification":
            there_DC = targets_DC > 0
            recall_DC = np.where(there_DC, found_DC / np.where(there_DC, targets_DC, 1), 0)
            n_D = there_DC.sum(axis=1)
            scores.append(np.where(n_D > 0, recall_DC.sum(axis=1) / np.maximum(n_D, 1), np.nan))
        else:
            n_D, total_D, square_D = targets_DC.T
            spread_D = square_D - total_D**2 / np.maximum(n_D, 1)
            defined_D = spread_D > 1e-12 * np.maximum(square_D, 1e-30)
            scores.append(np.where(defined_D, 1 - found_DC[:, 0] / np.where(defined_D, spread_D, 1), np.nan))
    return np.mean(scores, axis=0)
