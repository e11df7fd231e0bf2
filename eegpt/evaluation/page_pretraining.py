"""Pre-training as a section of a run's page: loss curves, and errors beside predictors that need no network.

What enters: a pre-training run's folder. What leaves: sections; the run's own page (`index.html` in its folder)
has more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eegprep.errors import InputError
from eegprep.figures import (
    Bar,
    Column,
    Drawing,
    Line,
    Mark,
    Note,
    Row,
    Section,
    Table,
    Tile,
    bar_chart,
    format_number,
    format_percent,
    line_chart,
)
from eegpt.evaluation.heldout import BANDS_HZ
from eegpt.runs.log import read_log

__all__ = ["pretraining_section", "pretraining_tile", "read_pretraining"]

PREDICTORS = {
    "model": "the encoder",
    "linear_whole_context": "linear autoregression, whole context",
    "linear": "linear autoregression, last token",
    "persistence": "persistence (the last value again)",
    "zero": "zero",
}


def read_pretraining(run: Path) -> dict[str, Any]:
    """`pretraining` of a run's results.json; InputError where the run is not finished."""
    path = Path(run) / "results.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["pretraining"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            "the pre-training run has no results",
            where=path,
            found=f"{type(error).__name__}: {error}",
            todo="let `eegpt train` come to its end: the same command goes on where it stopped",
        ) from error
    return found


def pretraining_tile(results: dict[str, Any]) -> Tile | None:
    """The error on new samples against the best linear predictor, as one figure."""
    for errors in results.get("splits", {}).values():
        linear = min((errors[k]["new"] for k in ("linear", "linear_whole_context") if k in errors), default=None)
        if linear:
            gain = 1 - errors["model"]["new"] / linear
            beside = f"{format_percent(abs(gain))} {'below' if gain > 0 else 'above'}"
            return Tile(
                label="Pre-training error",
                value=format_number(errors["model"]["new"]),
                note=f"{beside} linear autoregression",
                tone="good" if gain > 0 else "warn",
            )
    return None


def pretraining_section(results: dict[str, Any], run: Path | None = None) -> Section:
    """Loss curves (where the run's folder is known), errors on held-out windows beside the trivial predictors."""
    log = read_log(run) if run is not None else []
    parts: list[Drawing | Table | Note | Row] = []
    curves = _curves(log, results)
    if curves is not None:
        parts.append(curves)
    for split, errors in results.get("splits", {}).items():
        parts.append(_bars(split, errors))
        parts.append(_table(split, errors))
        pair = [d for d in (_spectra(split, errors), _horizon(split, errors)) if d is not None]
        if pair:
            parts.append(Row(parts=pair))
        if example := next(iter(errors.get("examples", [])), None):
            parts.append(_example(example))
    if not results.get("splits"):
        parts.append(
            Note(text="No split was held out, so nothing can be said about signals that were not seen.", tone="warn")
        )
    return Section(
        anchor="pretraining",
        heading="Pre-training",
        opening="{} steps over {} windows ({} in the training split); the encoder has {} parameters. Errors are mean "
        "squares of the normalised signal, on windows that were not trained on.".format(
            *(format_number(results.get(k)) for k in ("steps", "windows_seen", "windows_per_epoch", "parameters"))
        ),
        parts=parts,
    )


def _curves(log: list[dict[str, Any]], results: dict[str, Any]) -> Drawing | None:
    steps = [r for r in log if "loss" in r]
    if not steps:
        return None
    lines = [
        Line(label="training loss", x=[r["step"] for r in steps], y=[r["loss"] for r in steps], colour=0, faint=True)
    ]
    if "new" in steps[0]:
        lines.append(
            Line(label="new samples, training", x=[r["step"] for r in steps], y=[r["new"] for r in steps], colour=0)
        )
    reports = [(r["step"], r["heldout"]["model"]["new"]) for r in log if "model" in r.get("heldout", {})]
    marks = []
    for split, errors in list(results.get("splits", {}).items())[:1]:
        reports.append((results["steps"], errors["model"]["new"]))
        lines.append(
            Line(
                label=f"new samples, held out ({split})", x=[x for x, _ in reports], y=[y for _, y in reports], colour=1
            )
        )
        if "linear" in errors:
            marks.append(Mark(label=f"linear autoregression, {split}", y=errors["linear"]["new"]))
    return Drawing(
        heading="Loss",
        svg=line_chart(
            lines,
            label="Training loss and held-out error by step",
            x_label="step",
            y_label="mean square error",
            marks=marks,
            width=1020.0,
            height=320.0,
        ),
        caption="The training loss may hold further terms; held-out errors compare with the line of new samples.",
    )


