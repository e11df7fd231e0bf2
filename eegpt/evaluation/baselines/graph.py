"""The electrode graph without an encoder: its nodes start from the log power of five bands in absolute units.

What enters: a `Setup`. What leaves: its predictions beside the other baselines'. It learns all tasks together, on the
same training trials, and selects on the same validation trials, as our model's graph does, so that what the encoder
adds to the graph can be seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from eegpt.evaluation.baselines import GRAPH
from eegpt.evaluation.predictions import Predictions
from eegpt.model.sizes import ete_config
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import fit_model, graph_config
from eegpt.transfer.loop import predict, regression_scale
from eegpt.transfer.setup import Setup, device

__all__ = ["run_graph_on_band_power"]


def run_graph_on_band_power(
    setup: Setup, predictions: Predictions, *, seeds: Sequence[int], tell: Callable[[str], None]
) -> None:
    """Fit the graph in every division and with every seed, and put its outputs on the test trials."""
    index, here, began = setup.index, device(), time.monotonic()
    # In microvolt: dividing by the recording's SD would take away what band power is about.
    config = TransferConfig(readout="band_power", views=(), align="none", normalise="fixed")
    encoder = ete_config("base", n_electrodes=len(index.vocabulary), objective="new", normalise=config.normalise)
    every = np.arange(len(index.vocabulary))
    for division in setup.divisions:
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
            learned = set(index.task[division.train].tolist())
            for number, task in enumerate(index.tasks):
                rows = division.test[index.task[division.test] == number]
                if not len(rows) or number not in learned:
                    continue
                output_NK = predict(fitted.model, bank, rows, fitted.targets)[:, : max(1, len(task.classes))]
                if task.kind == "regression":
                    mean, sd = regression_scale(index, division.train, number)
                    output_NK = output_NK * sd + mean
                predictions.put(task.key, GRAPH, seed, rows, output_NK)
                predictions.seconds[task.key, GRAPH] = round(time.monotonic() - began, 2)
