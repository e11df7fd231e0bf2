"""`eegpt transfer`, `evaluate`, `baselines`, `compare`: one graph for all tasks, scored beside baselines."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from .settings import ListTransfer, complete_transfer, one_of
from .tables import console

Shards = Annotated[list[Path], typer.Option("--shards", help="A shard set; more may follow.")]
More = Annotated[list[Path] | None, typer.Argument(metavar="[S...]", help="More shard sets.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
MODES = ("frozen", "full", "scratch", "lora", "probe")
SCHEMES = ("split", "kfold:5", "loso", "lodo", "lodo:5", "few-shot:5", "few-shot:5:5", "within:5")
Baselines = Annotated[
    str,
    typer.Option(
        help="`quick`, `all`, `braindecode`, `none`, or names: band_power, log_spectrum, eegnet, ...",
        autocompletion=one_of("quick", "all", "braindecode", "none"),
    ),
]
AllowLeakage = Annotated[
    bool,
    typer.Option(
        "--allow-leakage", help="Continue even if test recordings were seen in training; noted on every table."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("transfer")(transfer)
    app.command("evaluate")(evaluate)
    app.command("baselines")(baselines)
    app.command("compare")(compare)
    app.command("cache")(cache)


def transfer(
    shards: Shards,
    out: Annotated[Path, typer.Option("--out", help="The run's folder.")],
    more: More = None,
    encoder: Annotated[
        list[Path] | None,
        typer.Option(help="A run of `eegpt train`, or one per fold of the scheme, in order."),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(help="frozen, full, scratch, lora or probe.", autocompletion=one_of(*MODES)),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            help="split, kfold:5, loso, lodo, lodo:5, few-shot:5, few-shot:5:5 or within:5.",
            autocompletion=one_of(*SCHEMES),
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of fits with different seeds.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    separate: Annotated[
        bool, typer.Option("--separate", help="One model for each task instead of one for all.")
    ] = False,
    unknown_electrodes: Annotated[
        str | None,
        typer.Option(
            help="refuse, nearest, extend or leave_out.",
            autocompletion=one_of("refuse", "nearest", "extend", "leave_out"),
        ),
    ] = None,
    allow_leakage: AllowLeakage = False,
    config: Annotated[Path | None, typer.Option(help="Settings file (YAML or JSON).")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting, e.g. schedule.steps=500; may be repeated.",
            autocompletion=complete_transfer,
        ),
    ] = None,
    list_settings: ListTransfer = False,
    as_json: Json = False,
) -> None:
    """Train the electrode graph on all labelled tasks at once; the same command resumes a stopped run.

    Example: `eegpt transfer --encoder encoder --shards shards --out model`
    """
    from eegpt.api import transfer as run
    from eegpt.evaluation.tables import results_table

    with _progress() as (report, _):
        results = run(
            [*shards, *(more or [])],
            out,
            encoder=encoder,
            mode=mode,
            scheme=scheme,
            seeds=seeds,
            tasks=tasks,
            separate=separate,
            unknown_electrodes=unknown_electrodes,
            allow_leakage=allow_leakage,
            config=config,
            settings=set_ or [],
            report=report,
        )
    print(results.model_dump_json() if as_json else results_table(results))


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run of `eegpt transfer`.")],
    shards: Shards,
    more: More = None,
    baselines: Baselines = "quick",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the results; default: the run's.")] = None,
    page: Annotated[Path | None, typer.Option(help="Write an HTML page of the run.")] = None,
    title: Annotated[str | None, typer.Option(help="The page's title.")] = None,
    controls: Annotated[
        bool,
        typer.Option("--controls", help="Score every task again without what may come from eyes, muscles or drift."),
    ] = False,
    allow_leakage: AllowLeakage = False,
    as_json: Json = False,
) -> None:
    """Score a run on the test split, with baselines on the same trials.

    Example: `eegpt evaluate model --shards shards --baselines all`
    """
    from eegpt.api import evaluate as score
    from eegpt.evaluation.controls import controls_table
    from eegpt.evaluation.tables import pretraining_table, results_table

    with _progress() as (_, tell):
        results = score(
            run,
            [*shards, *(more or [])],
            baselines=baselines,
            controls=controls,
            out=out,
            page=page,
            title=title,
            allow_leakage=allow_leakage,
            tell=tell,
        )
    if as_json:
        print(results.model_dump_json())
        return
    print(results_table(results))
    if results.controls:
        print("\n" + controls_table(results.controls))
    if results.pretraining is not None:
        print("\n" + pretraining_table(results.pretraining))


def baselines(
    shards: Shards,
    more: More = None,
    names: Annotated[
        str,
        typer.Option("--baselines", help="`quick`, `all`, `braindecode`, or names."),
    ] = "all",
    scheme: Annotated[str, typer.Option(help="split, kfold:5, loso, few-shot:5, few-shot:5:5 or within:5.")] = "split",
    seeds: Annotated[int, typer.Option(help="Number of seeds of the networks.")] = 1,
    tasks: Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for results.json and the predictions.")] = None,
    as_json: Json = False,
) -> None:
    """Score the baselines only, on the same trials and splits as the model.

    Example: `eegpt baselines --shards shards --scheme kfold:6 --baselines band_power,log_spectrum`
    """
    from eegpt.api import baselines as score
    from eegpt.evaluation.tables import results_table

    with _progress() as (_, tell):
        results = score(
            [*shards, *(more or [])], names=names, scheme=scheme, seeds=seeds, tasks=tasks, out=out, tell=tell
        )
    print(results.model_dump_json() if as_json else results_table(results))


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Two or more folders with predictions.parquet; the first is compared with the others."),
    ],
    method: Annotated[str, typer.Option(help="Method whose predictions are compared.")] = "model",
    csv: Annotated[Path | None, typer.Option(help="Write the comparison as CSV.")] = None,
    as_json: Json = False,
) -> None:
    """Compare runs on the test trials that they share: scores, differences and paired tests.

    Example: `eegpt compare frozen scratch full`
    """
    from eegpt.api import compare as run
    from eegpt.evaluation.compare import comparison_table

    rows = run(runs, method=method, csv=csv)
    print(json.dumps([r.as_row() for r in rows]) if as_json else comparison_table(rows))


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all encoded trials.")] = False,
    as_json: Json = False,
) -> None:
    """Show or clear the encoded trials that runs share; EEGPT_STATES_BYTES limits them, 0 turns them off.

    Example: `eegpt cache --clear`
    """
    from eegpt.transfer import states

    held = states.entries()
    folder, limit, n_bytes = str(states.folder()), states.max_bytes(), sum(path.stat().st_size for path in held)
    told = {"folder": folder, "entries": len(held), "limit": limit, "bytes": n_bytes}
    if clear:
        states.clear()
    size = f"{n_bytes / 1e6:.1f} MB of at most {limit / 1e6:.0f} MB"
    text = f"{folder}: {len(held)} encoded tasks, {size}{', deleted' if clear else ''}"
    print(json.dumps(told) if as_json else text)


@contextlib.contextmanager
def _progress() -> Iterator[tuple[Callable[[str, int, int, dict[str, float]], None], Callable[[str], None]]]:
    """A progress line on stderr, or without a terminal a line every minute: (for fits, for anything else)."""
    if not sys.stderr.isatty():
        from .progress import Minute

        minute = Minute()
        yield (lambda name, step, steps, record: minute(f"{name}: step {step} of {steps}")), minute
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        line = progress.add_task("opening", total=None)

        def fits(name: str, step: int, steps: int, record: dict[str, float]) -> None:
            loss = record.get("validation_loss")
            shown = "" if loss is None else f", validation loss {loss:.3f}"
            progress.update(line, description=f"{name}{shown}", completed=step, total=steps)

        yield fits, (lambda text: progress.update(line, description=text))
