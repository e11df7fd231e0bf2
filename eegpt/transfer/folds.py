"""Which trials are learned from, selected on, and tested: one `Division` per fold.

What enters: a `TrialIndex` and a scheme. What leaves: row numbers of the index. The division is a function of
these and a seed alone, so that `eegpt evaluate` and every baseline find the same test trials again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from eegprep.errors import RefusedError, UsageError, nearest
from eegprep.splits import (
    Windows,
    few_shot,
    hold_out,
    k_fold,
    leave_one_dataset_out,
    leave_one_subject_out,
    overlap_units,
    touching,
)

__all__ = ["Division", "divide", "SCHEMES"]

SCHEMES = ("split", "kfold", "loso", "lodo", "few-shot", "within")


@dataclass(frozen=True, kw_only=True)
class Division:
    """Rows of the index, (n,) int64 sorted: to learn from, to select on, to test. They share no sample."""

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def divide(
    index: Any, scheme: str, *, seed: int = 0, validation_share: float = 0.2, among: Any = None
) -> list[Division]:
    """All divisions of a scheme, in a fixed order.

    Parameters
    ----------
    index : TrialIndex
        Holding all splits.
    scheme : str
        `split`; `kfold:N`; `loso`; `lodo`; `few-shot:K` (the split, and K trials per class of each person tested
        are learned from), `few-shot:K:N` (the same in the folds of `kfold:N`); `within:N` (N folds over each person's
        own trials). Data sets whose split is within subjects keep their own split in `kfold`, `loso` and `few-shot`,
        since other people are not to be had there.
    seed : int
        Deals people out to folds, and chooses held-out and few-shot trials.
    among : TrialIndex, optional
        All tasks of the same sets, where `index` holds some: `kfold` deals out the people of all, so that a person is
        in the same fold whatever tasks are asked for, and encoders of the folds fit.

    Raises
    ------
    UsageError
        No such scheme, or one that these data do not allow.
    RefusedError
        A recording is in no split.
    """
    name, _, number = scheme.partition(":")
    among = index if among is None else among
    makers: dict[str, Callable[[], list[tuple[str, np.ndarray]]]] = {
        "split": lambda: [("split", _own_split(index))],
        "kfold": lambda: _folds(
            index, k_fold(_people(among), _count(scheme, number), seed=seed, strata=_strata(among))
        ),
        "loso": lambda: _folds(index, leave_one_subject_out(_people(index), seed=seed), by_person=True),
        "lodo": lambda: _one_dataset_out(index, seed),
        "within": lambda: _within_people(index, _count(scheme, number)),
        "few-shot": lambda: _few_shot_divisions(index, among, scheme, number, seed),
    }
    if name not in makers:
        raise UsageError(f"there is no scheme {scheme!r}", expected=", ".join(SCHEMES), todo=nearest(name, SCHEMES))
    out = []
    for division_name, split_N in makers[name]():
        split_N = _with_validation(index, split_N, validation_share, seed)
        rows = {s: np.flatnonzero(split_N == s) for s in ("train", "validation", "test")}
        if not len(rows["train"]):
            raise UsageError(f"nothing to learn from in {division_name!r}", expected="trials in the train split")
        out.append(Division(name=division_name, **rows))
    return out


def _count(scheme: str, number: str) -> int:
    if not number.isdigit() or int(number) < 1:
        raise UsageError(
            f"the scheme {scheme!r} lacks its number", expected="such as kfold:5, few-shot:5 or few-shot:5:5"
        )
    return int(number)


def _own_split(index: Any) -> np.ndarray:
    split_N = np.array(index.split, dtype="<U10")
    if len(strange := np.flatnonzero(~np.isin(split_N, ("train", "validation", "test")))):
        raise RefusedError(
            "a labelled recording is in no split",
            found=index.recording_ids[index.recording[strange[0]]],
            todo="write the shard set again with a split in the manifest",
        )
    return split_N


def _within(index: Any) -> np.ndarray:
    """Whether each trial's data set is split within subjects, (N,) bool."""
    return np.array([t.within_subject for t in index.tasks], bool)[index.task]


def _people(index: Any) -> list[str]:
    within_N = _within(index)
    people = sorted({p for p, w in zip(index.subject, within_N, strict=True) if not w})
    if len(people) < 2:
        raise UsageError("folds need two people or more in data sets that are split by subject", found=len(people))
    return people


def _strata(index: Any) -> dict[str, str]:
    """Data set and the labels that a person has in tasks that give him one only."""
    seen: dict[str, dict[int, set[int]]] = {}
    for person, task, label in zip(index.subject, index.task.tolist(), index.label.tolist(), strict=True):
        seen.setdefault(person, {}).setdefault(task, set()).add(label)
    return {
        person: "/".join([person.split("/", 1)[0], *(f"{t}={min(x)}" for t, x in sorted(own.items()) if len(x) == 1)])
        for person, own in seen.items()
    }


def _folds(index: Any, folds: list[dict[str, str]], *, by_person: bool = False) -> list[tuple[str, np.ndarray]]:
    own_N, within_N = _own_split(index), _within(index)
    out = []
    for number, fold in enumerate(folds):
        split_N = np.array([fold.get(p, "") for p in index.subject], dtype="<U10")
        tested = "-".join(p for p, s in fold.items() if s == "test") if by_person else str(number)
        out.append((f"without-{tested}" if by_person else f"fold-{number}", np.where(within_N, own_N, split_N)))
    return out


