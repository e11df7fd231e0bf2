"""A transfer run: one graph for all tasks on a pre-trained encoder, with one fit per seed and division.

Finished fits are not repeated: the same command resumes an interrupted run.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from eegprep.electrodes import Vocabulary
from eegprep.errors import UsageError
from eegprep.files import alone, sha256_file
from eegprep.splits import Seen
from eegprep.splits.assign import rank_key
from eegpt.data import TrialIndex
from eegpt.model.config import ETEConfig
from eegpt.model.sizes import ete_config
from eegpt.model.teg import TEGConfig
from eegpt.runs.checkpoint import load_encoder
from eegpt.runs.folder import (
    RESULTS,
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
from eegpt.runs.log import LOG
from eegpt.runs.results import PretrainingResults, read_pretraining_results
from eegpt.runs.runtime import pick_device
from eegpt.runs.settings import differences, to_mapping
from eegpt.runs.weights import find
from eegpt.transfer.checkpoint import FitRecord, finished_fits, save_record, save_weights
from eegpt.transfer.config import EncoderSettings, TransferConfig
from eegpt.transfer.fit import fit_model, graph_config
from eegpt.transfer.folds import Division
from eegpt.transfer.inputs import extended, new_rows
from eegpt.transfer.loop import regression_scale
from eegpt.transfer.rows import Encoded, Trials
from eegpt.transfer.setup import Setup, check_leakage, make_setup, open_trials

Report = Callable[[str, int, int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class TransferResult:
    """A run's folder and the records of its fits."""

    run: Path
    fits: tuple[FitRecord, ...]


@dataclass(frozen=True, kw_only=True)
class _Start:
    """The encoder that fits start from, with the metadata of its run."""

    encoder: ETEConfig
    vocabulary: Vocabulary
    weights: dict[str, torch.Tensor] | None = None
    seen: Seen | None = dataclasses.field(default_factory=Seen)
    sha256: str = ""
    pretraining: PretrainingResults | None = None
    data: tuple[DataSet, ...] = ()
    windows: tuple[int, ...] = ()
    new_rows: tuple[str, ...] = ()  # notes on rows that the encoder lacked


@dataclass(frozen=True, kw_only=True)
class _Planned:
    """A planned fit of a run."""

    name: str
    seed: int
    number: int  # of the division
    tasks: tuple[int, ...]


def transfer(
    config: TransferConfig,
    *,
    shards: Sequence[Path],
    out: Path,
    encoder: str | Path | Sequence[str | Path] | None = None,
    report: Report | None = None,
) -> TransferResult:
    """Fit the graph on all tasks of some shard sets.

    Parameters
    ----------
    encoder : str or Path, or a sequence of them, optional
        The packaged weights `base` or `small`, or a run of `eegpt train`; optional in mode `scratch`, and where only
        views of the signal are read. Or one per division of the scheme, in order, so that no fold is tested on subjects
        seen by its encoder (`eegpt train --set data.division=...`).
    report : callable, optional
        Called with (name of the fit, step, steps, record) after every evaluation on the validation trials.

    Raises
    ------
    UsageError
        There are no training trials, an encoder is missing, or `out` contains another run.
    RefusedError
        Test recordings were seen before, or electrodes are unknown to the encoder.
    """
    out = Path(out)
    sets, index = open_trials(shards, config)
    starts = [_extended(start, index, config) for start in _starts(config, encoder, index.vocabulary)]
    setup = make_setup(sets, index, starts[0].vocabulary, config, starts[0].encoder)
    if len(starts) not in (1, len(setup.divisions)):
        raise UsageError(
            "the number of encoders does not match the divisions",
            found=f"{len(starts)} encoders, {len(setup.divisions)} divisions of {config.data.scheme!r}",
            expected="one for all, or one for each division in order",
        )
    leakage = check_leakage(setup, [s.seen for s in starts], config)
    with alone(out):
        return _fit_all(out, config, setup, starts, leakage, report)


