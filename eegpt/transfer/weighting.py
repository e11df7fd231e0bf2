"""The weights of a task's members: the readouts of the views, and the graph.

They are chosen on outputs for subjects that a member was not fitted to. Each member is scaled to the best loss. Views
that are not better than guessing by more than one standard error over subjects take no part. The weights of the others
minimise the loss of their sum, none below zero, with a penalty on the distance from equal weights of the good views,
those that are not worse than the best by more than three standard errors. The penalty is larger for fewer subjects: a
few subjects cannot tell which of several good views is best, and their mean is better than a wrong choice. The graph is
added only if that is better than the readouts alone by more than one standard error.

Shapes: N trials, K outputs, M members.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize

_PULL = 1.0  # penalty on the weights, divided by the number of subjects
_SURE = 3.0  # standard errors by which a view must be worse than the best to count for less
_SCALES = (1e-2, 1e2)  # of a member's outputs
_LEAST_WEIGHT = 0.05  # of the best view, so that an answer is given also where nothing was learned


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A head's trials: what to predict, the weight of each trial in the loss, its fold and its subject (or block)."""

    y_NK: np.ndarray  # one-hot classes, or values (N, 1)
    weight_N: np.ndarray
    fold_N: np.ndarray
    unit_N: np.ndarray
    regression: bool
    n_units: float  # subjects, or their equal in trials

    def of(self, rows: np.ndarray) -> Problem:
        """The problem with only some of the trials."""
        parts = {name: getattr(self, name)[rows] for name in ("y_NK", "weight_N", "fold_N", "unit_N")}
        return dataclasses.replace(self, **parts)

    def losses(self, output_NK: np.ndarray) -> np.ndarray:
        """Loss of each trial (N,) relative to guessing: cross-entropy or squared error."""
        if self.regression:
            squared_N: np.ndarray = (output_NK[:, 0] - self.y_NK[:, 0]) ** 2
            return squared_N
        top_N1 = output_NK.max(axis=1, keepdims=True)
        log_sum_N = np.log(np.exp(output_NK - top_N1).sum(axis=1)) + top_N1[:, 0]
        found: np.ndarray = (log_sum_N - (output_NK * self.y_NK).sum(axis=1)) / math.log(max(2, self.y_NK.shape[1]))
        return found

    def loss(self, output_NK: np.ndarray) -> float:
        """Mean loss with equal weight of all classes."""
        return float((self.weight_N * self.losses(output_NK)).sum() / max(self.weight_N.sum(), 1e-12))

    def reliable(self, gain_N: np.ndarray, n_errors: float = 1.0) -> bool:
        """Whether a gain of each trial, averaged by subject, is above zero by more than some standard errors."""
        unit_N = np.unique(self.unit_N, return_inverse=True)[1]
        total_U = np.bincount(unit_N, self.weight_N * gain_N)
        gain_U = total_U / np.bincount(unit_N, self.weight_N)
        if len(gain_U) < 2:
            return bool(gain_U.sum() > 0)
        return bool(gain_U.mean() > n_errors * gain_U.std(ddof=1) / math.sqrt(len(gain_U)))

    def slope(self, output_NK: np.ndarray) -> np.ndarray:
        """Derivative (N, K) of the loss with respect to the outputs."""
        share_N1 = (self.weight_N / max(self.weight_N.sum(), 1e-12))[:, None]
        if self.regression:
            return 2 * share_N1 * (output_NK - self.y_NK)
        p_NK = np.exp(output_NK - output_NK.max(axis=1, keepdims=True))
        p_NK /= p_NK.sum(axis=1, keepdims=True)
        return share_N1 * (p_NK - self.y_NK) / math.log(max(2, self.y_NK.shape[1]))

    def scaled(self, output_NK: np.ndarray) -> tuple[float, float]:
        """The factor of a member's outputs with the least loss, and that loss."""
        low, high = (math.log(s) for s in _SCALES)
        found = scipy.optimize.minimize_scalar(
            lambda log_scale: self.loss(math.exp(log_scale) * output_NK), bounds=(low, high), method="bounded"
        )
        return math.exp(found.x), float(found.fun)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member's outputs (N, K) for trials that it was not fitted to, times its scale, and their loss; NaN: none."""

    name: str
    output_NK: np.ndarray
    scale: float
    loss: float