def _bars(split: str, errors: dict[str, Any]) -> Drawing:
    present = [(k, words) for k, words in PREDICTORS.items() if k in errors]
    return Drawing(
        heading=f"New samples, {split}",
        svg=bar_chart(
            [
                Bar(
                    label=words,
                    value=errors[k]["new"],
                    colour=0 if k == "model" else 6,
                    note=f"{words}: {errors[k]['new']:.4f}",
                )
                for k, words in present
            ],
            label=f"Mean square error on new samples of the {split} split, by predictor",
            width=1020.0,
            row=26.0,
        ),
        caption="Mean square error on the samples that no earlier token has shown, "
        f"{format_number(errors['n_windows'])} windows; shorter is better.",
    )


def _table(split: str, errors: dict[str, Any]) -> Table:
    bands = [b for b in BANDS_HZ if b in errors["model"].get("band", {})]
    return Table(
        caption=f"All errors, {split}",
        columns=[
            Column(label="predictor"),
            *(Column(label=c, numeric=True) for c in ("new samples", "share of variance", "all values", *bands)),
        ],
        rows=[
            [
                words,
                errors[k]["new"],
                format_percent(errors[k]["new"] / errors["variance"]) if errors["variance"] else None,
                errors[k]["all"],
                *(errors[k]["band"][b] for b in bands),
            ]
            for k, words in PREDICTORS.items()
            if k in errors
        ],
        strong=frozenset({0}),
        note="All values: of the whole next token, of which a trivial predictor copies what it has seen. "
        "By band: the power of the error in delta, theta, alpha, beta and gamma.",
        folded=True,
    )


def _spectra(split: str, errors: dict[str, Any]) -> Drawing | None:
    spectra = errors.get("spectra")
    if not spectra:
        return None
    names = {"signal": "signal", "model": "the encoder", "linear": "linear", "persistence": "persistence"}
    lines = [
        Line(label=words, x=spectra["hz"][1:], y=spectra[k][1:], dashed=k in ("linear", "persistence"))
        for k, words in names.items()
        if k in spectra
    ]
    return Drawing(
        heading="Spectra of signal and predictions",
        svg=line_chart(
            lines,
            label="Spectra",
            x_label="frequency, Hz",
            y_label="power per Hz",
            y_log=True,
            width=520.0,
            height=300.0,
        ),
        caption="What can't be foreseen is missing from the predictions.",
    )


def _horizon(split: str, errors: dict[str, Any]) -> Drawing | None:
    lines = [
        Line(
            label=words.split(" (")[0],
            x=list(range(1, 1 + len(errors[k]["horizon"]))),
            y=errors[k]["horizon"],
            dashed=k != "model",
        )
        for k, words in PREDICTORS.items()
        if errors.get(k, {}).get("horizon")
    ]
    if not lines:
        return None
    return Drawing(
        heading="Error by horizon",
        svg=line_chart(
            lines,
            label="Error by horizon",
            x_label="samples ahead",
            y_label="mean square error",
            width=520.0,
            height=300.0,
        ),
        caption="How the error grows with how far ahead a value lies (one sample is 3.9 ms).",
    )


def _example(example: dict[str, Any]) -> Drawing:
    x = list(range(len(example["signal"])))
    lines = [Line(label="signal", x=x, y=example["signal"], colour=6)]
    lines += [
        Line(label=words, x=x, y=example[k], colour=colour, dashed=k != "model")
        for k, words, colour in (("model", "the encoder", 0), ("linear", "linear", 1))
        if k in example
    ]
    return Drawing(
        heading=f"A held-out window of {example['electrode']}",
        svg=line_chart(
            lines, label="A held-out window", x_label="sample", y_label="normalised", width=1020.0, height=240.0
        ),
        caption="Every stretch of new samples is predicted from what came before it.",
    )
