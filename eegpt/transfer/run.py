"""Stage II: one graph for all tasks on top of a pre-trained encoder.

What enters: an encoder's run, shard sets with trials, a `TransferConfig`. What leaves: a run's folder (see
`transfer_checkpoint.py`) with one fit per seed and division (and per task where they are learned separately).
A fit that is finished is not made again: the same command goes on where a kill stopped it.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eegprep.electrodes import Vocabulary
from eegprep.errors import UsageError
from eegprep.files import sha256_file
from eegprep.splits import Seen
from eegprep.splits.assign import rank_key
from eegpt.model.ete import ETEConfig
from eegpt.model.sizes import ete_config
from eegpt.model.teg import TEGConfig
from eegpt.runs import checkpoint as ck
from eegpt.runs.folder import (
    WEIGHTS,
    DataSet,
    Lock,
    data_sets_of,
    open_folder,
    read_lock,
    read_seen,
    shard_set_hashes,
    software,
)
from eegpt.runs.settings import to_mapping
from eegpt.transfer.checkpoint import FitRecord, finished_fits, save_record, save_weights
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import fit_model, graph_config
from eegpt.transfer.folds import Division
from eegpt.transfer.loop import regression_scale
from eegpt.transfer.rows import Encoded
from eegpt.transfer.setup import Setup, check_leakage, device, make_setup, open_trials

__all__ = ["transfer", "TransferResult"]

Report = Callable[[str, int, int, dict[str, float]], None]

UNKNOWN_HISTORY = "what the encoder has seen is not known: its run has no seen.json"


@dataclass(frozen=True, kw_only=True)
class TransferResult:
    """A run's folder and the records of its fits."""

    run: Path
    fits: tuple[FitRecord, ...]


@dataclass(frozen=True, kw_only=True)
class _Start:
    """Where every fit starts from."""

    encoder: ETEConfig
    weights: dict[str, torch.Tensor] | None
    vocabulary: Vocabulary
    seen: Seen | None
    sha256: str
    pretraining: dict[str, Any]
    data: list[DataSet]
    windows: list[int]


def transfer(
    config: TransferConfig,
    *,
    shards: Sequence[Path],
    out: Path,
    encoder: Path | Sequence[Path] | None = None,
    report: Report | None = None,
) -> TransferResult:
    """Fit the graph on all tasks of some shard sets.

    Parameters
    ----------
    encoder : Path or sequence of Path, optional
        A run of `eegpt train`; may be left out in mode `scratch` alone. Several: one for each division of the scheme,
        in order, so that no fold is tested on people whom its encoder has seen (`eegpt train --set division=...`).
    report : callable, optional
        Called with (fit's name, step, steps, record) at every look at the validation trials.

    Raises
    ------
    UsageError
        Nothing to learn from, an encoder is missing, or `out` holds another run.
    RefusedError
        Test recordings were seen before, or electrodes are unknown to the encoder.
    """
    out = Path(out)
    sets, index = open_trials(shards, config)
    starts = _starts(config, encoder, index.vocabulary)
    start = starts[0]
    setup = make_setup(sets, index, start.vocabulary, config)
    if len(starts) not in (1, len(setup.divisions)):
        raise UsageError(
            "the encoders do not fit the divisions",
            found=f"{len(starts)} encoders, {len(setup.divisions)} divisions of {config.scheme!r}",
            expected="one for all, or one for each division in order",
        )
    leakage = check_leakage(setup, [s.seen for s in starts], config)
    if any(s.weights is not None and s.seen is None for s in starts):
        leakage = "; ".join(filter(None, (leakage, UNKNOWN_HISTORY)))
    graph = graph_config(config, start.encoder)
    _open_folder(out, config, setup, starts, graph, leakage)
    done = finished_fits(out)
    log: list[dict[str, Any]] = []
    records = []
    views: list[dict[int, Encoded]] = [{} for _ in starts]
    for name, seed, number, tasks in _fits(config, setup):
        if name not in done:
            at = number if len(starts) > 1 else 0
            division, own = setup.divisions[number], views[at]
            record, history = _fit(config, setup, starts[at], graph, out, name, seed, division, tasks, report, own)
            record = dataclasses.replace(record, encoder=at)
            save_record(out, record)
            done[name] = record
            log += [
                {"step": int(h["step"]), "fit": name, **{k: v for k, v in h.items() if k != "step"}} for h in history
            ]
            _append_log(out, log)
            log = []
        records.append(done[name])
    _write_seen(out, setup, starts)
    return TransferResult(run=out, fits=tuple(records))


