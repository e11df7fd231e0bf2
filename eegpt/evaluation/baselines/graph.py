"""The electrode graph without an encoder: nodes start from the log power in five bands, in microvolt.

It is trained on all tasks together, with the same training and validation trials as our model's graph, and so shows
what the encoder contributes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from eegpt.evaluation.baselines import GRAPH
from eegpt.evaluation.predictions import Predictions, put_predictions
from eegpt.model.sizes import ete_config
from eegpt.runs.runtime import pick_device
from eegpt.runs.settings import changed
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import fit_model, graph_config
from eegpt.transfer.setup import Setup


def run_graph_on_band_power(
    setup: Setup, predictions: Predictions, *, seeds: Sequence[int], tell: Callable[[str], None]
) -> None:
    """Fit the graph for every division and seed, and store its outputs for the test trials."""
    index, here, began = setup.index, pick_device(), time.monotonic()
    config = changed(TransferConfig(), {"model.readout": "band_power", "model.views": (), "model.align": "none"})
    # In microvolt: dividing by the recording's SD would remove differences in band power.
    encoder = ete_config("base", n_electrodes=len(index.vocabulary), objective="new", normalise="fixed")
    every = np.arange(len(index.vocabulary))
    for division in setup.divisions:
        trained = np.isin(np.arange(len(index.tasks)), index.task[division.train])
        heads = np.where(trained, setup.head_of_task, -1)
        for seed in seeds:
            tell(f"{GRAPH}, {division.name}, seed {seed}")
            fitted = fit_model(
                index,
                division,
                config,
                encoder=encoder,
                weights=None,
                graph=graph_config(config, encoder),
                heads=setup.heads,
                head_of_task=setup.head_of_task,
                electrode_of=every,
                seed=seed,
                device=here,
            )
            bank = TrialBank(index, every, device=here, budget_bytes=0)
            put_predictions(predictions, GRAPH, seed, fitted.model, bank, division, fitted.targets, heads)
    for task, method in predictions.outputs:
        if method == GRAPH:
            predictions.seconds[task, GRAPH] = round(time.monotonic() - began, 2)
