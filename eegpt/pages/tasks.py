"""Sections of a run's page on transfer: scores and baselines, confusion matrices, subjects, learning curves.

Scores are shown even if a baseline is better; qualifications are printed under the table.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from eegprep.report.figures import (
    Bar,
    Column,
    Drawing,
    Line,
    Note,
    Row,
    Section,
    Table,
    Tile,
    bar_chart,
    confusion_matrix,
    format_number,
    format_percent,
    line_chart,
)
from eegpt.evaluation.controls import CONTROLS, NO_FINDING, control_cell
from eegpt.evaluation.predictions import MODEL
from eegpt.evaluation.results import MethodResult, Results, TaskResult
from eegpt.evaluation.tables import name_of, percent, qualifications, shown_baselines

METRICS = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "kappa": "Cohen's kappa",
    "weighted_f1": "weighted F1",
    "auroc": "AUROC",
    "auc_pr": "AUC-PR",
}


def score_tiles(results: Results) -> list[Tile]:
    """Number of tasks, and on how many our model is above chance and above all baselines."""
    tasks = [t for t in results.tasks.values() if t.model]
    if not tasks:
        return []
    above = sum(t.model.interval is not None and t.model.interval.low > t.chance for t in tasks if t.model)
    best = sum(_mean(t, t.model) >= _best(t, t.baselines.values()) for t in tasks)
    return [
        Tile(
            label="Above chance",
            value=f"{above} of {len(tasks)}",
            note="tasks, with the whole interval",
            tone="good" if above else "warn",
        ),
        Tile(
            label="Ahead of baselines",
            value=f"{best} of {len(tasks)}",
            note="tasks, of every baseline",
            tone="good" if best == len(tasks) else "warn",
        ),
    ]


def _mean(task: TaskResult, method: MethodResult | None) -> float:
    value = task.mean(method)
    return float("-inf") if value is None else value


def _best(task: TaskResult, methods: Any) -> float:
    return max((_mean(task, m) for m in methods), default=float("-inf"))


def scores(results: Results) -> Section:
    """The table of a run with a row per method and a column per task; then all scores of all methods."""
    tasks, methods = results.tasks, shown_baselines(results)
    best = {key: _best(task, task.methods().values()) for key, task in tasks.items()}
    between = Markup("<br>" if len(tasks) > 3 else "&emsp;")  # few columns have room for the interval on the line

    def row(name: str, cell: Callable[[str, TaskResult], Any]) -> list[Any]:
        return [name, *(cell(key, task) for key, task in tasks.items())]

    def counts(key: str, task: TaskResult) -> str:
        return f"{format_number(task.n_train)} / {format_number(task.n_test)}"

    def baseline(method: str, key: str, task: TaskResult) -> Markup | None:
        return _cell(task.baselines.get(method), task, best[key], between)

    columns = [Column(label="method"), *(Column(label=_task_name(key, t), numeric=True) for key, t in tasks.items())]
    rows = [
        row("trials, train / test", counts),
        row("chance", lambda key, task: _percent(task.chance, task)),
        *(row(name_of(m), functools.partial(baseline, m)) for m in methods),
        row("our model", lambda key, task: _cell(task.model, task, best[key], between)),
    ]
    parts: list[Drawing | Table | Note | Row] = []
    if results.leakage:
        parts.append(Note(text=results.leakage, tone="bad"))
    caption = "Balanced accuracy in percent (R² of regressions), with 95 % intervals"
    parts.append(Table(caption=caption, columns=columns, rows=rows, note=_notes(results)))
    known: list[list[Any]] = [[key, k.metric, k.value, k.who] for key, t in tasks.items() for k in t.known_results]
    if known:
        labels = [Column(label=x, numeric=x == "value") for x in ("task", "score", "value", "who")]
        parts.append(Table(caption="Published results", columns=labels, rows=known))
    parts += [_bars(tasks, methods), _all_scores(tasks)]
    return Section(
        anchor="scores",
        heading="Scores",
        opening="On test trials used neither for training nor for selection. The best of each task is bold; intervals "
        "are bootstrapped over subjects, or over trials if there is only one subject.",
        parts=parts,
    )


def _notes(results: Results) -> str:
    """Qualifications of the table, each once with the tasks it refers to."""
    about: dict[str, list[str]] = {}
    for one in qualifications(results, known=False):
        if one.text != results.leakage:
            about.setdefault(one.text, []).extend([one.task] if one.task else [])
    return " ".join(f"{', '.join(keys) + ': ' if keys else ''}{text}." for text, keys in about.items())


def _task_name(key: str, task: TaskResult) -> Markup:
    n = task.n_test_subjects
    where = "within subject" if task.within_subject else f"{n} new subject{'s' if n != 1 else ''}"
    return Markup("{}<br><small>{}, {} classes</small>").format(key, where, len(task.classes) or "no")


def _percent(value: float | None, task: TaskResult) -> str:
    if value is not None and task.kind == "classification":
        return f"{100 * value:.1f}"
    return format_number(value)


def _cell(method: MethodResult | None, task: TaskResult, best: float, between: Markup) -> Markup | None:
    if method is None:
        return None
    score = method.scores[task.score]
    text = _percent(score.mean, task) + (f" ± {_percent(score.sd, task)}" if score.sd is not None else "")
    is_best = score.mean is not None and score.mean >= best
    shown = Markup("<strong>{}</strong>" if is_best else "{}").format(text)
    interval = _interval(method, task)
    return shown + between + Markup("<small>{}</small>").format(interval) if interval else shown


def _interval(method: MethodResult, task: TaskResult) -> str:
    interval = method.interval
    return "" if interval is None else f"{_percent(interval.low, task)} to {_percent(interval.high, task)}"


def _bars(tasks: Mapping[str, TaskResult], methods: Sequence[str]) -> Row:
    """One small chart per classification task: all methods, with the chance level."""
    drawings = []
    for key, task in tasks.items():
        if task.kind != "classification":
            continue
        bars = [Bar(label="chance", value=100 * task.chance, shown=f"{100 * task.chance:.1f}", colour=4)]
        for method in (MODEL, *methods):
            mean = task.mean(task.methods().get(method))
            if mean is not None:
                colour = 0 if method == MODEL else 6
                interval = task.methods()[method].interval
                low, high = (None, None) if interval is None else (100 * interval.low, 100 * interval.high)
                shown = f"{100 * mean:.1f}"
                bars.append(
                    Bar(
                        label=name_of(method),
                        value=100 * mean,
                        shown=shown,
                        of=100.0,
                        colour=colour,
                        low=low,
                        high=high,
                    )
                )
        svg = bar_chart(bars, label=f"Balanced accuracy by method, {key}", width=_width(tasks), row=22.0)
        caption = f"{', '.join(task.classes)}; lines are 95 % intervals."
        drawings.append(Drawing(heading=key, svg=svg, caption=caption))
    return Row(parts=drawings)


def _width(tasks: Mapping[str, TaskResult]) -> float:
    """Width of a chart of one task: the page's, or half of it beside others."""
    return 440.0 if len(tasks) > 1 else 820.0


