"""`eegpt evaluate`: the scores of a transfer run from its weights, with baselines on the same trials beside them.

What enters: a transfer run, shard sets, names of baselines. What leaves: `Predictions` and the data of
`results.json`. Nothing is learned by our model here; the baselines learn on the same training trials and choose on
the same validation trials as it did.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eegprep.errors import UsageError
from eegprep.files import write_json
from eegpt.evaluation.baselines import GRAPH, SEEDED, run_baseline
from eegpt.evaluation.baselines.graph import run_graph_on_band_power
from eegpt.evaluation.baselines.trials import task_data
from eegpt.evaluation.predictions import MODEL, Predictions, TaskTrials
from eegpt.evaluation.results import summarise
from eegpt.runs.folder import read_config, read_lock, read_seen
from eegpt.runs.runtime import pick_precision
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.checkpoint import FitRecord, TransferRun, finished_fits, load_fit, read_run
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.folds import Division
from eegpt.transfer.loop import Targets, predict
from eegpt.transfer.rows import Encoded
from eegpt.transfer.setup import Setup, check_leakage, device, make_setup, open_trials

__all__ = ["evaluate", "score_baselines", "run_baselines", "known_results", "write_results", "test_trials"]

Tell = Callable[[str], None]

ALIGNED = (
    "our model centres and scales each person's trials by all of them, those of the test included, without labels "
    "(align=person); of the baselines only the one `by person` does"
)


def evaluate(
    run: Path,
    shards: Sequence[Path],
    *,
    baselines: Sequence[str] = (),
    allow_leakage: bool = False,
    tell: Tell = lambda text: None,
) -> tuple[Predictions, dict[str, Any]]:
    """Score a run on the test trials of its scheme, from the weights.

    Raises
    ------
    UsageError
        No such run, or the shard sets have no task of it.
    RefusedError
        Test recordings are among those the run has seen.
    """
    trained = read_run(run)
    config = trained.config
    sets, index = open_trials(shards, config)
    setup = make_setup(sets, index, trained.vocabulary, config)
    leakage = _leakage(trained, setup, allow_leakage)
    predictions = test_trials(setup)
    records = finished_fits(run)
    if not records:
        raise UsageError("the run has no finished fit", where=run, todo="let `eegpt transfer` finish first")
    views: dict[int, dict[int, Encoded]] = {}  # by frozen encoder: fits share it
    for record in records.values():
        tell(f"our model, {record.name}")
        own = views.setdefault(record.encoder, {}) if config.mode in ("frozen", "probe") else {}
        _predict(trained, setup, record, predictions, own)
    notes = run_baselines(setup, baselines, predictions, seeds=config.seeds, tell=tell)
    for key in sorted({key for record in records.values() for key in record.aligned} & set(predictions.trials)):
        notes.setdefault(key, []).append(ALIGNED)
    results = {
        "kind": "transfer",
        "mode": config.mode,
        "scheme": config.scheme,
        "seeds": list(config.seeds),
        "leakage": leakage,
        "electrode_notes": list(trained.electrode_notes),
        "pretraining": read_config(run, kind="transfer").get("pretraining", {}),
        "tasks": summarise(
            predictions,
            index.tasks,
            trial_counts(setup),
            known=known_results(setup),
            notes=notes,
            within=config.scheme.startswith("within"),
        ),
    }
    return predictions, results


def _leakage(trained: TransferRun, setup: Setup, allow: bool) -> str:
    """On the shard sets that it was trained on, the run's own statement; on others the guard is asked anew."""
    if sorted(read_lock(trained.folder).shard_sets.values()) == sorted(s.sha256 for s in setup.sets):
        return trained.leakage
    again = TransferConfig(**{**vars(trained.config), "allow_leakage": allow})
    return "; ".join(filter(None, (trained.leakage, check_leakage(setup, [read_seen(trained.folder)], again))))


def score_baselines(
    shards: Sequence[Path], config: TransferConfig, names: Sequence[str], *, tell: Tell = lambda text: None
) -> tuple[Predictions, dict[str, Any]]:
    """Baselines alone, on the trials and divisions that a run with these settings would have."""
    sets, index = open_trials(shards, config)
    setup = make_setup(sets, index, index.vocabulary, config)
    leakage = check_leakage(setup, [None], config)
    predictions = test_trials(setup)
    notes = run_baselines(setup, names, predictions, seeds=config.seeds, tell=tell)
    tasks = summarise(
        predictions,
        index.tasks,
        trial_counts(setup),
        known=known_results(setup),
        notes=notes,
        within=config.scheme.startswith("within"),
    )
    return predictions, {
        "kind": "baselines",
        "scheme": config.scheme,
        "seeds": list(config.seeds),
        "leakage": leakage,
        "electrode_notes": [],
        "pretraining": {},
        "tasks": tasks,
    }


def test_trials(setup: Setup) -> Predictions:
    """Predictions without any method yet: the test trials of all divisions, task by task."""
    out = Predictions()
    rows = np.concatenate([d.test for d in setup.divisions]) if setup.divisions else np.zeros(0, np.int64)
    fold = np.concatenate([np.full(len(d.test), d.name, dtype=object) for d in setup.divisions])
    order = np.argsort(rows, kind="stable")
    rows, fold = rows[order], fold[order]
    for number, task in enumerate(setup.index.tasks):
        own = setup.index.task[rows] == number
        if own.any():
            out.trials[task.key] = TaskTrials.of(setup.index, rows[own], fold[own])
    if not out.trials:
        raise UsageError("no trial to test", expected="recordings in the test split of these shard sets")
    return out


