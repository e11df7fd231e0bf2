"""Pre-training as HTML: the page of a run, its section on the page of a transfer run, and the page of forecasts.

Every page is self-contained and loads nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from eegprep.report.figures import (
    Bar,
    Column,
    Drawing,
    Line,
    Mark,
    Note,
    Page,
    Row,
    Section,
    Table,
    Tile,
    bar_chart,
    format_number,
    format_percent,
    line_chart,
    write_page,
)
from eegprep.report.figures.head import head
from eegpt.model.tokens import BANDS_HZ
from eegpt.pretraining.forecast import Forecast
from eegpt.runs.checkpoint import Encoder, load_encoder
from eegpt.runs.log import read_log
from eegpt.runs.results import Example, HeldOutErrors, PretrainingResults, read_pretraining_results

Part = Drawing | Table | Note | Row

PREDICTORS = {
    "model": "the encoder",
    "linear_whole_context": "linear autoregression, whole context",
    "linear": "linear autoregression, last token",
    "persistence": "persistence (repeats the last value)",
    "zero": "zero",
}


def write_pretraining_page(run: Path) -> Path:
    """Write the page of a finished run, RUN/index.html, and return its path."""
    run = Path(run)
    encoder, results = load_encoder(run), read_pretraining_results(run)
    sections = [pretraining_section(results, run)]
    if results.other_lengths:
        tables = [
            _table(f"{split}, {format_number(errors.n_windows)} windows of {n_samples} samples", errors)
            for n_samples, by_split in results.other_lengths.items()
            for split, errors in by_split.items()
        ]
        sections.append(Section(anchor="other-lengths", heading="Held out: windows of other lengths", parts=tables))
    settings = encoder.config["settings"]
    table = Table(
        caption="All settings",
        columns=[Column(label="setting"), Column(label="value")],
        rows=[[path, json.dumps(value)] for path, value in _leaves(settings)],
        folded=True,
    )
    sections += [_electrodes(encoder, results), Section(anchor="settings", heading="Settings", parts=[table])]
    tiles = [
        Tile(label="steps", value=format_number(results.steps)),
        Tile(
            label="windows seen",
            value=format_number(results.windows_seen),
            note=f"{format_number(results.windows_per_epoch)} per epoch",
        ),
    ]
    tiles += [_tile(f"Error on new samples, {split}", errors) for split, errors in results.splits.items()]
    page = Page(
        title=f"Pre-training, {settings['encoder']['size']}",
        subtitle=f"{results.parameters:,} parameters of the encoder, objective {settings['objective']['kind']!r}",
        kicker="EEGPT",
        tiles=tiles,
        sections=sections,
    )
    return write_page(page, run / "index.html")


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def pretraining_tile(results: PretrainingResults) -> Tile | None:
    """The error on new samples of the first split, compared with the best linear predictor."""
    return next((_tile("Pre-training error", errors) for errors in results.splits.values()), None)


def _tile(label: str, errors: HeldOutErrors) -> Tile:
    gain = errors.gain("linear", "linear_whole_context")
    value = format_number(errors.model.new)
    if gain is None:
        return Tile(label=label, value=value)
    note = f"{format_percent(abs(gain))} {'below' if gain > 0 else 'above'} linear autoregression"
    return Tile(label=label, value=value, note=note, tone="good" if gain > 0 else "warn")


def pretraining_section(results: PretrainingResults, run: Path | None = None) -> Section:
    """Learning curves (if the run's folder is known), and held-out errors compared with trivial predictors."""
    parts: list[Part] = _curves(read_log(run), results) if run is not None else []
    for split, errors in results.splits.items():
        parts += [_bars(split, errors), _table(f"All errors, {split}", errors, folded=True)]
        parts += [Row(parts=[_spectra(errors), _horizon(errors)])] if errors.spectra else []
        parts += [_example(example, split) for example in errors.examples]
    if not results.splits:
        parts.append(Note(text="No split was held out: errors on unseen signals are unknown.", tone="warn"))
    counts = (results.steps, results.windows_seen, results.windows_per_epoch, results.parameters)
    return Section(
        anchor="pretraining",
        heading="Pre-training",
        opening="{} steps over {} windows ({} in the training split); the encoder has {} parameters. Errors are mean "
        "squares of the normalised signal, on held-out windows.".format(*map(format_number, counts)),
        parts=parts,
    )


def _curves(log: list[dict[str, Any]], results: PretrainingResults) -> list[Part]:
    steps = [r for r in log if "loss" in r]
    if not steps:
        return []

    def curve(key: str, label: str, **style: Any) -> Line:
        return Line(label=label, x=[r["step"] for r in steps], y=[r[key] for r in steps], **style)

    names = [n for n in ("new", "spectrum", "token", "masked") if n in steps[0]]
    lines = [curve("loss", "training loss", colour=0, faint=True)]
    lines += [curve(n, "new samples, training" if n == "new" else n) for n in names]
    reports = [(r["step"], r["heldout"]["predictors"]["model"]["new"]) for r in log if "heldout" in r]
    marks = []
    for split, errors in list(results.splits.items())[:1]:
        x, y = zip(*reports, (results.steps, errors.model.new), strict=True)
        lines.append(Line(label=f"new samples, held out ({split})", x=x, y=y, dashed=True))
        if "linear" in errors.predictors:
            marks.append(Mark(label=f"linear autoregression, {split}", y=errors.predictors["linear"].new))
    losses = _chart(lines, "Losses by step", "step", "mean square error", marks=marks, width=1020.0, height=320.0)
    caption = "The training loss may include further terms; compare held-out errors with the line of new samples."
    rate = _chart([curve("lr", "rate")], "Learning rate", "step", "rate", height=220.0)
    norm = _chart([curve("grad_norm", "norm")], "Norm of the gradient", "step", "norm", y_log=True, height=220.0)
    return [
        Drawing(heading="Loss", svg=losses, caption=caption),
        Row(
            parts=[
                Drawing(svg=rate, caption="Learning rate."),
                Drawing(svg=norm, caption="Norm of the gradient before clipping."),
            ]
        ),
    ]


def _chart(lines: list[Line], label: str, x: str, y: str, **style: Any) -> Any:
    return line_chart(lines, label=label, x_label=x, y_label=y, **{"width": 520.0, "height": 300.0, **style})


def _bars(split: str, errors: HeldOutErrors) -> Drawing:
    bars = [
        Bar(label=words, value=e.new, colour=0 if k == "model" else 6, note=f"{words}: {e.new:.4f}")
        for k, words in PREDICTORS.items()
        if (e := errors.predictors.get(k)) is not None
    ]
    label = f"Mean square error on new samples of the {split} split, by predictor"
    return Drawing(
        heading=f"New samples, {split}",
        svg=bar_chart(bars, label=label, width=1020.0, row=26.0),
        caption="Mean square error on samples that are in no earlier token, "
        f"{format_number(errors.n_windows)} windows; shorter is better.",
    )


def _table(caption: str, errors: HeldOutErrors, *, folded: bool = False) -> Table:
    bands = [b for b in BANDS_HZ if b in errors.model.band]
    return Table(
        caption=caption,
        columns=[
            Column(label="predictor"),
            *(Column(label=c, numeric=True) for c in ("new samples", "share of variance", "all values", *bands)),
        ],
        rows=[
            [
                words,
                e.new,
                format_percent(e.new / errors.variance) if errors.variance else None,
                e.all,
                *(e.band[b] for b in bands),
            ]
            for k, words in PREDICTORS.items()
            if (e := errors.predictors.get(k)) is not None
        ],
        strong=frozenset({0}),
        note="All values: the whole next token, most of which a trivial predictor can copy. "
        "By band: the power of the error in delta, theta, alpha, beta and gamma.",
        folded=folded,
    )


def _spectra(errors: HeldOutErrors) -> Drawing:
    spectra, names = errors.spectra, {"signal": "signal", **PREDICTORS}
    lines = [
        Line(label=names[k], x=spectra["hz"][1:], y=spectra[k][1:], dashed=k in ("linear", "persistence"))
        for k in ("signal", "model", "linear", "persistence")
        if k in spectra
    ]
    return Drawing(
        heading="Spectra of signal and predictions",
        svg=_chart(lines, "Spectra", "frequency, Hz", "power per Hz", y_log=True),
        caption="Unpredictable components are missing from the predictions.",
    )


def _horizon(errors: HeldOutErrors) -> Drawing:
    lines = [
        Line(label=words, x=list(range(1, 1 + len(e.horizon))), y=e.horizon, dashed=k != "model")
        for k, words in PREDICTORS.items()
        if (e := errors.predictors.get(k)) is not None
    ]
    return Drawing(
        heading="Error by horizon",
        svg=_chart(lines, "Error by horizon", "samples ahead", "mean square error"),
        caption="Error by forecast horizon (one sample is 3.9 ms).",
    )


def _example(example: Example, split: str) -> Drawing:
    x = list(range(len(example.signal)))
    lines = [Line(label="signal", x=x, y=example.signal, colour=6)]
    lines += [
        Line(label=PREDICTORS[k], x=x, y=y, colour=int(k != "model"), dashed=k != "model")
        for k, y in example.predictions.items()
    ]
    label = f"A window of {example.electrode}, {split}"
    return Drawing(
        heading=label,
        svg=_chart(lines, label, "sample", "normalised", width=1020.0, height=240.0),
        caption="Each block of new samples is predicted from everything before it.",
    )


def _electrodes(encoder: Encoder, results: PretrainingResults) -> Section:
    """Head maps of the electrode vectors' first principal components and of the error by electrode."""
    vocabulary = encoder.vocabulary
    positions = {n: p.tolist() for n in vocabulary.names if (p := vocabulary.position_m(n)) is not None}
    seen = sorted({name for errors in results.splits.values() for name in errors.model.electrode})
    parts: list[Part] = []
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
    for split, errors in results.splits.items():
        label = f"Error on new samples by electrode, {split}"
        svg = head(errors.model.electrode, positions, label=label, size=380.0)
        parts.append(Drawing(svg=svg, caption=label + "."))
    return Section(anchor="electrodes", heading="Electrodes", parts=parts)


def write_forecast_page(forecast: Forecast, *, sfreq_hz: float, out: Path) -> Path:
    """Write a page with signals and forecasts, and errors by forecast horizon."""
    n_known, n_forecast = forecast.n_known, len(forecast.errors["model"])
    ahead_ms = [1000 * (i + 1) / sfreq_hz for i in range(n_forecast)]
    errors = [Line(label=k, x=ahead_ms, y=y, dashed=k != "model") for k, y in forecast.errors.items()]
    parts: list[Part] = [
        Drawing(
            svg=line_chart(errors, label="Error by horizon", x_label="ms ahead", y_label="mean square error"),
            caption=f"Error by horizon, mean over {forecast.n_windows:,} windows.",
        )
    ]
    for example in forecast.examples:
        seconds = [i / sfreq_hz for i in range(len(example.signal))]
        lines = [
            Line(label="signal", x=seconds, y=example.signal),
            Line(label="forecast", x=seconds[n_known:], y=example.predictions["model"]),
        ]
        label, begin = f"A window of {example.electrode}", Mark(label="forecast", x=n_known / sfreq_hz)
        svg = line_chart(lines, label=label, x_label="s", y_label="signal", height=220.0, marks=[begin])
        parts.append(Drawing(svg=svg, caption=f"{label}; everything right of the mark is forecast."))
    page = Page(
        title="Forecast",
        subtitle=f"{n_forecast / sfreq_hz:g} s forecast from {n_known / sfreq_hz:g} s",
        kicker="EEGPT",
        sections=[Section(anchor="forecast", heading="Signal and forecast", parts=parts)],
    )
    return write_page(page, out)
