"""Two-level and mixed orders: complete, local, in the shares asked for, computable anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegprep.errors import UsageError
from eegpt.data import MixedOrder, TwoLevelOrder, WindowIndex, temperature_weights

sizes = st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(sum)


@given(sizes, st.integers(1, 14), st.integers(0, 1000), st.integers(0, 9))
def test_two_level_epoch_is_complete(chunks, per_group, seed, epoch):
    """A two level epoch has every sample once and stays in its group."""
    order = TwoLevelOrder(chunks, per_group, seed)
    got = order.at(epoch, np.arange(len(order)))
    np.testing.assert_array_equal(np.sort(got), np.arange(sum(chunks)))
    chunk = np.searchsorted(np.cumsum(chunks), got, side="right")
    begin = 0
    for group in order.groups(epoch):
        n = sum(chunks[c] for c in group)
        assert set(chunk[begin : begin + n].tolist()) <= set(group.tolist())
        begin += n


@given(sizes, st.integers(1, 14), st.integers(0, 1000), st.data())
def test_two_level_order_from_anywhere(chunks, per_group, seed, data):
    """A two level order is the same from anywhere."""
    order = TwoLevelOrder(chunks, per_group, seed)
    whole = order.at(2, np.arange(len(order)))
    order.at(3, np.arange(1))
    positions = np.array(data.draw(st.lists(st.integers(0, len(order) - 1), min_size=1, max_size=20)))
    np.testing.assert_array_equal(TwoLevelOrder(chunks, per_group, seed).at(2, positions), whole[positions])
    np.testing.assert_array_equal(order.at(2, positions), whole[positions])


def test_two_level_groups_change():
    """Two level groups change with the epoch."""
    order = TwoLevelOrder([10] * 40, 8, 0)
    assert [g.tolist() for g in order.groups(0)] != [g.tolist() for g in order.groups(1)]


parts = st.lists(st.tuples(st.integers(1, 50), st.floats(0.01, 10)), min_size=1, max_size=6)


@settings(max_examples=50)
@given(parts, st.integers(0, 1000), st.integers(1, 300))
def test_mixture_keeps_shares(parts, seed, epoch_size):
    """A mixture keeps its shares and repeats nothing before all has come."""
    n, weights = zip(*parts, strict=True)
    order = MixedOrder(n, weights, seed, epoch_size=epoch_size)
    epochs = [order.at(e, np.arange(len(order))) for e in range(4)]
    ends = np.cumsum(n)
    for got in epochs:
        part = np.searchsorted(ends, got, side="right")
        np.testing.assert_array_equal(np.bincount(part, minlength=len(n)), order.shares)
    assert abs(order.shares - np.array(weights) / sum(weights) * epoch_size).max() <= 1
    everything = np.concatenate(epochs)
    counts = np.bincount(everything, minlength=sum(n))
    for k, size in enumerate(n):
        own = counts[ends[k] - size : ends[k]]
        assert own.max() - own.min() <= 1


@given(parts, st.integers(0, 1000), st.data())
def test_a_mixture_is_the_same_from_anywhere(parts, seed, data):
    n, weights = zip(*parts, strict=True)
    order = MixedOrder(n, weights, seed)
    whole = order.at(5, np.arange(len(order)))
    positions = np.array(data.draw(st.lists(st.integers(0, len(order) - 1), min_size=1, max_size=20)))
    np.testing.assert_array_equal(MixedOrder(n, weights, seed).at(5, positions), whole[positions])


def test_temperature_flattens_shares():
    """Temperature goes from the sizes to equal shares."""
    assert temperature_weights([100, 300], 1) == pytest.approx([0.25, 0.75])
    assert temperature_weights([100, 300], float("inf")) == pytest.approx([0.5, 0.5])
    assert temperature_weights([100, 400], 2) == pytest.approx([1 / 3, 2 / 3])


def test_invalid_mixtures_are_refused():
    """Senseless mixtures and groups are refused."""
    for make in (
        lambda: MixedOrder([10], [1, 2], 0),
        lambda: MixedOrder([10, 10], [-1, 2], 0),
        lambda: MixedOrder([0, 10], [1, 1], 0),
        lambda: TwoLevelOrder([], 4, 0),
        lambda: TwoLevelOrder([3], 0, 0),
        lambda: temperature_weights([3], 0),
    ):
        with pytest.raises(UsageError):
            make()


def test_index_chunks_are_shards(shard_set):
    """The chunks of an index are its shards."""
    index = WindowIndex([shard_set], n_samples=256, stride=64, splits=None)
    assert index.shard_sizes.sum() == len(index)
    order = TwoLevelOrder(index.shard_sizes, 8, seed=0)
    first = order.at(0, np.arange(sum(index.shard_sizes[c] for c in order.groups(0)[0])))
    span, offset = index.locate(first)
    assert set(index.spans.shard(span, offset).tolist()) == {int(c) for c in order.groups(0)[0] if index.shard_sizes[c]}
