"""The electrodes' own readouts, fitted in closed form, and their weighting against the graph.

Each view (`eegpt.model.views`) has its own linear map from all electrodes to a task's outputs: logistic regression with
balanced class weights, or ridge regression, on features standardised over the training trials; the penalty is chosen on
the validation trials. Logits of views and graph are then averaged, with weights proportional to how far the validation
loss is below guessing, and a small minimum: one or two validation subjects are too few to discard a view. A weighted
mean of linear maps is linear, so all views are merged into one matrix per electrode.

Shapes: N trials, V rows of the vocabulary, F features, K outputs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from eegpt.model.views import view_slices
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.folds import Division
from eegpt.transfer.loop import Targets
from eegpt.transfer.model import TransferModel

_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_LEAST_GAIN = 0.02
_ABSENT_CLASS_LOGIT = -9.0
_SMALLEST_SD = 1e-6


@dataclass(frozen=True, kw_only=True)
class _Member:
    """A readout: map (V', F', K), intercept (K,), and validation loss relative to guessing."""

    view: str
    weight: np.ndarray
    bias: np.ndarray
    loss: float


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A head's trials as one array, standardised over the training trials; missing electrodes are 0, the mean."""

    x_NVF: np.ndarray
    mean_VF: np.ndarray
    sd_VF: np.ndarray
    electrodes: np.ndarray


def fit_readouts(
    model: TransferModel, bank: TrialBank, division: Division, targets: Targets, views: Sequence[str]
) -> list[tuple[int, str, float]]:
    """Fit every head's readouts and the graph's weight, in place.

    Returns
    -------
    list of (int, str, float)
        Head, view or `graph`, and weight; weights sum to 1 for each head.
    """
    heads = model.electrode_heads
    if heads is None:
        return []
    where = view_slices(model.ete.config)
    shares: list[tuple[int, str, float]] = []
    for head in np.unique(targets.head_N[division.train]):
        train, validation = (rows[targets.head_N[rows] == head] for rows in (division.train, division.validation))
        rows = np.concatenate((train, validation))
        table = _table(model, bank, rows, len(train))
        members = [_member(view, table, where[view], targets, train, validation) for view in views]
        graph_loss = _graph_loss(model, bank, validation, targets) if model.graph else None
        losses = [m.loss for m in members] + ([] if graph_loss is None else [graph_loss])
        gain = np.clip(1.0 - np.array(losses), _LEAST_GAIN, None)
        share = gain / gain.sum()
        n_outputs = int(targets.n_outputs_N[train[0]])
        _write(model, int(head), table, members, share, where, n_outputs)
        if graph_loss is not None:
            heads.graph_share[int(head)] = float(share[-1])
        names = [m.view for m in members] + ([] if graph_loss is None else ["graph"])
        shares += [(int(head), n, round(float(s), 4)) for n, s in zip(names, share, strict=True)]
    heads.fitted.fill_(True)
    return shares


def _table(model: TransferModel, bank: TrialBank, rows: np.ndarray, n_train: int) -> _Table:
    """Views of a head's trials, with its tasks (possibly of several data sets) concatenated."""
    place = {int(r): i for i, r in enumerate(rows)}
    trial, electrode, x = [], [], []
    for task in np.unique(bank.index.task[rows]):
        own = rows[bank.index.task[rows] == task]
        encoded = bank.views(model, own)
        if encoded.views_RF is None:
            raise ValueError("the bank contains no views")
        at = np.array([place[int(r)] for r in own])
        trial.append(at[encoded.mask_NE.nonzero()[:, 0].cpu().numpy()])
        electrode.append(encoded.electrode_R.cpu().numpy())
        x.append(encoded.views_RF.float().cpu().numpy())
    trial_R, electrode_R, x_RF = np.concatenate(trial), np.concatenate(electrode), np.concatenate(x)
    learned_R = trial_R < n_train
    electrodes = np.unique(electrode_R[learned_R])
    known_R = np.isin(electrode_R, electrodes)
    trial_R, electrode_R, x_RF, learned_R = (a[known_R] for a in (trial_R, electrode_R, x_RF, learned_R))
    slot_R = np.searchsorted(electrodes, electrode_R)
    x_NVF = np.zeros((len(rows), len(electrodes), x_RF.shape[1]), np.float32)
    mean_VF, sd_VF = np.zeros(x_NVF.shape[1:], np.float32), np.ones(x_NVF.shape[1:], np.float32)
    for slot in range(len(electrodes)):
        own_RF = x_RF[learned_R & (slot_R == slot)].astype(np.float64)
        mean_VF[slot], sd_VF[slot] = own_RF.mean(axis=0), np.maximum(own_RF.std(axis=0), _SMALLEST_SD)
    x_NVF[trial_R, slot_R] = (x_RF - mean_VF[slot_R]) / sd_VF[slot_R]
    return _Table(x_NVF=x_NVF, mean_VF=mean_VF, sd_VF=sd_VF, electrodes=electrodes)


