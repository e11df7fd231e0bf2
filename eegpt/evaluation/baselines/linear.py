"""Linear baselines: features of a task's trials, and readouts whose penalty is chosen on validation trials.

The log band power, the log spectrum (1 to 45 Hz, each electrode divided by its recording's robust SD; plain or
standardised by subject), voltages in up to 16 slices of time with shrunk linear discriminant analysis (Blankertz et
al. 2011), and the tangent space of covariances (Barachant et al. 2012).

Shapes: N trials, E electrodes, S samples, F features, K classes.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import numpy as np

from eegpt.evaluation.baselines.trials import TaskData
from eegpt.model.tokens import BANDS_HZ

_C_GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)

Baseline = Callable[[TaskData, TaskData, TaskData, int], np.ndarray]


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


def band_power(data: TaskData) -> np.ndarray:
    power, frequency_hz = power_spectrum(data.signal_uv, data.sfreq_hz)
    bands = []
    for low, high in BANDS_HZ.values():
        inside = (frequency_hz >= low) & (frequency_hz < high)
        if not inside.any():
            inside[np.abs(frequency_hz - low).argmin()] = True
        bands.append(power[:, :, inside].mean(axis=2))
    return _flat(np.log(np.stack(bands, axis=2) + 1e-6))


def log_spectrum(data: TaskData) -> np.ndarray:
    power, frequency_hz = power_spectrum(data.signal_uv / data.sigma_uv[:, :, None], data.sfreq_hz)
    inside = (frequency_hz >= 1) & (frequency_hz <= 45)
    return _flat(np.log(power[:, :, inside] + 1e-8))


def log_spectrum_by_subject(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
    """The log spectrum and the recording's level, standardised by subject like our model's views.

    As in `eegpt.transfer.align`: over all trials of the subject, including test trials, without labels, and not in
    tasks with one label per subject.
    """
    parts = (train, validation, test)
    x = np.concatenate([np.concatenate((log_spectrum(d), np.log(d.sigma_uv)), axis=1) for d in parts])
    subjects = np.concatenate([d.subject for d in parts])
    varied = [len(np.unique(train.target[train.subject == p])) > 1 for p in np.unique(train.subject)]
    if len(varied) > 1 and np.mean(varied) > 0.5:
        for p in np.unique(subjects):
            own = subjects == p
            x[own] = (x[own] - x[own].mean(axis=0)) / (x[own].std(axis=0) + 1e-3)
    edges = np.cumsum([0, *(len(d.rows) for d in parts)])
    return fit_linear(train, validation, test, *(x[a:b] for a, b in itertools.pairwise(edges)))


def _slices(data: TaskData, remove_mean: bool) -> np.ndarray:
    S = data.signal_uv.shape[2]
    edges = np.linspace(0, S, min(16, S) + 1).astype(int)
    x_NES = np.stack([data.signal_uv[:, :, a:b].mean(axis=2) for a, b in itertools.pairwise(edges)], axis=2)
    return _flat(x_NES - x_NES.mean(axis=2, keepdims=True) if remove_mean else x_NES)


def _flat(x_NEF: np.ndarray) -> np.ndarray:
    """Reshape to (N, E x F), also for zero trials."""
    return x_NEF.reshape(len(x_NEF), x_NEF.shape[1] * x_NEF.shape[2])


# ---- readouts


def _expand(probability: np.ndarray, classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Add columns for classes missing from the training trials."""
    out = np.zeros((len(probability), n_classes))
    out[:, classes.astype(int)] = probability
    return out


def linear(features: Callable[[TaskData], np.ndarray]) -> Baseline:
    """Standardise, then logistic regression (ridge for values) with the penalty chosen by validation loss."""

    def run(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
        return fit_linear(train, validation, test, *(features(d) for d in (train, validation, test)))

    return run


def fit_linear(
    train: TaskData, validation: TaskData, test: TaskData, x: np.ndarray, x_validation: np.ndarray, x_test: np.ndarray
) -> np.ndarray:
    """The readout of all linear baselines: penalty by validation loss (0.01 without), then all trials but the tests."""
    strengths = _C_GRID if len(x_validation) else (1e-2,)
    best = strengths[0]
    if len(strengths) > 1:
        best = min(strengths, key=lambda c: _loss(validation, _fitted(train, x, c)(x_validation)))
    both = train.joined(validation)
    return _fitted(both, np.concatenate((x, x_validation.reshape(-1, x.shape[1]))), best)(x_test)


def _fitted(data: TaskData, x: np.ndarray, strength: float) -> Callable[[np.ndarray], np.ndarray]:
    """Logistic or ridge regression on standardised features, as a function from features to outputs (N, K)."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    if data.kind == "regression":
        ridge = Ridge(alpha=1 / strength).fit(scaler.transform(x), data.target)
        return lambda new: ridge.predict(scaler.transform(new))[:, None]
    model = LogisticRegression(C=strength, max_iter=1000, class_weight="balanced", tol=1e-3)
    with warnings.catch_warnings():
        # Stopping at the iteration limit acts as further regularisation, selected on validation trials.
        warnings.simplefilter("ignore")
        model.fit(scaler.transform(x), data.target)
    return lambda new: _expand(model.predict_proba(scaler.transform(new)), model.classes_, data.n_classes)


def _loss(data: TaskData, output_NK: np.ndarray) -> float:
    if data.kind == "regression":
        return float(((output_NK[:, 0] - data.target) ** 2).mean())
    return balanced_loss(output_NK, data.target.astype(int))


def balanced_loss(probability_NK: np.ndarray, label_N: np.ndarray) -> float:
    """Mean over the classes present of their mean cross-entropy."""
    hit = -np.log(np.clip(probability_NK[np.arange(len(label_N)), label_N], 1e-6, 1))
    return float(np.mean([hit[label_N == k].mean() for k in np.unique(label_N)]))


def majority(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
    if train.kind == "regression":
        return np.full((len(test.rows), 1), train.target.mean())
    count = np.bincount(train.target.astype(int), minlength=train.n_classes)
    return np.tile(count / count.sum(), (len(test.rows), 1))


def slow_potentials(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    def fitted(data: TaskData, remove_mean: bool) -> Callable[[TaskData], np.ndarray]:
        x = _slices(data, remove_mean)
        scale = x.std(axis=0) + 1e-9
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x / scale, data.target)
        return lambda new: _expand(
            model.predict_proba(_slices(new, remove_mean) / scale), model.classes_, data.n_classes
        )

    best = False
    if len(validation.rows):  # level or course: chosen on the validation trials
        best = min((False, True), key=lambda remove: _loss(validation, fitted(train, remove)(validation)))
    return fitted(train.joined(validation), best)(test)


def tangent_space(train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
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