def member_weights(problem: Problem, members: Sequence[Member], graph: Member | None) -> tuple[np.ndarray, float]:
    """Weights of the views, and the graph's, which is added to their weighted sum only if that is better."""
    output_MNK = np.stack([m.output_NK for m in members])
    best = int(np.argmin([m.loss for m in members]))
    loss_MN = np.stack([problem.losses(output_NK) for output_NK in output_MNK])
    guessed_N = problem.losses(np.zeros(output_MNK.shape[1:]))
    part = [m for m, own_N in enumerate(loss_MN) if m == best or problem.reliable(guessed_N - own_N)]
    good = [not problem.reliable(loss_MN[m] - loss_MN[best], _SURE) for m in part]
    weight_M = np.zeros(len(members))
    weight_M[part], summed_NK = _crossed(problem, output_MNK[part], np.array(good) / sum(good))
    if weight_M.sum() < _LEAST_WEIGHT:
        weight_M[best] = _LEAST_WEIGHT
    if graph is None:
        return weight_M, 0.0
    of_views, of_graph = _with_graph(problem, summed_NK, graph)
    return of_views * weight_M, of_graph


def _with_graph(problem: Problem, summed_NK: np.ndarray, graph: Member) -> tuple[float, float]:
    """Weights of the readouts' sum and the graph: (1, 0) unless both are reliably better than the sum."""
    seen = np.flatnonzero(np.isfinite(graph.output_NK).all(axis=1))
    if len(np.unique(problem.fold_N[seen])) < 2:
        return 1.0, 0.0  # weights cannot be tested on other trials than those that chose them
    some = dataclasses.replace(problem.of(seen), n_units=problem.n_units * len(seen) / len(summed_NK))
    views_NK = summed_NK[seen]
    (of_views, of_graph), both_NK = _crossed(some, np.stack((views_NK, graph.output_NK[seen])), np.array([1.0, 0.0]))
    better = some.reliable(some.losses(views_NK) - some.losses(both_NK)) and of_views + of_graph >= _LEAST_WEIGHT
    return (float(of_views), float(of_graph)) if better else (1.0, 0.0)


def _crossed(problem: Problem, output_MNK: np.ndarray, towards_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of members, and their sum (N, K) with weights from other folds."""
    weight_M = _fitted(problem, output_MNK, towards_M)
    summed_NK, folds = np.einsum("m,mnk->nk", weight_M, output_MNK), np.unique(problem.fold_N)
    for fold in folds if len(folds) > 1 else ():
        learned, held = np.flatnonzero(problem.fold_N != fold), np.flatnonzero(problem.fold_N == fold)
        own_M = _fitted(problem.of(learned), output_MNK[:, learned], towards_M)
        summed_NK[held] = np.einsum("m,mnk->nk", own_M, output_MNK[:, held])
    return weight_M, summed_NK


def _fitted(problem: Problem, output_MNK: np.ndarray, towards_M: np.ndarray) -> np.ndarray:
    """Weights, none below zero, with the least loss and the penalty for leaving `towards_M`."""
    pull = _PULL / problem.n_units

    def objective(weight_M: np.ndarray) -> tuple[float, np.ndarray]:
        output_NK, away_M = np.einsum("m,mnk->nk", weight_M, output_MNK), weight_M - towards_M
        slope_M = np.einsum("nk,mnk->m", problem.slope(output_NK), output_MNK)
        return problem.loss(output_NK) + pull * float(away_M @ away_M), slope_M + 2 * pull * away_M

    bounds = [(0.0, 3.0)] * len(towards_M)
    found = scipy.optimize.minimize(objective, towards_M, bounds=bounds, method="L-BFGS-B", jac=True)
    return np.asarray(found.x)
