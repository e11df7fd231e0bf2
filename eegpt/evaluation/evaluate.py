"""`eegpt evaluate`: score a transfer run from its weights, with baselines on the same trials.

Our model is not trained here; the baselines use the same training and validation trials as it did.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from eegprep.errors import UsageError
from eegprep.files import alone, write_atomic, write_json
from eegprep.splits import Seen
from eegpt.evaluation.baselines import GRAPH, SEEDED, run_baseline, task_data
from eegpt.evaluation.baselines.graph import run_graph_on_band_power
from eegpt.evaluation.controls import run_controls
from eegpt.evaluation.predictions import MODEL, PREDICTIONS, Predictions, TaskTrials, put_predictions
from eegpt.evaluation.results import About, Known, Results, summarise
from eegpt.evaluation.tables import results_csv
from eegpt.runs.folder import RESULTS, read_lock, read_seen
from eegpt.runs.settings import changed
from eegpt.transfer.checkpoint import FitRecord, TransferRun, finished_fits, open_fit, read_run
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.folds import Kind, Scheme
from eegpt.transfer.loop import Targets
from eegpt.transfer.rows import Encoded
from eegpt.transfer.setup import Setup, check_leakage, make_setup, open_trials

Tell = Callable[[str], None]

ALIGNED = (
    "our model standardises each subject's trials by all of them, including test trials, without labels "
    '(align=subject); of the baselines only "log spectrum, z-scored per subject" does'
)


def evaluate(
    run: Path,
    shards: Sequence[Path],
    *,
    baselines: Sequence[str] = (),
    allow_leakage: bool = False,
    controls: bool = False,
    tell: Tell = lambda text: None,
) -> tuple[Predictions, Results]:
    """Score a run on the test trials of its scheme, from the weights.

    With `controls`, every task is scored again from signals that lack one possible source of the answer, see
    `eegpt.evaluation.controls`.

    Raises
    ------
    UsageError
        There is no such run, or the shard sets have none of its tasks.
    RefusedError
        Test recordings were seen by the run.
    """
    trained = read_run(run)
    config, records = trained.config, finished_fits(run)
    setup = make_setup(*open_trials(shards, config), trained.vocabulary, config, trained.encoder)
    leakage = _leakage(trained, setup, allow_leakage)
    predictions = test_trials(setup)
    if not records:
        raise UsageError(
            "the run has no finished fit", where=run, todo="run the same `eegpt transfer` command again to resume it"
        )
    views: dict[str, Encoded] = {}  # fits with the same frozen encoder share them
    last = -1
    for record in sorted(records.values(), key=lambda r: r.encoder):
        tell(f"our model, {record.name}")
        if record.encoder != last or not config.keeps_encoder:
            views.clear()
            last = record.encoder
        _predict_fit(trained, setup, record, predictions, views)
    notes = run_baselines(setup, baselines, predictions, seeds=config.seeds, tell=tell)
    for key in sorted({key for record in records.values() for key in record.aligned} & set(predictions.trials)):
        notes.setdefault(key, []).append(ALIGNED)
    results = _results("transfer", config, setup, predictions, notes, leakage).model_copy(
        update={
            "mode": config.mode,
            "weights": {key: w for key, w in _weights(trained, records.values()).items() if key in predictions.trials},
            "controls": run_controls(trained, setup, tell=tell) if controls else {},
            "electrode_notes": list(trained.electrode_notes),
            "pretraining": trained.pretraining,
        }
    )
    return predictions, results


def _weights(trained: TransferRun, records: Iterable[FitRecord]) -> dict[str, dict[str, float]]:
    """Weights of views and graph by task, the means over fits."""
    found: dict[str, dict[str, list[float]]] = {}
    names = [h.name for h in trained.heads]
    for record in records:
        for key in record.tasks:
            for head, member, weight in record.shares:
                if head == names[trained.head_of_task[key]]:
                    found.setdefault(key, {}).setdefault(member, []).append(weight)
    return {key: {m: float(np.mean(w)) for m, w in members.items()} for key, members in sorted(found.items())}


def score_baselines(
    shards: Sequence[Path], config: TransferConfig, names: Sequence[str], *, tell: Tell = lambda text: None
) -> tuple[Predictions, Results]:
    """Score only the baselines, on the trials and divisions of a run with these settings."""
    sets, index = open_trials(shards, config)
    setup = make_setup(sets, index, index.vocabulary, config)
    leakage = check_leakage(setup, [Seen()], config)
    predictions = test_trials(setup)
    notes = run_baselines(setup, names, predictions, seeds=config.seeds, tell=tell)
    return predictions, _results("baselines", config, setup, predictions, notes, leakage)


def _results(
    kind: str,
    config: TransferConfig,
    setup: Setup,
    predictions: Predictions,
    notes: dict[str, list[str]],
    leakage: str,
) -> Results:
    about = {
        task.key: About(
            counts=_counts(setup, number), known=_known_results(setup, task.key), notes=notes.get(task.key, ())
        )
        for number, task in enumerate(setup.index.tasks)
    }
    within = Scheme.parse(config.data.scheme).kind == Kind.WITHIN
    return Results(
        kind=kind,
        scheme=config.data.scheme,
        seeds=list(config.seeds),
        leakage=leakage,
        tasks=summarise(predictions, setup.index.tasks, about, within=within),
    )


def _leakage(trained: TransferRun, setup: Setup, allow: bool) -> str:
    """The run's own leakage note on its training shard sets; on others, the leakage check is repeated."""
    locked = read_lock(trained.folder).shard_sets
    if sorted(locked.values()) == sorted(s.sha256 for s in setup.sets):
        return trained.leakage
    again = changed(trained.config, {"allow_leakage": allow})
    return "; ".join(filter(None, (trained.leakage, check_leakage(setup, [read_seen(trained.folder)], again))))


