"""`eegpt predict`: the predictions of a transfer run for recordings in any format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from . import options


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("predict")(predict)


def predict(
    files: options.Files,
    model: Annotated[str, typer.Option("--model", help="A run of `eegpt transfer`, or hf://owner/name.")],
    task: Annotated[str | None, typer.Option(help="Only this task; default: all tasks of the run.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the table to this file (.csv, .parquet).")] = None,
    window_s: options.Window = None,
    stride_s: options.Stride = None,
    recipe: options.RecipeOfRun = None,
    unknown_electrodes: options.UnknownElectrodes = "leave_out",
    line_freq_hz: options.LineFreq = None,
    reference: options.Reference = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of CSV.")] = False,
) -> None:
    """Print a model's predictions for every window or epoch: trial, task, class, probability.

    Example: `eegpt predict recording.edf --model model --window-s 2`
    """
    from eegpt.interop.prediction import check_table, write_table
    from eegpt.interop.prediction import predict as run

    if out is not None:
        check_table(out)  # before hours of work
    failed: dict[str, Any] = {}
    table = run(
        files,  # type: ignore[arg-type]  # a list of paths
        model,
        task=task,
        window_s=window_s,
        stride_s=stride_s,
        recipe=recipe,
        unknown=unknown_electrodes,  # type: ignore[arg-type]  # checked there
        line_freq_hz=line_freq_hz,
        reference=reference,
        failed=failed,
    )
    if out is not None and len(table):
        write_table(table, out)
    if as_json:
        print(table.to_json(orient="records"))
    elif out is None:
        print(table.to_csv(index=False), end="")
    elif len(table):
        print(f"{out}: {len(table):,} rows", file=sys.stderr)
    for name, error in failed.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)
