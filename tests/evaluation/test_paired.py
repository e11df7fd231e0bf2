"""Differences of two methods on the same trials: intervals over subjects, and tests by exchanging outputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from eegpt.evaluation.intervals import bootstrap_interval
from eegpt.evaluation.metrics import scores_of
from eegpt.evaluation.paired import Pair, difference


def pair(right, other, *, n_subjects=8, n_each=40, n_classes=2, seed=0, group="a", n_seeds=1):
    """Trials of which two methods classify the shares `right` and `other` correctly."""
    random = np.random.default_rng(seed)
    label = np.tile(np.arange(n_each) % n_classes, n_subjects)

    def outputs(share):
        hit = random.random((n_seeds, len(label))) < share
        return np.eye(n_classes)[np.where(hit, label, (label + 1) % n_classes)]

    subject = np.repeat([f"{group}/{i}" for i in range(n_subjects)], n_each)
    return Pair(
        kind="classification", group=group, target_N=label, ours_MNK=outputs(right), theirs_MNK=outputs(other),
        subject_N=subject,
    )  # fmt: skip


def regression(error, other, n_subjects=6):
    random = np.random.default_rng(0)
    target = random.normal(5.0, 2.0, 20 * n_subjects)
    ours, theirs = ((target + e * random.normal(size=target.shape))[None, :, None] for e in (error, other))
    subject = np.repeat([f"a/{i}" for i in range(n_subjects)], 20)
    return Pair(kind="regression", group="a", target_N=target, ours_MNK=ours, theirs_MNK=theirs, subject_N=subject)


@pytest.mark.parametrize(
    "one", [pair(0.8, 0.7, n_classes=3), pair(0.8, 0.7, n_seeds=3), regression(0.5, 1.0)], ids=["3", "seeds", "value"]
)
def test_the_value_is_that_of_the_scores(one):
    main = "r2" if one.kind == "regression" else "balanced_accuracy"
    means = [np.mean([scores_of(one.kind, one.target_N, o)[main] for o in x]) for x in (one.ours_MNK, one.theirs_MNK)]
    found = difference([one])
    assert found.value == pytest.approx(means[0] - means[1])
    assert found.low < found.value < found.high
    back = difference([dataclasses.replace(one, ours_MNK=one.theirs_MNK, theirs_MNK=one.ours_MNK)])
    assert (back.value, back.p_value) == (pytest.approx(-found.value), pytest.approx(found.p_value))


def test_the_interval_is_that_of_drawn_subjects():
    """Against a method that is always right, it is the interval of the other method's own score."""
    one = pair(0.75, 1.0)
    found = difference([one])
    own = bootstrap_interval("classification", one.target_N, one.ours_MNK, one.subject_N)
    assert (found.low, found.high) == (pytest.approx(own.low - 1, abs=0.01), pytest.approx(own.high - 1, abs=0.01))


def test_equal_methods_are_equal():
    one = pair(0.7, 0.7)
    found = difference([dataclasses.replace(one, theirs_MNK=one.ours_MNK)])
    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_p_is_uniform_under_the_null_and_small_for_gains():
    p = [difference([pair(0.7, 0.7, n_each=20, seed=seed)]).p_value for seed in range(100)]
    assert 2 <= sum(x <= 0.1 for x in p) <= 20
    assert difference([pair(0.9, 0.6, n_subjects=12)]).p_value < 0.01


def test_three_subjects_prove_nothing():
    assert difference([pair(1.0, 0.0, n_subjects=3)]).p_value == pytest.approx(0.25, abs=0.03)


def test_tasks_are_averaged():
    """A small task counts as much as a large one; subjects of two tasks are drawn and exchanged once."""
    small, large = pair(0.9, 0.5, n_subjects=5, group="a"), pair(0.6, 0.6, n_subjects=20, group="b", seed=1)
    both = difference([small, large])
    assert both.value == pytest.approx((difference([small]).value + difference([large]).value) / 2)
    assert both.n_units == 25
    twice, once = difference([small, small]), difference([small])
    assert twice == once
    # The same trials of other subjects are independent, so their mean is more certain.
    others = dataclasses.replace(small, group="c")
    apart = difference([small, others])
    assert apart.n_units == 10
    assert apart.high - apart.low < once.high - once.low


def test_undefined_differences_are_none():
    one = regression(0.5, 1.0)
    flat = dataclasses.replace(one, target_N=np.full(len(one.target_N), 3.0))
    assert difference([flat]) is None
    assert difference([]) is None
    defined = pair(0.8, 0.7)
    assert difference([flat, defined]).value == difference([defined]).value
