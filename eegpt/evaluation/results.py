"""`results.json`: the scores of every method per task, with intervals, and paired tests against our model.

Scores are computed on all test trials together; means and standard deviations are over seeds, intervals over subjects.
Nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from eegprep.display import html_table
from eegprep.errors import InputError
from eegpt.data import TaskInfo
from eegpt.evaluation.intervals import Interval, PairedTest, bootstrap_interval, paired_test
from eegpt.evaluation.metrics import Score, Scores, confusion_matrix, main_score, mean_and_sd, mean_defined, scores_of
from eegpt.evaluation.predictions import MODEL, Predictions
from eegpt.runs.folder import RESULTS, read_json
from eegpt.runs.results import PretrainingResults
from eegpt.runs.settings import problem_of


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Known(_Part):
    """A published result."""

    metric: str
    value: float
    who: str


class MethodResult(_Part):
    """Scores of one method on one task; `confusion` (true class in rows) is summed over seeds."""

    scores: dict[str, Score]
    by_seed: dict[str, Scores]
    interval: Interval | None
    by_subject: dict[str, float | None]
    by_fold: dict[str, float | None] = {}
    fold_sd: float | None = None
    confusion: list[list[int]] | None = None
    seconds: float | None = None
    model_against_it: PairedTest | None = None


class TaskResult(_Part):
    """A task: its trials, and every method's result on them."""

    dataset: str
    task: str
    kind: str
    classes: list[str]
    within_subject: bool
    n_train: int | None = None
    n_validation: int | None = None
    n_electrodes: int | None = None
    n_test: int
    n_test_subjects: int
    score: str
    chance: float
    model: MethodResult | None = None
    baselines: dict[str, MethodResult] = {}
    known_results: list[Known] = []
    notes: list[str] = []

    def methods(self) -> dict[str, MethodResult]:
        """All methods, our model first."""
        return ({MODEL: self.model} if self.model else {}) | self.baselines

    def mean(self, method: MethodResult | None) -> float | None:
        """A method's main score, the mean over seeds."""
        return method.scores[self.score].mean if method is not None and self.score in method.scores else None


class Control(_Part):
    """A task's score in one control; `unchanged` is the readouts' score on the same trials, both the main score."""

    score: float | None = None
    unchanged: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    n_test: int = 0
    reason: str = ""  # why it does not apply


class Controls(_Part):
    """A task's controls by name, and in words what its score may come from."""

    chance: float
    controls: dict[str, Control]
    findings: list[str]


class Results(_Part):
    """All of results.json; `pretraining` are the encoder's errors on held-out windows.

    `weights` are those of the views and the graph by task, relative to their sum; `controls` are by task.
    """

    kind: str
    mode: str = ""
    scheme: str = "split"
    seeds: list[int] = []
    leakage: str = ""
    electrode_notes: list[str] = []
    pretraining: PretrainingResults | None = None
    weights: dict[str, dict[str, float]] = {}
    controls: dict[str, Controls] = {}
    tasks: dict[str, TaskResult]

    def __str__(self) -> str:
        from eegpt.evaluation.tables import results_table

        return results_table(self)

    def __repr__(self) -> str:
        return f"Results({self.kind}, scheme {self.scheme}, tasks {', '.join(self.tasks)})"

    def _repr_html_(self) -> str:
        rows = [
            {
                "task": task.task,
                "data set": task.dataset,
                "score": task.score,
                "chance": task.chance,
                **{name: task.mean(one) for name, one in task.methods().items()},
            }
            for task in self.tasks.values()
        ]
        names = dict.fromkeys(name for row in rows for name in row)
        facts = {"scheme": self.scheme, "mode": self.mode, "leakage": self.leakage}
        return html_table("Scores on the test trials", facts, [{n: row.get(n, "") for n in names} for row in rows])


@dataclass(frozen=True, kw_only=True)
class About:
    """Information on a task besides its predictions: numbers of trials, published results, notes."""

    counts: Mapping[str, int] = field(default_factory=dict)
    known: Sequence[Known] = ()
    notes: Sequence[str] = ()


def summarise(
    predictions: Predictions,
    tasks: Sequence[TaskInfo],
    about: Mapping[str, About],
    *,
    within: bool = False,
    n_draws: int = 1000,
) -> dict[str, TaskResult]:
    """Results of every task with predictions; `about` is by task key.

    `within`: the scheme tests subjects that were trained on, whatever the data set's own split.
    """
    out = {}
    for info in tasks:
        if (trials := predictions.trials.get(info.key)) is None:
            continue
        known = about.get(info.key, About())
        methods = {}
        for method in predictions.methods(info.key):
            test = None
            if method != MODEL and MODEL in methods:
                ours, theirs = (predictions.stacked(info.key, m) for m in (MODEL, method))
                test = paired_test(info.kind, trials.target, ours, theirs, trials.subject)
            methods[method] = _method(predictions, method, info, test, n_draws)
        out[info.key] = TaskResult(
            dataset=info.dataset,
            task=info.name,
            kind=info.kind,
            classes=list(info.classes),
            within_subject=within or bool(info.within_subject),
            **known.counts,
            n_test=len(trials.rows),
            n_test_subjects=len(set(trials.subject.tolist())),
            score=main_score(info.kind),
            chance=1 / len(info.classes) if info.kind == "classification" else 0.0,
            model=methods.pop(MODEL, None),
            baselines=methods,
            known_results=list(known.known),
            notes=list(known.notes),
        )
    return out


def _method(
    predictions: Predictions, method: str, info: TaskInfo, test: PairedTest | None, n_draws: int
) -> MethodResult:
    trials, output_MNK = predictions.trials[info.key], predictions.stacked(info.key, method)
    main, seeds = main_score(info.kind), sorted(predictions.outputs[info.key, method])
    by_seed = [scores_of(info.kind, trials.target, output_NK) for output_NK in output_MNK]

    def by(unit_N: np.ndarray) -> dict[str, float | None]:
        return {
            str(u): mean_defined([scores_of(info.kind, trials.target[own], o[own])[main] for o in output_MNK])
            for u in sorted(set(unit_N.tolist()))
            for own in [unit_N == u]
        }

    by_fold = by(trials.fold) if len(set(trials.fold.tolist())) > 1 else {}
    defined = [v for v in by_fold.values() if v is not None]
    confusion = None
    if info.kind == "classification":
        # Summed over seeds, each of which has one output per test trial.
        counts = [confusion_matrix(trials.target, o.argmax(axis=1), len(info.classes)) for o in output_MNK]
        confusion = np.sum(counts, axis=0).tolist()
    return MethodResult(
        scores=mean_and_sd(by_seed),
        by_seed={str(seed): scores for seed, scores in zip(seeds, by_seed, strict=True)},
        interval=bootstrap_interval(info.kind, trials.target, output_MNK, trials.subject, n_draws=n_draws),
        by_subject=by(trials.subject),
        by_fold=by_fold,
        fold_sd=float(np.std(defined, ddof=1)) if len(defined) > 1 else None,
        confusion=confusion,
        seconds=predictions.seconds.get((info.key, method)),
        model_against_it=test,
    )


def read_results(run: Path) -> Results:
    """The results of a run; InputError if it has none, or they are damaged."""
    path = Path(run) / RESULTS
    if not path.is_file():
        raise InputError("a run without results", where=path, todo=f"eegpt evaluate {run} --shards S")
    try:
        return Results.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError("results.json cannot be read", where=path, found=problem_of(error)) from None