def _all_scores(tasks: Mapping[str, TaskResult]) -> Table:
    names = [m for m in METRICS if any(m in s.scores for t in tasks.values() for s in t.methods().values())]
    rows = [
        [
            key,
            name_of(method),
            *(result.scores[m].mean if m in result.scores else None for m in names),
            result.model_against_it.p_value if result.model_against_it else None,
        ]
        for key, task in tasks.items()
        for method, result in task.methods().items()
    ]
    numbers = [*(METRICS[m] for m in names), "p against our model"]
    return Table(
        caption="Every score of every method",
        columns=[Column(label="task"), Column(label="method"), *(Column(label=n, numeric=True) for n in numbers)],
        rows=rows,
        folded=True,
        note="p is of a paired test over subjects (or trials), not corrected for the number of tests.",
    )


def controls(results: Results) -> Section | None:
    """Scores without what may come from eyes, muscles, drift or the recording itself."""
    if not results.controls:
        return None
    rows: list[list[Any]] = []
    findings = []
    for key, task in results.controls.items():
        cells = (task.controls.get(name) for name in CONTROLS)
        rows.append([key, percent(task.chance), *map(control_cell, cells)])
        findings.append([key, "; ".join(task.findings or [NO_FINDING])])
    columns = [Column(label="task"), *(Column(label=x, numeric=True) for x in ("chance", *CONTROLS.values()))]
    return Section(
        anchor="controls",
        heading="Is it brain?",
        opening="The readouts, fitted and tested again on signals that lack one possible source of the answer. An "
        "asterisk: differs from the readouts on the same trials, p < 0.05, paired, uncorrected.",
        parts=[
            Table(caption="Balanced accuracy in percent (R² of regressions)", columns=columns, rows=rows),
            Table(
                caption="What a score may come from",
                columns=[Column(label="task"), Column(label="finding")],
                rows=findings,
            ),
        ],
    )


