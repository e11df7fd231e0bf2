"""Cross-validation folds: k folds, leave one subject out, leave one data set out.

Subjects are named `dataset/subject`. Each fold maps every subject to `train`, `validation` or `test`; every subject is
tested in exactly one fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from eegprep.errors import UsageError

from .assign import rank_key, split_subjects


def k_fold(
    people: Sequence[str],
    n_folds: int,
    *,
    seed: int = 0,
    strata: Mapping[str, str] | None = None,
    validation: float = 0.1,
) -> list[dict[str, str]]:
    """Divide subjects into `n_folds` test sets of nearly equal size, stratified.

    Parameters
    ----------
    people : sequence of str
        `dataset/subject`, in any order.
    n_folds : int
        From two to the number of subjects.
    strata : mapping of str to str, optional
        Subject to stratum, e.g. the label in a task with one label per subject.
    validation : float
        Share of the untested subjects used for validation, at least one subject if three are left.

    Raises
    ------
    UsageError
        More folds than subjects, or fewer than two.
    """
    names = sorted(set(people))
    if not 2 <= n_folds <= len(names):
        raise UsageError(
            "invalid number of folds for these subjects", found=n_folds, expected=f"from 2 to {len(names)}"
        )
    strata = strata or {}
    dealt = sorted(names, key=lambda p: (strata.get(p, ""), rank_key(p, seed), p))
    fold_of = {person: position % n_folds for position, person in enumerate(dealt)}
    folds = []
    for fold in range(n_folds):
        rest = [p for p in names if fold_of[p] != fold]
        inner = split_subjects(
            rest, ratio=(1.0 - validation, validation, 0.0), seed=seed, salt=f"fold {fold}", strata=strata
        )
        folds.append({p: "test" if fold_of[p] == fold else inner[p] for p in names})
    return folds


def leave_one_subject_out(people: Sequence[str], *, seed: int = 0, validation: float = 0.1) -> list[dict[str, str]]:
    """One fold per subject, sorted by name, which tests on that subject."""
    folds = k_fold(people, len(set(people)), seed=seed, validation=validation)
    return sorted(folds, key=lambda fold: min(p for p, split in fold.items() if split == "test"))


def leave_one_dataset_out(
    people: Sequence[str], *, seed: int = 0, validation: float = 0.1
) -> dict[str, dict[str, str]]:
    """One fold per data set, which tests on its subjects and trains on all others.

    Raises
    ------
    UsageError
        All subjects are from one data set.
    """
    datasets = sorted({p.split("/", 1)[0] for p in people})
    if len(datasets) < 2:
        raise UsageError("leaving one data set out needs at least two", found=", ".join(datasets) or "none")
    out = {}
    for dataset in datasets:
        rest = [p for p in people if p.split("/", 1)[0] != dataset]
        inner = split_subjects(rest, ratio=(1.0 - validation, validation, 0.0), seed=seed, salt=f"without {dataset}")
        out[dataset] = {p: inner.get(p, "test") for p in sorted(set(people))}
    return out