def _fit_all(
    out: Path, config: TransferConfig, setup: Setup, starts: Sequence[_Start], leakage: str, report: Report | None
) -> TransferResult:
    graph = graph_config(config, starts[0].encoder)
    _open_folder(out, config, setup, starts, graph, leakage)
    done = finished_fits(out)
    views: dict[str, Encoded] = {}
    planned, last = list(_plan(config, setup)), 0
    for one in planned:
        if one.name in done:
            continue
        at = one.number if len(starts) > 1 else 0
        if at != last:
            views.clear()  # of another encoder: on disk, if at all
            last = at
        tell = functools.partial(report, one.name) if report is not None else None
        record, history = _fit(config, setup, starts[at], graph, out, one, tell, views)
        done[one.name] = record = dataclasses.replace(record, encoder=at)
        save_record(out, record)
        with (out / LOG).open("a", encoding="utf-8") as log:
            log.writelines(
                json.dumps({**h, "step": int(h["step"]), "fit": one.name}, allow_nan=False) + "\n" for h in history
            )
    _write_seen(out, setup, starts)
    return TransferResult(run=out, fits=tuple(done[one.name] for one in planned))


def _starts(
    config: TransferConfig, encoder: str | Path | Sequence[str | Path] | None, trials: Vocabulary
) -> list[_Start]:
    """One start per encoder; all encoders must share configuration and vocabulary."""
    if encoder is None or (not isinstance(encoder, (str, Path)) and not encoder):
        if config.mode != "scratch" and config.reads_encoder:
            raise UsageError(
                f"mode {config.mode!r} needs a pre-trained encoder", todo="pass --encoder RUN, or --mode scratch"
            )
        own = config.encoder
        shape = ete_config(
            own.size,
            n_electrodes=len(trials),
            objective="new",
            **{k: getattr(own, k) for k in ("token_samples", "token_stride", "normalise")},
        )
        return [_Start(encoder=shape, vocabulary=trials)]
    if ignored := differences(to_mapping(EncoderSettings()), to_mapping(config.encoder)):
        raise UsageError(
            "a pre-trained encoder has its own settings",
            found=", ".join(f"encoder.{name}={asked}" for name, (_, asked) in ignored.items()),
            todo="leave out the settings encoder.*, or --encoder with --mode scratch",
        )
    runs = [find(e) for e in ([encoder] if isinstance(encoder, (str, Path)) else encoder)]
    starts = [_start(config, run) for run in runs]
    for run, other in zip(runs, starts, strict=True):
        if other.encoder != starts[0].encoder or other.vocabulary.names != starts[0].vocabulary.names:
            raise UsageError(
                "the encoders differ in shape, settings or electrodes",
                where=run,
                expected="runs of `eegpt train` with the same settings",
            )
    return starts


def _extended(start: _Start, index: TrialIndex, config: TransferConfig) -> _Start:
    """The start with rows for derivations of one electrode, and for unknown electrodes if they are to be added."""
    rows = new_rows(index, start.vocabulary, extend=config.data.unknown_electrodes == "extend")
    if not rows:
        return start
    encoder, vocabulary, weights = extended(start.encoder, start.vocabulary, start.weights, rows)
    notes = tuple(row.note for row in rows)
    return dataclasses.replace(start, encoder=encoder, vocabulary=vocabulary, weights=weights, new_rows=notes)


def _start(config: TransferConfig, run: Path) -> _Start:
    loaded, scratch = load_encoder(run), config.mode == "scratch"
    start = _Start(
        encoder=loaded.model.config,
        vocabulary=loaded.vocabulary,
        sha256=sha256_file(run / WEIGHTS),
        pretraining=read_pretraining_results(run) if (run / RESULTS).is_file() else None,
        windows=tuple(loaded.config.get("window_samples") or ()),
    )
    if scratch or not config.reads_encoder:
        return start
    return dataclasses.replace(
        start, weights=loaded.model.state_dict(), seen=read_seen(run), data=tuple(read_lock(run).all_data())
    )


def _open_folder(
    out: Path, config: TransferConfig, setup: Setup, starts: Sequence[_Start], graph: TEGConfig, leakage: str
) -> None:
    """Create the folder, or check that it belongs to this run."""
    start, tasks = starts[0], setup.index.tasks
    first_of_head = [int(np.flatnonzero(setup.head_of_task == head)[0]) for head in range(len(setup.heads))]
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
        classes=[list(tasks[t].classes) for t in first_of_head],
        head_of_task={t.key: int(h) for t, h in zip(tasks, setup.head_of_task, strict=True)},
        electrode_notes=[*starts[0].new_rows, *setup.electrodes.notes],
        leakage=leakage,
        pretraining=start.pretraining if len(starts) == 1 else None,
        window_samples=list(start.windows),
        trial_samples=_usual_lengths(setup.index),
    )


