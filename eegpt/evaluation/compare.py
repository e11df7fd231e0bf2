"""Compare runs on their common trials: scores, differences and paired tests over subjects.

Joint and separate training, pre-trained and scratch, or frozen and tuned are compared by their outputs for the same
trials, not by means and standard deviations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError, UsageError, nearest
from eegprep.files import not_found
from eegpt.evaluation.intervals import PairedTest, paired_test
from eegpt.evaluation.metrics import main_score, mean_defined, scores_of
from eegpt.evaluation.paired import Difference, Pair, difference
from eegpt.evaluation.predictions import MODEL, PREDICTIONS, Predictions
from eegpt.evaluation.results import Results, read_results
from eegpt.evaluation.tables import csv_table, percent, plain_table, wrapped


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs on one task: mean scores over seeds, and the paired test (None if no subject has a score).

    `low` and `high` are the 95 % interval of `mean - against_mean` over subjects (over trials if there is one subject).
    """

    task: str
    score: str
    within_subject: bool
    run: str
    against: str
    n_trials: int
    n_subjects: int
    mean: float | None
    against_mean: float | None
    test: PairedTest | None
    leakage: str
    low: float | None = None
    high: float | None = None

    def as_row(self) -> dict[str, Any]:
        """Flat plain data, for JSON and CSV."""
        test = self.test
        return asdict(self) | {
            "difference": test and test.difference,
            "p_value": test and test.p_value,
            "test": test and test.test,
        }


@dataclass(frozen=True, kw_only=True)
class _Run:
    name: str
    predictions: Predictions
    results: Results


def compare_runs(runs: Sequence[Path], *, method: str = MODEL) -> list[Comparison]:
    """The first run against each of the others, task by task.

    Parameters
    ----------
    runs : sequence of Path
        Folders with predictions.parquet: runs of `eegpt transfer`, results of `eegpt baselines`.

    Raises
    ------
    UsageError
        Fewer than two runs, no such method, or nothing in common.
    InputError
        A folder without complete results.
    """
    if len(runs) < 2:
        raise UsageError("at least two runs are required", found=len(runs))
    first, *others = (_read(run, runs) for run in runs)
    rows = []
    for other in others:
        shared = [key for key in first.predictions.trials if key in other.predictions.trials]
        if not shared:
            raise UsageError("the runs have no task in common", found=f"{first.name} and {other.name}")
        rows += [_compare(first, other, key, method) for key in shared]
    return rows


def mean_difference(runs: Sequence[tuple[Path, Path]], *, method: str = MODEL) -> Difference | None:
    """The first run of each pair minus the second: the mean over the tasks of all pairs, with its interval and p.

    None if it is undefined, or a task has one subject only: then nothing can be said about subjects.
    """
    pairs = []
    for first, second in runs:
        one, other = (_read(run, (first, second)) for run in (first, second))
        for key in one.predictions.trials:
            if key in other.predictions.trials:
                pairs.append(_pair(one, other, key, method))
    if any(pair.over != "subjects" for pair in pairs):
        return None
    return difference(pairs)


def _read(run: Path, runs: Sequence[Path]) -> _Run:
    if not run.is_dir():
        raise not_found("run", run, f"a folder with {PREDICTIONS}")
    if not (run / PREDICTIONS).is_file():
        raise InputError("a run without results", where=run / PREDICTIONS, todo=f"eegpt evaluate {run} --shards S")
    unique = sum(r.name == run.name for r in runs) == 1
    return _Run(
        name=run.name if unique else str(run),
        results=read_results(run),
        predictions=Predictions.read(run / PREDICTIONS),
    )


def _pair(first: _Run, other: _Run, key: str, method: str) -> Pair:
    """The common trials of a task and both runs' outputs for them."""
    for one in (first, other):
        methods = one.predictions.methods(key)
        if method not in methods:
            raise UsageError(
                f"{one.name} has no predictions of {method!r} for {key}",
                expected=", ".join(methods),
                todo=nearest(method, methods) or None,
            )
    trials = [one.predictions.trials[key] for one in (first, other)]
    places = [{k: i for i, k in enumerate(t.keys())} for t in trials]
    common = sorted(places[0].keys() & places[1].keys())
    own, theirs = ([place[k] for k in common] for place in places)
    target = trials[0].target[own]
    if not np.array_equal(target, trials[1].target[theirs]):
        raise InputError(f"the runs disagree on the labels of {key}: they were made from different shard sets")
    return Pair(
        kind=first.results.tasks[key].kind,
        group=key.split("/", 1)[0],
        target_N=target,
        ours_MNK=first.predictions.stacked(key, method)[:, own],
        theirs_MNK=other.predictions.stacked(key, method)[:, theirs],
        subject_N=trials[0].subject[own],
    )


def _compare(first: _Run, other: _Run, key: str, method: str) -> Comparison:
    pair, entry = _pair(first, other, key, method), first.results.tasks[key]
    main, found = main_score(entry.kind), difference([pair])
    mean, against_mean = (
        mean_defined([scores_of(entry.kind, pair.target_N, o)[main] for o in x])
        for x in (pair.ours_MNK, pair.theirs_MNK)
    )
    return Comparison(
        task=key,
        score=main,
        within_subject=entry.within_subject,
        run=first.name,
        against=other.name,
        n_trials=len(pair.target_N),
        n_subjects=len(set(pair.subject_N.tolist())),
        mean=mean,
        against_mean=against_mean,
        test=paired_test(entry.kind, pair.target_N, pair.ours_MNK, pair.theirs_MNK, pair.subject_N),
        leakage="; ".join(filter(None, dict.fromkeys(one.results.leakage for one in (first, other)))),
        low=None if found is None else found.low,
        high=None if found is None else found.high,
    )


def comparison_table(rows: Sequence[Comparison]) -> str:
    """The rows as text in 80 columns, a block for each task; percentages with one decimal."""
    blocks = []
    for key in dict.fromkeys(r.task for r in rows):
        own = [r for r in rows if r.task == key]
        who = "within subject" if own[0].within_subject else "by subject"
        lines = [
            [
                f"{r.run} against {r.against}",
                percent(r.mean),
                percent(r.against_mean),
                percent(r.test.difference if r.test else None),
                "–" if r.test is None else f"{r.test.p_value:.3f}",
            ]
            for r in own
        ]
        title = f"{key}: {who}, {own[0].n_trials:,} trials of {own[0].n_subjects} subjects"
        blocks.append(f"{title}\n{plain_table(['runs', 'first', 'second', 'difference', 'p'], lines)}\n")
    notes = [
        "score: balanced accuracy in percent (R² of regressions) on shared trials; difference: mean over subjects, "
        "or over the trials of a single subject; p: sign flips, two-sided, not corrected",
        *dict.fromkeys(r.leakage for r in rows if r.leakage),
    ]
    return "\n".join([*blocks, *map(wrapped, notes)])


def comparison_csv(rows: Sequence[Comparison]) -> str:
    """The rows as CSV."""
    return csv_table([row.as_row() for row in rows])
