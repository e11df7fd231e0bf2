"""Scores of classifiers and regressions, from labels and probabilities.

Undefined scores (AUROC with one class present, kappa without variation) are None, without a warning, so that means over
subjects can exclude them.

Balanced accuracy is the mean recall over the classes present among the labels; weighted F1 weighs each class's F1 by
its share of the labels; AUC-PR is the average precision (step-wise, ties taken together), class 1 being the positive
one. All agree with scikit-learn, against which they are tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CLASSIFICATION_SCORES = ("balanced_accuracy", "accuracy", "kappa", "weighted_f1", "auroc", "auc_pr")
REGRESSION_SCORES = ("r2", "mae", "rmse", "pearson")

Scores = dict[str, float | None]


def main_score(kind: str) -> str:
    """The score used for selection, intervals and tests."""
    return "balanced_accuracy" if kind == "classification" else "r2"


def scores_of(kind: str, target_N: np.ndarray, output_NK: np.ndarray) -> Scores:
    """Scores of a task of either kind; a regression's prediction is column 0."""
    if kind == "regression":
        return regression_scores(target_N, output_NK[:, 0])
    return classification_scores(target_N.astype(np.int64), output_NK)


def main_score_of(kind: str, target_N: np.ndarray, output_NK: np.ndarray) -> float | None:
    """The main score alone, for what draws trials a thousand times: the value that `scores_of` has for it."""
    if len(target_N) == 0:
        return None
    if kind == "regression":
        return _r2(target_N.astype(np.float64), output_NK[:, 0].astype(np.float64))
    return _balanced_accuracy(confusion_matrix(target_N, output_NK.argmax(axis=1), output_NK.shape[1]))


def confusion_matrix(label_N: np.ndarray, predicted_N: np.ndarray, n_classes: int) -> np.ndarray:
    """Counts (K, K) int64: row is the label, column the prediction."""
    flat = label_N.astype(np.int64) * n_classes + predicted_N.astype(np.int64)
    return np.bincount(flat, minlength=n_classes**2).reshape(n_classes, n_classes)


def classification_scores(label_N: np.ndarray, probability_NK: np.ndarray) -> Scores:
    """All of `CLASSIFICATION_SCORES`; the two areas under a curve are None unless there are two classes.

    Labels are class numbers below K; the predicted class is the first with the largest output.
    """
    if len(label_N) == 0:
        return dict.fromkeys(CLASSIFICATION_SCORES)
    n_classes = probability_NK.shape[1]
    count = confusion_matrix(label_N, probability_NK.argmax(axis=1), n_classes).astype(np.float64)
    n, hit = count.sum(), np.diag(count)
    of_label, of_prediction = count.sum(axis=1), count.sum(axis=0)
    accuracy = hit.sum() / n
    by_chance = float(of_label @ of_prediction) / n**2
    f1 = 2 * hit / np.maximum(of_label + of_prediction, 1)
    out: Scores = {
        "balanced_accuracy": _balanced_accuracy(count),
        "accuracy": float(accuracy),
        "kappa": None if by_chance >= 1 else float((accuracy - by_chance) / (1 - by_chance)),
        "weighted_f1": float((f1 * of_label).sum() / n),
        "auroc": None,
        "auc_pr": None,
    }
    if n_classes == 2 and of_label.all():
        out["auroc"] = _auroc(label_N, probability_NK[:, 1])
        out["auc_pr"] = _average_precision(label_N, probability_NK[:, 1])
    return out


def _balanced_accuracy(count_KK: np.ndarray) -> float:
    of_label = count_KK.sum(axis=1)
    present = of_label > 0
    return float((np.diag(count_KK)[present] / of_label[present]).mean())


def _r2(target_N: np.ndarray, predicted_N: np.ndarray) -> float | None:
    total = float(((target_N - target_N.mean()) ** 2).sum())
    return None if total == 0 else float(1 - ((predicted_N - target_N) ** 2).sum() / total)


def _auroc(label_N: np.ndarray, score_N: np.ndarray) -> float:
    """Share of pairs of a positive and a negative that are ranked correctly; ties count half."""
    negative = np.sort(score_N[label_N == 0])
    positive = score_N[label_N == 1]
    below = np.searchsorted(negative, positive, side="left")
    up_to = np.searchsorted(negative, positive, side="right")
    return float((below + up_to).sum() / (2 * len(negative) * len(positive)))


def _average_precision(label_N: np.ndarray, score_N: np.ndarray) -> float:
    order = np.argsort(-score_N, kind="stable")
    hits = np.cumsum(label_N[order] == 1)
    # Tied trials are taken together: only the last of a tie is a threshold.
    last = np.append(np.flatnonzero(np.diff(score_N[order])), len(order) - 1)
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def regression_scores(target_N: np.ndarray, predicted_N: np.ndarray) -> Scores:
    """All of `REGRESSION_SCORES`; R² and Pearson's r are None if the targets do not vary."""
    if len(target_N) == 0:
        return dict.fromkeys(REGRESSION_SCORES)
    target, predicted = target_N.astype(np.float64), predicted_N.astype(np.float64)
    error = predicted - target
    spread = float(predicted.std() * target.std())
    return {
        "r2": _r2(target, predicted),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "pearson": None
        if spread == 0
        else float(((target - target.mean()) * (predicted - predicted.mean())).mean() / spread),
    }


@dataclass(frozen=True, kw_only=True)
class Score:
    """Mean and standard deviation (n - 1) of a score over the `n` seeds for which it is defined."""

    mean: float | None
    sd: float | None
    n: int


def mean_and_sd(rows: Sequence[Scores]) -> dict[str, Score]:
    """Each score over rows, leaving out None."""
    out = {}
    for name in rows[0] if rows else ():
        values = [v for row in rows if (v := row[name]) is not None]
        out[name] = Score(
            mean=mean_defined(values), sd=float(np.std(values, ddof=1)) if len(values) > 1 else None, n=len(values)
        )
    return out


def mean_defined(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are defined; None if none is."""
    defined = [v for v in values if v is not None]
    return float(np.mean(defined)) if defined else None
