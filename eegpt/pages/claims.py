"""Claims as text and as a page: a table for each question, and maps of data sets unseen in pre-training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eegprep.recording import spread
from eegprep.report.figures import Bar, Column, Drawing, Note, Page, Row, Section, Table, bar_chart, write_page
from eegpt.evaluation.compare import Comparison
from eegpt.evaluation.paired import Difference
from eegpt.evaluation.results import read_results
from eegpt.evaluation.tables import SIGNIFICANT, percent, plain_table
from eegpt.model.views import view_slices
from eegpt.pages.graph import trial_map
from eegpt.studies.claims import Answer, ArmResult, ClaimsResult
from eegpt.transfer.checkpoint import finished_fits, open_fit, read_run
from eegpt.transfer.setup import make_setup, open_trials

MAX_TRIALS = 300


def _lines(answer: Answer) -> tuple[list[str], list[list[str]]]:
    """A column for each arm: its score on every task, with an asterisk if it differs from the first arm, and means."""
    keys = list(dict.fromkeys(key for arm in answer.arms for key in arm.tasks))
    significant = {(c.run, c.task) for c in answer.comparisons if c.test is not None and c.test.p_value < SIGNIFICANT}

    def score(arm: ArmResult, key: str) -> str:
        return percent(arm.tasks.get(key)) + ("*" if (arm.name, key) in significant else "")

    lines = [[key.split("/")[-1], *(score(arm, key) for arm in answer.arms)] for key in keys]
    lines.append(["mean", *(percent(a.mean if len(a.tasks) == len(keys) else None) for a in answer.arms)])
    lines.append(["difference, 95 % interval", *(_interval(a.difference) for a in answer.arms)])
    lines.append(
        ["p of the difference", *("–" if a.difference is None else _p(a.difference.p_value) for a in answer.arms)]
    )
    errors = (a.encoder_error for a in answer.arms)
    lines.append(["encoder's error", *("–" if error is None else f"{error:.3f}" for error in errors)])
    return ["task", *(arm.name for arm in answer.arms)], lines


def _interval(found: Difference | Comparison | None) -> str:
    """A difference in points with its interval."""
    match found:
        case Difference():
            value = found.value
        case Comparison(mean=float(mean), against_mean=float(against)):
            value = mean - against
        case _:
            return "–"
    if found.low is None or found.high is None:
        return f"{100 * value:+.1f}"
    return f"{100 * value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _p(p_value: float) -> str:
    return f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


def _words(found: Difference) -> str:
    p = _p(found.p_value)
    return f"{_interval(found)} points, p {p if p.startswith('<') else f'= {p}'}"


def verdict(answer: Answer) -> list[str]:
    """One sentence for each arm but the first: number of tasks on which it is better, difference, and p-value."""
    said = []
    for arm in answer.arms[1:]:
        rows = [
            (c, c.mean - c.against_mean)
            for c in answer.comparisons
            if c.run == arm.name and c.mean is not None and c.against_mean is not None
        ]
        if not rows:
            continue
        certain = [d for c, d in rows if c.test is not None and c.test.p_value < SIGNIFICANT]
        better = sum(d > 0 for d in certain)
        whole = arm.difference
        average = f"{100 * float(np.mean([d for _, d in rows])):+.1f} points"
        if whole is not None:
            average = _words(whole)
        said.append(
            f"{arm.name} against {rows[0][0].against}: ahead on {sum(d > 0 for _, d in rows)} of {len(rows)} tasks, on "
            f"average {average}; p < {SIGNIFICANT:g} for it on {better}, against it on {len(certain) - better}."
        )
    if answer.together is not None:
        said.append(f"All together: {_words(answer.together)}.")
    return said


def claims_table(result: ClaimsResult) -> str:
    """All claims as text."""
    blocks = ["\n".join([a.claim.question, plain_table(*_lines(a)), *verdict(a)]) for a in result.answers]
    return "\n\n".join([*blocks, _legend(result)])


def claims_markdown(result: ClaimsResult) -> str:
    """All claims as Markdown tables, for a page of results."""
    blocks = []
    for answer in result.answers:
        header, lines = _lines(answer)
        rows = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *lines)]
        said = "\n".join(f"- {sentence}" for sentence in verdict(answer))
        blocks.append(f"### {answer.claim.question}\n\n" + "\n".join(rows) + f"\n\n{said}")
    return "\n\n".join([*blocks, _legend(result)]) + "\n"


def _legend(result: ClaimsResult) -> str:
    seeds = ", ".join(map(str, result.seeds))
    return (
        f"Balanced accuracy in percent (R² of regressions), scheme {result.scheme}, graph's seeds {seeds}; *: a paired "
        f"test against the first column gives p < {SIGNIFICANT:g}, uncorrected. The difference is that of the means "
        "over the column's tasks, in points, with its 95 % interval over subjects, drawn within their data sets; "
        "its p is of exchanging the two columns' answers subject by subject. The encoder's error is that on new "
        "samples of test subjects, the mean over its folds."
    )


def write_claims_page(result: ClaimsResult, *, shards: Sequence[Path], out: Path) -> Path:
    """Write `index.html` to the claims' folder and return its path."""
    sections = []
    for answer in result.answers:
        header, lines = _lines(answer)
        columns = [Column(label=h.replace("_", " "), numeric=i > 0) for i, h in enumerate(header)]
        caption = "Balanced accuracy in percent on the same test trials"
        parts: list[Any] = [
            *(Note(text=sentence) for sentence in verdict(answer)),
            Table(caption=caption, columns=columns, rows=lines, note=_legend(result)),
            *_scores_of_arms(answer, out),
        ]
        name = answer.claim.name
        if name == "unseen":
            maps = [d for arm in answer.arms[1:] for d in unseen_maps(out / arm.run, shards)]
            parts += [Row(parts=maps[i : i + 2]) for i in range(0, len(maps), 2)]
        heading = name if "." in name else name.capitalize()  # settings are written as they are
        question = answer.claim.question.replace("`", "")
        sections.append(Section(anchor=name.replace(".", "-"), heading=heading, opening=question, parts=parts))
    page = Page(
        title="The paper's claims",
        subtitle="Runs that differ in one setting, on the same test trials",
        kicker="EEGPT",
        sections=sections,
    )
    return write_page(page, out / "index.html")


