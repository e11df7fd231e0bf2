"""Intervals draw subjects, and tests are as careful as the number of subjects requires."""

from __future__ import annotations

import numpy as np
import pytest

from eegpt.evaluation.intervals import bootstrap_interval, paired_test


def trials(n_subjects, n_each, right, seed=0):
    """Binary trials of which a share `right` (per subject) is classified correctly."""
    random = np.random.default_rng(seed)
    label = np.tile(np.arange(n_each) % 2, n_subjects)
    subject = np.repeat(np.arange(n_subjects), n_each)
    correct = random.random(n_subjects * n_each) < np.repeat(np.broadcast_to(right, n_subjects), n_each)
    return label, np.eye(2)[np.where(correct, label, 1 - label)][None], subject


def test_subject_intervals_are_wider():
    """Than intervals over trials where subjects differ."""
    right = np.where(np.arange(10) % 2, 0.95, 0.55)
    label, output, subject = trials(10, 100, right)
    subjects = bootstrap_interval("classification", label, output, subject)
    alone = bootstrap_interval("classification", label, output, np.zeros_like(subject))
    assert (subjects.over, alone.over) == ("subjects", "trials")
    assert subjects.high - subjects.low > 2 * (alone.high - alone.low)
    assert subjects.low < 0.75 < subjects.high


def test_intervals_have_their_coverage():
    inside = 0
    for seed in range(60):
        label, output, subject = trials(1, 120, 0.7, seed)
        found = bootstrap_interval("classification", label, output, subject, n_draws=200, seed=seed)
        inside += found.low <= 0.7 <= found.high
    assert 50 <= inside <= 60


def test_equal_seeds_give_equal_intervals():
    label, output, subject = trials(6, 20, 0.7)
    first = bootstrap_interval("classification", label, output, subject, n_draws=50, seed=4)
    assert first == bootstrap_interval("classification", label, output, subject, n_draws=50, seed=4)


def test_three_subjects_prove_nothing():
    label, good, subject = trials(3, 40, 1.0)
    _, bad, _ = trials(3, 40, 0.0)
    found = paired_test("classification", label, good, bad, subject)
    assert found.difference == pytest.approx(1.0)
    assert found.p_value == pytest.approx(0.25)


def test_consistent_gains_are_significant():
    """Equal methods are not."""
    label, good, subject = trials(20, 40, 0.9)
    _, bad, _ = trials(20, 40, 0.6, seed=1)
    assert paired_test("classification", label, good, bad, subject).p_value < 0.001
    assert paired_test("classification", label, good, good, subject).p_value == 1.0


def test_p_values_are_uniform_under_the_null():
    small = 0
    for seed in range(200):
        label, a, subject = trials(8, 20, 0.7, seed)
        _, b, _ = trials(8, 20, 0.7, seed + 1000)
        small += paired_test("classification", label, a, b, subject, seed=seed).p_value <= 0.1
    assert 4 <= small <= 36


def test_regressions_compare_absolute_errors():
    target = np.arange(30.0)
    ours, theirs = (target + 0.5)[None, :, None], (target - 2.0)[None, :, None]
    found = paired_test("regression", target, ours, theirs, np.arange(30) // 5)
    assert found.difference == pytest.approx(1.5)
    assert found.p_value == pytest.approx(2 / 2**6)
