"""One HTML page of a pre-training run: curves, errors beside the trivial predictors, spectra, forecasts, electrodes.

What enters: a finished run's folder. What leaves: RUN/index.html, which needs nothing else and loads nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from eegprep.figures.head import head
from eegprep.figures.lines import Line, line_chart
from eegprep.figures.page import Column, Drawing, Note, Page, Row, Section, Table, Tile, write_page
from eegpt.evaluation.heldout import BANDS_HZ
from eegpt.runs.checkpoint import Encoder, load_encoder
from eegpt.runs.log import read_log

__all__ = ["write_run_page"]

PREDICTORS = {
    "model": "model",
    "linear": "linear, last token",
    "linear_whole_context": "linear, whole context",
    "persistence": "persistence",
    "zero": "zero",
}


def write_run_page(run: Path) -> Path:
    """Write the page of a finished run and return its path."""
    encoder = load_encoder(run)
    log = read_log(run)
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))["pretraining"]
    config = encoder.config["settings"]
    splits: dict[str, Any] = results["splits"]
    sections = [Section(anchor="training", heading="Training", parts=_curves(log))]
    for split, errors in splits.items():
        sections.append(_heldout(split, errors))
    if others := results.get("other_lengths"):
        tables = [
            _errors(errors, f"{split}, {errors['n_windows']:,} windows of {n_samples} samples")
            for n_samples, by_split in others.items()
            for split, errors in by_split.items()
        ]
        sections.append(Section(anchor="other-lengths", heading="Held out: windows of other lengths", parts=tables))
    sections.append(_electrodes(encoder, splits))
    sections.append(
        Section(
            anchor="settings",
            heading="Settings",
            parts=[
                Table(
                    caption="Everything that was set",
                    columns=[Column(label="setting"), Column(label="value")],
                    rows=[[k, json.dumps(v)] for k, v in sorted(config.items())],
                    folded=True,
                )
            ],
        )
    )
    page = Page(
        title=f"Pre-training, {config['size']}",
        subtitle=f"{results['parameters']:,} parameters of the encoder, objective {config['objective']!r}",
        kicker="EEGPT",
        tiles=_tiles(results, splits),
        sections=sections,
    )
    return write_page(page, run / "index.html")


def _tiles(results: dict[str, Any], splits: dict[str, Any]) -> list[Tile]:
    tiles = [
        Tile(label="steps", value=f"{results['steps']:,}"),
        Tile(
            label="windows seen",
            value=f"{results['windows_seen']:,}",
            note=f"{results['windows_per_epoch']:,} an epoch",
        ),
    ]
    for split, errors in splits.items():
        gain = 1 - errors["model"]["new"] / errors["linear"]["new"] if "linear" in errors else None
        tiles.append(
            Tile(
                label=f"error on new samples, {split}",
                value=f"{errors['model']['new']:.3f}",
                note="" if gain is None else f"{gain:+.1%} better than linear autoregression",
                tone="" if gain is None else ("good" if gain > 0 else "bad"),
            )
        )
    return tiles


def _curves(log: list[dict[str, Any]]) -> list[Drawing | Table | Note | Row]:
    steps = [r for r in log if "loss" in r]
    names = [n for n in ("loss", "new", "spectrum", "token", "masked") if steps and n in steps[0]]
    lines = [Line(label=n, x=[r["step"] for r in steps], y=[r[n] for r in steps]) for n in names]
    reports = [r for r in log if "heldout" in r]
    if reports:
        y = [r["heldout"]["model"]["new"] for r in reports]
        lines.append(Line(label="new samples, held out", x=[r["step"] for r in reports], y=y, dashed=True))
    rate = [Line(label="rate", x=[r["step"] for r in steps], y=[r["lr"] for r in steps])]
    norm = [Line(label="norm", x=[r["step"] for r in steps], y=[r["grad_norm"] for r in steps])]
    chart: dict[str, Any] = {"x_label": "step", "width": 460.0, "height": 220.0}
    return [
        Drawing(
            svg=line_chart(lines, label="Losses by step", x_label="step", y_label="error"), caption="Losses by step."
        ),
        Row(
            parts=[
                Drawing(svg=line_chart(rate, label="Learning rate", y_label="rate", **chart), caption="Learning rate."),
                Drawing(
                    svg=line_chart(norm, label="Norm of the gradient", y_label="norm", y_log=True, **chart),
                    caption="Norm of the gradient before clipping.",
                ),
            ]
        ),
    ]


def _errors(errors: dict[str, Any], caption: str) -> Table:
    rows = []
    for key, label in PREDICTORS.items():
        if key in errors:
            e = errors[key]
            rows.append([label, e["new"], e["new"] / errors["variance"], e["all"], *(e["band"][b] for b in BANDS_HZ)])
    return Table(
        caption=caption,
        columns=[
            Column(label="predictor"),
            *(Column(label=c, numeric=True) for c in ("new samples", "share of variance", "all values", *BANDS_HZ)),
        ],
        rows=rows,
        strong=frozenset({0}),
        note="By band: power of the error of consecutive predictions.",
    )


def _heldout(split: str, errors: dict[str, Any]) -> Section:
    present = {k: v for k, v in PREDICTORS.items() if k in errors}
    table = _errors(errors, "Mean square errors, in units of the normalisation squared")
    horizon = [
        Line(label=label, x=list(range(1, len(errors[k]["horizon"]) + 1)), y=errors[k]["horizon"], dashed=k != "model")
        for k, label in present.items()
    ]
    spectra = errors["spectra"]
    lines = [
        Line(label={"signal": "signal", **PREDICTORS}[k], x=spectra["hz"][1:], y=spectra[k][1:], dashed=k != "model")
        for k in ("signal", "model", "linear", "persistence")
        if k in spectra
    ]
    parts: list[Drawing | Table | Note | Row] = [
        table,
        Row(
            parts=[
                Drawing(
                    svg=line_chart(
                        horizon,
                        label="Error by horizon",
                        x_label="samples ahead",
                        y_label="error",
                        width=520.0,
                        height=300.0,
                    ),
                    caption="Error by how many samples ahead.",
                ),
                Drawing(
                    svg=line_chart(
                        lines,
                        label="Spectra",
                        x_label="Hz",
                        y_label="power per Hz",
                        y_log=True,
                        width=520.0,
                        height=300.0,
                    ),
                    caption="Spectrum of the signal and of the predictions; what can't be foreseen is missing there.",
                ),
            ]
        ),
    ]
    for example in errors["examples"]:
        x = list(range(len(example["signal"])))
        series = [
            Line(label="signal", x=x, y=example["signal"]),
            *(Line(label=k, x=x, y=example[k], dashed=k == "linear") for k in ("model", "linear") if k in example),
        ]
        parts.append(
            Drawing(
                svg=line_chart(
                    series,
                    label=f"A window of {example['electrode']}",
                    x_label="sample",
                    y_label="signal",
                    height=200.0,
                ),
                caption=f"A held-out window of {example['electrode']}: every stretch predicted from what came before.",
            )
        )
    return Section(
        anchor=f"held-out-{split}",
        heading=f"Held out: {split}",
        opening=f"{errors['n_windows']:,} windows of people that were not trained on.",
        parts=parts,
    )


def _electrodes(encoder: Encoder, splits: dict[str, Any]) -> Section:
    """Electrode vectors by their first principal components, and the error by electrode, on heads."""
    vocabulary = encoder.vocabulary
    positions = {n: p.tolist() for n in vocabulary.names if (p := vocabulary.position_m(n)) is not None}
    seen = sorted({name for errors in splits.values() for name in errors["model"]["electrode"]})
    parts: list[Drawing | Table | Note | Row] = []
    if len(seen) > 2:
        rows = torch.tensor([vocabulary.id_of(name) for name in seen])
        vectors = encoder.model.electrode.weight.detach()[rows]
        u, s, _ = torch.linalg.svd(vectors - vectors.mean(dim=0), full_matrices=False)
        drawings = []
        for i in range(2):
            axis = (u[:, i] * s[i]).tolist()
            label = f"Principal component {i + 1} of the electrode vectors"
            svg = head(dict(zip(seen, axis, strict=True)), positions, label=label, diverging=True, size=380.0)
            drawings.append(Drawing(svg=svg, caption=label + "."))
        parts.append(Row(parts=drawings))
    for split, errors in splits.items():
        values = errors["model"]["electrode"]
        label = f"Error on new samples by electrode, {split}"
        parts.append(Drawing(svg=head(values, positions, label=label, size=380.0), caption=label + "."))
    return Section(anchor="electrodes", heading="Electrodes", parts=parts)