def _member(
    view: str, table: _Table, where: slice, targets: Targets, train: np.ndarray, validation: np.ndarray
) -> _Member:
    """The readout of one view, with the penalty chosen by validation loss; 0.01 without validation trials."""
    x_NF = table.x_NVF[:, :, where]
    shape = x_NF.shape[1:]
    x_NF = x_NF.reshape(len(x_NF), -1)
    n_outputs, n_train = int(targets.n_outputs_N[train[0]]), len(train)
    best: _Member | None = None
    for strength in _STRENGTHS if len(validation) else (1e-2,):
        weight_FK, bias_K = _linear(x_NF[:n_train], targets, train, n_outputs, strength)
        loss = _loss(x_NF[n_train:] @ weight_FK + bias_K, targets, validation)
        if best is None or loss < best.loss:
            best = _Member(view=view, weight=weight_FK.reshape(*shape, n_outputs), bias=bias_K, loss=loss)
    if best is None:
        raise ValueError("no strength was tried")
    return best


def _linear(
    x_NF: np.ndarray, targets: Targets, rows: np.ndarray, n_outputs: int, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (F, K) and intercepts (K,) of a linear model."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if targets.regression_N[rows[0]]:
        ridge = Ridge(alpha=1 / strength).fit(x_NF, targets.value_N[rows])
        return np.asarray(ridge.coef_, np.float64)[:, None], np.array([float(ridge.intercept_)])
    weight_FK, bias_K = np.zeros((x_NF.shape[1], n_outputs)), np.full(n_outputs, _ABSENT_CLASS_LOGIT)
    label_N = targets.label_N[rows]
    present = np.unique(label_N)
    if len(present) < 2:
        bias_K[present] = 0.0
        return weight_FK, bias_K
    model = LogisticRegression(C=strength, max_iter=300, class_weight="balanced", tol=1e-3)
    with warnings.catch_warnings():
        # Stopping at the iteration limit acts as further regularisation, selected on validation trials.
        warnings.simplefilter("ignore")
        model.fit(x_NF, label_N)
    coef, intercept = np.asarray(model.coef_, np.float64), np.asarray(model.intercept_, np.float64)
    if len(present) == 2:  # binary models have one logit: split it symmetrically
        coef, intercept = np.concatenate((-coef, coef)) / 2, np.concatenate((-intercept, intercept)) / 2
    weight_FK[:, present], bias_K[present] = coef.T, intercept
    return weight_FK, bias_K


def _loss(logit_NK: np.ndarray, targets: Targets, rows: np.ndarray) -> float:
    """Class-balanced validation loss relative to guessing; 1 without validation trials."""
    if not len(rows):
        return 1.0
    if targets.regression_N[rows[0]]:
        return float(((logit_NK[:, 0] - targets.value_N[rows]) ** 2).mean())
    label_N, n_outputs = targets.label_N[rows], int(targets.n_outputs_N[rows[0]])
    logit_NK = logit_NK[:, :n_outputs]
    top_N1 = logit_NK.max(axis=1, keepdims=True)
    log_p_NK = logit_NK - top_N1 - np.log(np.exp(logit_NK - top_N1).sum(axis=1, keepdims=True))
    hit_N = -log_p_NK[np.arange(len(rows)), label_N]
    return float(np.mean([hit_N[label_N == k].mean() for k in np.unique(label_N)]) / math.log(max(2, n_outputs)))


@torch.no_grad()
def _graph_loss(model: TransferModel, bank: TrialBank, rows: np.ndarray, targets: Targets) -> float:
    model.eval()
    logits, order = [], []
    for own, encoded in bank.batches(model, rows):
        with bank.autocast():
            head_N = torch.from_numpy(targets.head_N[own]).to(bank.device)
            logits.append(model.graph_logits([encoded], head_N).float().cpu().numpy())
        order.append(own)
    if not order:
        return 1.0
    return _loss(np.concatenate(logits).astype(np.float64), targets, np.concatenate(order))


def _write(
    model: TransferModel,
    head: int,
    table: _Table,
    members: Sequence[_Member],
    share: np.ndarray,
    where: dict[str, slice],
    n_outputs: int,
) -> None:
    """Merge a head's weighted readouts and the standardisation into one map and intercept."""
    heads = model.electrode_heads
    if heads is None:
        return
    weight_VFK = np.zeros((*table.mean_VF.shape, n_outputs))
    bias_K = np.zeros(n_outputs)
    for member, part in zip(members, share, strict=False):
        weight_VFK[:, where[member.view]] = part * member.weight / table.sd_VF[:, where[member.view], None]
        bias_K += part * member.bias
    offset_VK = -np.einsum("vfk,vf->vk", weight_VFK, table.mean_VF)
    at = torch.from_numpy(table.electrodes).to(heads.weight.device)
    K = slice(0, n_outputs)
    heads.weight[head, at, :, K] = torch.from_numpy(weight_VFK).to(heads.weight)
    heads.offset[head, at, K] = torch.from_numpy(offset_VK).to(heads.weight)
    heads.bias[head, K] = torch.from_numpy(bias_K).to(heads.weight)
