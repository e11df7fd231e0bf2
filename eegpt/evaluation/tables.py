"""`results.json` as a table: on a terminal, as plain text, as CSV.

Percentages have one decimal. Qualifications are printed under the table: within subject, leakage allowed,
electrodes mapped to others.
"""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eegpt.evaluation.results import Results, TaskResult
from eegpt.runs.results import PretrainingResults

_NAMES = {
    "model": "our model",
    "band_power": "band power",
    "log_spectrum": "log spectrum",
    "log_spectrum_by_subject": "log spectrum, z-scored per subject",
    "slow_potentials": "slow potentials",
    "tangent_space": "tangent space",
    "teg_band_power": "electrode graph on band power",
    "eegnet": "EEGNet",
    "shallow": "ShallowConvNet",
    "eegconformer": "EEGConformer",
    "labram": "LaBraM",
    "biot": "BIOT",
    "cbramod": "CBraMod",
    "eegpt_wang": "EEGPT (Wang et al.)",
}
SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Qualification:
    """A sentence to print under a table, and the task it refers to."""

    text: str
    task: str | None = None

    def __str__(self) -> str:
        return self.text if self.task is None else f"{self.task}: {self.text}"


def name_of(method: str) -> str:
    """A method's name in tables."""
    return _NAMES.get(method, method.replace("_", " "))


def shown_baselines(results: Results) -> list[str]:
    """The baselines that have a column."""
    found = dict.fromkeys(m for task in results.tasks.values() for m in task.baselines if m != "majority")
    order = list(_NAMES)
    return sorted(found, key=lambda m: order.index(m) if m in order else len(order))


def results_csv(results: Results) -> str:
    """One flat row per task and method, our model first; columns that do not apply are empty."""
    return csv_table(
        [
            {
                "task": key,
                "method": name,
                "within_subject": task.within_subject,
                "n_train": task.n_train,
                "n_test": task.n_test,
                "n_test_subjects": task.n_test_subjects,
                "chance": task.chance,
                **{f"{s}_{part}": getattr(v, part) for s, v in method.scores.items() for part in ("mean", "sd")},
                "interval_low": method.interval and method.interval.low,
                "interval_high": method.interval and method.interval.high,
                "interval_over": method.interval and method.interval.over,
                "model_minus_method": method.model_against_it and method.model_against_it.difference,
                "p_value": method.model_against_it and method.model_against_it.p_value,
                "leakage": results.leakage,
            }
            for key, task in results.tasks.items()
            for name, method in task.methods().items()
        ]
    )


def results_table(results: Results) -> str:
    """The table of a run in 80 columns: for each task a line per method, our model last."""
    blocks = []
    for key, task in results.tasks.items():
        lines = [
            [row.method, row.score, row.interval, row.p_value] for row in method_rows(task, shown_baselines(results))
        ]
        header = ["method", score_name(task), "95 % interval", "p"]
        blocks.append(f"{wrapped(f'{key}: {setting_of(task)}', indent='')}\n{plain_table(header, lines)}\n")
    notes = [LEGEND, *map(str, qualifications(results))]
    return "\n".join([*blocks, *(wrapped(note) for note in notes)])


def results_markdown(results: Results) -> str:
    """The same tables for a page of documentation."""
    blocks = []
    for key, task in results.tasks.items():
        rows = method_rows(task, shown_baselines(results))
        lines = [f"| {r.method} | {r.score} | {r.interval} | {r.p_value} |" for r in rows[:-1]]
        last = rows[-1]
        lines.append(f"| **{last.method}** | **{last.score}** | {last.interval} | {last.p_value} |")
        head = f"| {key.split('/')[-1]}: {setting_of(task)} | {score_name(task)} | 95 % interval | p |"
        blocks.append("\n".join([head, "|---|---:|---|---|", *lines]))
    return "\n\n".join(blocks) + "\n"


@dataclass(frozen=True, kw_only=True)
class MethodRow:
    """One method on one task, as text."""

    method: str
    score: str
    interval: str = "–"
    p_value: str = "–"


