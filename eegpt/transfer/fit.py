"""Fit a graph on an encoder to any kind of trials, keeping the weights with the best validation loss.

No file is read or written: `eegpt.transfer.run` saves fits of shard sets, `eegpt.interop` fits arrays and epochs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.heads import ElectrodeScale, HeadSpec
from eegpt.model.lora import add_lora
from eegpt.model.pairs import N_PAIR_FEATURES
from eegpt.model.sizes import SIZES, size
from eegpt.model.teg import TEGConfig
from eegpt.runs.runtime import pick_precision
from eegpt.transfer.align import alignable_tasks
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.folds import Division, inner_folds
from eegpt.transfer.loop import Fit, Report, Targets, fit
from eegpt.transfer.model import TransferModel
from eegpt.transfer.readouts import HeldOut, fit_readouts, graph_outputs
from eegpt.transfer.rows import Encoded, Trials

_SMALLEST_SD = 1e-3


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted model, the training record, and the trials' targets in the model's numbering.

    `aligned` are the tasks whose views were standardised by subject; `shares` are the ensemble weights, (head, view or
    `graph`, weight).
    """

    model: TransferModel
    loop: Fit
    targets: Targets
    aligned: tuple[int, ...]
    shares: tuple[tuple[int, str, float], ...]


def graph_config(config: TransferConfig, encoder: ETEConfig) -> TEGConfig:
    """The graph configuration for an encoder, with the depth of its size unless the settings override it."""
    of_width = {s.width: s.teg_layers for s in SIZES.values()}
    layers = config.model.teg_layers or of_width.get(encoder.width, size("base").teg_layers)
    return TEGConfig(
        n_layers=layers,
        width=encoder.width,
        n_electrodes=encoder.n_electrodes,
        dropout=config.model.dropout,
        n_edge_features=N_PAIR_FEATURES if config.has_edges else 0,
        condition=encoder.condition,
        kinds=encoder.kinds,
    )


def build_model(ete: ETE, graph: TEGConfig, heads: tuple[HeadSpec, ...], config: TransferConfig) -> TransferModel:
    """Build the model of a mode, with `requires_grad` set on the trained parameters; it contains `ete`."""
    ete.requires_grad_(config.mode in ("full", "scratch"))
    if config.mode == "lora":
        add_lora(ete, config.model.lora_rank)
    return TransferModel(
        ete,
        graph,
        heads,
        readout=config.readout,
        dropout=config.model.dropout,
        electrode_heads=bool(config.views),
        views=config.views,
        graph=config.uses_graph,
        compress=config.model.compress,
    )


def fit_model(
    index: Trials,
    division: Division,
    config: TransferConfig,
    *,
    encoder: ETEConfig,
    weights: Mapping[str, torch.Tensor] | None,
    graph: TEGConfig,
    heads: tuple[HeadSpec, ...],
    head_of_task: np.ndarray,
    electrode_of: np.ndarray,
    seed: int,
    device: torch.device,
    views: dict[str, Encoded] | None = None,
    without: Collection[int] = (),
    report: Report | None = None,
) -> Fitted:
    """Train one model on a division's trials.

    `weights` are the encoder's (None: random); `head_of_task` and `electrode_of` map the index's tasks and electrodes
    to the model's (-1: left out); `views` are those of a frozen encoder from an earlier fit of the same index;
    `without` are electrodes of the model that the readouts do not read (without a graph).
    """
    torch.manual_seed(seed)
    ete = ETE(encoder)
    if weights is not None:
        ete.load_state_dict(dict(weights))
    model = build_model(ete, graph, heads, config).to(device)
    aligned = alignable_tasks(index, division.train) if config.model.align == "subject" else ()
    # Tasks of one head are read in the same way, also those of a data set that is only tested.
    aligned = tuple(np.flatnonzero(np.isin(head_of_task, np.unique(head_of_task[list(aligned)]))).tolist())
    bank = TrialBank(
        index,
        electrode_of,
        device=device,
        budget_bytes=config.compute.cache_mib << 20,
        precision=pick_precision(config.compute.precision, device),
        aligned_tasks=aligned,
        views=views,
        without=without,
    )
    targets = Targets.of(index, head_of_task, division.train, class_weights=config.objective.class_weights)
    fit_scale(model, bank, division.train, targets)
    held_out = _graph_held_out(model, bank, division, targets, config, seed) if config.views else None
    loop = fit(model, bank, division, targets, config, seed=seed, report=report)
    shares = tuple(fit_readouts(model, bank, division, targets, config, held_out))
    return Fitted(model=model, loop=loop, targets=targets, aligned=aligned, shares=shares)


