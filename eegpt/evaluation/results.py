"""Predictions to `results.json`: per task the scores of every method, how sure they are, and against whom.

What enters: `Predictions`, the tasks, the number of trials learned from. What leaves: plain data, one entry per
task. Scores are of all test trials together; mean and standard deviation are over seeds; intervals are drawn
over people; tests are paired against our model. Nothing is rounded here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from eegpt.evaluation.intervals import bootstrap_interval, paired_test
from eegpt.evaluation.metrics import confusion_matrix, main_score, mean_and_sd, scores_of
from eegpt.evaluation.predictions import MODEL, Predictions

__all__ = ["summarise", "summarise_method"]


def summarise(
    predictions: Predictions,
    tasks: Sequence[Any],
    counts: Mapping[str, Mapping[str, int]],
    *,
    known: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    notes: Mapping[str, Sequence[str]] | None = None,
    within: bool = False,
    n_draws: int = 1000,
) -> dict[str, Any]:
    """One entry per task.

    Parameters
    ----------
    predictions : Predictions
    tasks : sequence of TaskInfo
        Of the index that was tested.
    counts : mapping
        Task key to `n_train`, `n_validation` (mean over folds) and more that is to be printed.
    known : mapping, optional
        Task key to published figures: metric, value, who.
    notes : mapping, optional
        Task key to sentences that belong under its scores.
    within : bool
        The scheme itself tests people that were learned from, whatever the data set's own split is.
    """
    out: dict[str, Any] = {}
    for info in tasks:
        key = f"{info.dataset}/{info.name}"
        if key not in predictions.trials:
            continue
        trials = predictions.trials[key]
        entry: dict[str, Any] = {
            "dataset": info.dataset,
            "task": info.name,
            "kind": info.kind,
            "classes": list(info.classes),
            "within_subject": within or bool(info.within_subject),
            **dict(counts.get(key, {})),
            "n_test": len(trials.rows),
            "n_test_subjects": len(set(trials.person.tolist())),
            "score": main_score(info.kind),
            "chance": 1 / len(info.classes) if info.kind == "classification" else 0.0,
            "baselines": {},
            "known_results": [dict(k) for k in (known or {}).get(key, ())],
            "notes": list((notes or {}).get(key, ())),
        }
        methods = predictions.methods(key)
        for method in methods:
            summary = summarise_method(predictions, key, method, info, n_draws=n_draws)
            if method == MODEL:
                entry["model"] = summary
                continue
            if MODEL in methods:
                test = paired_test(
                    info.kind,
                    trials.target,
                    predictions.stacked(key, MODEL),
                    predictions.stacked(key, method),
                    trials.person,
                )
                summary["model_against_it"] = None if test is None else asdict(test)
            entry["baselines"][method] = summary
        out[key] = entry
    return out


def summarise_method(
    predictions: Predictions, task: str, method: str, info: Any, *, n_draws: int = 1000
) -> dict[str, Any]:
    """Scores of one method on one task."""
    trials, output_MNK = predictions.trials[task], predictions.stacked(task, method)
    by_seed = [scores_of(info.kind, trials.target, output_NK) for output_NK in output_MNK]
    interval = bootstrap_interval(info.kind, trials.target, output_MNK, trials.person, n_draws=n_draws)
    main = main_score(info.kind)
    people = sorted(set(trials.person.tolist()))
    out: dict[str, Any] = {
        "scores": mean_and_sd(by_seed),
        "by_seed": {
            str(seed): scores for seed, scores in zip(sorted(predictions.outputs[task, method]), by_seed, strict=True)
        },
        "interval": None if interval is None else asdict(interval),
        "by_subject": {
            p: _mean(
                [
                    scores_of(info.kind, trials.target[own], o[own])[main]
                    for own in [trials.person == p]
                    for o in output_MNK
                ]
            )
            for p in people
        },
    }
    folds = sorted(set(trials.fold.tolist()))
    if len(folds) > 1:
        per_fold = [
            _mean([scores_of(info.kind, trials.target[own], o[own])[main] for o in output_MNK])
            for own in (trials.fold == f for f in folds)
        ]
        defined = [v for v in per_fold if v is not None]
        out["by_fold"] = dict(zip(folds, per_fold, strict=True))
        out["fold_sd"] = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
    if info.kind == "classification":
        # Summed over seeds: each seed's model answered every test trial once.
        counts = [confusion_matrix(trials.target, o.argmax(axis=1), len(info.classes)) for o in output_MNK]
        out["confusion"] = np.sum(counts, axis=0).tolist()
    if (seconds := predictions.seconds.get((task, method))) is not None:
        out["seconds"] = seconds
    return out


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [v for v in values if v is not None]
    return float(np.mean(defined)) if defined else None
