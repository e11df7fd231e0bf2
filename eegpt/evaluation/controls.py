"""Is it brain? Every task scored again from signals that lack one possible source of the answer.

The readouts of a run (without the graph) are fitted and tested again on the same divisions:

- `electrodes`: without the electrodes at the edge of the forehead and temples, which see eyes and muscles most;
- `first_second`: without the first second of each trial, in which cues evoke responses and eye movements;
- `eog`: with what can be predicted from the frontal electrodes (vertical: their mean; horizontal: right minus left)
  removed from all others, per recording, by least squares, and without these electrodes;
- `pre_stimulus`: from an interval of the same length that ends where the trial begins;
- `order`: from no signal at all: where a trial is in its recording, and the recording's number and length.

A score that falls in the first three may come from eyes or muscles; one that stays above chance in the last two comes,
at least in part, from drift, the design or the recording itself.

Shapes: N trials, E electrodes, S samples, K outputs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eegpt.data import TrialIndex
from eegpt.evaluation.eog import Regressed, batches_of
from eegpt.evaluation.intervals import bootstrap_interval, paired_test
from eegpt.evaluation.metrics import main_score, mean_defined, scores_of
from eegpt.evaluation.predictions import Predictions, TaskTrials, put_predictions
from eegpt.evaluation.results import Control, Controls
from eegpt.evaluation.tables import percent, plain_table
from eegpt.runs.runtime import pick_device, pick_precision
from eegpt.runs.settings import changed
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.checkpoint import TransferRun, finished_fits, load_fit
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import fit_model, graph_config
from eegpt.transfer.folds import Division
from eegpt.transfer.setup import Setup

SECOND = 256  # samples of shard sets
_LEAST_SAMPLES = 128
_EDGE = re.compile(r"(N|Fp|AF)[0-9z]+|(F|FT|T|TP)(7|8|9|10|11|12)")
_LEAST_SHARE = 0.2  # of what a score has above chance that a control without the trial must reach to be told

CONTROLS = {
    "unchanged": "the run's readouts",
    "electrodes": "without frontal and temporal edge electrodes",
    "first_second": "without the first second",
    "eog": "EOG regressed out",
    "pre_stimulus": "before the trial",
    "order": "order alone, no signal",
}
NO_FINDING = "no control explains the score"
_LACKING = ("electrodes", "first_second", "eog")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Changed:
    """The trials of a control: an index, electrodes that are not read, and the reason by task where it cannot apply."""

    index: Any
    usable_N: np.ndarray
    without: frozenset[int] = frozenset()
    reasons: dict[int, str] = dataclasses.field(default_factory=dict)


def run_controls(
    run: TransferRun, setup: Setup, *, tell: Callable[[str], None] = lambda text: None
) -> dict[str, Controls]:
    """All controls of all tasks of a run, by task key; the run's own weights are used for the encoder only."""
    config = changed(
        run.config,
        {"mode": "probe" if run.config.mode == "probe" else "frozen", "model.graph": False, "model.readout": "auto"}
        | {"model.edges": "auto"}
        | ({} if run.config.views else {"model.views": TransferConfig().model.views}),
    )
    encoders = {record.division: record for record in finished_fits(run.folder).values()}
    outputs: dict[str, Predictions] = {}
    reasons: dict[str, dict[int, str]] = {}
    for name in ("unchanged", *_LACKING, "pre_stimulus"):
        tell(f"control: {CONTROLS[name]}")
        changes = _CHANGES[name](setup, run.encoder.n_electrodes)
        reasons[name] = changes.reasons
        outputs[name] = _scored(run, setup, config, encoders, changes)
    outputs["order"], reasons["order"] = _from_order(setup), {}
    return {
        task.key: _of_task(task.key, number, setup, outputs, reasons)
        for number, task in enumerate(setup.index.tasks)
        if task.key in outputs["unchanged"].trials and outputs["unchanged"].methods(task.key)
    }


# ---- the trials of each control


def _unchanged(setup: Setup, n_electrodes: int) -> _Changed:
    return _Changed(index=setup.index, usable_N=np.ones(len(setup.index), bool))