def confusions(results: Results) -> Section | None:
    """Confusion matrices of our model."""
    drawings = []
    n_seeds = max(1, len(results.seeds))
    for key, task in results.tasks.items():
        if task.model is not None and task.model.confusion:
            svg = confusion_matrix(task.model.confusion, task.classes, label=f"Confusion matrix of our model, {key}")
            summed = f", summed over {n_seeds} seeds" if n_seeds > 1 else ""
            caption = f"{format_number(task.n_test)} test trials{summed}."
            drawings.append(Drawing(heading=key, svg=svg, caption=caption))
    if not drawings:
        return None
    return Section(
        anchor="confusion",
        heading="Confusion matrices",
        opening="Our model on the test trials: the true class in rows, the predicted one in columns. Colour and "
        "percentage are shares of the row.",
        parts=[Row(parts=drawings)],
    )


def subjects(results: Results) -> Section | None:
    """The main score of every test subject, if there is more than one."""
    drawings = []
    for key, task in results.tasks.items():
        by_subject = task.model.by_subject if task.model is not None else {}
        known = {s: v for s, v in by_subject.items() if v is not None}
        width = _width(results.tasks)
        if len(known) < 2 or task.kind != "classification":
            continue
        ranked = sorted(known.items(), key=lambda x: (-x[1], x[0]))
        bars = [Bar(label=s.split("/")[-1], value=100 * v, shown=f"{100 * v:.1f}", of=100.0) for s, v in ranked]
        drawings.append(
            Drawing(
                heading=key,
                svg=bar_chart(bars, label=f"Balanced accuracy of each test subject, {key}", width=width, row=20.0),
                caption=f"Balanced accuracy in percent of {len(bars)} held-out subjects; chance is "
                f"{format_percent(task.chance)}.",
            )
        )
    if not drawings:
        return None
    return Section(anchor="subjects", heading="Scores by subject", parts=[Row(parts=drawings)])


def learning(log: Sequence[Mapping[str, Any]], results: Results) -> Section | None:
    """Transfer losses by step, one line per fit."""
    fits = list(dict.fromkeys(str(r["fit"]) for r in log if "fit" in r))
    lines = []
    for number, fit in enumerate(fits[:4]):
        own = [r for r in log if r.get("fit") == fit]
        name = "" if len(fits) == 1 else f", {fit.replace('_', ' ')}"
        for which, (label, key) in enumerate((("training", "train_loss"), ("validation", "validation_loss"))):
            lines.append(
                Line(
                    label=label + name,
                    x=[r["step"] for r in own],
                    y=[r.get(key) for r in own],
                    colour=2 * number + which,
                    dashed=which == 0,
                )
            )
    if not lines:
        return None
    svg = line_chart(
        lines, label="Losses of the transfer by step", x_label="step", y_label="loss", width=1020.0, height=300.0
    )
    caption = "Validation loss is the mean over tasks, relative to chance: 1 is no better than chance."
    more = f" The first 4 of {len(fits)} fits." if len(fits) > 4 else ""
    return Section(
        anchor="transfer",
        heading="Transfer",
        opening=f"One graph for all tasks, mode {results.mode!r}. The weights with the best validation loss are kept.",
        parts=[Drawing(svg=svg, caption=caption + more)],
    )
