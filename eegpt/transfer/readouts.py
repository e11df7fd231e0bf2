"""The readouts beside the graph, fitted in closed form, and the weights of all members of a task.

Each view has its own linear map from all electrodes (`eegpt.model.views`) or pairs of electrodes (`eegpt.model.pairs`)
to a task's outputs: ridge regression on the classes, each with the same total weight, or on the value. It is fitted in
the space of the trials or of the features, whichever is smaller, so that wide views cost little.

Penalties and weights are chosen on outputs for subjects that a readout (or the graph) was not fitted to: folds of the
training and validation subjects. Each member is scaled to the best loss; the weights minimise the loss of the weighted
sum, none below zero, with a penalty on the distance from the best view alone, which is larger for fewer subjects. Views
that are not better than guessing by more than one standard error over subjects take no part, and if the sum, with
weights from other folds, is not better than the best view by one, that view is used alone, so that no view can cost. A
weighted sum of linear maps is linear: all views are merged into one matrix per electrode and per pair.

Shapes: N trials, V electrodes or pairs, F features, K outputs, M members, L strengths.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
import torch

from eegpt.model.heads import ElectrodeHeads
from eegpt.model.pairs import PAIRS
from eegpt.model.views import view_slices
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.folds import Division, Kind, Scheme, inner_folds
from eegpt.transfer.loop import Targets
from eegpt.transfer.model import TransferModel

GRAPH = "graph"
_STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
_DEFAULT_STRENGTH = 1.0
_SMALLEST_SD = 1e-6
_TABLE_BYTES = 64 << 20  # of a part of a view's table
_PULL = 0.3  # penalty on the weights, divided by the number of subjects
_TRIALS_PER_UNIT = 20  # of a single subject, which count as one subject
_SCALES = (1e-2, 1e2)  # of a member's outputs
_LEAST_WEIGHT = 0.05  # of the best view, so that an answer is given also where nothing was learned


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Outputs (N, K) of the graph for trials `rows` of the index that it was not fitted to."""

    rows: np.ndarray
    logits_NK: np.ndarray


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """A head's trials: what to predict, the weight of each trial in the loss, its fold and its subject (or block)."""

    y_NK: np.ndarray  # one-hot classes, or values (N, 1)
    weight_N: np.ndarray
    fold_N: np.ndarray
    unit_N: np.ndarray
    regression: bool
    n_units: float  # subjects, or their equal in trials

    def of(self, rows: np.ndarray) -> _Problem:
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

    def reliable(self, gain_N: np.ndarray) -> bool:
        """Whether a gain of each trial, averaged by subject, is above zero by more than its standard error."""
        unit_N = np.unique(self.unit_N, return_inverse=True)[1]
        total_U = np.bincount(unit_N, self.weight_N * gain_N)
        gain_U = total_U / np.bincount(unit_N, self.weight_N)
        if len(gain_U) < 2:
            return bool(gain_U.sum() > 0)
        return bool(gain_U.mean() > gain_U.std(ddof=1) / math.sqrt(len(gain_U)))

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
class _Part:
    """Some electrodes or pairs of a view, standardised over the trials; missing ones are 0, the mean."""

    places: np.ndarray  # (V,)
    x_NVF: np.ndarray
    mean_VF: np.ndarray
    sd_VF: np.ndarray


@dataclass(frozen=True, kw_only=True)
class _Member:
    """A member's outputs for trials that it was not fitted to (N, K), times its scale, and how it is computed.

    `map_RK` acts on the trials' kernel rows or features, see `_View`; None for the graph.
    """

    name: str
    output_NK: np.ndarray
    scale: float
    loss: float
    map_RK: np.ndarray | None = None
    bias_K: np.ndarray | None = None


