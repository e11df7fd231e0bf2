"""Division of trials into training, validation and test: one `Division` per fold.

A division depends only on the trials, the scheme and a seed, so `eegpt evaluate` and all baselines use the same test
trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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
from eegprep.splits.assign import rank_key
from eegpt.data import TaskInfo
from eegpt.data import TrialSource as Trials

_SPLITS = ("train", "validation", "test")


class Kind(StrEnum):
    """Kinds of schemes; see `eegpt.transfer.config.DataSettings`."""

    SPLIT = "split"
    KFOLD = "kfold"
    LOSO = "loso"
    LODO = "lodo"
    FEW_SHOT = "few-shot"
    WITHIN = "within"


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A scheme such as `kfold:5` (five folds), `few-shot:5:3` (five trials per class, three folds) or `lodo:5`."""

    kind: Kind
    shots: int = 0
    folds: int = 0

    @classmethod
    def parse(cls, text: str) -> Scheme:
        """Read a scheme; UsageError for an unknown one, or one that lacks its number."""
        name, *numbers = text.split(":")
        if name not in tuple(Kind):
            raise UsageError(f"unknown scheme {text!r}", expected=", ".join(Kind), todo=nearest(name, tuple(Kind)))
        kind = Kind(name)
        few, folded = kind == Kind.FEW_SHOT, kind in (Kind.KFOLD, Kind.WITHIN)
        most = 2 if few else 1 if folded or kind == Kind.LODO else 0
        if len(numbers) > most:
            takes = ("no number", "one number", "one or two numbers")[most]
            raise UsageError(f"the scheme {name!r} takes {takes}", found=text)
        if (few or folded or numbers) and not (numbers and all(_is_count(n) for n in numbers)):
            raise UsageError(
                f"the scheme {text!r} lacks its number", expected="such as kfold:5, few-shot:5 or few-shot:5:5"
            )
        values = [int(n) for n in numbers]
        shots = values.pop(0) if values and (few or kind == Kind.LODO) else 0
        return cls(kind=kind, shots=shots, folds=values[0] if values else 0)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0


class Subjects(Protocol):
    """The columns of trials that `inner_folds` reads."""

    tasks: tuple[TaskInfo, ...]
    task: NDArray[Any]
    label: NDArray[Any]
    subject: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Division:
    """Training, validation and test rows of the index, (n,) int64 sorted. They share no sample."""

    name: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def divide(
    index: Trials, scheme: str, *, seed: int = 0, validation_share: float = 0.2, among: Trials | None = None
) -> list[Division]:
    """All divisions of a scheme (see `DataSettings`), in a fixed order.

    Data sets that are split within subjects keep their own split in `kfold`, `loso` and `few-shot`, since they have no
    other subjects. `seed` assigns subjects to folds and selects held-out and few-shot trials. `among` has all tasks of
    the sets if `index` has only some: `kfold` then assigns the subjects of all tasks, so that a subject's fold, and
    thus the encoder of each fold, does not depend on the chosen tasks.

    Raises
    ------
    UsageError
        The scheme is unknown or not possible with these data.
    RefusedError
        A recording has no split.
    """
    parsed = Scheme.parse(scheme)
    out = []
    for name, split_N in _splits(index, index if among is None else among, parsed, seed):
        split_N = _with_validation(index, split_N, validation_share, seed)
        rows = {s: np.flatnonzero(split_N == s) for s in _SPLITS}
        if not len(rows["train"]):
            raise UsageError(f"no training trials in {name!r}", expected="trials in the train split")
        out.append(Division(name=name, **rows))
    return out


