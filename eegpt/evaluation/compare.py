"""Runs held against each other on the trials that they share.

What enters: folders with predictions.parquet (runs of `eegpt transfer`, results of `eegpt baselines`). What leaves:
one row per task and pair of runs: both scores on the shared trials, their difference, a paired test over people.
So joint and separate training, pre-trained and scratch, frozen and tuned are compared by what they said of the
very same trials, not by two means with two spreads.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError, UsageError, nearest
from eegpt.evaluation.intervals import paired_test
from eegpt.evaluation.metrics import main_score, scores_of
from eegpt.evaluation.predictions import Predictions
from eegpt.evaluation.tables import plain_table

__all__ = ["compare_runs", "comparison_table", "comparison_csv"]


def compare_runs(runs: Sequence[Path], *, method: str = "model") -> list[dict[str, Any]]:
    """The first run against each of the others, task by task.

    Raises
    ------
    UsageError
        Fewer than two runs, no such method, or nothing in common.
    InputError
        A folder without whole results.
    """
    if len(runs) < 2:
        raise UsageError("comparing takes two runs or more", found=len(runs))
    loaded = [(_name(r, runs), *_read(r)) for r in runs]
    rows = []
    for name, predictions, results in loaded[1:]:
        pair = (loaded[0], (name, predictions, results))
        shared = [k for k in loaded[0][1].trials if k in predictions.trials]
        if not shared:
            raise UsageError("the runs have no task in common", found=f"{loaded[0][0]} and {name}")
        for key in shared:
            rows.append(_row(pair, key, method))
    return rows


def _name(run: Path, runs: Sequence[Path]) -> str:
    """A run's folder name; its whole path where two have the same."""
    same = [r for r in runs if r.name == run.name]
    return run.name if len(same) == 1 else str(run)


def _read(run: Path) -> tuple[Predictions, dict[str, Any]]:
    for file in ("predictions.parquet", "results.json"):
        if not (run / file).is_file():
            raise InputError("a run without results", where=run / file, todo=f"eegpt evaluate {run} --shards S")
    try:
        results: dict[str, Any] = json.loads((run / "results.json").read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError("results.json can't be read", where=run, found=str(error)) from None
    return Predictions.read(run / "predictions.parquet"), results


def _row(pair: Sequence[tuple[str, Predictions, dict[str, Any]]], key: str, method: str) -> dict[str, Any]:
    outputs, trials = [], []
    for name, predictions, _ in pair:
        methods = predictions.methods(key)
        if method not in methods:
            raise UsageError(
                f"{name} has no predictions of {method!r} for {key}",
                expected=", ".join(methods),
                todo=nearest(method, methods) or None,
            )
        outputs.append(predictions.stacked(key, method))
        trials.append(predictions.trials[key])
    first, second = (dict(zip(t.keys(), range(len(t.rows)), strict=True)) for t in trials)
    common = sorted(first.keys() & second.keys())
    a, b = (outputs[i][:, [place[k] for k in common]] for i, place in enumerate((first, second)))
    own = [first[k] for k in common]
    target, person = trials[0].target[own], trials[0].person[own]
    if not np.array_equal(target, trials[1].target[[second[k] for k in common]]):
        raise InputError(f"the runs disagree on the labels of {key}: they were made from different shard sets")
    entry = pair[0][2]["tasks"][key]
    kind = entry["kind"]
    test = paired_test(kind, target, a, b, person)
    means = [_mean([scores_of(kind, target, o)[main_score(kind)] for o in x]) for x in (a, b)]
    return {
        "task": key,
        "score": main_score(kind),
        "within_subject": entry["within_subject"],
        "run": pair[0][0],
        "against": pair[1][0],
        "n_trials": len(common),
        "n_subjects": len(set(person.tolist())),
        "mean": means[0],
        "against_mean": means[1],
        "difference": None if test is None else test.difference,
        "p_value": None if test is None else test.p_value,
        "test": None if test is None else test.test,
        "leakage": "; ".join(filter(None, dict.fromkeys(p[2].get("leakage", "") for p in pair))),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [v for v in values if v is not None]
    return float(np.mean(defined)) if defined else None


def comparison_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text, percentages with one decimal."""

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.1f}"

    header = ["task", "split", "trials", "people", "run", "its score", "against", "its score", "difference", "p"]
    lines = [
        [
            r["task"],
            "within subject" if r["within_subject"] else "by subject",
            str(r["n_trials"]),
            str(r["n_subjects"]),
            r["run"],
            percent(r["mean"]),
            r["against"],
            percent(r["against_mean"]),
            percent(r["difference"]),
            "–" if r["p_value"] is None else f"{r['p_value']:.3f}",
        ]
        for r in rows
    ]
    notes = [
        "score: balanced accuracy in percent (R² of regressions) on shared trials; difference: mean over people, "
        "or over trials of one person; p: sign flips, two-sided, not corrected",
        *dict.fromkeys(r["leakage"] for r in rows if r["leakage"]),
    ]
    return "\n".join([plain_table(header, lines), *notes])


def comparison_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