def fit_readouts(
    model: TransferModel,
    bank: TrialBank,
    division: Division,
    targets: Targets,
    config: TransferConfig,
    held_out: HeldOut | None = None,
) -> list[tuple[int, str, float]]:
    """Fit every head's readouts and the weights of its members, in place.

    Parameters
    ----------
    held_out : HeldOut, optional
        The graph's outputs for training trials in folds; without them its weight comes from the validation trials.

    Returns
    -------
    list of (int, str, float)
        Head, view or `graph`, and weight relative to the sum of the head's weights.
    """
    heads = model.electrode_heads
    if heads is None:
        return []
    shares: list[tuple[int, str, float]] = []
    for head in np.unique(targets.head_N[division.train]).tolist():
        rows = np.concatenate([r[targets.head_N[r] == head] for r in (division.train, division.validation)])
        problem = _problem(bank, targets, rows, config)
        views = [_View(model, bank, rows, name) for name in config.views]
        members = [view.member(problem) for view in views]
        graph = _graph_member(model, bank, division, targets, held_out, rows, problem) if model.graph else None
        weights, graph_weight = _weights(problem, members, graph)
        for view, member, weight in zip(views, members, weights, strict=True):
            view.write(model, head, member, weight)
        if graph is not None:
            heads.graph_share[head] = graph_weight * graph.scale
        every = [*zip((m.name for m in members), weights, strict=True), *([(GRAPH, graph_weight)] if graph else [])]
        total = sum(w for _, w in every)
        shares += [(head, name, round(float(w / total), 4)) for name, w in every]
    heads.fitted.fill_(True)
    return shares


