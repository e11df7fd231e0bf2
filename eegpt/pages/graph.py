"""Sections of a run's page on the graph: attention by electrode, and a map of the trials.

One head map per task of the attention received by each electrode, and one map per task of the pooled vectors of test
trials, for the first fit and a fixed, evenly spread selection of test trials.

Shapes: N trials, E electrodes, D width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from eegprep.errors import InputError
from eegprep.recording import spread
from eegprep.report.figures import Cloud, Drawing, Row, Section, format_percent, head, scatter
from eegprep.report.sections.contents import montage
from eegpt.data import TaskInfo
from eegpt.model.teg import GraphAttention, GraphLayer
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.checkpoint import finished_fits, open_fit, read_run
from eegpt.transfer.model import TransferModel
from eegpt.transfer.setup import make_setup, open_trials

MAX_TRIALS = 200


def graph_sections(run: Path, shards: Sequence[Path]) -> list[Section]:
    """Attention and embedding map of every task of the run's first fit."""
    pairs = []
    for task, received, pooled_ND, label_N in _tasks(run, shards):
        # A single electrode attends only to itself.
        drawings = [_head(task.key, received)] if len(received) > 1 else []
        if task.kind == "classification" and len(label_N) > 2:
            drawings.append(trial_map(task, pooled_ND, label_N))
        if drawings:
            pairs.append(Row(parts=drawings))
    if not pairs:
        return []
    section = Section(
        anchor="graph",
        heading="Inside the graph",
        opening="Heads show the attention that an electrode receives from the electrodes of a trial, relative to an "
        "even share (1: all electrodes equal), as the mean over layers and test trials. Points are "
        "the graph's vectors of test trials along the two directions of greatest variance.",
        parts=pairs,
    )
    return [section]


def attention_by_task(run: Path, shards: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Attention that each electrode receives in the graph of the run's first fit, by task and electrode.

    In shares of an even one: 1 if all electrodes of a trial are equal. The mean over layers and test trials; empty for
    a run without a graph.
    """
    return {task.key: received for task, received, _, _ in _tasks(run, shards)}


def _tasks(run: Path, shards: Sequence[Path]) -> Iterator[tuple[TaskInfo, dict[str, float], np.ndarray, np.ndarray]]:
    """Each task with the attention by electrode, the graph's vectors of test trials (N, D), and their labels (N,)."""
    trained = read_run(Path(run))
    record = next(iter(finished_fits(Path(run)).values()), None)
    if record is None or not trained.config.uses_graph or trained.config.readout == "band_power":
        return
    setup = make_setup(*open_trials(shards, trained.config), trained.vocabulary, trained.config, trained.encoder)
    division = next((d for d in setup.divisions if d.name == record.division), None)
    if division is None:
        return
    index, (model, bank) = setup.index, open_fit(trained, setup, record)
    names = trained.vocabulary.names
    for number, task in enumerate(index.tasks):
        rows = division.test[index.task[division.test] == number]
        if task.key not in record.tasks or len(rows) < 2:
            continue
        rows = rows[spread(len(rows), MAX_TRIALS)]
        received, pooled_ND, order = _look(model, bank, rows, int(setup.head_of_task[number]))
        yield task, {names[e]: v for e, v in received.items()}, pooled_ND, index.label[order]


def attention_received(
    module: GraphAttention, h_BED: Tensor, beta_BEE: Tensor, edge_BEEF: Tensor | None = None
) -> Tensor:
    """(B, E) attention that each node receives, relative to an even share over the sample's own electrodes.

    A padded node attends only to itself, and is recognised by zeros off the diagonal; its entry is meaningless.
    """
    alpha_BEE = module.coefficients(module.project(h_BED), beta_BEE, edge_BEEF)
    # A padded node's row is 1 on the diagonal and 0 elsewhere; the other rows sum over real nodes.
    return alpha_BEE.sum(dim=1)


@torch.no_grad()
def _look(
    model: TransferModel, bank: TrialBank, rows: np.ndarray, task: int
) -> tuple[dict[int, float], np.ndarray, np.ndarray]:
    """Mean attention by electrode id, pooled vectors (N, D), and the corresponding rows."""
    seen: list[Tensor] = []
    hooks = [
        cast(GraphLayer, layer).attention.register_forward_hook(
            lambda module, args, out: seen.append(attention_received(module, *args[:3]))
        )
        for layer in model.teg.layers
    ]
    total: dict[int, float] = defaultdict(float)
    count: dict[int, int] = defaultdict(int)
    pooled, order = [], []
    try:
        for own, encoded in bank.batches(model, rows):
            seen.clear()
            task_N = torch.full((len(own),), task, device=bank.device)
            z_NED, electrode_NE, mask_NE = model.nodes(encoded, task_N)
            pooled.append(model.teg(z_NED, electrode_NE, mask_NE, model.edges(encoded, task_N)).float().cpu())
            order.append(np.asarray(own))
            received_NE = torch.stack(seen).mean(dim=0).float().cpu()
            mask = mask_NE.cpu()
            electrode_NE = model.ete.config.electrode_of(electrode_NE)
            for electrode, value in zip(electrode_NE.cpu()[mask].tolist(), received_NE[mask].tolist(), strict=True):
                total[electrode] += value
                count[electrode] += 1
    finally:
        for hook in hooks:
            hook.remove()
    means, pooled_ND = {e: total[e] / count[e] for e in sorted(total)}, torch.cat(pooled).numpy()
    if not np.isfinite(pooled_ND).all():
        raise InputError(
            "the graph's vectors are not finite",
            todo="its weights are damaged or its training diverged: train it again",
        )
    return means, pooled_ND, np.concatenate(order)


def _head(key: str, received: dict[str, float]) -> Drawing:
    places = montage()
    low, high = min(received.values()), max(received.values())
    return Drawing(
        heading=f"{key}: attention",
        svg=head(
            received,
            places,
            every=places,
            low=low,
            high=high,
            label=f"Attention that each electrode receives, {key}",
            unit="times an even share",
            size=440.0,
        ),
        caption=f"From {low:.2f} to {high:.2f} times an even share.",
    )


def trial_map(task: TaskInfo, pooled_ND: np.ndarray, label_N: np.ndarray) -> Drawing:
    """Vectors of test trials (N, D) along their first two principal components, coloured by label (N,)."""
    centred = pooled_ND - pooled_ND.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    # The sign is arbitrary; make the largest entry positive, so that equal runs look equal.
    plane = u[:, :2] * s[:2]
    plane *= np.sign(plane[np.abs(plane).argmax(axis=0), np.arange(plane.shape[1])])
    clouds = [
        Cloud(label=name, x=plane[label_N == k, 0].tolist(), y=plane[label_N == k, 1].tolist())
        for k, name in enumerate(task.classes)
    ]
    share = float((s[:2] ** 2).sum() / (s**2).sum()) if s.sum() > 0 else 0.0
    return Drawing(
        heading=f"{task.key}: test trials",
        svg=scatter(clouds, label=f"Map of {len(label_N)} test trials, {task.key}", width=440.0, height=330.0),
        caption=f"{len(label_N)} test trials; the two directions explain {format_percent(share)} of the variance.",
    )
