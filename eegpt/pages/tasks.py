"""Transfer as sections of a run's page: scores beside baselines, confusion matrices, people, learning curves.

What enters: the data of results.json (`summary.py`) and the run's log. What leaves: sections. Scores are shown as
they are, also where a baseline is better; what qualifies them stands under the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from eegprep.figures import (
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
from eegpt.evaluation.tables import SHORT, qualifications

__all__ = ["confusions", "learning", "people", "scores", "score_tiles"]

METRICS = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "kappa": "Cohen's kappa",
    "weighted_f1": "weighted F1",
    "auroc": "AUROC",
    "auc_pr": "AUC-PR",
}


def score_tiles(results: Mapping[str, Any]) -> list[Tile]:
    """How many tasks there are, and on how many our model is above chance and above every baseline."""
    tasks = [t for t in results["tasks"].values() if t.get("model")]
    if not tasks:
        return []
    above = sum(_clear(t) for t in tasks)
    best = sum(_mean(t["model"], t["score"]) >= _best_baseline(t) for t in tasks)
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


def _mean(summary: Mapping[str, Any], score: str) -> float:
    value = summary["scores"].get(score, {}).get("mean")
    return float("-inf") if value is None else float(value)


def _best_baseline(task: Mapping[str, Any]) -> float:
    return max((_mean(b, task["score"]) for b in task["baselines"].values()), default=float("-inf"))


def _clear(task: Mapping[str, Any]) -> bool:
    interval = task["model"].get("interval")
    return interval is not None and interval["low"] > task["chance"]


def scores(results: Mapping[str, Any]) -> Section:
    """The table of a run: a row per task, methods side by side; then every score of every method."""
    tasks = results["tasks"]
    methods = list(dict.fromkeys(m for t in tasks.values() for m in t["baselines"] if m != "majority"))
    columns = [
        Column(label="task"),
        Column(label="trials, train / test", numeric=True),
        Column(label="chance", numeric=True),
        Column(label="our model", numeric=True),
        Column(label="95 % interval", numeric=True),
        *(Column(label=SHORT.get(m, m.replace("_", " ")), numeric=True) for m in methods),
    ]
    rows = []
    for key, task in tasks.items():
        best = max(_best_baseline(task), _mean(task["model"], task["score"]) if task.get("model") else float("-inf"))
        rows.append(
            [
                _task_name(key, task),
                f"{format_number(task.get('n_train'))} / {format_number(task['n_test'])}",
                _percent(task["chance"], task),
                _cell(task.get("model"), task, best),
                _interval(task.get("model"), task),
                *(_cell(task["baselines"].get(m), task, best) for m in methods),
            ]
        )
    parts: list[Drawing | Table | Note | Row] = []
    if results.get("leakage"):
        parts.append(Note(text=results["leakage"], tone="bad"))
    caption = "Balanced accuracy in percent (R² of regressions)"
    parts.append(Table(caption=caption, columns=columns, rows=rows, note=_said(results)))
    if known := _known(tasks):
        parts.append(known)
    parts.append(_bars(tasks, methods))
    parts.append(_everything(tasks))
    return Section(
        anchor="scores",
        heading="How well it does",
        opening="On test trials that neither training nor selection saw. The best of each row is bold; intervals are "
        "bootstrapped over people, or over trials where there is one person only.",
        parts=parts,
    )


def _said(results: Mapping[str, Any]) -> str:
    """What qualifies the table, each sentence once with the tasks that it is about."""
    about: dict[str, list[str]] = {}
    for line in qualifications(results)[1:]:
        key, _, rest = line.partition(": ")
        if rest.startswith("known:") or line == results.get("leakage"):
            continue
        text, keys = (rest, [key]) if key in results["tasks"] else (line, [])
        about.setdefault(text, []).extend(keys)
    return " ".join(f"{', '.join(keys) + ': ' if keys else ''}{text}." for text, keys in about.items())


def _known(tasks: Mapping[str, Any]) -> Table | None:
    rows = [[key, k["metric"], float(k["value"]), k["who"]] for key, t in tasks.items() for k in t["known_results"]]
    if not rows:
        return None
    return Table(
        caption="What others reached",
        columns=[Column(label="task"), Column(label="score"), Column(label="value", numeric=True), Column(label="who")],
        rows=rows,
    )


def _task_name(key: str, task: Mapping[str, Any]) -> Markup:
    n = task["n_test_subjects"]
    where = "within subject" if task["within_subject"] else f"{n} new subject{'s' if n != 1 else ''}"
    return Markup("{}<br><small>{}, {} classes</small>").format(key, where, len(task["classes"]) or "no")


def _percent(value: float | None, task: Mapping[str, Any]) -> str:
    if value is None:
        return format_number(None)
    return f"{100 * value:.1f}" if task["kind"] == "classification" else format_number(value)


def _cell(summary: Mapping[str, Any] | None, task: Mapping[str, Any], best: float) -> Markup | None:
    if summary is None:
        return None
    score = summary["scores"][task["score"]]
    text = _percent(score["mean"], task) + (f" ± {_percent(score['sd'], task)}" if score.get("sd") is not None else "")
    is_best = score["mean"] is not None and score["mean"] >= best
    return Markup("<strong>{}</strong>").format(text) if is_best else Markup("{}").format(text)


def _interval(summary: Mapping[str, Any] | None, task: Mapping[str, Any]) -> str | None:
    interval = (summary or {}).get("interval")
    return None if interval is None else f"{_percent(interval['low'], task)} to {_percent(interval['high'], task)}"


def _bars(tasks: Mapping[str, Any], methods: Sequence[str]) -> Row:
    """One small chart per classification task: every method, with chance behind it."""
    drawings = []
    for key, task in tasks.items():
        if task["kind"] != "classification":
            continue
        named = [("our model", task.get("model"), 0)]
        named += [(SHORT.get(m, m.replace("_", " ")), task["baselines"].get(m), 6) for m in methods]
        bars = [Bar(label="chance", value=100 * task["chance"], shown=f"{100 * task['chance']:.1f}", colour=4)]
        bars += [
            Bar(label=name, value=100 * mean, shown=f"{100 * mean:.1f}", of=100.0, colour=colour)
            for name, summary, colour in named
            if summary is not None and (mean := summary["scores"][task["score"]]["mean"]) is not None
        ]
        drawings.append(
            Drawing(
                heading=key,
                svg=bar_chart(bars, label=f"Balanced accuracy by method, {key}", width=440.0, row=22.0),
                caption=", ".join(task["classes"]),
            )
        )
    return Row(parts=drawings)


def _everything(tasks: Mapping[str, Any]) -> Table:
    names = [m for m in METRICS if any(m in s["scores"] for t in tasks.values() for s in _summaries(t).values())]
    rows = []
    for key, task in tasks.items():
        for method, summary in _summaries(task).items():
            test = summary.get("model_against_it") or {}
            rows.append(
                [
                    key,
                    "our model" if method == "model" else SHORT.get(method, method.replace("_", " ")),
                    *(summary["scores"].get(m, {}).get("mean") for m in names),
                    test.get("p_value"),
                ]
            )
    return Table(
        caption="Every score of every method",
        columns=[
            Column(label="task"),
            Column(label="method"),
            *(Column(label=METRICS[m], numeric=True) for m in names),
            Column(label="p against our model", numeric=True),
        ],
        rows=rows,
        folded=True,
        note="p is of a paired test over people (or trials), not corrected for the number of tests.",
    )


def _summaries(task: Mapping[str, Any]) -> dict[str, Any]:
    return ({"model": task["model"]} if task.get("model") else {}) | dict(task["baselines"])


def confusions(results: Mapping[str, Any]) -> Section | None:
    """Confusion matrices of our model."""
    drawings = []
    n_seeds = max(1, len(results.get("seeds", [])))
    for key, task in results["tasks"].items():
        counts = (task.get("model") or {}).get("confusion")
        if counts:
            drawings.append(
                Drawing(
                    heading=key,
                    svg=confusion_matrix(counts, task["classes"], label=f"Confusion matrix of our model, {key}"),
                    caption=f"{format_number(task['n_test'])} test trials"
                    + (f", summed over {n_seeds} seeds." if n_seeds > 1 else "."),
                )
            )
    if not drawings:
        return None
    return Section(
        anchor="confusion",
        heading="What is taken for what",
        opening="Our model on the test trials: the true class in rows, the predicted one in columns. Colour and "
        "percentage are shares of the row.",
        parts=[Row(parts=drawings)],
    )


def people(results: Mapping[str, Any]) -> Section | None:
    """The main score of every test person, where there is more than one."""
    drawings = []
    for key, task in results["tasks"].items():
        by_subject = (task.get("model") or {}).get("by_subject", {})
        known = {p: v for p, v in by_subject.items() if v is not None}
        if len(known) < 2 or task["kind"] != "classification":
            continue
        ranked = sorted(known.items(), key=lambda x: (-x[1], x[0]))
        bars = [Bar(label=p.split("/")[-1], value=100 * v, shown=f"{100 * v:.1f}", of=100.0) for p, v in ranked]
        drawings.append(
            Drawing(
                heading=key,
                svg=bar_chart(bars, label=f"Balanced accuracy of each test person, {key}", width=440.0, row=20.0),
                caption=f"Balanced accuracy in percent of {len(bars)} people who were not trained on; chance is "
                f"{format_percent(task['chance'])}.",
            )
        )
    if not drawings:
        return None
    return Section(anchor="people", heading="Person by person", parts=[Row(parts=drawings)])


def learning(log: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> Section | None:
    """Losses of the transfer by step, one line per fit."""
    fits = list(dict.fromkeys(str(r["fit"]) for r in log if "fit" in r))
    lines = []
    for number, fit in enumerate(fits[:4]):
        own = [r for r in log if r.get("fit") == fit]
        name = "" if len(fits) == 1 else f", {fit.replace('_', ' ')}"
        x = [r["step"] for r in own]
        lines.append(
            Line(label=f"training{name}", x=x, y=[r.get("train_loss") for r in own], colour=2 * number, dashed=True)
        )
        lines.append(
            Line(label=f"validation{name}", x=x, y=[r.get("validation_loss") for r in own], colour=2 * number + 1)
        )
    if not lines:
        return None
    more = f" The first 4 of {len(fits)} fits." if len(fits) > 4 else ""
    return Section(
        anchor="transfer",
        heading="Transfer",
        opening=f"One graph for all tasks, mode {results.get('mode', '')!r}. "
        "The weights with the best validation loss are kept.",
        parts=[
            Drawing(
                svg=line_chart(
                    lines,
                    label="Losses of the transfer by step",
                    x_label="step",
                    y_label="loss",
                    width=1020.0,
                    height=300.0,
                ),
                caption="Validation loss is the mean over tasks in units of guessing: 1 is no better than guessing."
                + more,
            )
        ],
    )
