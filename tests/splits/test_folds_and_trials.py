"""Folds test everybody once; no window straddles a split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegprep.errors import UsageError
from eegprep.splits import Windows, few_shot, hold_out, k_fold, leave_one_dataset_out, leave_one_subject_out
from eegprep.splits.trials import overlap_units, touching


def windows(recording, start, length, label):
    n = len(start)
    return Windows(
        recording=np.broadcast_to(recording, n).astype(np.int64),
        start_sample=np.asarray(start, np.int64),
        n_samples=np.broadcast_to(length, n).astype(np.int64),
        label=np.asarray(label, np.int64),
    )


@given(st.integers(2, 30), st.integers(2, 30), st.integers(0, 3))
def test_every_subject_is_tested_once(n_people, n_folds, seed):
    """Every subject is tested in exactly one fold."""
    names = [f"d/{i}" for i in range(n_people)]
    if n_folds > n_people:
        with pytest.raises(UsageError):
            k_fold(names, n_folds)
        return
    folds = k_fold(names, n_folds, seed=seed)
    tested = [p for fold in folds for p, split in fold.items() if split == "test"]
    assert sorted(tested) == sorted(names)
    sizes = [sum(s == "test" for s in fold.values()) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    assert all("train" in fold.values() for fold in folds)


def test_folds_deal_out_each_stratum_evenly():
    names = [f"d/{i}" for i in range(12)]
    strata = {p: "ab"[i % 2] for i, p in enumerate(names)}
    for fold in k_fold(names, 6, strata=strata):
        assert sorted(strata[p] for p, s in fold.items() if s == "test") == ["a", "b"]


def test_leave_one_subject_out():
    """Each fold tests on one subject and validates on another."""
    folds = leave_one_subject_out([f"d/{i}" for i in range(5)])
    assert [[p for p, s in fold.items() if s == "test"] for fold in folds] == [[f"d/{i}"] for i in range(5)]
    assert all("validation" in fold.values() for fold in folds)


def test_leave_one_data_set_out():
    """Leaving one data set out trains on none of its subjects."""
    folds = leave_one_dataset_out(["a/1", "a/2", "a/3", "b/1", "b/2", "b/3"])
    assert {p for p, s in folds["a"].items() if s == "test"} == {"a/1", "a/2", "a/3"}
    assert {p.split("/")[0] for p, s in folds["b"].items() if s != "test"} == {"a"}
    with pytest.raises(UsageError, match="needs at least two"):
        leave_one_dataset_out(["a/1", "a/2"])


window_sets = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 200), st.integers(1, 30), st.integers(0, 2)), min_size=1, max_size=60
)


@given(window_sets, st.integers(0, 3))
def test_held_out_windows_share_no_sample(rows, seed):
    """Held-out windows share no sample with the rest."""
    w = windows(*(np.array(c) for c in zip(*rows, strict=True)))
    held, dropped = hold_out(w, 0.2, seed=seed)
    assert not (held & dropped).any()
    rest = ~held & ~dropped
    assert not (touching(w, held) & rest).any()


@given(window_sets, st.integers(1, 4))
def test_few_shot_queries_share_no_sample(rows, k):
    """Few-shot queries share no sample with the support."""
    w = windows(*(np.array(c) for c in zip(*rows, strict=True)))
    support, query = few_shot(w, k)
    assert not (touching(w, support) & query).any()
    for label in np.unique(w.label):
        assert support[w.label == label].sum() == min(k, (w.label == label).sum())


def test_held_out_shares_are_equal_by_label():
    """Separate trials are held out in equal shares of each label."""
    w = windows(0, np.arange(200) * 10, 10, np.arange(200) % 2)
    held, dropped = hold_out(w, 0.2)
    assert not dropped.any()
    assert [held[w.label == c].sum() for c in (0, 1)] == [20, 20]
    assert (hold_out(w, 0.2)[0] == held).all()
    assert (hold_out(w, 0.2, seed=1)[0] != held).any()


def test_overlapping_stretch_is_cut_in_time():
    """One long overlapping stretch is cut in time."""
    w = windows(0, np.arange(20) * 5, 10, np.zeros(20))
    held, dropped = hold_out(w, 0.2)
    assert np.flatnonzero(held).tolist() == [16, 17, 18, 19]
    assert np.flatnonzero(dropped).tolist() == [15]


def test_single_window_stays_in_train():
    """A label with a single window stays in train."""
    held, dropped = hold_out(windows(0, [0, 100, 200], 10, [0, 1, 1]), 0.5)
    assert not held[0]
    assert not dropped.any()
    assert held.sum() == 1


def test_units_are_connected_groups():
    """Units are connected groups of one recording."""
    w = windows([0, 0, 0, 1], [0, 5, 10, 5], [10, 5, 3, 10], [0, 0, 0, 0])
    unit = overlap_units(w)
    assert unit[0] == unit[1]
    assert len({unit[0], unit[2], unit[3]}) == 3
