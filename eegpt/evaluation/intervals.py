"""Uncertainty of scores: bootstrap intervals over subjects, and paired tests between methods.

The unit is the subject, since trials of one subject are not independent; in a data set of one subject it is the trial,
and the interval then applies to that subject only. Intervals and p-values are of the mean over seeds. All draws depend
on the given seed.

Shapes: M seeds of a method, N trials, K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eegpt.evaluation.metrics import main_score_of, mean_defined

_EXACT_UP_TO = 14  # sign flips of up to this many subjects are enumerated: 16,384 of them


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Percentile interval of the main score; `over` says what was drawn (`subjects` or `trials`)."""

    low: float
    high: float
    level: float
    over: str
    n_units: int


def units_of(subject_N: np.ndarray) -> tuple[np.ndarray, str]:
    """The unit to draw and its name: subjects if there are at least two, else trials."""
    _, unit_N = np.unique(subject_N, return_inverse=True)
    if unit_N.size and unit_N.max() >= 1:
        return unit_N, "subjects"
    return np.arange(len(subject_N)), "trials"


def bootstrap_interval(
    kind: str,
    target_N: np.ndarray,
    output_MNK: np.ndarray,
    subject_N: np.ndarray,
    *,
    n_draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Interval of the main score by drawing subjects with replacement; None if the score is undefined throughout."""
    unit_N, over = units_of(subject_N)
    n_units = int(unit_N.max()) + 1 if unit_N.size else 0
    rows_of = np.split(np.argsort(unit_N, kind="stable"), np.cumsum(np.bincount(unit_N))[:-1]) if n_units else []
    random = np.random.default_rng(seed)
    values = []
    for _ in range(n_draws if n_units else 0):
        rows = np.concatenate([rows_of[u] for u in random.integers(n_units, size=n_units)])
        if (value := _mean_score(kind, target_N[rows], output_MNK[:, rows])) is not None:
            values.append(value)
    if not values:
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high), level=level, over=over, n_units=n_units)


def _mean_score(kind: str, target_N: np.ndarray, output_MNK: np.ndarray) -> float | None:
    return mean_defined([main_score_of(kind, target_N, output_NK) for output_NK in output_MNK])


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Difference of two methods on the same trials: ours minus theirs, two-sided p, and the test used."""

    difference: float
    p_value: float
    test: str
    n_units: int


def paired_test(
    kind: str,
    target_N: np.ndarray,
    ours_MNK: np.ndarray,
    theirs_MNK: np.ndarray,
    subject_N: np.ndarray,
    *,
    seed: int = 0,
    n_draws: int = 10_000,
) -> PairedTest | None:
    """Sign-flip test on the score differences of subjects, or of trials if there is only one subject.

    For up to 14 subjects all sign patterns are enumerated, so p cannot be smaller than 2 / 2^n: three subjects are
    never significant. Returns None if no subject has a defined score.
    """
    unit_N, over = units_of(subject_N)
    if over == "subjects":
        differences = _per_unit(kind, target_N, ours_MNK, theirs_MNK, unit_N)
    elif kind == "classification":
        ours, theirs = ((out.argmax(axis=2) == target_N).mean(axis=0) for out in (ours_MNK, theirs_MNK))
        differences = ours - theirs
    else:
        ours, theirs = (np.abs(out[:, :, 0] - target_N).mean(axis=0) for out in (ours_MNK, theirs_MNK))
        differences = theirs - ours
    if not len(differences):
        return None
    return PairedTest(
        difference=float(differences.mean()),
        p_value=_sign_flip(differences, seed, n_draws),
        test=f"sign flips of {over}",
        n_units=len(differences),
    )


def _per_unit(
    kind: str, target_N: np.ndarray, ours_MNK: np.ndarray, theirs_MNK: np.ndarray, unit_N: np.ndarray
) -> np.ndarray:
    # R² of one subject may be undefined if the targets hardly vary; the mean error is always defined.
    def score(target: np.ndarray, output: np.ndarray) -> float | None:
        if kind == "classification":
            return _mean_score(kind, target, output)
        return -float(np.abs(output[:, :, 0] - target).mean())

    out = []
    for u in np.unique(unit_N):
        rows = unit_N == u
        a, b = score(target_N[rows], ours_MNK[:, rows]), score(target_N[rows], theirs_MNK[:, rows])
        if a is not None and b is not None:
            out.append(a - b)
    return np.array(out)


def _sign_flip(differences: np.ndarray, seed: int, n_draws: int) -> float:
    d = differences[differences != 0]
    if not len(d):
        return 1.0
    observed = abs(d.sum()) - 1e-12
    if len(d) <= _EXACT_UP_TO:
        patterns = (np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1
        return float((np.abs((1 - 2 * patterns) @ d) >= observed).mean())
    random = np.random.default_rng(seed)
    extreme = sum(
        int((np.abs((1 - 2 * random.integers(0, 2, size=(500, len(d)))) @ d) >= observed).sum())
        for _ in range(-(-n_draws // 500))
    )
    drawn = 500 * -(-n_draws // 500)
    return (extreme + 1) / (drawn + 1)
