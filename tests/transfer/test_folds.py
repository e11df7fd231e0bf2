"""Divisions of trials: by subject, by data set, few-shot; nothing straddles."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from eegprep.errors import RefusedError, UsageError
from eegprep.splits import Windows
from eegprep.splits.trials import touching
from eegpt.transfer.folds import Scheme, divide


def make_index(*, datasets=("a", "b"), n_subjects=6, within=(), overlap=False, same_task=True, validation=True):
    """Per subject one recording of twenty trials of one task per data set."""
    rows = []
    tasks = []
    for d, dataset in enumerate(datasets):
        tasks.append(
            SimpleNamespace(
                name="hand" if same_task else f"hand-{dataset}",
                dataset=dataset,
                kind="classification",
                classes=("x", "y"),
                within_subject=dataset in within,
            )
        )
        splits = ["train"] * (n_subjects - 2) + ["validation" if validation else "train", "test"]
        for p in range(n_subjects):
            for t in range(20):
                rows.append(
                    (d, t % 2 if not overlap else t // 10, d * n_subjects + p, t * (50 if overlap else 100), splits[p])
                )
    task, label, recording, start, split = zip(*rows, strict=True)
    return SimpleNamespace(
        tasks=tuple(tasks),
        task=np.array(task),
        label=np.array(label),
        target=np.array(label, np.float64),
        recording=np.array(recording),
        start_sample=np.array(start),
        n_samples=np.full(len(rows), 100),
        split=tuple(split),
        subject=tuple(f"{datasets[d]}/{r}" for d, r in zip(task, recording, strict=True)),
        recording_ids=tuple(f"{datasets[r // n_subjects]}/{r}/-/1" for r in range(len(datasets) * n_subjects)),
    )


def subjects_of(index, rows):
    return {index.subject[r] for r in rows}


def windows(index, rows):
    return Windows(
        recording=index.recording[rows],
        start_sample=index.start_sample[rows],
        n_samples=index.n_samples[rows],
        label=index.label[rows],
    )


def check_disjoint(index, division):
    both = np.concatenate([division.train, division.validation])
    rows = np.concatenate([both, division.test])
    assert len(set(rows.tolist())) == len(rows)
    w = windows(index, rows)
    for part in (division.validation, division.test):
        inside = np.isin(rows, part)
        assert (touching(w, inside) == inside).all()


def test_the_own_split_is_kept():
    index = make_index()
    (division,) = divide(index, "split")
    check_disjoint(index, division)
    assert subjects_of(index, division.test) == {"a/5", "b/11"}
    assert subjects_of(index, division.validation) == {"a/4", "b/10"}


@pytest.mark.parametrize("overlap", [False, True])
def test_validation_trials_are_held_out(overlap):
    """Where a task has no validation subjects; none overlaps the training trials."""
    index = make_index(validation=False, overlap=overlap)
    (division,) = divide(index, "split", validation_share=0.2)
    check_disjoint(index, division)
    assert len(division.validation)
    assert 0.05 < len(division.validation) / len(division.train) < 0.5
    assert set(index.label[division.validation].tolist()) == {0, 1}


def test_shared_recordings_share_validation():
    index = make_index(datasets=("a",), validation=False)
    second = SimpleNamespace(**{**vars(index.tasks[0]), "name": "other"})
    double = SimpleNamespace(
        **{
            **vars(index),
            "tasks": (index.tasks[0], second),
            "task": np.concatenate([index.task, index.task + 1]),
            **{k: np.tile(getattr(index, k), 2) for k in ("label", "recording", "start_sample", "n_samples")},
            "split": index.split * 2,
            "subject": index.subject * 2,
        }
    )
    (division,) = divide(double, "split")
    assert len(division.validation)
    check_disjoint(double, division)


def test_kfold_tests_every_subject_once():
    index = make_index()
    divisions = divide(index, "kfold:4")
    assert sorted(np.concatenate([d.test for d in divisions]).tolist()) == list(range(len(index.task)))
    for division in divisions:
        check_disjoint(index, division)
        assert subjects_of(index, division.test).isdisjoint(
            subjects_of(index, np.union1d(division.train, division.validation))
        )


def test_loso_names_the_test_subject():
    index = make_index(datasets=("a",), n_subjects=4)
    assert [d.name for d in divide(index, "loso")] == [f"without-a/{p}" for p in range(4)]


def test_within_sets_keep_their_split():
    index = make_index(within=("b",))
    for division in divide(index, "kfold:3"):
        own = division.test[index.task[division.test] == 1]
        assert subjects_of(index, own) == {"b/11"}


def test_lodo_tests_shared_tasks():
    index = make_index()
    divisions = divide(index, "lodo")
    assert [d.name for d in divisions] == ["without-a", "without-b"]
    assert {p.split("/")[0] for p in subjects_of(index, divisions[0].test)} == {"a"}
    assert {p.split("/")[0] for p in subjects_of(index, divisions[0].train)} == {"b"}
    with pytest.raises(UsageError, match="same name and classes"):
        divide(make_index(same_task=False), "lodo")


def test_few_shot_moves_trials_to_train():
    """k trials per class of each test subject."""
    index = make_index(overlap=False)
    (plain,), (shot,) = divide(index, "split"), divide(index, "few-shot:3")
    moved = np.setdiff1d(shot.train, plain.train)
    assert len(moved) == 2 * 2 * 3
    assert subjects_of(index, moved) == subjects_of(index, plain.test)
    check_disjoint(index, shot)


def test_few_shot_works_in_folds():
    index = make_index(overlap=False)
    plain, shots = divide(index, "kfold:4"), divide(index, "few-shot:3:4")
    assert [d.name for d in shots] == [f"few-shot-3-fold-{k}" for k in range(4)]
    moved = [np.setdiff1d(s.train, p.train) for s, p in zip(shots, plain, strict=True)]
    for few, before, after in zip(moved, plain, shots, strict=True):
        assert subjects_of(index, few) == subjects_of(index, before.test)
        assert set(after.test) == set(before.test) - set(few)
        check_disjoint(index, after)
    every = np.concatenate(moved)
    assert len(every) == len(np.unique(every)) == 2 * 3 * len(set(index.subject))


def test_few_shot_skips_identity_tasks():
    """No trial of a subject who has one answer in a task is learned from."""
    index = make_index(overlap=False)
    first = index.subject[0]
    index.label = np.where(np.array(index.subject) == first, 0, index.label)
    index.target = index.label.astype(np.float64)
    moved = [
        np.setdiff1d(shot.train, plain.train)
        for shot, plain in zip(divide(index, "few-shot:3:4"), divide(index, "kfold:4"), strict=True)
    ]
    taken = subjects_of(index, np.concatenate(moved))
    assert taken == set(index.subject) - {first}


def test_within_tests_every_trial_once():
    """No window straddles two folds."""
    index = make_index()
    divisions = divide(index, "within:4")
    assert sorted(np.concatenate([d.test for d in divisions]).tolist()) == list(range(len(index.task)))
    for division in divisions:
        check_disjoint(index, division)
        assert subjects_of(index, division.test) == set(index.subject)


def test_overlapping_windows_stay_together():
    """Recordings whose windows all overlap cannot be divided."""
    with pytest.raises(UsageError, match="no training trials"):
        divide(make_index(overlap=True), "within:4")


@pytest.mark.parametrize("scheme", ["folds", "kfold", "kfold:x", "kfold:1", "kfold:99", "few-shot:0", "few-shot:3:x"])
def test_unknown_schemes_are_refused(scheme):
    with pytest.raises(UsageError):
        divide(make_index(), scheme)


def test_missing_splits_are_refused():
    index = make_index()
    index.split = ("", *index.split[1:])
    with pytest.raises(RefusedError) as caught:
        divide(index, "split")
    assert "a/0/-/1" in str(caught.value)


def test_lodo_with_a_few_trials():
    """K trials per class of each subject of the left-out data set are learned from, the others tested."""
    index = make_index(same_task=True)
    plain, few = divide(index, "lodo"), divide(index, "lodo:2")
    assert [d.name for d in few] == [d.name for d in plain]
    for one, other in zip(plain, few, strict=True):
        moved = np.setdiff1d(one.test, other.test)
        assert np.isin(moved, other.train).sum() >= 2
        assert set(one.train) <= set(other.train)
        assert not np.intersect1d(other.train, other.test).size
        for subject in {index.subject[r] for r in moved}:
            for label in np.unique(np.asarray(index.target)[moved]):
                own = [r for r in moved if index.subject[r] == subject and index.target[r] == label]
                assert len(own) <= 2 * len(set(index.task[own]))


@pytest.mark.parametrize("text", ["lodo:x", "lodo:0", "split:3", "loso:2"])
def test_numbers_must_fit_the_scheme(text):
    with pytest.raises(UsageError):
        Scheme.parse(text)


def test_near_schemes_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        Scheme.parse("kfolds:5")
    assert caught.value.todo == "did you mean 'kfold'?"


@pytest.mark.parametrize(
    "text",
    [
        "kfold", "kfold:", "kfold:0", "kfold:-1", "kfold:x", "kfold:1.5", "kfold:5/0", "kfold:5:3", "kfold:²",
        "kfold:٣", "kfold:99999999999999999999", "within:5:3", "few-shot", "few-shot:5:5:5", "few-shot:5:0", "lodo:",
        "lodo:0", "lodo:-1", "lodo:5:5", "loso:1", "split:1", "split:", "Split", "", "kfolds:5",
    ],
)  # fmt: skip
def test_no_part_of_a_scheme_is_ignored(text: str) -> None:
    with pytest.raises(UsageError, match="scheme"):
        Scheme.parse(text)