def _scores_of_arms(answer: Answer, out: Path) -> list[Row | Table]:
    """A chart of the arms for each task, and a table with intervals and the numbers of trials and subjects."""
    runs = {arm.name: read_results(out / arm.run) for arm in answer.arms}
    compared = {(c.run, c.task): c for c in answer.comparisons}
    charts: list[Drawing] = []
    rows: list[list[str | int]] = []
    for key in dict.fromkeys(key for results in runs.values() for key in results.tasks):
        bars = []
        for name, results in runs.items():
            task = results.tasks.get(key)
            if task is None or task.model is None or (mean := task.mean(task.model)) is None:
                continue
            interval = task.model.interval
            low, high = (None, None) if interval is None else (100 * interval.low, 100 * interval.high)
            shown = "–" if low is None else f"{low:.1f} to {high:.1f}"
            bars.append(Bar(label=name, value=100 * mean, shown=f"{100 * mean:.1f}", of=100.0, low=low, high=high))
            against = compared.get((name, key))
            p_value = "–" if against is None or against.test is None else f"{against.test.p_value:.3f}"
            counts = (task.n_test, task.n_test_subjects)
            rows.append([key, name, f"{100 * mean:.1f}", shown, _interval(against), p_value, *counts])
        if bars:
            svg = bar_chart(bars, label=f"Score by arm, {key}", width=440.0)
            chance = 100 * next(r.tasks[key].chance for r in runs.values() if key in r.tasks)
            caption = f"Percent, chance {chance:.0f}; lines are 95 % intervals over subjects."
            charts.append(Drawing(heading=key, svg=svg, caption=caption))
    labels = ("task", "arm", "score", "95 % interval", "difference", "p", "test trials", "test subjects")
    columns = [Column(label=label, numeric=i > 1) for i, label in enumerate(labels)]
    table = Table(caption="Scores with intervals and counts", columns=columns, rows=rows, folded=True)
    return [*(Row(parts=charts[i : i + 2]) for i in range(0, len(charts), 2)), table]


@torch.no_grad()
def unseen_maps(run: Path, shards: Sequence[Path]) -> list[Drawing]:
    """Map of an encoder's states for the trials of an unseen data set, averaged over each trial's electrodes.

    Only trials of the run's test subjects are shown, for all divisions together.
    """
    trained = read_run(run)
    setup = make_setup(*open_trials(shards, trained.config), trained.vocabulary, trained.config, trained.encoder)
    record = next(iter(finished_fits(run).values()))
    index, (model, bank) = setup.index, open_fit(trained, setup, record)
    tested = np.unique(np.concatenate([d.test for d in setup.divisions]))
    drawings = []
    for number, task in enumerate(index.tasks):
        rows = tested[index.task[tested] == number]
        if task.kind != "classification" or len(rows) < 3:
            continue
        rows = rows[spread(len(rows), MAX_TRIALS)]
        encoded = bank.views(model, rows)
        if encoded.views_RF is None:
            continue
        states_RD = encoded.views_RF[:, view_slices(model.ete.config)["states"]].float()
        trial_R = encoded.mask_NE.nonzero()[:, 0]
        sum_ND = torch.zeros(len(rows), states_RD.shape[1], device=states_RD.device).index_add_(0, trial_R, states_RD)
        mean_ND = sum_ND / encoded.mask_NE.sum(dim=1, keepdim=True)
        drawings.append(trial_map(task, mean_ND.cpu().numpy(), index.label[rows]))
    return drawings