def _starts(config: TransferConfig, encoder: Path | Sequence[Path] | None, trials: Vocabulary) -> list[_Start]:
    """One start, or one for each encoder; several must be of one shape and one vocabulary."""
    runs = [encoder] if encoder is None or isinstance(encoder, (str, Path)) else list(encoder)
    starts = [_start(config, run, trials) for run in runs or [None]]
    for run, other in zip(runs, starts, strict=False):
        if other.encoder != starts[0].encoder or other.vocabulary.names != starts[0].vocabulary.names:
            raise UsageError(
                "the encoders differ in shape, settings or electrodes",
                where=run,
                expected="runs of `eegpt train` with the same settings",
            )
    return starts


def _start(config: TransferConfig, encoder: Path | None, trials: Vocabulary) -> _Start:
    if encoder is None:
        if config.mode != "scratch" and config.readout != "band_power":
            raise UsageError(
                f"mode {config.mode!r} needs a pre-trained encoder", todo="pass --encoder RUN, or --mode scratch"
            )
        settings = {k: getattr(config, k) for k in ("token_samples", "token_stride", "normalise")}
        shape = ete_config(config.size, n_electrodes=len(trials), objective="new", **settings)
        return _Start(
            encoder=shape, weights=None, vocabulary=trials, seen=Seen(), sha256="", pretraining={}, data=[], windows=[]
        )
    loaded = ck.load_encoder(Path(encoder))
    results = Path(encoder) / "results.json"
    pretraining = json.loads(results.read_text(encoding="utf-8")).get("pretraining", {}) if results.is_file() else {}
    scratch = config.mode == "scratch"
    return _Start(
        encoder=loaded.model.config,
        weights=None if scratch else loaded.model.state_dict(),
        vocabulary=loaded.vocabulary,
        seen=Seen() if scratch else read_seen(Path(encoder)),
        sha256=sha256_file(Path(encoder) / WEIGHTS),
        pretraining=pretraining,
        data=[] if scratch else read_lock(Path(encoder)).all_data(),
        windows=list(loaded.config.get("window_samples") or []),
    )


def _open_folder(
    out: Path, config: TransferConfig, setup: Setup, starts: Sequence[_Start], graph: TEGConfig, leakage: str
) -> None:
    """Begin the folder, or check that it is this run's."""
    start = starts[0]
    open_folder(
        out,
        kind="transfer",
        settings=config,
        lock=Lock(
            shard_sets=shard_set_hashes(setup.sets),
            encoder=[s.sha256 for s in starts],
            data=data_sets_of(setup.sets),
            encoder_data=list({d.name: d for s in starts for d in s.data}.values()),
            software=software(),
        ),
        vocabulary=start.vocabulary,
        encoder=start.encoder,
        graph=graph,
        heads=[to_mapping(h) for h in setup.heads],
        classes=[list(setup.index.tasks[int(t)].classes) for t in _first_task_of_head(setup)],
        head_of_task={t.key: int(h) for t, h in zip(setup.index.tasks, setup.head_of_task, strict=True)},
        electrode_notes=list(setup.electrodes.notes),
        leakage=leakage,
        pretraining=start.pretraining if len(starts) == 1 else {},
        window_samples=start.windows,
    )


def _first_task_of_head(setup: Setup) -> list[int]:
    return [int(np.flatnonzero(setup.head_of_task == head)[0]) for head in range(len(setup.heads))]