def inner_folds(index: Subjects, rows: np.ndarray, n_folds: int, *, seed: int = 0, within: bool = False) -> np.ndarray:
    """Number of the fold, (n,) int64, of each training trial, for choices made without the tested trials.

    Folds are of subjects, stratified by the label of tasks with one label per subject. Trials of a data set with one
    subject, or of all if `within`, are divided into blocks of each label, in order.
    """
    dataset_T = np.unique([t.dataset for t in index.tasks], return_inverse=True)[1]
    dataset_N = dataset_T[index.task[rows]]
    subject_N = np.array([index.subject[r] for r in rows])
    out = np.zeros(len(rows), np.int64)
    for dataset in np.unique(dataset_N):
        own = np.flatnonzero(dataset_N == dataset)
        subjects = sorted(set(subject_N[own].tolist()))
        if within or len(subjects) < 2:
            key = np.stack([index.task[rows[own]], index.label[rows[own]]])
            for label in np.unique(key, axis=1).T:
                at = own[(key == label[:, None]).all(axis=0)]
                out[at] = np.arange(len(at)) * n_folds // len(at)
            continue
        strata = _strata_of(subject_N[own], index.task[rows[own]], index.label[rows[own]])
        dealt = sorted(subjects, key=lambda s: (strata.get(s, ""), rank_key(s, seed), s))
        fold_of = {subject: position % n_folds for position, subject in enumerate(dealt)}
        out[own] = [fold_of[s] for s in subject_N[own]]
    return out


def _splits(index: Trials, among: Trials, scheme: Scheme, seed: int) -> list[tuple[str, np.ndarray]]:
    """Name and split of each trial (N,), for each division."""

    def folds() -> list[tuple[str, np.ndarray]]:
        return _folds(index, k_fold(_subjects(among), scheme.folds, seed=seed, strata=_strata(among)))

    match scheme.kind:
        case Kind.SPLIT:
            return [("split", _own_split(index))]
        case Kind.KFOLD:
            return folds()
        case Kind.LOSO:
            return _folds(index, leave_one_subject_out(_subjects(index), seed=seed), by_subject=True)
        case Kind.LODO:
            out = _one_dataset_out(index, seed)
            shots = scheme.shots
            return [(n, _few_shot(index, split_N, shots, seed, every=True)) for n, split_N in out] if shots else out
        case Kind.WITHIN:
            return _within_subjects(index, scheme.folds)
    k = scheme.shots
    if not scheme.folds:
        return [(f"few-shot-{k}", _few_shot(index, _own_split(index), k, seed))]
    return [(f"few-shot-{k}-{name}", _few_shot(index, split_N, k, seed)) for name, split_N in folds()]


def _own_split(index: Trials) -> np.ndarray:
    split_N = np.array(index.split, dtype="<U10")
    if len(unassigned := np.flatnonzero(~np.isin(split_N, _SPLITS))):
        raise RefusedError(
            "a labelled recording is in no split",
            found=index.recording_ids[index.recording[unassigned[0]]],
            todo="build the shard set again with a split in the manifest",
        )
    return split_N


def _within(index: Trials) -> np.ndarray:
    """Mask of trials whose data set is split within subjects, (N,) bool."""
    return np.array([t.within_subject for t in index.tasks], bool)[index.task]


def _subjects(index: Trials) -> list[str]:
    within_N = _within(index)
    subjects = sorted({s for s, w in zip(index.subject, within_N, strict=True) if not w})
    if len(subjects) < 2:
        raise UsageError("folds need two subjects or more in data sets that are split by subject", found=len(subjects))
    return subjects


def _strata(index: Trials) -> dict[str, str]:
    return _strata_of(index.subject, index.task, index.label)


def _strata_of(subjects: Sequence[str] | np.ndarray, task_N: np.ndarray, label_N: np.ndarray) -> dict[str, str]:
    """Data set, and the subject's label in each task with only one label for this subject."""
    seen: dict[str, dict[int, set[int]]] = {}
    for subject, task, label in zip(subjects, task_N.tolist(), label_N.tolist(), strict=True):
        seen.setdefault(subject, {}).setdefault(task, set()).add(label)
    return {
        subject: "/".join([subject.split("/", 1)[0], *(f"{t}={min(x)}" for t, x in sorted(own.items()) if len(x) == 1)])
        for subject, own in seen.items()
    }


def _folds(index: Trials, folds: list[dict[str, str]], *, by_subject: bool = False) -> list[tuple[str, np.ndarray]]:
    own_N, within_N = _own_split(index), _within(index)
    out = []
    for number, fold in enumerate(folds):
        split_N = np.array([fold.get(s, "") for s in index.subject], dtype="<U10")
        tested = "-".join(s for s, split in fold.items() if split == "test")
        out.append((f"without-{tested}" if by_subject else f"fold-{number}", np.where(within_N, own_N, split_N)))
    return out