def _one_dataset_out(index: Any, seed: int) -> list[tuple[str, np.ndarray]]:
    """Test a whole data set with the heads of tasks of the same name and classes in the others."""
    kinds: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for t in index.tasks:
        kinds.setdefault((t.name, tuple(t.classes)), set()).add(t.dataset)
    shared_N = np.array([len(kinds[t.name, tuple(t.classes)]) > 1 for t in index.tasks], bool)[index.task]
    if not shared_N.any():
        raise UsageError(
            "leaving one data set out needs a task of the same name and classes in two",
            found=", ".join(sorted(f"{t.dataset}/{t.name}" for t in index.tasks)),
        )
    out = []
    for dataset, fold in leave_one_dataset_out(sorted(set(index.subject)), seed=seed).items():
        split_N = np.array([fold[p] for p in index.subject], dtype="<U10")
        # Of the data set left out only shared tasks can be tested: the others' heads have never learned.
        split_N[(split_N == "test") & ~shared_N] = "unused"
        if (split_N == "test").any():
            out.append((f"without-{dataset}", split_N))
    return out


def _few_shot_divisions(index: Any, among: Any, scheme: str, numbers: str, seed: int) -> list[tuple[str, np.ndarray]]:
    shots, colon, n_folds = numbers.partition(":")
    k = _count(scheme, shots)
    if not colon:
        return [(f"few-shot-{k}", _few_shot(index, _own_split(index), k, seed))]
    folds = k_fold(_people(among), _count(scheme, n_folds), seed=seed, strata=_strata(among))
    return [(f"few-shot-{k}-{name}", _few_shot(index, split_N, k, seed)) for name, split_N in _folds(index, folds)]


def _few_shot(index: Any, split_N: np.ndarray, k: int, seed: int) -> np.ndarray:
    """The split with k trials per class of each person tested in train.

    In a task that asks who a person is, one trial of his would give the answer away, so none is taken there.
    """
    split_N, windows, within_N = split_N.copy(), _windows(index), _within(index)
    for person in sorted(
        {p for p, s, w in zip(index.subject, split_N, within_N, strict=True) if s == "test" and not w}
    ):
        rows = np.flatnonzero(np.array([p == person for p in index.subject]))
        own = windows.take(rows)
        tasks, answers = index.task[rows], np.asarray(index.target)[rows]
        several = np.isin(tasks, [t for t in np.unique(tasks) if len(np.unique(answers[tasks == t])) > 1])
        support = np.zeros(len(rows), bool)
        support[several] = few_shot(own.take(np.flatnonzero(several)), k, seed=seed)[0]
        split_N[rows] = np.where(support, "train", np.where(touching(own, support), "unused", "test"))
    return split_N


def _within_people(index: Any, n_folds: int) -> list[tuple[str, np.ndarray]]:
    """Folds over the trials of each person, label by label, blocks of time; overlapping windows stay together."""
    windows = _windows(index)
    unit_N = overlap_units(windows)
    fold_N = np.zeros(len(windows), np.int64)
    person_N = np.unique(np.array(index.subject), return_inverse=True)[1]
    for person in np.unique(person_N):
        for label in np.unique(windows.label[person_N == person]):
            own = np.flatnonzero((person_N == person) & (windows.label == label))
            _, rank = np.unique(unit_N[own], return_inverse=True)
            fold_N[own] = rank * n_folds // (rank.max() + 1)
    # A group that overlaps across labels or tasks is tested as one: in the fold of its first window.
    _, first, group = np.unique(unit_N, return_index=True, return_inverse=True)
    fold_N = fold_N[first][group]
    folds = [np.where(fold_N == f, "test", "train") for f in range(n_folds)]
    return [(f"fold-{f}", split_N) for f, split_N in enumerate(folds) if (split_N == "test").any()]


def _windows(index: Any) -> Windows:
    """All trials as windows; a label of one task is another label than the same number of another task."""
    return Windows(
        recording=np.asarray(index.recording, np.int64),
        start_sample=np.asarray(index.start_sample, np.int64),
        n_samples=np.asarray(index.n_samples, np.int64),
        label=np.asarray(index.task, np.int64) * 10_000 + np.asarray(index.label, np.int64) + 1,
    )


def _with_validation(index: Any, split_N: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Take validation trials out of train in tasks that have none; data set by data set, so that no sample that
    one task validates on is learned from in another."""
    split_N = split_N.astype("<U10")
    windows = _windows(index)
    dataset_T = np.array([t.dataset for t in index.tasks])
    for dataset in sorted(set(dataset_T)):
        of_dataset_N = dataset_T[index.task] == dataset
        rows = np.flatnonzero(of_dataset_N & (split_N == "train"))
        if share == 0 or not len(rows) or (of_dataset_N & (split_N == "validation")).any():
            continue
        held, dropped = hold_out(windows.take(rows), share, seed=seed)
        split_N[rows[held]] = "validation"
        split_N[rows[dropped]] = "unused"
    return split_N