def _division(setup: Setup, name: str) -> Division:
    found = next((d for d in setup.divisions if d.name == name), None)
    if found is None:
        raise UsageError(
            f"the run was trained on a division {name!r} that these shard sets do not have",
            found=", ".join(d.name for d in setup.divisions[:8]),
            todo="name the shard sets that it was trained on",
        )
    return found


def _predict(
    trained: TransferRun, setup: Setup, record: FitRecord, predictions: Predictions, views: dict[int, Encoded]
) -> None:
    index, here = setup.index, device()
    division = _division(setup, record.division)
    head_of_task = np.array([trained.head_of_task.get(t.key, -1) for t in index.tasks], np.int64)
    scale = {key: (mean, sd) for key, mean, sd in record.scales}
    model = load_fit(trained, record, device=here)
    precision = pick_precision(trained.config.precision, here)
    bank = TrialBank(
        index,
        setup.electrodes.id_of,
        device=here,
        budget_bytes=0,
        precision=precision,
        aligned_tasks=[number for number, task in enumerate(index.tasks) if task.key in record.aligned],
        views=views,
    )
    targets = Targets.of(index, head_of_task, division.train, class_weights=False)
    learned = set(head_of_task[index.task[division.train]].tolist())
    for number, task in enumerate(index.tasks):
        rows = division.test[index.task[division.test] == number]
        if not len(rows) or task.key not in record.tasks or head_of_task[number] < 0:
            continue
        if head_of_task[number] not in learned:
            continue  # a head that has seen no trial in this division has nothing to say
        output_NK = predict(model, bank, rows, targets)[:, : max(1, len(task.classes))]
        if task.kind == "regression":
            mean, sd = scale[task.key]
            output_NK = output_NK * sd + mean
        predictions.put(task.key, MODEL, record.seed, rows, output_NK)


def run_baselines(
    setup: Setup,
    names: Sequence[str],
    predictions: Predictions,
    *,
    seeds: Sequence[int] = (0,),
    tell: Tell = lambda text: None,
) -> dict[str, list[str]]:
    """Put the baselines' outputs beside the model's; returns notes by task on what they could not see."""
    notes: dict[str, list[str]] = {}
    if GRAPH in names:
        run_graph_on_band_power(setup, predictions, seeds=seeds, tell=tell)
    names = [n for n in names if n != GRAPH]
    for number, task in enumerate(setup.index.tasks):
        if not names or task.key not in predictions.trials:
            continue
        data = task_data(setup.index, number)
        if data is None:
            notes[task.key] = ["no baseline: the trials have no electrode in common"]
            continue
        notes[task.key] = list(data.notes)
        for name in names:
            began = time.monotonic()
            tell(f"{name}, {task.key}")
            for seed in seeds if name in SEEDED else seeds[:1]:
                for division in setup.divisions:
                    parts = [data.take(rows) for rows in (division.train, division.validation, division.test)]
                    if not len(parts[0].rows) or not len(parts[2].rows):
                        continue
                    torch.manual_seed(seed)
                    output = run_baseline(name, parts[0], parts[1], parts[2], seed)
                    if output is not None:
                        predictions.put(task.key, name, seed, parts[2].rows, output)
            predictions.seconds[task.key, name] = round(time.monotonic() - began, 2)
    return notes


def trial_counts(setup: Setup) -> dict[str, dict[str, int]]:
    """Trials learned from and selected on, by task: the mean over divisions, rounded."""
    out = {}
    for number, task in enumerate(setup.index.tasks):
        counts = {
            f"n_{name}": round(
                float(np.mean([(setup.index.task[getattr(d, name)] == number).sum() for d in setup.divisions]))
            )
            for name in ("train", "validation")
        }
        own = np.flatnonzero(setup.index.task == number)
        electrodes = setup.index.n_electrodes[own]
        out[task.key] = {**counts, "n_electrodes": int(electrodes.max()) if len(own) else 0}
    return out


def known_results(setup: Setup) -> dict[str, list[dict[str, Any]]]:
    """Published figures of the manifests, by task."""
    out: dict[str, list[dict[str, Any]]] = {}
    for shard_set in setup.sets:
        for manifest in shard_set.manifests:
            for known in manifest.known_results:
                entry = {"metric": known.metric, "value": known.value, "who": known.who}
                out.setdefault(f"{manifest.name}/{known.task}", [])
                if entry not in out[f"{manifest.name}/{known.task}"]:
                    out[f"{manifest.name}/{known.task}"].append(entry)
    return out


def write_results(folder: Path, predictions: Predictions, results: Mapping[str, Any]) -> None:
    """Write predictions.parquet, results.csv, then results.json."""
    from eegprep.files import write_atomic
    from eegpt.evaluation.tables import results_csv

    folder.mkdir(parents=True, exist_ok=True)
    predictions.write(folder / "predictions.parquet")
    write_atomic(folder / "results.csv", results_csv(results))
    write_json(folder / "results.json", results)
