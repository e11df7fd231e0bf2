"""`eegpt train`, `eegpt forecast`, `eegpt scaling`: pre-train the encoder and examine it."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .settings import ListTrain, complete_train, one_of

if TYPE_CHECKING:
    from eegpt.callbacks import Callback
    from eegpt.pretraining.forecast import Forecast
    from eegpt.runs.results import PretrainingResults

Shards = Annotated[list[Path], typer.Option("--shards", help="A shard set; more may follow.")]
More = Annotated[list[Path] | None, typer.Argument(metavar="[S...]", help="More shard sets.", show_default=False)]
Config = Annotated[Path | None, typer.Option(help="Settings file (YAML or JSON), or a run to take its settings.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting, e.g. schedule.steps=500; may be repeated.",
        autocompletion=complete_train,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("train")(train)
    app.command("forecast")(forecast)
    app.command("scaling")(scaling)
    app.command("ablation")(ablation)


def train(
    shards: Annotated[
        list[Path] | None, typer.Option("--shards", help="A shard set; more may follow.", show_default=False)
    ] = None,
    more: More = None,
    out: Annotated[Path | None, typer.Option("--out", help="The run's folder.")] = None,
    size: Annotated[
        str | None,
        typer.Option(help="base, large, huge or giant.", autocompletion=one_of("base", "large", "huge", "giant")),
    ] = None,
    config: Config = None,
    set_: Set = None,
    resume: Annotated[Path | None, typer.Option(help="Resume this run with its own settings.")] = None,
    list_settings: ListTrain = False,
    save_config: Annotated[
        Path | None, typer.Option(help="Write all settings to this YAML file, for --config; trains only with --out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Pre-train the encoder on shard sets; the same command resumes a stopped run.

    Example: `eegpt train --shards shards --out encoder --size base --set schedule.steps=500`
    """
    from eegpt.api import pretrain

    if save_config is not None:
        _save_config(save_config, size, config, set_ or [])
        if out is None:
            return
    result = pretrain(
        [*(shards or []), *(more or [])],
        out,
        size=size,
        config=config,
        settings=set_ or [],
        resume=resume,
        callbacks=() if sys.stderr.isatty() else (line_a_minute(),),
    )
    results = result.results
    if results is None:
        print(f"stopped at step {result.steps}; the same command resumes the run", file=sys.stderr)
    if as_json:
        summary = {"run": str(result.run), "steps": result.steps, "finished": result.finished}
        print(json.dumps({**summary, "pretraining": {} if results is None else results.model_dump(mode="json")}))
    elif results is not None and not int(os.environ.get("RANK", "0")):
        print_errors(results)
        print(f"the run's page: {result.run / 'index.html'}", file=sys.stderr)


def line_a_minute() -> Callback:
    """A callback that prints the step and loss every minute, for the logs of jobs."""
    from eegpt.callbacks import Callback

    from .progress import Minute

    class Lines(Callback):
        def on_start(self, run: Path, settings: Any, *, step: int, steps: int) -> None:
            self.minute, self.steps = Minute(), steps

        def on_step(self, step: int, record: Any) -> None:
            self.minute(f"train: step {step} of {self.steps}, loss {record['loss']:.4f}")

    return Lines()


def _save_config(path: Path, size: str | None, config: Path | None, set_: list[str]) -> None:
    """Write all settings of a run as YAML."""
    from eegpt.api import settings_of
    from eegpt.pretraining.config import PretrainConfig
    from eegpt.runs.settings import write_settings

    write_settings(settings_of(PretrainConfig, config, set_, {"encoder.size": size}), path)
    print(f"{path}: all settings, for --config", file=sys.stderr)


def print_errors(results: PretrainingResults) -> None:
    """Print the errors on held-out windows, one table per split."""
    from eegpt.model.tokens import BANDS_HZ
    from eegpt.runs.results import PREDICTORS

    from .tables import console, plain_table

    if not results.splits:
        print(
            "no held-out windows: errors on unseen signals are unknown (of one subject, --set data.division=within:5/0 "
            "holds out a part of its time)",
            file=sys.stderr,
        )
        return
    screen = console()
    reports = list(results.splits.items())
    for n_samples, splits in results.other_lengths.items():
        reports += [(f"{split}, windows of {n_samples} samples", errors) for split, errors in splits.items()]
    for split, errors in reports:
        table = plain_table(f"{split}: {errors.n_windows:,} windows, variance {errors.variance:.3f}")
        for name in ("predictor", "new samples", "share of variance", "all values", *BANDS_HZ):
            table.add_column(name, justify="left" if name == "predictor" else "right", min_width=6)
        for name in PREDICTORS:
            if (e := errors.predictors.get(name)) is not None:
                cells = [e.new, e.new / errors.variance, e.all, *(e.band[b] for b in BANDS_HZ)]
                table.add_row(name.replace("_", " "), *("–" if v is None else f"{v:.4f}" for v in cells))
        screen.print(table)
        screen.print()


