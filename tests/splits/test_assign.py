"""Who goes where: shares, independence of order, and people who have to stay together."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegprep.errors import RefusedError, UsageError
from eegprep.manifest.schema import SplitRule
from eegprep.recording import RecordingInfo, Stretch, Trial
from eegprep.splits import assign, split_subjects


def info(subject, *, dataset="d", run="", session="", label=None, sha="", split=""):
    trials = () if label is None else (Trial(start_sample=0, n_samples=10, task="group", label=label),)
    return RecordingInfo(
        dataset=dataset,
        subject=subject,
        session=session,
        run=run,
        n_samples=100,
        electrodes=("Cz",),
        references=("",),
        stretches=(Stretch(start_sample=0, n_samples=100),),
        trials=trials,
        signal_sha256=sha,
        split=split,
    )


def people(split, infos, assigned):
    return {i.subject for i in infos if assigned[i.id] == split}


@given(st.integers(3, 60), st.integers(0, 5))
def test_no_subject_is_in_two_splits(n, seed):
    """Every split has a subject from three on, and no subject is in two."""
    infos = [info(f"{s:03d}", run=r) for s in range(n) for r in ("1", "2")]
    assigned = assign(infos, SplitRule(seed=seed))
    train, validation, test = (people(s, infos, assigned) for s in ("train", "validation", "test"))
    assert train
    assert validation
    assert test
    assert train.isdisjoint(validation)
    assert (train | validation).isdisjoint(test)
    assert len(train | validation | test) == n
    assert abs(len(test) - n / 10) <= 1


def test_ten_subjects_split_eight_one_one():
    """Ten subjects are split eight, one, one."""
    counts = Counter(split_subjects([str(i) for i in range(10)]).values())
    assert counts == {"train": 8, "validation": 1, "test": 1}


@pytest.mark.parametrize(
    ("n", "expected"), [(1, {"train": 1}), (2, {"train": 1, "test": 1}), (3, {"train": 1, "validation": 1, "test": 1})]
)
def test_few_subjects_go_to_train_then_test(n, expected):
    """Of very few subjects train comes first and test second."""
    assert Counter(split_subjects([str(i) for i in range(n)]).values()) == expected


def test_order_of_recordings_does_not_matter():
    """The order of the recordings does not matter."""
    infos = [info(str(s), run=str(r), label="ab"[s % 2]) for s in range(21) for r in range(2)]
    expected = assign(infos, SplitRule())
    shuffled = list(infos)
    random.Random(3).shuffle(shuffled)
    assert assign(shuffled, SplitRule()) == expected
    assert list(assign(shuffled, SplitRule())) == sorted(expected)


def test_split_is_the_same_in_every_version():
    """These values may not change: a set that is split anew would test on people that were trained on."""
    assigned = split_subjects([f"{i:02d}" for i in range(10)], salt="eegmat", seed=0)
    assert [s for s, split in assigned.items() if split == "test"] == TEST_OF_EEGMAT
    assert [s for s, split in assigned.items() if split == "validation"] == VALIDATION_OF_EEGMAT


TEST_OF_EEGMAT = ["07"]
VALIDATION_OF_EEGMAT = ["04"]


def test_seeds_and_sets_give_other_subjects():
    """Other seeds and other data sets give other subjects."""
    names = [str(i) for i in range(40)]
    first = split_subjects(names, salt="a", seed=0)
    assert first != split_subjects(names, salt="a", seed=1)
    assert first != split_subjects(names, salt="b", seed=0)


def test_each_subject_label_is_tested():
    """Each label on subjects is tested and validated."""
    infos = [info(str(s), label="patient" if s < 6 else "control") for s in range(12)]
    assigned = assign(infos, SplitRule())
    for split in ("test", "validation", "train"):
        assert {i.trials[0].label for i in infos if assigned[i.id] == split} == {"patient", "control"}


def test_changing_labels_do_not_stratify():
    """Labels that change within a subject do not stratify."""
    infos = [info(str(s), run=r, label=r) for s in range(10) for r in ("rest", "task")]
    assert Counter(assign(infos, SplitRule()).values()) == {"train": 16, "validation": 2, "test": 2}


def test_subjects_sharing_a_signal_stay():
    """Subjects who share a signal stay together."""
    infos = [info(str(s), sha=f"{s:064d}") for s in range(20)]
    infos += [info("twin", sha=f"{3:064d}"), info("twin", run="2", sha=f"{7:064d}")]
    for seed in range(30):
        assigned = assign(infos, SplitRule(seed=seed))
        assert len({assigned[i.id] for i in infos if i.subject in ("3", "7", "twin")}) == 1


def test_named_runs_go_where_stated():
    """Runs named in the manifest go where it says."""
    infos = [info("1", run="train"), info("1", run="test")]
    rule = SplitRule(by="run", train=["train"], test=["test"])
    assert assign(infos, rule) == {"d/1/-/test": "test", "d/1/-/train": "train"}


def test_a_run_in_no_list_is_named():
    rule = SplitRule(by="run", train=["train"], test=["test"])
    with pytest.raises(UsageError, match="d/1/-/extra is in no split"):
        assign([info("1", run="extra")], rule)


def test_named_subjects_keep_their_split():
    """Named subjects keep their split, and the rest is divided among the others."""
    infos = [info(str(s)) for s in range(12)]
    assigned = assign(infos, SplitRule(test=["4", "5", "6"]))
    assert people("test", infos, assigned) == {"4", "5", "6"}
    assert Counter(assigned.values()) == {"test": 3, "train": 8, "validation": 1}


def test_subjects_without_a_split_are_named():
    """Subjects that can go nowhere are named."""
    with pytest.raises(UsageError) as caught:
        assign([info(s) for s in "abcd"], SplitRule(train=["a"], validation=["b"], test=["c"]))
    assert caught.value.found == "d"


def test_subject_in_two_splits_is_refused():
    with pytest.raises(RefusedError, match="subject 1 of d would be in two splits"):
        assign([info("1", run="a", split="train"), info("1", run="b", split="test")], SplitRule())


def test_signal_across_splits_is_refused():
    """A shared signal across named splits is refused."""
    with pytest.raises(RefusedError, match="two splits"):
        assign([info("1", sha="a" * 64), info("2", sha="a" * 64)], SplitRule(train=["1"], test=["2"]))


def test_a_ratio_without_a_test_gives_none():
    assert set(split_subjects([str(i) for i in range(10)], ratio=(9, 1, 0)).values()) == {"train", "validation"}


@pytest.mark.parametrize("ratio", [(0, 1, 1), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 3, 1)])
def test_odd_ratios_lose_nobody(ratio):
    out = split_subjects([str(i) for i in range(9)], ratio=ratio)
    assert len(out) == 9
    assert {s for s, r in zip(("train", "validation", "test"), ratio, strict=True) if r} == set(out.values())
