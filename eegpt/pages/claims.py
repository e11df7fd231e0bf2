"""Claims as text and as a page: a table for each question, and maps of the data sets that pre-training never saw.

What enters: the data of `claims.json`, and for the maps the runs beside it. What leaves: text, sections, a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eegprep.contents.signal import spread
from eegprep.figures import Column, Drawing, Note, Page, Row, Section, Table, write_page
from eegpt.evaluation.tables import plain_table
from eegpt.model.views import view_slices
from eegpt.pages.graph import trial_map
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.checkpoint import finished_fits, load_fit, read_run
from eegpt.transfer.setup import device, make_setup, open_trials

__all__ = ["claims_table", "claims_markdown", "verdict", "write_claims_page"]

MAX_TRIALS = 300
SIGNIFICANT = 0.05


def _columns(claim: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(key for arm in claim["arms"] for key in arm["tasks"]))


def _lines(claim: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: an arm each, its score on every task; an asterisk where it differs from the first."""
    keys = _columns(claim)
    p_value = {(r["run"], r["task"]): r["p_value"] for r in claim["comparisons"]}
    lines = []
    for arm in claim["arms"]:
        cells = [arm["name"]]
        for key in keys:
            p = p_value.get((arm["name"], key))
            cells.append(_percent(arm["tasks"].get(key)) + ("*" if p is not None and p < SIGNIFICANT else ""))
        error = arm["encoder_error"]
        whole = len(arm["tasks"]) == len(keys)
        lines.append([*cells, _percent(arm["mean"] if whole else None), "–" if error is None else f"{error:.3f}"])
    return [claim["name"], *(k.split("/")[-1] for k in keys), "mean", "error"], lines


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def verdict(claim: Mapping[str, Any]) -> list[str]:
    """One sentence for each arm beside the first: on how many tasks it is ahead, by how much, and how surely."""
    said = []
    for arm in claim["arms"][1:]:
        rows = [r for r in claim["comparisons"] if r["run"] == arm["name"] and r["mean"] is not None]
        if not rows:
            continue
        differences = [r["mean"] - r["against_mean"] for r in rows]
        ahead = sum(d > 0 for d in differences)
        sure = [r for r in rows if r["p_value"] is not None and r["p_value"] < SIGNIFICANT]
        better = sum(r["mean"] > r["against_mean"] for r in sure)
        said.append(
            f"{arm['name']} against {rows[0]['against']}: ahead on {ahead} of {len(rows)} tasks, on average "
            f"{100 * float(np.mean(differences)):+.1f} points; p < {SIGNIFICANT:g} for it on {better}, against it on "
            f"{len(sure) - better}."
        )
    return said


def claims_table(result: Mapping[str, Any]) -> str:
    """All claims as text."""
    blocks = []
    for claim in result["claims"]:
        header, lines = _lines(claim)
        blocks.append("\n".join([claim["question"], plain_table(header, lines), *verdict(claim)]))
    return "\n\n".join([*blocks, _legend(result)])


def claims_markdown(result: Mapping[str, Any]) -> str:
    """All claims as Markdown tables, for a page of results."""
    blocks = []
    for claim in result["claims"]:
        header, lines = _lines(claim)
        rows = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *lines)]
        said = "\n".join(f"- {sentence}" for sentence in verdict(claim))
        blocks.append(f"### {claim['question']}\n\n" + "\n".join(rows) + f"\n\n{said}")
    return "\n\n".join([*blocks, _legend(result)]) + "\n"


def _legend(result: Mapping[str, Any]) -> str:
    seeds = ", ".join(map(str, result["seeds"]))
    return (
        f"Balanced accuracy in percent (R² of regressions), scheme {result['scheme']}, graph's seeds {seeds}; *: a "
        f"paired test against the first line gives p < {SIGNIFICANT:g}, uncorrected. The error is the encoder's on new "
        "samples of test people, the mean over its folds."
    )


def write_claims_page(result: Mapping[str, Any], *, shards: Sequence[Path], out: Path) -> Path:
    """Write `index.html` into the claims' folder; returns its path."""
    sections = []
    for claim in result["claims"]:
        header, lines = _lines(claim)
        columns = [Column(label=h.replace("_", " "), numeric=i > 0) for i, h in enumerate(header)]
        caption = "Balanced accuracy in percent on the same test trials"
        parts: list[Any] = [Table(caption=caption, columns=columns, rows=lines, note=_legend(result))]
        parts += [Note(text=sentence) for sentence in verdict(claim)]
        if claim["name"] == "unseen":
            maps = [d for arm in claim["arms"][1:] for d in unseen_maps(out / arm["run"], shards)]
            parts += [Row(parts=maps[i : i + 2]) for i in range(0, len(maps), 2)]
        name = claim["name"]
        sections.append(Section(anchor=name, heading=name.capitalize(), opening=claim["question"], parts=parts))
    page = Page(
        title="The paper's claims",
        subtitle="Arms that differ in one thing, on the same trials",
        kicker="EEGPT",
        sections=sections,
    )
    return write_page(page, out / "index.html")


@torch.no_grad()
def unseen_maps(run: Path, shards: Sequence[Path]) -> list[Drawing]:
    """Where an encoder puts the trials of a data set that it has never seen: the mean over each trial's electrodes.

    Trials of people whom the run's readouts have not learned from either, all divisions together.
    """
    trained = read_run(run)
    sets, index = open_trials(shards, trained.config)
    setup = make_setup(sets, index, trained.vocabulary, trained.config)
    record = next(iter(finished_fits(run).values()))
    model = load_fit(trained, record, device=device())
    aligned = [n for n, task in enumerate(index.tasks) if task.key in record.aligned]
    bank = TrialBank(index, setup.electrodes.id_of, device=device(), budget_bytes=0, aligned_tasks=aligned)
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
