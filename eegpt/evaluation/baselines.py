"""Baselines on the same trials and splits: what a lab would try first.

What enters: one task's training, validation and test trials (`TaskData`). What leaves: outputs (N, K) for the test
trials. Every choice (regularisation, stopping) is made on the validation trials, as it is for our model.

`majority` answers with the classes' shares in train. `band_power` is log power in five bands and logistic
regression. `log_spectrum` is the log amplitude from 1 to 45 Hz of every electrode after dividing each by its
recording's robust SD, and logistic regression. `slow_potentials` is each electrode's voltage in up to 16 slices of
time and linear discriminant analysis with shrunk covariance (Blankertz et al. 2011): the one that knows what
amplitude at DC says. `tangent_space` is Riemannian (Barachant et al. 2012): shrunk covariances, their tangent
space, logistic regression. The networks are in `networks.py`, the graph without an encoder in `graph_baseline.py`.
"""

from __future__ import annotations

import importlib.util
import itertools
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from eegprep.errors import UsageError, nearest

from .task_data import TaskData

__all__ = ["BASELINES", "GRAPH", "QUICK", "chosen", "run_baseline"]

#: From braindecode, in an extra; `all` leaves them out, `braindecode` names them together.
FOREIGN = ("eegconformer", "labram", "biot", "cbramod", "eegpt_wang")
#: The graph without an encoder learns all tasks together, so it is no function of one task's trials (`graph_baseline`).
GRAPH = "teg_band_power"

_C_GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_BANDS_HZ = ((1.0, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 30.0), (30.0, 45.0))

Baseline = Callable[[TaskData, TaskData, TaskData, int], np.ndarray]


