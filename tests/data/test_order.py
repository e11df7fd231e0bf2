"""The order of samples: a permutation per epoch, the same at any position, for any number of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegprep.errors import UsageError
from eegpt.data import SampleOrder


@given(st.integers(1, 3000), st.integers(0, 2**31), st.integers(0, 50))
def test_an_epoch_has_every_sample_once(n, seed, epoch):
    order = SampleOrder(n, seed).indices(epoch, 0, n)
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


@given(st.integers(1, 2**50), st.integers(0, 2**31), st.data())
def test_part_of_epoch_equals_whole(n, seed, data):
    """Any part of an epoch is what the whole would have there."""
    start = data.draw(st.integers(0, n - 1))
    order = SampleOrder(n, seed)
    count = min(40, n - start)
    part = order.indices(3, start, count)
    assert part.min() >= 0
    assert part.max() < n
    assert len(set(part.tolist())) == count
    k = data.draw(st.integers(0, count - 1))
    assert order.indices(3, start + k, 1)[0] == part[k]


def test_seeds_decide_the_order():
    """Epochs and seeds have orders of their own and equal ones agree."""
    n = 10_000
    a = SampleOrder(n, 1).indices(0, 0, n)
    assert (a == SampleOrder(n, 1).indices(0, 0, n)).all()
    for other in (SampleOrder(n, 1).indices(1, 0, n), SampleOrder(n, 2).indices(0, 0, n), np.arange(n)):
        assert (a == other).mean() < 0.005


def test_the_order_never_changes():
    """Runs that were stopped a year ago have to go on: these numbers are part of the contract."""
    assert SampleOrder(1000, 0).indices(0, 0, 8).tolist() == GOLDEN_1000
    assert SampleOrder(37_500_000, 7).indices(2, 10**7, 4).tolist() == GOLDEN_37M


GOLDEN_1000 = [47, 261, 61, 612, 202, 679, 336, 277]
GOLDEN_37M = [17528959, 24866788, 30212441, 33746692]


def test_the_order_is_as_random_as_a_shuffle():
    n, epochs = 4096, 200
    orders = np.stack([SampleOrder(n, 5).indices(e, 0, n) for e in range(epochs)])
    # Where a sample lands is uniform: chi-square over 16 parts for 64 samples, 15 degrees of freedom each.
    position = np.argsort(orders, axis=1)[:, ::64]
    counts = np.stack([np.bincount(p * 16 // n, minlength=16) for p in position.T])
    chi2 = ((counts - epochs / 16) ** 2 / (epochs / 16)).sum()
    assert abs(chi2 - 64 * 15) < 5 * np.sqrt(2 * 64 * 15)
    # Neighbours in the index are no neighbours in the order, and the order does not run with the index.
    distance = np.abs(np.diff(np.argsort(orders, axis=1), axis=1)).mean()
    assert abs(distance / (n / 3) - 1) < 0.02
    correlation = [np.corrcoef(np.arange(n), o)[0, 1] for o in orders]
    assert abs(np.mean(correlation)) < 5 / np.sqrt(n * epochs)
    # A batch has about as many different neighbourhoods as a draw without replacement.
    groups = np.mean([len(set((o[:256] // 16).tolist())) for o in orders])
    expected = 256 * (1 - (1 - 256 / n) ** 16 * 1.0)
    assert abs(groups / expected - 1) < 0.02


def test_a_senseless_order_is_refused():
    with pytest.raises(UsageError, match="at least one sample"):
        SampleOrder(0, 0)