def edge_electrodes(names: Sequence[str]) -> list[str]:
    """Electrodes on the forehead and at the temples, where eyes and muscles are strongest."""
    return [name for name in names if _EDGE.fullmatch(name)]


def _without_edge(setup: Setup, n_electrodes: int) -> _Changed:
    index, id_of = setup.index, setup.electrodes.id_of
    own = [index.vocabulary.id_of(n) for n in edge_electrodes(index.vocabulary.names)]
    reasons, usable_N = {}, np.ones(len(index), bool)
    for number in range(len(index.tasks)):
        rows = np.flatnonzero(index.task == number)
        electrode_NE = np.concatenate([np.unique(b.electrode) for b in batches_of(index, rows)] or [rows[:0]])
        seen = set(electrode_NE.tolist()) - {-1}
        if not seen & set(own):
            reasons[number] = "no such electrode in its trials"
        elif not seen - set(own):
            reasons[number] = "no other electrode in its trials"
    rows = id_of[own]  # of the encoder, for each reference if these are told apart
    without = frozenset((rows[rows >= 0] % n_electrodes).tolist())
    return _Changed(index=index, usable_N=usable_N, without=without, reasons=reasons)


def _without_first_second(setup: Setup, n_electrodes: int) -> _Changed:
    index = setup.index
    reasons = {}
    for number in range(len(index.tasks)):
        own = index.task == number
        if own.any() and index.n_samples[own].min() < SECOND + _LEAST_SAMPLES:
            reasons[number] = "its trials are too short"
    long_N = ~np.isin(index.task, list(reasons))
    shift_N = np.where(long_N, SECOND, 0)
    return _moved(index, index.start_sample + shift_N, index.n_samples - shift_N, reasons)


def _before(setup: Setup, n_electrodes: int) -> _Changed:
    """Intervals of the trials' length that end where they begin, if those are not other trials of the task."""
    index, reasons = setup.index, {}
    start_N = index.start_sample - index.n_samples
    changes = _moved(index, start_N, index.n_samples, {})
    for number in range(len(index.tasks)):
        own = np.flatnonzero(index.task == number)
        if not len(own):
            continue
        apart = changes.usable_N[own].copy()
        for recording in np.unique(index.recording[own]):
            of = own[index.recording[own] == recording]
            first, last = index.start_sample[of], index.start_sample[of] + index.n_samples[of]
            overlaps = (first[None] < first[:, None]) & (last[None] > start_N[of][:, None])
            apart[index.recording[own] == recording] &= ~overlaps.any(axis=1)
        if 2 * apart.sum() < len(own):
            reasons[number] = (
                "its trials follow each other, or no signal is before them"
                if changes.usable_N[own].any()
                else "no signal is before its trials"
            )
        changes.usable_N[own] &= apart
    return dataclasses.replace(changes, reasons=reasons)


def _moved(index: TrialIndex, start_N: np.ndarray, n_N: np.ndarray, reasons: dict[int, str]) -> _Changed:
    """The trials at other samples; those that no electrode covers are not usable."""
    moved = index.at(np.maximum(start_N, 0), n_N)
    usable_N = (start_N >= 0) & (moved.n_electrodes > 0)
    return _Changed(index=moved, usable_N=usable_N, reasons=reasons)


def _without_eog(setup: Setup, n_electrodes: int) -> _Changed:
    index, regressed, reasons = setup.index, Regressed(setup.index), {}
    for number in range(len(index.tasks)):
        own = np.flatnonzero(index.task == number)
        found = [regressed.coefficients(number, int(r)) for r in np.unique(index.recording[own])]
        if any(f is None for f in found):
            reasons[number] = "a recording has no frontal electrodes to see the eyes with"
        elif any(f is not None and len(f[0]) >= len(f[1]) for f in found):
            reasons[number] = "a recording has frontal electrodes alone"
    return _Changed(index=regressed, usable_N=np.ones(len(index), bool), reasons=reasons)


_CHANGES: dict[str, Callable[[Setup, int], _Changed]] = {
    "unchanged": _unchanged,
    "electrodes": _without_edge,
    "first_second": _without_first_second,
    "eog": _without_eog,
    "pre_stimulus": _before,
}


# ---- scores