def graph_outputs(
    model: TransferModel, bank: TrialBank, rows: np.ndarray, targets: Targets
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The graph's logits of some trials, in groups: (rows, (n, K))."""
    model.eval()
    for own, encoded in bank.batches(model, rows):
        head_N = torch.from_numpy(targets.head_N[own]).to(bank.device)
        with torch.no_grad(), bank.autocast():
            yield own, model.graph_logits([encoded], head_N).float().cpu().numpy().astype(np.float64)


# ---- one view


class _View:
    """A head's trials in one view, and the ridge regression on them.

    With fewer features than trials the regression is solved for the features, else for the trials with their kernel
    (products of all pairs of trials); both give the same map.
    """

    def __init__(self, model: TransferModel, bank: TrialBank, rows: np.ndarray, name: str) -> None:
        self.name, self._columns = name, view_slices(model.ete.config).get(name, slice(None))
        self._trial_R, self._place_R, self._x_RF = _rows_of(model, bank, rows, name, self._columns)
        self._places, n_F = np.unique(self._place_R), self._x_RF.shape[1]
        self._n = len(rows)
        self._n_features = max(1, len(self._places) * n_F)
        self.primal = self._n_features <= len(rows)
        if self.primal:
            tables = [part.x_NVF.reshape(len(rows), -1) for part in self._parts()]
            self.input_NR = np.concatenate(tables, axis=1).astype(np.float64) if tables else np.zeros((len(rows), 0))
            self.input_NR /= math.sqrt(self._n_features)
        else:
            kernel_NN = np.zeros((len(rows), len(rows)), np.float32)
            for part in self._parts():
                x_NG = part.x_NVF.reshape(len(rows), -1)
                kernel_NN += x_NG @ x_NG.T
            self.input_NR = kernel_NN.astype(np.float64) / self._n_features

    def _parts(self) -> Iterator[_Part]:
        n_F = self._x_RF.shape[1]
        at_once = max(1, _TABLE_BYTES // (4 * n_F * max(1, self._n)))
        for start in range(0, len(self._places), at_once):
            places = self._places[start : start + at_once]
            own_R = np.flatnonzero((self._place_R >= places[0]) & (self._place_R <= places[-1]))
            slot_R, x_RF = np.searchsorted(places, self._place_R[own_R]), self._x_RF[own_R].astype(np.float32)
            trial_R = self._trial_R[own_R]
            x_NVF = np.full((self._n, len(places), n_F), np.nan, np.float32)
            x_NVF[trial_R, slot_R] = x_RF
            count_V1 = np.bincount(slot_R, minlength=len(places))[:, None]
            mean_VF = np.nansum(x_NVF, axis=0, dtype=np.float64) / count_V1
            x_NVF -= mean_VF.astype(np.float32)
            sd_VF = np.sqrt(np.nansum(np.square(x_NVF), axis=0, dtype=np.float64) / count_V1)
            sd_VF = np.maximum(sd_VF, _SMALLEST_SD)
            x_NVF /= sd_VF.astype(np.float32)
            yield _Part(places=places, x_NVF=np.nan_to_num(x_NVF, copy=False), mean_VF=mean_VF, sd_VF=sd_VF)

    def member(self, problem: _Problem) -> _Member:
        """The readout with the best penalty, and its outputs for trials in other folds than those it was fitted to."""
        every, folds = np.arange(self._n), np.unique(problem.fold_N)
        output_LNK = np.zeros((len(_STRENGTHS), *problem.y_NK.shape))
        if len(folds) > 1:
            for fold in folds:
                learned, held = np.flatnonzero(problem.fold_N != fold), np.flatnonzero(problem.fold_N == fold)
                for number, (map_RK, bias_K) in enumerate(self._solved(problem, learned, _STRENGTHS)):
                    output_LNK[number, held] = self._input(held, learned) @ map_RK + bias_K
            scaled = [problem.scaled(output_NK) for output_NK in output_LNK]
            best = int(np.argmin([loss for _, loss in scaled]))
            strength, (scale, loss) = _STRENGTHS[best], scaled[best]
        else:
            best, strength, scale, loss = 0, _DEFAULT_STRENGTH, 1.0, 1.0
        ((map_RK, bias_K),) = self._solved(problem, every, (strength,))
        return _Member(
            name=self.name, output_NK=scale * output_LNK[best], scale=scale, loss=loss, map_RK=map_RK, bias_K=bias_K
        )

    def _input(self, rows: np.ndarray, learned: np.ndarray) -> np.ndarray:
        return self.input_NR[rows] if self.primal else self.input_NR[np.ix_(rows, learned)]

    def _solved(
        self, problem: _Problem, rows: np.ndarray, strengths: Sequence[float]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Map (R, K) and bias (K,) of each strength, fitted to the trials `rows`."""
        weight_N = problem.weight_N[rows]
        weight_N = weight_N * (len(rows) / weight_N.sum())
        share_N, root_N1 = weight_N / len(rows), np.sqrt(weight_N)[:, None]
        y_NK, x_NR = problem.y_NK[rows], self._input(rows, rows)
        y_K, x_R = share_N @ y_NK, share_N @ x_NR
        y_NK = y_NK - y_K
        if self.primal:
            z_NR = (x_NR - x_R) * root_N1
            square_RR, right_RK = z_NR.T @ z_NR, z_NR.T @ (root_N1 * y_NK)
            for strength in strengths:
                map_RK = _solve(square_RR, strength, right_RK)
                yield map_RK, y_K - x_R @ map_RK
        else:
            centred_NN = x_NR - x_R - x_R[:, None] + x_R @ share_N
            square_NN = root_N1 * centred_NN * root_N1.T
            for strength in strengths:
                dual_NK = root_N1 * _solve(square_NN, strength, root_N1 * y_NK)
                map_NK = dual_NK - share_N[:, None] * dual_NK.sum(axis=0)  # on kernel rows that are not centred
                yield map_NK, y_K - x_R @ map_NK

    def write(self, model: TransferModel, head: int, member: _Member, weight: float) -> None:
        """Add the weighted readout and its standardisation to the model's maps."""
        heads = model.pair_heads if self.name == PAIRS else model.electrode_heads
        if heads is None or model.electrode_heads is None or member.map_RK is None or member.bias_K is None:
            return
        factor, n_outputs, first = weight * member.scale, member.map_RK.shape[1], 0
        for part in self._parts():
            N, V, n_F = part.x_NVF.shape
            if self.primal:
                map_VFK = member.map_RK[first : first + V * n_F] / math.sqrt(self._n_features)
                first += V * n_F
            else:
                map_VFK = part.x_NVF.reshape(N, -1).T @ member.map_RK / self._n_features
            map_VFK = factor * map_VFK.reshape(V, n_F, n_outputs) / part.sd_VF[:, :, None]
            _add(heads, head, part.places, self._columns, map_VFK, -np.einsum("vfk,vf->vk", map_VFK, part.mean_VF))
        bias = torch.from_numpy(factor * member.bias_K).to(heads.bias)
        model.electrode_heads.bias[head, :n_outputs] += bias


def _solve(square: np.ndarray, strength: float, right: np.ndarray) -> np.ndarray:
    """(square + strength * I)^-1 right, of a positive semi-definite matrix."""
    regular = square + strength * np.eye(len(square))
    solved: np.ndarray = scipy.linalg.cho_solve(
        scipy.linalg.cho_factor(regular, lower=True, overwrite_a=True, check_finite=False), right, check_finite=False
    )
    return solved


def _rows_of(
    model: TransferModel, bank: TrialBank, rows: np.ndarray, view: str, columns: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trial (position in `rows`), electrode or pair, and features of all rows of a view, ordered by trial."""
    order = np.argsort(rows, kind="stable")
    trial, place, x = [], [], []
    for task in np.unique(bank.index.task[rows]):
        own = order[bank.index.task[rows[order]] == task]
        encoded = bank.views(model, rows[own])
        if view == PAIRS:
            x_PF, pair_P, mask_NP = encoded.pair_rows()
        elif encoded.views_RF is None:
            raise ValueError("the bank contains no views")
        else:
            x_PF, pair_P, mask_NP = encoded.views_RF[:, columns], encoded.electrode_R, encoded.mask_NE
        trial.append(own[mask_NP.nonzero()[:, 0].cpu().numpy()])
        place.append(pair_P.cpu().numpy())
        x.append(x_PF.cpu().numpy())
    return np.concatenate(trial), np.concatenate(place), np.concatenate(x)


def _add(
    heads: ElectrodeHeads, head: int, places: np.ndarray, columns: slice, map_VFK: np.ndarray, offset_VK: np.ndarray
) -> None:
    at, K = torch.from_numpy(places).to(heads.weight.device), slice(0, map_VFK.shape[2])
    heads.weight[head, at, columns, K] = torch.from_numpy(map_VFK).to(heads.weight)
    heads.offset[head, at, K] += torch.from_numpy(offset_VK).to(heads.weight)


# ---- all members


def _problem(bank: TrialBank, targets: Targets, rows: np.ndarray, config: TransferConfig) -> _Problem:
    within = Scheme.parse(config.data.scheme).kind == Kind.WITHIN
    fold_N = inner_folds(bank.index, rows, config.selection.folds, within=within)
    regression = bool(targets.regression_N[rows[0]])
    n_subjects = len({bank.index.subject[r] for r in rows})
    n_units = float(n_subjects) if n_subjects > 1 and not within else max(1.0, len(rows) / _TRIALS_PER_UNIT)
    if regression:
        y_NK, weight_N = targets.value_N[rows].astype(np.float64)[:, None], np.full(len(rows), 1 / len(rows))
    else:
        label_N = targets.label_N[rows]
        y_NK = np.eye(int(targets.n_outputs_N[rows[0]]))[label_N]
        count_K = np.bincount(label_N, minlength=y_NK.shape[1])
        weight_N = 1.0 / count_K[label_N]
    subject_N = np.unique([bank.index.subject[r] for r in rows], return_inverse=True)[1]
    return _Problem(
        y_NK=y_NK,
        weight_N=weight_N,
        fold_N=fold_N,
        unit_N=subject_N if n_subjects > 1 and not within else fold_N,
        regression=regression,
        n_units=n_units,
    )


def _graph_member(
    model: TransferModel,
    bank: TrialBank,
    division: Division,
    targets: Targets,
    held_out: HeldOut | None,
    rows: np.ndarray,
    problem: _Problem,
) -> _Member:
    """The graph's outputs for trials that it was not fitted to; NaN for the others."""
    if held_out is None:
        own = division.validation[targets.head_N[division.validation] == targets.head_N[rows[0]]]
        found = list(graph_outputs(model, bank, own, targets))
        logits = [x for _, x in found] or [np.zeros((0, problem.y_NK.shape[1]))]
        held_out = HeldOut(rows=np.concatenate([own[:0], *(r for r, _ in found)]), logits_NK=np.concatenate(logits))
    place = {int(r): i for i, r in enumerate(rows)}
    known = np.array([int(r) in place for r in held_out.rows], bool)
    K = problem.y_NK.shape[1]
    output_NK = np.full((len(rows), K), np.nan)
    output_NK[[place[int(r)] for r in held_out.rows[known]]] = held_out.logits_NK[known][:, :K]
    seen = np.isfinite(output_NK).all(axis=1)
    scale, loss = 1.0, 1.0
    if seen.any():
        scale, loss = problem.of(np.flatnonzero(seen)).scaled(output_NK[seen])
    return _Member(name=GRAPH, output_NK=scale * output_NK, scale=scale, loss=loss)


def _weights(problem: _Problem, members: Sequence[_Member], graph: _Member | None) -> tuple[np.ndarray, float]:
    """Weights of the views, and the graph's, which is added to their weighted sum only if that is better."""
    output_MNK = np.stack([m.output_NK for m in members])
    best = int(np.argmin([m.loss for m in members]))
    every = np.arange(output_MNK.shape[1])
    weight_M, summed_NK = _chosen(problem, output_MNK, best)
    if weight_M.sum() < _LEAST_WEIGHT:
        weight_M[best] = _LEAST_WEIGHT
    if graph is None:
        return weight_M, 0.0
    seen = np.flatnonzero(np.isfinite(graph.output_NK).all(axis=1))
    if not len(seen):
        return weight_M, 0.0
    some = dataclasses.replace(problem.of(seen), n_units=problem.n_units * len(seen) / len(every))
    (of_views, of_graph), _ = _chosen(some, np.stack((summed_NK[seen], graph.output_NK[seen])), 0)
    if of_views + of_graph < _LEAST_WEIGHT:
        of_views = 1.0
    return of_views * weight_M, float(of_graph)


def _chosen(problem: _Problem, output_MNK: np.ndarray, best: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of members, and their sum (N, K) with weights from other folds.

    Members take part if they are reliably better than guessing, and the best one is used alone unless the sum is
    reliably better than it.
    """
    alone_M = np.eye(len(output_MNK))[best]
    guessed_N = problem.losses(np.zeros(output_MNK.shape[1:]))
    part = [m for m, x in enumerate(output_MNK) if m == best or problem.reliable(guessed_N - problem.losses(x))]
    weight_M = np.zeros(len(output_MNK))
    weight_M[part] = _fitted(problem, output_MNK[part], alone_M[part])
    folds = np.unique(problem.fold_N)
    if len(folds) < 2:
        return weight_M, np.einsum("m,mnk->nk", weight_M, output_MNK)
    summed_NK = output_MNK[best].copy()
    for fold in folds:
        learned, held = np.flatnonzero(problem.fold_N != fold), np.flatnonzero(problem.fold_N == fold)
        own_M = _fitted(problem.of(learned), output_MNK[part][:, learned], alone_M[part])
        summed_NK[held] = np.einsum("m,mnk->nk", own_M, output_MNK[part][:, held])
    if problem.reliable(problem.losses(output_MNK[best]) - problem.losses(summed_NK)):
        return weight_M, summed_NK
    return alone_M, output_MNK[best]


def _fitted(problem: _Problem, output_MNK: np.ndarray, towards_M: np.ndarray) -> np.ndarray:
    """Weights, none below zero, with the least loss and the penalty for leaving `towards_M`."""
    pull = _PULL / problem.n_units

    def objective(weight_M: np.ndarray) -> tuple[float, np.ndarray]:
        output_NK, away_M = np.einsum("m,mnk->nk", weight_M, output_MNK), weight_M - towards_M
        slope_M = np.einsum("nk,mnk->m", problem.slope(output_NK), output_MNK)
        return problem.loss(output_NK) + pull * float(away_M @ away_M), slope_M + 2 * pull * away_M

    bounds = [(0.0, 3.0)] * len(towards_M)
    found = scipy.optimize.minimize(objective, towards_M, bounds=bounds, method="L-BFGS-B", jac=True)
    return np.asarray(found.x)
