"""Our scores equal scikit-learn's, and are None where they mean nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from eegpt.evaluation.metrics import (
    classification_scores,
    confusion_matrix,
    main_score,
    main_score_of,
    mean_and_sd,
    regression_scores,
    scores_of,
)


def draw(n, k, seed, *, ties=False):
    random = np.random.default_rng(seed)
    label = np.concatenate([np.arange(k), random.integers(k, size=n - k)])
    probability = random.dirichlet(np.ones(k), size=n)
    return label, np.round(probability, 1) if ties else probability


@given(st.integers(4, 80), st.integers(2, 4), st.integers(0, 1000))
def test_classification_equals_scikit_learn(n, k, seed):
    label, probability = draw(n, k, seed)
    predicted = probability.argmax(1)
    ours = classification_scores(label, probability)
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(label, predicted))
    assert ours["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(label, predicted))
    assert ours["kappa"] == pytest.approx(sk.cohen_kappa_score(label, predicted))
    assert ours["weighted_f1"] == pytest.approx(sk.f1_score(label, predicted, average="weighted"))
    assert (confusion_matrix(label, predicted, k) == sk.confusion_matrix(label, predicted, labels=range(k))).all()


@given(st.integers(4, 80), st.booleans(), st.integers(0, 1000))
def test_areas_equal_scikit_learn_with_ties(n, ties, seed):
    label, probability = draw(n, 2, seed, ties=ties)
    ours = classification_scores(label, probability)
    assert ours["auroc"] == pytest.approx(sk.roc_auc_score(label, probability[:, 1]))
    assert ours["auc_pr"] == pytest.approx(sk.average_precision_score(label, probability[:, 1]))


def test_areas_need_two_classes():
    one = classification_scores(np.zeros(5, int), np.full((5, 2), 0.5))
    assert one["auroc"] is None
    assert one["auc_pr"] is None
    assert one["kappa"] is None
    assert classification_scores(*draw(20, 3, 0))["auroc"] is None


def test_no_trials_have_no_scores():
    assert set(classification_scores(np.zeros(0, int), np.zeros((0, 2))).values()) == {None}
    assert set(regression_scores(np.zeros(0), np.zeros(0)).values()) == {None}


@given(st.integers(3, 50), st.integers(0, 100))
def test_regression_equals_scikit_learn(n, seed):
    random = np.random.default_rng(seed)
    target, predicted = random.normal(size=n), random.normal(size=n)
    ours = regression_scores(target, predicted)
    assert ours["r2"] == pytest.approx(sk.r2_score(target, predicted))
    assert ours["mae"] == pytest.approx(sk.mean_absolute_error(target, predicted))
    assert ours["rmse"] == pytest.approx(sk.root_mean_squared_error(target, predicted))
    assert ours["pearson"] == pytest.approx(np.corrcoef(target, predicted)[0, 1])


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("n_classes", [1, 2, 3])
@pytest.mark.parametrize("n", [0, 1, 5, 60])
def test_main_score_alone_is_the_same(kind, n_classes, n):
    """To the last bit, also where it is undefined and where a class is missing."""
    random = np.random.default_rng(n)
    target, output = random.integers(n_classes, size=n).astype(np.float32), random.random((n, 3), np.float32)
    assert main_score_of(kind, target, output) == scores_of(kind, target, output)[main_score(kind)]


def test_means_leave_out_undefined_scores():
    out = mean_and_sd([{"auroc": 0.5}, {"auroc": None}, {"auroc": 0.7}])
    assert out["auroc"].mean == pytest.approx(0.6)
    assert out["auroc"].sd == pytest.approx(0.02**0.5)
    assert out["auroc"].n == 2
