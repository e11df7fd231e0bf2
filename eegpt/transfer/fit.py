"""One fit: a graph on an encoder, from trials of any index, with the weights that did best on validation trials.

What enters: an index of trials (a `TrialIndex`, or anything with its columns and `gather`), how its electrodes and
tasks map to the model's, a division. What leaves: the model. Nothing is read or written: `transfer` keeps the fits of
shard sets in a run's folder, `eegpt.interop` fits arrays and epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from eegpt.model.ete import ETE, ETEConfig
from eegpt.model.heads import HeadSpec
from eegpt.model.sizes import SIZES, size
from eegpt.model.teg import TEGConfig
from eegpt.runs.runtime import pick_precision
from eegpt.transfer.align import alignable_tasks
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.checkpoint import build_model
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.folds import Division
from eegpt.transfer.loop import Fit, Targets, fit
from eegpt.transfer.model import TransferModel
from eegpt.transfer.readouts import fit_readouts
from eegpt.transfer.rows import Encoded
from eegpt.transfer.scale import fit_scale

__all__ = ["Fitted", "fit_model", "graph_config"]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A fitted model, what the loop tells, and the trials' targets in the model's numbering.

    `aligned` are the tasks whose views were centred by person; `shares` (head, view or `graph`, weight) what decides.
    """

    model: TransferModel
    loop: Fit
    targets: Targets
    aligned: tuple[int, ...]
    shares: tuple[tuple[int, str, float], ...]


def graph_config(config: TransferConfig, encoder: ETEConfig) -> TEGConfig:
    """The graph that belongs to an encoder: as deep as its size says, unless the settings say otherwise."""
    of_width = {s.width: s.teg_layers for s in SIZES.values()}
    layers = config.teg_layers or of_width.get(encoder.width, size("base").teg_layers)
    return TEGConfig(n_layers=layers, width=encoder.width, n_electrodes=encoder.n_electrodes, dropout=config.dropout)


def fit_model(
    index: Any,
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
    views: dict[int, Encoded] | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> Fitted:
    """Train one model.

    Parameters
    ----------
    index : TrialIndex
    division : Division
        Rows to learn from and to select on.
    encoder, weights : ETEConfig, mapping of str to Tensor or None
        The encoder; random weights where there are none.
    graph, heads : TEGConfig, tuple of HeadSpec
    head_of_task : (n_tasks,) int array
        The head of each of the index's tasks.
    electrode_of : (V,) int array
        Row of the encoder's vocabulary for each row of the index's; -1 where it is left out.
    views : dict, optional
        What a frozen encoder's views were in an earlier fit of the same index, see `TrialBank`.
    """
    torch.manual_seed(seed)
    ete = ETE(encoder)
    if weights is not None:
        ete.load_state_dict(dict(weights))
    model = build_model(ete, graph, heads, config).to(device)
    aligned = alignable_tasks(index, division.train) if config.align == "person" else ()
    bank = TrialBank(
        index,
        electrode_of,
        device=device,
        budget_bytes=config.cache_mib << 20,
        precision=pick_precision(config.precision, device),
        aligned_tasks=aligned,
        views=views,
    )
    targets = Targets.of(index, head_of_task, division.train, class_weights=config.class_weights)
    fit_scale(model, bank, division.train, targets)
    loop = fit(model, bank, division, targets, config, seed=seed, report=report)
    shares = tuple(fit_readouts(model, bank, division, targets, config.used_views))
    return Fitted(model=model, loop=loop, targets=targets, aligned=aligned, shares=shares)
