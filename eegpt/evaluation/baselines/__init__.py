"""Standard baselines on the same trials and splits.

A baseline maps one task's training, validation and test trials (`TaskData`) to outputs (N, K) for the test trials.
Hyperparameters (regularisation, stopping) are chosen on the validation trials, as for our model. `linear` has classical
features, `networks` EEGNet and ShallowConvNet, `foreign` the networks of braindecode, and `graph` the electrode graph
without an encoder, trained on all tasks together.
"""

from __future__ import annotations

import numpy as np

from eegprep.errors import UsageError, nearest
from eegpt.evaluation.baselines import linear
from eegpt.evaluation.baselines.linear import Baseline
from eegpt.evaluation.baselines.trials import TaskData, task_data

__all__ = ["BASELINES", "FOREIGN", "GRAPH", "QUICK", "SEEDED", "TaskData", "chosen", "run_baseline", "task_data"]

#: From braindecode, in an extra; `all` leaves them out, `braindecode` selects them all.
FOREIGN = ("eegconformer", "labram", "biot", "cbramod", "eegpt_wang")
GRAPH = "teg_band_power"


def _network(name: str) -> Baseline:
    def run(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
        from eegpt.evaluation.baselines import foreign, networks

        network = networks.OWN.get(name) or foreign.braindecode_network(name)
        return networks.train_network(network, train, validation, test, seed)

    return run


_LINEAR: dict[str, Baseline] = {
    "majority": linear.majority,
    "band_power": linear.linear(linear.band_power),
    "log_spectrum": linear.linear(linear.log_spectrum),
    "log_spectrum_by_subject": linear.log_spectrum_by_subject,
    "slow_potentials": linear.slow_potentials,
    "tangent_space": linear.tangent_space,
}
QUICK = tuple(_LINEAR)
SEEDED = ("eegnet", "shallow", *FOREIGN)
BASELINES = _LINEAR | {name: _network(name) for name in SEEDED}
_REGRESSION = ("majority", "band_power", "log_spectrum", "log_spectrum_by_subject")


def run_baseline(name: str, train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray | None:
    """Outputs (N, K) float32 of a baseline on the test trials; None if it does not apply to the task."""
    if train.kind == "regression" and name not in _REGRESSION:
        return None
    if train.kind == "classification" and name != "majority":
        n_classes = len(np.unique(train.target))
        # Discriminant analysis needs the scatter within classes, so more trials than classes.
        if n_classes < 2 or (name == "slow_potentials" and len(train.rows) <= n_classes):
            return None
    return np.asarray(BASELINES[name](train, validation, test, seed), np.float32)


def chosen(names: str) -> tuple[str, ...]:
    """The baselines of `names`: names and the groups `quick`, `all`, `braindecode` and `none`, separated by commas.

    Raises UsageError for an unknown baseline or one that cannot run here.
    """
    groups = {
        "quick": QUICK,
        "all": (*(n for n in BASELINES if n not in FOREIGN), GRAPH),
        "braindecode": FOREIGN,
        "none": (),
    }
    asked = (n.strip() for n in names.split(",") if n.strip())
    found = tuple(dict.fromkeys(m for n in asked for m in groups.get(n, (n,))))
    known = (*BASELINES, GRAPH)
    for name in found:
        if name not in known:
            raise UsageError(f"unknown baseline {name!r}", expected=", ".join(known), todo=nearest(name, known) or None)
    if any(name in FOREIGN for name in found):
        from eegpt.evaluation.baselines import foreign

        foreign.load_models()
    return found