def forecast(
    run: Annotated[Path, typer.Argument(help="A run of `eegpt train`.")],
    shards: Shards,
    seconds: Annotated[float, typer.Option(help="Length of the forecast.")] = 1.0,
    split: Annotated[str, typer.Option(help="Split to forecast.")] = "test",
    window_samples: Annotated[int, typer.Option(help="Window length, including the forecast.")] = 1024,
    n_windows: Annotated[int, typer.Option("--windows", help="Number of windows, evenly spread.")] = 512,
    out: Annotated[Path | None, typer.Option("--out", help="Output page; default: RUN/forecast.html.")] = None,
    as_json: Json = False,
) -> None:
    """Forecast signals with the encoder, token by token, and plot them against the real ones.

    Example: `eegpt forecast encoder --shards shards --seconds 0.5`
    """
    from eegpt.api import forecast as work
    from eegpt.runs.weights import find

    result = work(
        run, shards, seconds=seconds, split=split, window_samples=window_samples, n_windows=n_windows, out=out
    )
    if as_json:
        print(json.dumps(dataclasses.asdict(result), default=lambda example: example.model_dump()))
        return
    print_horizons(result)
    print(f"the page: {out or find(run) / 'forecast.html'}", file=sys.stderr)


def print_horizons(result: Forecast) -> None:
    """Print errors at a few horizons as a table."""
    from .tables import console, plain_table

    table = plain_table(f"{result.n_windows:,} windows, {result.n_known} samples known")
    for name in ("ms ahead", *result.errors):
        table.add_column(name, justify="right")
    n = len(result.errors["model"])
    for i in sorted({0, *(min(n, 2**k) - 1 for k in range(2, 12))}):
        cells = (f"{of[i]:.4f}" for of in result.errors.values())
        table.add_row(f"{1000 * (i + 1) / result.sfreq_hz:.0f}", *cells)
    console().print(table)


def scaling(
    shards: Shards,
    more: More = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the study.")] = Path("scaling"),
    sizes: Annotated[str, typer.Option(help="Sizes or LAYERSxWIDTHxHEADS, separated by commas.")] = "2x64x2,base,large",
    fractions: Annotated[
        str, typer.Option(help="Fractions of the training windows, separated by commas.")
    ] = "0.25,0.5,1",
    config: Config = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Train all sizes on all fractions of the data and fit scaling laws; finished runs are skipped.

    Example: `eegpt scaling --shards shards --out scaling --set schedule.steps=400`
    """
    from eegpt.api import scaling as study

    result = study(
        [*shards, *(more or [])], out=out, sizes=sizes, fractions=fractions, config=config, settings=set_ or []
    )
    if as_json:
        print(json.dumps(result))
        return
    print_rows(result["rows"])
    for name, law in (("parameters", result["by_parameters"]), ("windows", result["by_windows"])):
        if law is not None:
            print(f"error = {law['floor']:.4f} + {law['factor']:.4g} * {name} ** {-law['exponent']:.3f}")
    print(f"the page: {out / 'index.html'}", file=sys.stderr)


def ablation(
    shards: Shards,
    more: More = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the study.")] = Path("ablation"),
    questions: Annotated[
        str | None, typer.Option(help="Settings to vary, separated by commas; default: all.", show_default=False)
    ] = None,
    probe: Annotated[bool, typer.Option(help="Score a linear probe of every encoder on the labelled tasks.")] = False,
    config: Config = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Train variants that differ in one setting, and compare their errors on held-out subjects.

    Example: `eegpt ablation --shards shards --questions objective,norm --set schedule.steps=300`
    """
    from eegpt.api import ablation as study

    rows = study(
        [*shards, *(more or [])], out=out, questions=questions, probe=probe, config=config, settings=set_ or []
    )
    if as_json:
        print(json.dumps(rows))
        return
    print_rows(rows)


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print a study's rows as a table."""
    from .tables import console, plain_table

    names = ["name", "parameters", "windows", "steps", "new", "share_of_variance", "below_linear"]
    names += [n for n in rows[0] if n not in {*names, "split", "new_se"}]
    table = plain_table(f"errors on new samples, {rows[0]['split']}")
    for name in names:
        table.add_column(name.replace("_", " "), justify="left" if name == "name" else "right")
    for row in rows:
        shown = (row[n] for n in names)
        table.add_row(
            *(f"{v:,.4f}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else str(v) for v in shown)
        )
    console().print(table)