def _graph_held_out(
    model: TransferModel, bank: TrialBank, division: Division, targets: Targets, config: TransferConfig, seed: int
) -> HeldOut | None:
    """The graph's logits for training trials of subjects that it was not fitted to; None without folds or encoder."""
    n_folds = config.selection.graph_folds
    if not (n_folds and config.keeps_encoder and model.graph):
        return None
    start = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    fold_N = inner_folds(bank.index, division.train, n_folds, seed=seed)
    rows, logits = [], []
    for fold in np.unique(fold_N):
        held, learned = division.train[fold_N == fold], division.train[fold_N != fold]
        if not np.isin(np.unique(targets.head_N[held]), targets.head_N[learned]).all():
            return None
        inner = Division(name=f"{division.name}/{fold}", train=learned, validation=division.validation, test=held)
        fit(model, bank, inner, targets, config, seed=seed)
        for own, own_logits in graph_outputs(model, bank, held, targets):
            rows.append(own)
            logits.append(own_logits)
        model.load_state_dict(start, strict=False)
    return HeldOut(rows=np.concatenate(rows), logits_NK=np.concatenate(logits)) if rows else None


def fit_scale(model: TransferModel, bank: TrialBank, train: np.ndarray, targets: Targets) -> None:
    """Measure the mean and SD of each head's views at each electrode (and pair) over its training trials, in place.

    Electrodes missing from a task's training trials get the values over all electrodes. No-op if the graph does not
    read views.
    """
    if model.scale is None and model.edge_scale is None:
        return
    for head in np.unique(targets.head_N[train]).tolist():
        of_head = train[targets.head_N[train] == head]
        tasks = np.unique(bank.index.task[of_head])
        seen = [bank.views(model, of_head[bank.index.task[of_head] == task]) for task in tasks]
        if model.scale is not None:
            x_RF = torch.cat([s.views_RF for s in seen if s.views_RF is not None])
            _measure(model.scale, head, x_RF, torch.cat([s.electrode_R for s in seen]))
        if model.edge_scale is not None:
            rows = [s.pair_rows() for s in seen]
            _measure(model.edge_scale, head, torch.cat([x for x, _, _ in rows]), torch.cat([p for _, p, _ in rows]))


def _measure(scale: ElectrodeScale, head: int, x_RF: torch.Tensor, place_R: torch.Tensor) -> None:
    x_RF = x_RF.double()
    scale.mean[head] = x_RF.mean(dim=0).to(scale.mean)
    scale.sd[head] = (x_RF.std(dim=0, correction=0) + _SMALLEST_SD).to(scale.sd)
    places, at_R = place_R.unique(return_inverse=True)
    count_V1 = torch.bincount(at_R).unsqueeze(1)
    zero_VF = x_RF.new_zeros(len(places), x_RF.shape[1])
    mean_VF = zero_VF.index_add(0, at_R, x_RF) / count_V1
    variance_VF = zero_VF.index_add(0, at_R, (x_RF - mean_VF[at_R]).square()) / count_V1
    scale.mean[head, places] = mean_VF.to(scale.mean)
    scale.sd[head, places] = (variance_VF.sqrt() + _SMALLEST_SD).to(scale.sd)
