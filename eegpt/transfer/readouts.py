"""The readouts beside the graph, fitted in closed form, and the weights of all members of a task.

Each view has its own linear map from all electrodes (`eegpt.model.views`) or pairs of electrodes (`eegpt.model.pairs`)
to a task's outputs, see `ridge`; their weights, and the graph's, are chosen on subjects that they were not fitted to,
see `weighting`. A weighted sum of linear maps is linear: all views are merged into one matrix per electrode and pair.

Shapes: N trials, K outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from eegprep.errors import UsageError
from eegpt.model.whitening import WHITENED_VIEWS
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.folds import Division, Kind, Scheme, inner_folds
from eegpt.transfer.loop import Targets
from eegpt.transfer.model import TransferModel
from eegpt.transfer.ridge import fit_readout
from eegpt.transfer.weighting import Member, Problem, member_weights

GRAPH = "graph"
_FEW_SUBJECTS = 12
_TRIALS_PER_UNIT = 20  # of a single subject, which count as one subject


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Outputs (N, K) of the graph for trials `rows` of the index that it was not fitted to."""

    rows: np.ndarray
    logits_NK: np.ndarray


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
        members = [fit_readout(model, bank, rows, name, problem) for name in _views_read(bank, rows, config)]
        graph = _graph_member(model, bank, division, targets, held_out, rows, problem) if model.graph else None
        weights, graph_weight = member_weights(problem, members, graph)
        for member, weight in zip(members, weights, strict=True):
            member.write(model, head, weight)
        if graph is not None:
            heads.graph_share[head] = graph_weight * graph.scale
        every = [*zip((m.name for m in members), weights, strict=True), *([(GRAPH, graph_weight)] if graph else [])]
        total = sum(w for _, w in every)
        shares += [(head, name, round(float(w / total), 4)) for name, w in every]
    heads.fitted.fill_(True)
    return shares


def _views_read(bank: TrialBank, rows: np.ndarray, config: TransferConfig) -> tuple[str, ...]:
    """The views of a head: signals are whitened by subject only where views are standardised by subject.

    Raises
    ------
    UsageError
        No view is left.
    """
    if bank.aligns(rows):
        return config.views
    if left := tuple(name for name in config.views if name not in WHITENED_VIEWS):
        return left
    raise UsageError(
        f"no view can be read for the task {bank.index.tasks[int(bank.index.task[rows[0]])].key}",
        found=f"views {', '.join(config.views)}, which exist only in tasks that are standardised by subject",
        expected="tasks whose classes differ within subjects, and model.align=subject",
        todo="add another view to model.views, such as spectrum or pairs, or leave the task out with data.tasks",
    )


def graph_outputs(
    model: TransferModel, bank: TrialBank, rows: np.ndarray, targets: Targets
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The graph's logits of some trials, in groups: (rows, (n, K))."""
    model.eval()
    for own, encoded in bank.batches(model, rows):
        head_N = torch.from_numpy(targets.head_N[own]).to(bank.device)
        with torch.no_grad(), bank.autocast(graph=model.readout == "views"):
            yield own, model.graph_logits([encoded], head_N).float().cpu().numpy().astype(np.float64)


def _problem(bank: TrialBank, targets: Targets, rows: np.ndarray, config: TransferConfig) -> Problem:
    within = Scheme.parse(config.data.scheme).kind == Kind.WITHIN
    regression = bool(targets.regression_N[rows[0]])
    n_subjects = len({bank.index.subject[r] for r in rows})
    n_folds = config.selection.folds
    if n_folds < n_subjects <= _FEW_SUBJECTS and not within:
        n_folds = n_subjects  # each is left out once, so that readouts are fitted to nearly all of the others
    fold_N = inner_folds(bank.index, rows, n_folds, within=within)
    n_units = float(n_subjects) if n_subjects > 1 and not within else max(1.0, len(rows) / _TRIALS_PER_UNIT)
    if regression:
        y_NK, weight_N = targets.value_N[rows].astype(np.float64)[:, None], np.full(len(rows), 1 / len(rows))
    else:
        label_N = targets.label_N[rows]
        y_NK = np.eye(int(targets.n_outputs_N[rows[0]]))[label_N]
        count_K = np.bincount(label_N, minlength=y_NK.shape[1])
        weight_N = 1.0 / count_K[label_N]
    subject_N = np.unique([bank.index.subject[r] for r in rows], return_inverse=True)[1]
    return Problem(
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
    problem: Problem,
) -> Member:
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
    return Member(name=GRAPH, output_NK=scale * output_NK, scale=scale, loss=loss)