def test_trials(setup: Setup) -> Predictions:
    """Empty predictions for the test trials of all divisions, by task."""
    out = Predictions()
    rows = np.concatenate([d.test for d in setup.divisions])
    fold = np.concatenate([np.full(len(d.test), d.name, dtype=object) for d in setup.divisions])
    order = np.argsort(rows, kind="stable")
    rows, fold = rows[order], fold[order]
    for number, task in enumerate(setup.index.tasks):
        own = setup.index.task[rows] == number
        if own.any():
            out.trials[task.key] = TaskTrials.of(setup.index, rows[own], fold[own])
    if not out.trials:
        raise UsageError(
            "no test trials",
            found=f"{len({*setup.index.subject})} subjects with trials, none of them in the test split",
            expected="trials in the test split of these shard sets",
            todo="of one subject, test parts of its own time: --scheme within:5, with encoders of --set "
            "data.division=within:5/0 to within:5/4; or whole runs: `split: {by: run, ...}` in the manifest",
        )
    return out


def _predict_fit(
    trained: TransferRun, setup: Setup, record: FitRecord, predictions: Predictions, views: dict[str, Encoded]
) -> None:
    index = setup.index
    division = next((d for d in setup.divisions if d.name == record.division), None)
    if division is None:
        raise UsageError(
            f"the run was trained on a division {record.division!r} that these shard sets do not have",
            found=", ".join(d.name for d in setup.divisions[:8]),
            todo="pass the shard sets that it was trained on",
        )
    head_of_task = np.array(
        [trained.head_of_task.get(t.key, -1) if t.key in record.tasks else -1 for t in index.tasks], np.int64
    )
    model, bank = open_fit(trained, setup, record, views=views)
    targets = Targets.of(index, head_of_task, division.train, class_weights=False)
    scales = {key: (mean, sd) for key, mean, sd in record.scales}
    put_predictions(predictions, MODEL, record.seed, model, bank, division, targets, head_of_task, scales)


def run_baselines(
    setup: Setup,
    names: Sequence[str],
    predictions: Predictions,
    *,
    seeds: Sequence[int] = (0,),
    tell: Tell = lambda text: None,
) -> dict[str, list[str]]:
    """Add the baselines' outputs; returns notes by task on data that they cannot use."""
    notes: dict[str, list[str]] = {}
    if GRAPH in names:
        run_graph_on_band_power(setup, predictions, seeds=seeds, tell=tell)
    names = [n for n in names if n != GRAPH]
    for number, task in enumerate(setup.index.tasks):
        if not names or task.key not in predictions.trials:
            continue
        data = task_data(setup.index, number)
        if data is None:
            notes[task.key] = ["no baselines: the trials have no electrode in common"]
            continue
        notes[task.key] = list(data.notes)
        for name in names:
            began = time.monotonic()
            tell(f"{name}, {task.key}")
            for seed in seeds if name in SEEDED else seeds[:1]:
                for division in setup.divisions:
                    train, validation, test = (
                        data.take(rows) for rows in (division.train, division.validation, division.test)
                    )
                    if not len(train.rows) or not len(test.rows):
                        continue
                    torch.manual_seed(seed)
                    output = run_baseline(name, train, validation, test, seed)
                    if output is not None:
                        predictions.put(task.key, name, seed, test.rows, output)
            predictions.seconds[task.key, name] = round(time.monotonic() - began, 2)
    return notes


def _counts(setup: Setup, number: int) -> dict[str, int]:
    """Mean numbers of training and validation trials of a task over divisions, and its maximum of electrodes."""
    task_N, own = setup.index.task, np.flatnonzero(setup.index.task == number)
    means = {
        f"n_{name}": round(float(np.mean([(task_N[getattr(d, name)] == number).sum() for d in setup.divisions])))
        for name in ("train", "validation")
    }
    return {**means, "n_electrodes": int(setup.index.n_electrodes[own].max(initial=0))}


def _known_results(setup: Setup, key: str) -> list[Known]:
    """Published results of a task, from the manifests."""
    found = [
        Known(metric=known.metric, value=known.value, who=known.who)
        for shard_set in setup.sets
        for manifest in shard_set.manifests
        for known in manifest.known_results
        if f"{manifest.name}/{known.task}" == key
    ]
    return list(dict.fromkeys(found))


def write_results(folder: Path, predictions: Predictions, results: Results) -> None:
    """Write predictions.parquet, results.csv, then results.json."""
    with alone(folder):
        predictions.write(folder / PREDICTIONS)
        write_atomic(folder / "results.csv", results_csv(results))
        write_json(folder / RESULTS, results.model_dump(mode="json"))