def _usual_lengths(index: TrialIndex) -> list[int]:
    """The most frequent length of each task's trials: how long the windows of `eegpt predict` are by default."""
    lengths = [index.n_samples[index.task == task] for task in range(len(index.tasks))]
    return sorted({int(np.bincount(n).argmax()) for n in lengths if len(n)})


def _plan(config: TransferConfig, setup: Setup) -> Iterator[_Planned]:
    """Every fit of the run, in order."""
    all_tasks = tuple(range(len(setup.index.tasks)))
    groups = [all_tasks] if config.joint else [(t,) for t in all_tasks]
    for (number, division), seed, group in itertools.product(enumerate(setup.divisions), config.seeds, groups):
        if np.isin(setup.index.task[division.train], group).any():
            name = f"seed-{seed}_division-{number}" + ("" if config.joint else f"_task-{group[0]}")
            yield _Planned(name=name, seed=seed, number=number, tasks=group)


def _fit(
    config: TransferConfig,
    setup: Setup,
    start: _Start,
    graph: TEGConfig,
    out: Path,
    planned: _Planned,
    tell: Callable[[int, int, dict[str, float]], None] | None,
    views: dict[str, Encoded],
) -> tuple[FitRecord, list[dict[str, float]]]:
    """Run one fit and write its weights."""
    began, index, steps = time.monotonic(), setup.index, config.schedule.steps
    division = setup.divisions[planned.number]
    division = _restricted(index, division, planned.tasks, config.data.train_fraction, planned.seed)
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
        seed=planned.seed,
        device=pick_device(),
        views=views if config.keeps_encoder else None,
        report=None if tell is None else lambda step, record: tell(step, steps, record),
    )
    tasks = [(t, index.tasks[t]) for t in planned.tasks]
    scales = [(i.key, *regression_scale(index, division.train, t)) for t, i in tasks if i.kind == "regression"]
    record = FitRecord(
        name=planned.name,
        seed=planned.seed,
        division=division.name,
        tasks=tuple(info.key for _, info in tasks),
        best_step=fitted.loop.best_step,
        n_train=len(division.train),
        seconds=round(time.monotonic() - began, 1),
        scales=tuple(scales),
        aligned=tuple(index.tasks[t].key for t in fitted.aligned) if config.sees_views else (),
        shares=tuple((setup.heads[head].name, view, share) for head, view, share in fitted.shares),
    )
    save_weights(out, planned.name, fitted.model)
    return record, fitted.loop.history


def _restricted(index: Trials, division: Division, tasks: tuple[int, ...], fraction: float, seed: int) -> Division:
    """The division's trials of some tasks, with a share of the training trials, stratified by class, by hash."""

    def of(rows: np.ndarray) -> np.ndarray:
        return rows[np.isin(index.task[rows], tasks)]

    train = of(division.train)
    if fraction < 1:
        kept = []
        for task in tasks:
            own = train[index.task[train] == task]
            for label in np.unique(index.label[own]):
                order = sorted(own[index.label[own] == label].tolist(), key=lambda r: rank_key(seed, int(r)))
                kept += order[: max(1, round(fraction * len(order)))]
        train = np.array(sorted(kept), np.int64)
    return Division(name=division.name, train=train, validation=of(division.validation), test=of(division.test))


def _write_seen(out: Path, setup: Setup, starts: Sequence[_Start]) -> None:
    """Write the recordings seen by the encoders or used for training or selection in any fit."""
    rows = np.unique(np.concatenate([np.union1d(d.train, d.validation) for d in setup.divisions]))
    learned = Seen.of(setup.recordings[r] for r in np.unique(setup.index.recording[rows]))
    seen = [s.seen for s in starts if s.seen is not None]
    if len(seen) == len(starts):
        functools.reduce(operator.or_, seen, learned).write(out)