def _scored(
    run: TransferRun, setup: Setup, config: TransferConfig, encoders: dict[str, Any], changes: _Changed
) -> Predictions:
    """The readouts, fitted and tested on changed trials."""
    out, device = Predictions(), pick_device()
    applies_N = changes.usable_N & ~np.isin(setup.index.task, list(changes.reasons))
    tested = np.concatenate([d.test[applies_N[d.test]] for d in setup.divisions])
    fold = np.concatenate([np.full(int(applies_N[d.test].sum()), d.name, dtype=object) for d in setup.divisions])
    order = np.argsort(tested, kind="stable")
    tested, fold = tested[order], fold[order]
    for number, task in enumerate(setup.index.tasks):
        own = setup.index.task[tested] == number
        if own.any():
            out.trials[task.key] = TaskTrials.of(setup.index, tested[own], fold[own])
    views: dict[str, Any] = {}
    last = -1
    for division in setup.divisions:
        record = encoders.get(division.name)
        own = Division(
            name=division.name,
            **{s: (r := getattr(division, s))[applies_N[r]] for s in ("train", "validation", "test")},
        )
        if record is None or not len(own.train) or not len(own.test):
            continue
        if record.encoder != last:
            views, last = {}, record.encoder
        weights = load_fit(run, record, device=device).ete.state_dict() if config.reads_encoder else None
        fitted = fit_model(
            changes.index,
            own,
            config,
            encoder=run.encoder,
            weights=weights,
            graph=graph_config(config, run.encoder),
            heads=setup.heads,
            head_of_task=setup.head_of_task,
            electrode_of=setup.electrodes.id_of,
            seed=config.seeds[0],
            device=device,
            views=views,
            without=changes.without,
        )
        bank = TrialBank(
            changes.index,
            setup.electrodes.id_of,
            device=device,
            budget_bytes=0,
            precision=pick_precision(config.compute.precision, device),
            aligned_tasks=fitted.aligned,
            views=views,
            without=changes.without,
        )
        put_predictions(out, "readouts", 0, fitted.model, bank, own, fitted.targets, setup.head_of_task)
    return out


