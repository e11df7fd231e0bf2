"""Runs that differ in the seed of their encoders, as one table: mean and standard deviation over the encoders.

    python benchmarks/encoder_seeds.py RUN RUN ... [--against RUN]

The runs are those of `eegpt transfer` on the same folds, scored by `eegpt evaluate`; the first one gives the baselines.
An asterisk: a paired test over subjects of that baseline against our model gives p < 0.05, uncorrected. The last table
compares the mean of all tasks with each baseline, and task by task with another run (such as one without an encoder).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eegpt.data import TaskInfo
from eegpt.evaluation.metrics import mean_defined
from eegpt.evaluation.paired import Difference, Pair, difference
from eegpt.evaluation.predictions import MODEL, PREDICTIONS, Predictions, TaskTrials
from eegpt.evaluation.results import TaskResult, read_results, summarise
from eegpt.evaluation.tables import SIGNIFICANT, name_of, percent, shown_baselines


def merged(runs: list[Path]) -> tuple[Predictions, dict[str, TaskResult]]:
    """The predictions of the first run with our model's outputs of every run as seeds, and their results."""
    out, results = Predictions.read(runs[0] / PREDICTIONS), read_results(runs[0])
    for number, run in enumerate(runs):
        other = Predictions.read(run / PREDICTIONS)
        for key, trials in out.trials.items():
            output_NK = other.stacked(key, MODEL)[0][_same(trials, other.trials[key])]
            if number == 0:
                out.outputs[key, MODEL] = {}
            out.put(key, MODEL, number, trials.rows, output_NK)
    infos = [
        TaskInfo(dataset=t.dataset, name=t.task, kind=t.kind, classes=tuple(t.classes), within_subject=t.within_subject)
        for t in results.tasks.values()
    ]
    return out, summarise(out, infos, {})


def _same(trials: TaskTrials, others: TaskTrials) -> list[int]:
    """The places of some trials among those of another run."""
    place = {key: i for i, key in enumerate(others.keys())}
    keys = trials.keys()
    return [place[key] for key in keys]


def paired(ours: Predictions, theirs: Predictions, key: str, kind: str, method: str) -> Pair:
    """Our model and another run's method on the trials of a task."""
    trials = ours.trials[key]
    return Pair(
        kind=kind,
        group=key.split("/")[0],
        target_N=trials.target,
        ours_MNK=ours.stacked(key, MODEL),
        theirs_MNK=theirs.stacked(key, method)[:, _same(trials, theirs.trials[key])],
        subject_N=trials.subject,
    )


def told(found: Difference | None) -> str:
    """A difference in points, its interval and p."""
    if found is None:
        return "– | –"
    low, high = 100 * found.low, 100 * found.high
    return f"{100 * found.value:+.1f} ({low:+.1f} to {high:+.1f}) | {found.p_value:.4f}"


def scores_table(tasks: Mapping[str, TaskResult], columns: list[str]) -> None:
    print("| task | subjects | chance | " + " | ".join(map(name_of, columns)) + " | our model | 95 % interval |")
    print("|" + "---|" * (len(columns) + 5))
    for key, task in tasks.items():
        cells = [key, str(task.n_test_subjects), percent(task.chance)]
        for name in columns:
            one = task.baselines.get(name)
            test = None if one is None else one.model_against_it
            mark = "*" if test is not None and test.p_value < SIGNIFICANT else ""
            cells.append(percent(task.mean(one)) + mark)
        assert task.model is not None
        score, interval = task.model.scores[task.score], task.model.interval
        cells.append(percent(score.mean) + ("" if score.sd is None else f" ± {percent(score.sd)}"))
        cells.append("–" if interval is None else f"{percent(interval.low)} to {percent(interval.high)}")
        print("| " + " | ".join(cells) + " |")
    by_seed = np.array([[t.model.by_seed[s][t.score] for s in t.model.by_seed] for t in tasks.values() if t.model])
    means = [percent(mean_defined([t.mean(t.baselines.get(name)) for t in tasks.values()])) for name in columns]
    sd = f" ± {percent(float(by_seed.mean(axis=0).std(ddof=1)))}" if by_seed.shape[1] > 1 else ""
    print("| mean | | | " + " | ".join(means) + f" | {percent(float(by_seed.mean()))}{sd} | |\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--against", type=Path, help="another run, to compare with task by task")
    options = parser.parse_args()
    ours, tasks = merged(options.runs)
    columns = shown_baselines(read_results(options.runs[0]))
    scores_table(tasks, columns)
    print("| our model against | difference | p |\n|---|---|---|")
    for name in columns:
        pairs = [paired(ours, ours, key, t.kind, name) for key, t in tasks.items() if name in t.baselines]
        print(f"| {name_of(name)}, mean of {len(pairs)} tasks | {told(difference(pairs))} |")
    if options.against is not None:
        theirs = Predictions.read(options.against / PREDICTIONS)
        pairs = [paired(ours, theirs, key, t.kind, MODEL) for key, t in tasks.items()]
        for key, pair in zip(tasks, pairs, strict=True):
            print(f"| {options.against.name}, {key} | {told(difference([pair]))} |")
        print(f"| {options.against.name}, mean of {len(pairs)} tasks | {told(difference(pairs))} |")


if __name__ == "__main__":
    main()