def run_baseline(name: str, train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray | None:
    """Outputs (N, K) float32 of a baseline on the test trials; None where it has nothing to say on such a task."""
    if train.kind == "regression" and name not in ("majority", "band_power", "log_spectrum", "log_spectrum_by_person"):
        return None
    if train.kind == "classification" and name != "majority":
        n_classes = len(np.unique(train.target))
        # Spread within classes, which discriminant analysis needs, takes more trials than classes.
        if n_classes < 2 or (name == "slow_potentials" and len(train.rows) <= n_classes):
            return None
    return np.asarray(BASELINES[name](train, validation, test, seed), np.float32)


def chosen(names: str) -> tuple[str, ...]:
    """The baselines of `names`: names and the groups `quick`, `all`, `braindecode` and `none`, with commas.

    Raises UsageError for one that there is not or that can't run here; groups leave out what is not installed.
    """
    have_riemann = importlib.util.find_spec("pyriemann") is not None
    groups = {
        "quick": QUICK,
        "all": (*(n for n in BASELINES if n not in FOREIGN), GRAPH),
        "braindecode": tuple(FOREIGN),
        "none": (),
    }
    if not have_riemann:
        groups = {key: tuple(n for n in group if n != "tangent_space") for key, group in groups.items()}
    asked = (n.strip() for n in names.split(",") if n.strip())
    found = tuple(dict.fromkeys(m for n in asked for m in groups.get(n, (n,))))
    for name in found:
        known = (*BASELINES, GRAPH)
        if name not in known:
            raise UsageError(
                f"there is no baseline {name!r}", expected=", ".join(known), todo=nearest(name, known) or None
            )
    if any(name in FOREIGN for name in found):
        from .braindecode_networks import load_models

        load_models()
    if "tangent_space" in found and not have_riemann:
        raise UsageError("tangent_space needs pyriemann", todo="python -m pip install 'eegpt[baselines]'")
    return found


# ---- features


def power_spectrum(signal_NES: np.ndarray, sfreq_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Welch's power (N, E, F) over windows of 1 s (or the trial) with half overlap, and the frequencies (F,)."""
    S = signal_NES.shape[2]
    length = min(S, int(sfreq_hz))
    starts = range(0, S - length + 1, max(1, length // 2))
    window = np.hanning(length + 2)[1:-1].astype(np.float32)
    power = np.zeros((*signal_NES.shape[:2], length // 2 + 1), np.float32)
    for start in starts:
        part = signal_NES[:, :, start : start + length]
        part = part - part.mean(axis=2, keepdims=True)
        power += np.abs(np.fft.rfft(part * window, axis=2)).astype(np.float32) ** 2
    return power / len(starts) / (window**2).sum() / sfreq_hz, np.fft.rfftfreq(length, 1 / sfreq_hz)


def _band_power(data: TaskData) -> np.ndarray:
    power, frequency_hz = power_spectrum(data.signal_uv, data.sfreq_hz)
    bands = []
    for low, high in _BANDS_HZ:
        inside = (frequency_hz >= low) & (frequency_hz < high)
        if not inside.any():
            inside[np.abs(frequency_hz - low).argmin()] = True
        bands.append(power[:, :, inside].mean(axis=2))
    return _flat(np.log(np.stack(bands, axis=2) + 1e-6))


def _log_spectrum(data: TaskData) -> np.ndarray:
    power, frequency_hz = power_spectrum(data.signal_uv / data.sigma_uv[:, :, None], data.sfreq_hz)
    inside = (frequency_hz >= 1) & (frequency_hz <= 45)
    return _flat(np.log(power[:, :, inside] + 1e-8))


def _by_person(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
    """The log spectrum and the recording's level, each person's trials centred and scaled as our model's are.

    As there (`eegpt.training.transfer_align`): by all trials of the person, the test's among them, without labels;
    and not at all in a task that asks who he is.
    """
    parts = (train, validation, test)
    x = np.concatenate([np.concatenate((_log_spectrum(d), np.log(d.sigma_uv)), axis=1) for d in parts])
    people = np.concatenate([d.person for d in parts])
    varied = [len(np.unique(train.target[train.person == p])) > 1 for p in np.unique(train.person)]
    if len(varied) > 1 and np.mean(varied) > 0.5:
        for p in np.unique(people):
            own = people == p
            x[own] = (x[own] - x[own].mean(axis=0)) / (x[own].std(axis=0) + 1e-3)
    edges = np.cumsum([0, *(len(d.rows) for d in parts)])
    return fit_linear(train, validation, test, *(x[a:b] for a, b in itertools.pairwise(edges)))


def _slices(data: TaskData) -> np.ndarray:
    S = data.signal_uv.shape[2]
    edges = np.linspace(0, S, min(16, S) + 1).astype(int)
    parts = [data.signal_uv[:, :, a:b].mean(axis=2) for a, b in itertools.pairwise(edges)]
    return _flat(np.stack(parts, axis=2))


def _flat(x_NEF: np.ndarray) -> np.ndarray:
    """(N, E x F); also of no trials."""
    return x_NEF.reshape(len(x_NEF), x_NEF.shape[1] * x_NEF.shape[2])


# ---- readouts


def _expand(probability: np.ndarray, classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Columns for classes that train does not have."""
    out = np.zeros((len(probability), n_classes))
    out[:, classes.astype(int)] = probability
    return out


def _linear(features: Callable[[TaskData], np.ndarray]) -> Baseline:
    """Standardise, then logistic regression (ridge for values) with the strength that validates best."""

    def run(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
        return fit_linear(train, validation, test, *(features(d) for d in (train, validation, test)))

    return run


def fit_linear(
    train: TaskData, validation: TaskData, test: TaskData, x: np.ndarray, x_validation: np.ndarray, x_test: np.ndarray
) -> np.ndarray:
    """The readout of all linear baselines; without validation trials the strength is 0.01."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    x_validation = scaler.transform(x_validation) if len(x_validation) else x[:0]
    x, x_test = scaler.transform(x), scaler.transform(x_test)
    best: tuple[float, np.ndarray] | None = None
    for strength in _C_GRID if len(x_validation) else (1e-2,):
        if train.kind == "regression":
            model = Ridge(alpha=1 / strength).fit(x, train.target)
            loss = float(((model.predict(x_validation) - validation.target) ** 2).mean()) if len(x_validation) else 0.0
            output = model.predict(x_test)[:, None]
        else:
            model = LogisticRegression(C=strength, max_iter=1000, class_weight="balanced", tol=1e-3)
            with warnings.catch_warnings():
                # Stopping at the iteration limit is one more form of regularisation here, judged on validation.
                warnings.simplefilter("ignore")
                model.fit(x, train.target)
            output = _expand(model.predict_proba(x_test), model.classes_, train.n_classes)
            loss = 0.0
            if len(x_validation):
                p = _expand(model.predict_proba(x_validation), model.classes_, train.n_classes)
                loss = balanced_loss(p, validation.target.astype(int))
        if best is None or loss < best[0]:
            best = (loss, output)
    return best[1] if best is not None else np.zeros((len(x_test), train.n_classes))


def balanced_loss(probability_NK: np.ndarray, label_N: np.ndarray) -> float:
    """Mean over the classes present of their mean cross-entropy."""
    hit = -np.log(np.clip(probability_NK[np.arange(len(label_N)), label_N], 1e-6, 1))
    return float(np.mean([hit[label_N == k].mean() for k in np.unique(label_N)]))


def _majority(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
    if train.kind == "regression":
        return np.full((len(test.rows), 1), train.target.mean())
    count = np.bincount(train.target.astype(int), minlength=train.n_classes)
    return np.tile(count / count.sum(), (len(test.rows), 1))


def _slow_potentials(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    best: tuple[float, np.ndarray] | None = None
    for remove_mean in (False, True):  # level or course: which of them tells is decided on validation
        x, v, t = (
            _slices(d) if not remove_mean else _centred(_slices(d), len(d.electrodes))
            for d in (train, validation, test)
        )
        scale = x.std(axis=0) + 1e-9
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x / scale, train.target)
        loss = 0.0
        if len(v):
            p = _expand(model.predict_proba(v / scale), model.classes_, train.n_classes)
            loss = balanced_loss(p, validation.target.astype(int))
        if best is None or loss < best[0]:
            best = (loss, _expand(model.predict_proba(t / scale), model.classes_, train.n_classes))
    return best[1] if best is not None else _majority(train, validation, test, seed)


def _centred(slices: np.ndarray, n_electrodes: int) -> np.ndarray:
    by_electrode = slices.reshape(len(slices), n_electrodes, slices.shape[1] // n_electrodes)
    return _flat(by_electrode - by_electrode.mean(axis=2, keepdims=True))


def _tangent_space(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
    from pyriemann.estimation import Covariances
    from pyriemann.tangentspace import TangentSpace

    def covariances(data: TaskData) -> np.ndarray:
        if not len(data.rows):
            return np.zeros((0, len(data.electrodes), len(data.electrodes)))
        scaled = (data.signal_uv / data.sigma_uv[:, :, None]).astype(np.float64)
        return Covariances(estimator="oas").transform(scaled - scaled.mean(axis=2, keepdims=True))

    c, v, t = (covariances(d) for d in (train, validation, test))
    space = TangentSpace(metric="riemann").fit(c)
    x_validation = space.transform(v) if len(v) else np.zeros((0, 1))
    return fit_linear(train, validation, test, space.transform(c), x_validation, space.transform(t))


def _network(name: str) -> Baseline:
    def run(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
        from .networks import OWN, train_network

        if name in OWN:
            return train_network(OWN[name], train, validation, test, seed)
        from .braindecode_networks import braindecode_network

        return train_network(braindecode_network(name), train, validation, test, seed)

    return run


BASELINES: dict[str, Baseline] = {
    "majority": _majority,
    "band_power": _linear(_band_power),
    "log_spectrum": _linear(_log_spectrum),
    "log_spectrum_by_person": _by_person,
    "slow_potentials": _slow_potentials,
    "tangent_space": _tangent_space,
    "eegnet": _network("eegnet"),
    "shallow": _network("shallow"),
    **{name: _network(name) for name in FOREIGN},
}
QUICK: Sequence[str] = (
    "majority",
    "band_power",
    "log_spectrum",
    "log_spectrum_by_person",
    "slow_potentials",
    "tangent_space",
)
SEEDED = frozenset({"eegnet", "shallow", *FOREIGN})