def _one_dataset_out(index: Trials, seed: int) -> list[tuple[str, np.ndarray]]:
    """Test each data set with heads trained on tasks of the same name and classes in the others."""
    kinds: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for t in index.tasks:
        kinds.setdefault((t.name, tuple(t.classes)), set()).add(t.dataset)
    shared_N = np.array([len(kinds[t.name, tuple(t.classes)]) > 1 for t in index.tasks], bool)[index.task]
    if not shared_N.any():
        raise UsageError(
            "leaving one data set out needs a task with the same name and classes in two data sets",
            found=", ".join(sorted(f"{t.dataset}/{t.name}" for t in index.tasks)),
        )
    out = []
    for dataset, fold in leave_one_dataset_out(sorted(set(index.subject)), seed=seed).items():
        split_N = np.array([fold[s] for s in index.subject], dtype="<U10")
        # Only shared tasks of the left-out data set can be tested: its other heads are untrained.
        split_N[(split_N == "test") & ~shared_N] = "unused"
        if (split_N == "test").any():
            out.append((f"without-{dataset}", split_N))
    return out


def _few_shot(index: Trials, split_N: np.ndarray, k: int, seed: int, *, every: bool = False) -> np.ndarray:
    """The split with k trials per class of each test subject moved to train.

    In tasks with one label per subject a single trial would reveal the label, so none is moved, nor in data sets that
    are split within subjects unless `every`.
    """
    split_N, windows, within_N = split_N.copy(), _windows(index), _within(index)
    tested = {
        s for s, split, w in zip(index.subject, split_N, within_N, strict=True) if split == "test" and (every or not w)
    }
    subject_N = np.array(index.subject)
    for subject in sorted(tested):
        rows = np.flatnonzero((subject_N == subject) & (split_N != "unused"))
        own = windows.take(rows)
        tasks, answers = index.task[rows], np.asarray(index.target)[rows]
        several = np.isin(tasks, [t for t in np.unique(tasks) if len(np.unique(answers[tasks == t])) > 1])
        support = np.zeros(len(rows), bool)
        support[several] = few_shot(own.take(np.flatnonzero(several)), k, seed=seed)[0]
        split_N[rows] = np.where(support, "train", np.where(touching(own, support), "unused", "test"))
    return split_N


def _within_subjects(index: Trials, n_folds: int) -> list[tuple[str, np.ndarray]]:
    """Folds over the trials of each subject, label by label, blocks of time; overlapping windows stay together."""
    windows = _windows(index)
    unit_N = overlap_units(windows)
    fold_N = np.zeros(len(windows), np.int64)
    subject_N = np.unique(np.array(index.subject), return_inverse=True)[1]
    for subject in np.unique(subject_N):
        for label in np.unique(windows.label[subject_N == subject]):
            own = np.flatnonzero((subject_N == subject) & (windows.label == label))
            _, rank = np.unique(unit_N[own], return_inverse=True)
            fold_N[own] = rank * n_folds // (rank.max() + 1)
    # A group that overlaps across labels or tasks is tested together, in the fold of its first window.
    _, first, group = np.unique(unit_N, return_index=True, return_inverse=True)
    fold_N = fold_N[first][group]
    folds = [np.where(fold_N == f, "test", "train") for f in range(n_folds)]
    return [(f"fold-{f}", split_N) for f, split_N in enumerate(folds) if (split_N == "test").any()]


def _windows(index: Trials) -> Windows:
    """All trials as windows; equal label numbers of different tasks are different labels."""
    return Windows(
        recording=np.asarray(index.recording, np.int64),
        start_sample=np.asarray(index.start_sample, np.int64),
        n_samples=np.asarray(index.n_samples, np.int64),
        label=np.asarray(index.task, np.int64) * 10_000 + np.asarray(index.label, np.int64) + 1,
    )


def _with_validation(index: Trials, split_N: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Move trials from train to validation in tasks without any; no sample trains one task and validates another."""
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