def _fits(config: TransferConfig, setup: Setup) -> Iterator[tuple[str, int, int, tuple[int, ...]]]:
    """Name, seed, number of the division and tasks of every fit of the run, in order."""
    all_tasks = tuple(range(len(setup.index.tasks)))
    groups = [all_tasks] if config.joint else [(t,) for t in all_tasks]
    for seed in config.seeds:
        for number, division in enumerate(setup.divisions):
            for group in groups:
                trained = np.isin(setup.index.task[division.train], group).any()
                if trained:
                    name = f"seed-{seed}_division-{number}"
                    yield name + ("" if config.joint else f"_task-{group[0]}"), seed, number, group


def _fit(
    config: TransferConfig,
    setup: Setup,
    start: _Start,
    graph: TEGConfig,
    out: Path,
    name: str,
    seed: int,
    division: Division,
    tasks: tuple[int, ...],
    report: Report | None,
    views: dict[int, Encoded],
) -> tuple[FitRecord, list[dict[str, float]]]:
    """One fit, written."""
    began = time.monotonic()
    index, here = setup.index, device()
    division = _restricted(index, division, tasks, config.train_fraction, seed)
    steps = config.steps

    def tell(step: int, record: dict[str, float]) -> None:
        if report is not None:
            report(name, step, steps, record)

    fitted = fit_model(
        index,
        division,
        config,
        encoder=start.encoder,
        weights=start.weights,
        graph=graph,
        heads=setup.heads,
        head_of_task=setup.head_of_task,
        electrode_of=setup.electrodes.id_of,
        seed=seed,
        device=here,
        views=views if config.mode in ("frozen", "probe") else None,
        report=tell,
    )
    scales = [
        (index.tasks[t].key, *regression_scale(index, division.train, t))
        for t in tasks
        if index.tasks[t].kind == "regression"
    ]
    record = FitRecord(
        name=name,
        seed=seed,
        division=division.name,
        tasks=tuple(index.tasks[t].key for t in tasks),
        best_step=fitted.loop.best_step,
        n_train=len(division.train),
        seconds=round(time.monotonic() - began, 1),
        scales=tuple(scales),
        aligned=tuple(index.tasks[t].key for t in fitted.aligned) if config.sees_views else (),
        shares=tuple((setup.heads[head].name, name, share) for head, name, share in fitted.shares),
    )
    save_weights(out, name, fitted.model)
    return record, fitted.loop.history


def _restricted(index: Any, division: Division, tasks: tuple[int, ...], fraction: float, seed: int) -> Division:
    """The division's trials of some tasks, and a share of those to learn from: of each class alike, by a hash."""

    def of(rows: np.ndarray) -> np.ndarray:
        return rows[np.isin(index.task[rows], tasks)]

    train = of(division.train)
    if fraction < 1:
        kept = []
        for task in tasks:
            own = train[index.task[train] == task]
            for label in np.unique(index.label[own]):
                rows = own[index.label[own] == label]
                order = sorted(rows.tolist(), key=lambda r: rank_key(seed, int(r)))
                kept += order[: max(1, round(fraction * len(order)))]
        train = np.array(sorted(kept), np.int64)
    return Division(name=division.name, train=train, validation=of(division.validation), test=of(division.test))


def _append_log(out: Path, records: list[dict[str, Any]]) -> None:
    with (out / "log.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(r, allow_nan=False) + "\n" for r in records)


def _write_seen(out: Path, setup: Setup, starts: Sequence[_Start]) -> None:
    """What the encoders had seen, and every recording that some fit learned from or was selected on."""
    rows = np.unique(np.concatenate([np.union1d(d.train, d.validation) for d in setup.divisions]))
    learned = Seen.of(setup.recordings[r] for r in np.unique(setup.index.recording[rows]))
    seen = [s.seen for s in starts if s.seen is not None]
    if len(seen) == len(starts):
        functools.reduce(operator.or_, seen, learned).write(out)
