"""`eegpt train`, `eegpt forecast`, `eegpt scaling`: pre-training the encoder, and looking at what it learned."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from eegpt.training.config import PretrainConfig

Shards = Annotated[list[Path], typer.Option("--shards", help="A shard set; further ones may follow it.")]
More = Annotated[list[Path] | None, typer.Argument(metavar="[S...]", help="Further shard sets.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("train")(train)
    app.command("forecast")(forecast)
    app.command("scaling")(scaling)
    app.command("ablation")(ablation)


def train(
    shards: Shards,
    more: More = None,
    out: Annotated[Path | None, typer.Option("--out", help="The run's folder.")] = None,
    size: Annotated[str | None, typer.Option(help="base, large, huge or giant.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings, as YAML or JSON.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting; may be repeated.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run, as it was begun.")] = None,
    as_json: Json = False,
) -> None:
    """Pre-train the encoder on shard sets; the same command goes on where it was stopped.

    Example: `eegpt train --shards shards --out encoder --size base --set steps=500`
    """
    from eegprep.errors import UsageError
    from eegpt.training.pretrain import pretrain, resumed_config

    if resume is not None:
        if out is not None or size is not None or config is not None or set_:
            raise UsageError(
                "a run that goes on keeps the settings that it was begun with",
                expected="--shards and --resume alone",
                todo="leave out --out, --size, --config and --set, or begin a new run with --out",
            )
        folder, settings = resume, resumed_config(resume)
    elif out is None:
        raise UsageError("the run needs a folder", todo="name one with --out, or an earlier run with --resume")
    else:
        folder, settings = out, read_settings(config, size, set_ or [])
    result = pretrain(settings, shards=[*shards, *(more or [])], out=folder)
    if not result.finished:
        print(f"stopped at step {result.steps}; the same command goes on from there", file=sys.stderr)
    if as_json:
        summary = {"run": str(result.run), "steps": result.steps, "finished": result.finished}
        print(json.dumps({**summary, "pretraining": result.results}))
    elif result.finished:
        print_errors(result.results)
        print(f"the run's page: {result.run / 'index.html'}", file=sys.stderr)


def read_settings(config: Path | None, size: str | None, settings: list[str]) -> PretrainConfig:
    """Settings from a file, then `--size`, then every `--set` in order."""
    from eegprep.manifest import yaml_strict
    from eegpt.runs.settings import from_mapping, with_settings
    from eegpt.training.config import PretrainConfig

    plain: Any = {}
    if config is not None:
        plain = yaml_strict.read(config).value or {}
    if size is not None:
        plain = {**plain, "size": size}
    return with_settings(from_mapping(PretrainConfig, plain, where=str(config or "settings")), settings)


def print_errors(results: dict[str, Any]) -> None:
    """The errors on held-out windows, one table per split."""
    from eegpt.evaluation.heldout import BANDS_HZ

    from .tables import console, plain_table

    if not results.get("splits"):
        print("no held-out window: nothing can be said about signals that were not seen", file=sys.stderr)
        return
    screen = console()
    reports = list(results["splits"].items())
    for n_samples, splits in results.get("other_lengths", {}).items():
        reports += [(f"{split}, windows of {n_samples} samples", errors) for split, errors in splits.items()]
    for split, errors in reports:
        table = plain_table(f"{split}: {errors['n_windows']:,} windows, variance {errors['variance']:.3f}")
        bands = list(BANDS_HZ)
        for name in ("predictor", "new samples", "share of variance", "all values", *bands):
            table.add_column(name, justify="left" if name == "predictor" else "right", min_width=6)
        for name in ("model", "linear", "linear_whole_context", "persistence", "zero"):
            if name not in errors:
                continue
            e = errors[name]
            cells = [e["new"], e["new"] / errors["variance"], e["all"], *(e["band"][b] for b in bands)]
            table.add_row(name.replace("_", " "), *("–" if v is None else f"{v:.4f}" for v in cells))
        screen.print(table)
        screen.print()


def forecast(
    run: Annotated[Path, typer.Argument(help="A run of `eegpt train`.")],
    shards: Shards,
    seconds: Annotated[float, typer.Option(help="How far ahead.")] = 1.0,
    split: Annotated[str, typer.Option(help="Whose windows.")] = "test",
    window_samples: Annotated[int, typer.Option(help="Length of a window, the forecast part included.")] = 1024,
    n_windows: Annotated[int, typer.Option("--windows", help="Windows, evenly spread.")] = 512,
    out: Annotated[Path | None, typer.Option("--out", help="The page; default RUN/forecast.html.")] = None,
    as_json: Json = False,
) -> None:
    """Roll the encoder forward with cached keys and values, and draw signal against forecast.

    Example: `eegpt forecast encoder --shards shards --seconds 0.5`
    """
    from eegprep.recording import seconds_to_samples
    from eegprep.shards import ShardSet
    from eegpt.data import WindowIndex
    from eegpt.evaluation.forecast import forecast_errors, write_forecast_page
    from eegpt.runs.checkpoint import load_encoder
    from eegpt.runs.runtime import runtime
    from eegpt.training.report import rows_of
    from eegpt.training.windows import spread

    encoder = load_encoder(run)
    sfreq_hz = encoder.model.config.sfreq_hz
    index = WindowIndex(
        [ShardSet.open(s) for s in shards], n_samples=window_samples, stride=window_samples, splits=(split,)
    )
    rows = (
        with_vocabulary(r, index.vocabulary, encoder.vocabulary)
        for r in rows_of(index, spread(len(index), n_windows), 256)
    )
    with runtime("auto") as here:
        result = forecast_errors(
            encoder.model,
            rows,
            n_forecast=seconds_to_samples(seconds, sfreq_hz),
            names=list(encoder.vocabulary.names),
            autocast=here.autocast,
        )
    page = write_forecast_page(result, sfreq_hz=sfreq_hz, out=out or run / "forecast.html")
    if as_json:
        print(json.dumps(result))
        return
    print_horizons(result, sfreq_hz)
    print(f"the page: {page}", file=sys.stderr)


def with_vocabulary(rows: Any, own: Any, target: Any) -> Any:
    """Rows whose electrode ids mean another vocabulary; UsageError where that lacks one."""
    import dataclasses

    import torch

    ids = {e: target.id_of(own.name_of(e)) for e in set(rows.electrode.tolist())}
    return dataclasses.replace(rows, electrode=torch.tensor([ids[e] for e in rows.electrode.tolist()]))


def print_horizons(result: dict[str, Any], sfreq_hz: float) -> None:
    """Errors at a few distances as a table."""
    from .tables import console, plain_table

    table = plain_table(f"{result['n_windows']:,} windows, {result['n_known']} samples known")
    for name in ("ms ahead", "model", "persistence", "zero"):
        table.add_column(name, justify="right")
    n = len(result["model"])
    for i in sorted({0, *(min(n, 2**k) - 1 for k in range(2, 12))}):
        cells = (f"{result[name][i]:.4f}" for name in ("model", "persistence", "zero"))
        table.add_row(f"{1000 * (i + 1) / sfreq_hz:.0f}", *cells)
    console().print(table)


def scaling(
    shards: Shards,
    more: More = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the study.")] = Path("scaling"),
    sizes: Annotated[str, typer.Option(help="Sizes, or LAYERSxWIDTHxHEADS, with commas.")] = "2x64x2,base,large",
    fractions: Annotated[str, typer.Option(help="Fractions of the training windows, with commas.")] = "0.25,0.5,1",
    config: Annotated[Path | None, typer.Option(help="Common settings, as YAML or JSON.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One common setting.")] = None,
    as_json: Json = False,
) -> None:
    """Train sizes x fractions of the data, fit the laws, draw them; finished runs are read, not trained again.

    Example: `eegpt scaling --shards shards --out scaling --set steps=400`
    """
    from eegprep.errors import UsageError
    from eegpt.training.study import scaling as study
    from eegpt.training.study_page import write_scaling_page

    try:
        parts = [float(f) for f in fractions.split(",")]
    except ValueError:
        raise UsageError(f"--fractions {fractions!r} are no numbers", expected="e.g. 0.25,0.5,1") from None
    common = read_settings(config, None, set_ or [])
    result = study(common, shards=[*shards, *(more or [])], out=out, sizes=sizes.split(","), fractions=parts)
    page = write_scaling_page(result, out / "index.html")
    if as_json:
        print(json.dumps(result))
        return
    print_rows(result["rows"])
    for name, law in (("parameters", result["by_parameters"]), ("windows", result["by_windows"])):
        if law is not None:
            print(f"error = {law['floor']:.4f} + {law['factor']:.4g} * {name} ** {-law['exponent']:.3f}")
    print(f"the page: {page}", file=sys.stderr)


def ablation(
    shards: Shards,
    more: More = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the study.")] = Path("ablation"),
    questions: Annotated[str, typer.Option(help="Settings to vary, with commas; all where empty.")] = "",
    probe: Annotated[bool, typer.Option(help="Score a linear probe of every encoder on the labelled tasks.")] = False,
    config: Annotated[Path | None, typer.Option(help="Common settings, as YAML or JSON.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One common setting.")] = None,
    as_json: Json = False,
) -> None:
    """Train variants that differ in one setting, and compare their errors on people who were not trained on.

    Example: `eegpt ablation --shards shards --questions objective,norm --set steps=300`
    """
    from eegpt.training.study import ablation as study

    common = read_settings(config, None, set_ or [])
    sets = [*shards, *(more or [])]
    scores = None if not probe else lambda run: probe_scores(run, sets)
    rows = study(common, shards=sets, out=out, questions=[q for q in questions.split(",") if q], probe=scores)
    if as_json:
        print(json.dumps(rows))
        return
    print_rows(rows)


def probe_scores(run: Path, shards: list[Path]) -> dict[str, float]:
    """Mean balanced accuracy of a linear probe of a run's encoder over all classification tasks of held-out people."""
    from eegpt.evaluation.evaluate import evaluate
    from eegpt.transfer.config import TransferConfig
    from eegpt.transfer.run import transfer

    transfer(TransferConfig(mode="probe"), shards=shards, out=run / "probe", encoder=run)
    _, results = evaluate(run / "probe", shards)
    scores = [
        task["model"]["scores"]["balanced_accuracy"]["mean"]
        for task in results["tasks"].values()
        if task["kind"] == "classification"
    ]
    return {"probe": sum(scores) / len(scores)}


def print_rows(rows: list[dict[str, Any]]) -> None:
    """A study's rows as a table."""
    from .tables import console, plain_table

    names = ["name", "parameters", "windows", "steps", "new", "share_of_variance", "below_linear"]
    names += [n for n in rows[0] if n not in {*names, "split"}]
    table = plain_table(f"errors on new samples, {rows[0]['split']}")
    for name in names:
        table.add_column(name.replace("_", " "), justify="left" if name == "name" else "right")
    for row in rows:
        shown = (row[n] for n in names)
        table.add_row(
            *(f"{v:,.4f}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else str(v) for v in shown)
        )
    console().print(table)