def method_rows(task: TaskResult, methods: Sequence[str]) -> list[MethodRow]:
    """Chance, every baseline that applies to the task, and our model."""
    rows = [MethodRow(method="chance", score=percent(task.chance))]
    named = [(m, task.baselines[m]) for m in methods if m in task.baselines]
    if task.model is not None:
        named.append(("model", task.model))
    for name, method in named:
        score, test, interval = method.scores[task.score], method.model_against_it, method.interval
        deviation = "" if score.sd is None else f" ± {percent(score.sd)}"
        rows.append(
            MethodRow(
                method=name_of(name),
                score=percent(score.mean) + deviation,
                interval="–" if interval is None else f"{percent(interval.low)} to {percent(interval.high)}",
                p_value="–" if test is None else f"{test.p_value:.3f}",
            )
        )
    return rows


def setting_of(task: TaskResult) -> str:
    """Who is tested, and the numbers of trials."""
    n = task.n_test_subjects
    who = "within subject" if task.within_subject else f"{n} new subject{'s' if n != 1 else ''}"
    n_train = "an unknown number of" if task.n_train is None else f"{task.n_train:,}"
    return f"{who}, {n_train} training and {task.n_test:,} test trials"


def score_name(task: TaskResult) -> str:
    """What a task's score is."""
    return "R², percent" if task.kind == "regression" else "balanced accuracy"


LEGEND = (
    "balanced accuracy in percent, mean ± standard deviation over seeds; p: paired test of our model against the "
    "method, uncorrected"
)


def wrapped(text: str, indent: str = "  ") -> str:
    """Text in lines of 80 columns; words are never broken."""
    return textwrap.fill(text, 80, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def qualifications(results: Results, *, known: bool = True) -> list[Qualification]:
    """Sentences to print under every table of these results, with published results if `known`."""
    seeds = ", ".join(map(str, results.seeds))
    out = [Qualification(text=f"split: {results.scheme}; seeds: {seeds}")] if seeds else []
    if results.leakage:
        out.append(Qualification(text=results.leakage))
    for key, weights in results.weights.items():
        ranked = sorted(weights.items(), key=lambda w: -w[1])
        text = ", ".join(f"{name} {weight:.2f}" for name, weight in ranked)
        out.append(Qualification(task=key, text=f"weights: {text}"))
    out += [Qualification(text=f"electrodes: {note}") for note in results.electrode_notes]
    for key, task in results.tasks.items():
        out += [Qualification(task=key, text=note) for note in task.notes]
        if known:
            published = (f"published: {k.metric} {k.value:g} ({k.who})" for k in task.known_results)
            out += [Qualification(task=key, text=text) for text in published]
        if task.model is not None and task.model.interval is not None and task.model.interval.over == "trials":
            text = "interval over the trials of one subject: it does not apply to other subjects"
            out.append(Qualification(task=key, text=text))
    return out


def pretraining_table(pretraining: PretrainingResults) -> str:
    """The encoder's error on new samples of held-out windows, compared with predictors without a network."""
    names = ("model", "linear", "persistence", "zero")
    lines = [
        [
            split,
            str(errors.n_windows),
            *(f"{errors.predictors[name].new:.4f}" if name in errors.predictors else "–" for name in names),
            f"{errors.variance:.4f}",
        ]
        for split, errors in pretraining.splits.items()
    ]
    return plain_table(["pre-training, new samples", "windows", *names, "variance"], lines)


def plain_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell: readable on any terminal, in a log and in a document."""
    widths = [max(len(str(row[i])) for row in [header, *lines]) for i in range(len(header))]

    def row(cells: Sequence[str]) -> str:
        padded = (str(c).rjust(w) if i else str(c).ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return "  ".join(padded).rstrip()

    return "\n".join([row(header), "  ".join("-" * w for w in widths), *(row(line) for line in lines)])


def csv_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV; the columns of all rows."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def percent(value: float | None) -> str:
    """One decimal, or a dash."""
    return "–" if value is None else f"{100 * value:.1f}"