def _from_order(setup: Setup) -> Predictions:
    """A forest on where each trial is in its recording, and on the recording's number and length."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    index, out = setup.index, Predictions()
    x_NF = order_features(index)
    tested = np.sort(np.concatenate([d.test for d in setup.divisions]))
    for number, task in enumerate(index.tasks):
        rows = tested[index.task[tested] == number]
        if not len(rows):
            continue
        out.trials[task.key] = TaskTrials.of(index, rows, np.full(len(rows), "", dtype=object))
        for division in setup.divisions:
            learned = np.union1d(division.train, division.validation)
            train, test = (r[index.task[r] == number] for r in (learned, division.test))
            if not len(train) or not len(test):
                continue
            settings: dict[str, Any] = {"n_estimators": 100, "min_samples_leaf": 5, "random_state": 0}
            x_train, x_test = x_NF[train], x_NF[test]
            if task.kind == "regression":
                forest = RandomForestRegressor(**settings).fit(x_train, index.target[train])
                output = forest.predict(x_test)[:, None]
            else:
                forest = RandomForestClassifier(class_weight="balanced", **settings).fit(
                    x_NF[train], index.label[train]
                )
                output = np.zeros((len(test), len(task.classes)))
                output[:, forest.classes_] = forest.predict_proba(x_test)
            out.put(task.key, "readouts", 0, test, output.astype(np.float32))
    return out


def order_features(index: TrialIndex) -> np.ndarray:
    """What is known of a trial without its signal, (N, 6).

    Its start, its rank and the time since the last trial of its task, the number of its recording among those of the
    subject, and how many trials the recording has and over how long.
    """
    pairs = set(zip(index.subject, index.recording.tolist(), strict=True))
    recordings = sorted(pairs, key=lambda r: (r[0], index.recording_ids[r[1]]))
    number, count = {}, dict[str, int]()
    for subject, recording in recordings:
        number[subject, recording] = count.get(subject, 0)
        count[subject] = number[subject, recording] + 1
    out = np.zeros((len(index), 6))
    key = np.stack([index.task, index.recording])
    for task, recording in np.unique(key, axis=1).T:
        own = np.flatnonzero((index.task == task) & (index.recording == recording))
        own = own[np.argsort(index.start_sample[own], kind="stable")]
        start = index.start_sample[own]
        out[own, 0], out[own, 1] = start, np.arange(len(own))
        out[own, 2] = np.diff(start, prepend=start[0])
        out[own, 3] = number[index.subject[own[0]], int(recording)]
        out[own, 4], out[own, 5] = len(own), start[-1] - start[0]
    return out


def _of_task(
    key: str, number: int, setup: Setup, outputs: dict[str, Predictions], reasons: dict[str, dict[int, str]]
) -> Controls:
    info = setup.index.tasks[number]
    kind, main = info.kind, main_score(info.kind)
    plain = outputs["unchanged"]
    found: dict[str, Control] = {}
    for name, predictions in outputs.items():
        if number in reasons[name] or key not in predictions.trials or not predictions.methods(key):
            found[name] = Control(reason=reasons[name].get(number, "no trial is left to learn from or to test"))
            continue
        trials, output = predictions.trials[key], predictions.stacked(key, "readouts")
        place = {int(r): i for i, r in enumerate(plain.trials[key].rows)}
        same = plain.stacked(key, "readouts")[:, [place[int(r)] for r in trials.rows]]
        test = paired_test(kind, trials.target, output, same, trials.subject)
        found[name] = Control(
            score=mean_defined([scores_of(kind, trials.target, o)[main] for o in output]),
            unchanged=mean_defined([scores_of(kind, trials.target, o)[main] for o in same]),
            interval=bootstrap_interval(kind, trials.target, output, trials.subject),
            p_value=None if test is None or name == "unchanged" else test.p_value,
            n_test=len(trials.rows),
        )
    chance = 1 / len(info.classes) if kind == "classification" else 0.0
    return Controls(chance=chance, controls=found, findings=findings(found, chance))


def findings(controls: dict[str, Control], chance: float) -> list[str]:
    """What a task's score may come from, in words."""
    out = []
    sources = {
        "electrodes": "eyes or muscles: it falls without frontal and temporal edge electrodes",
        "first_second": "the first second: responses or eye movements to a cue",
        "eog": "eyes: it falls where what the frontal electrodes share is removed",
    }
    for name, text in sources.items():
        one = controls.get(name)
        if one is None or one.score is None or one.unchanged is None or one.p_value is None:
            continue
        if one.score < one.unchanged and one.p_value < 0.05:
            out.append(f"{text} ({percent(one.unchanged)} to {percent(one.score)})")
    sources = {
        "pre_stimulus": "drift or the design: the interval before the trials tells the classes",
        "order": "drift or the recording itself: the order alone tells the classes",
    }
    plain = controls.get("unchanged")
    least = chance + _LEAST_SHARE * ((plain.score if plain is not None and plain.score is not None else 1.0) - chance)
    for name, text in sources.items():
        one = controls.get(name)
        if one is None or one.interval is None or one.score is None:
            continue
        if one.interval.low > chance and one.score > least:
            out.append(f"{text} ({percent(one.score)})")
    if plain is not None and (plain.interval is None or plain.interval.low <= chance):
        out.insert(0, "nothing to explain: the score is not above chance")
    return out


def controls_table(found: dict[str, Controls]) -> str:
    """One line per task and the findings below, as plain text."""
    lines = []
    for key, task in found.items():
        cells = [task.controls.get(name) for name in CONTROLS]
        lines.append([key, percent(task.chance), *(control_cell(c) for c in cells)])
    parts = [plain_table(["controls", "chance", *CONTROLS.values()], lines)]
    parts.append(
        "* differs from the run's readouts on the same trials, p < 0.05, paired, uncorrected; –: does not apply"
    )
    for key, task in found.items():
        texts = task.findings or [NO_FINDING]
        parts += [f"{key}: {text}" for text in texts]
        parts += [f"{key}: no {CONTROLS[n]}: {c.reason}" for n, c in task.controls.items() if c.reason]
    return "\n".join(parts)


def control_cell(control: Control | None) -> str:
    """A score in percent, with an asterisk if it differs from that of unchanged signals."""
    if control is None or control.score is None:
        return "–"
    return percent(control.score) + ("*" if control.p_value is not None and control.p_value < 0.05 else "")
