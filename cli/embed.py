"""`eegpt embed`: write the features of recordings in any format to disk."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from . import options


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("embed")(embed)


def embed(
    files: options.Files,
    out: Annotated[Path, typer.Option("--out", help="x.nc (NetCDF) or x.zarr; one group per file.")],
    model: Annotated[
        str,
        typer.Option(
            "--model", help="The packaged weights `base` or `small`, a run of train or transfer, or hf://owner/name."
        ),
    ] = "base",
    window_s: options.Window = None,
    stride_s: options.Stride = None,
    recipe: options.RecipeOfRun = None,
    unknown_electrodes: options.UnknownElectrodes = "leave_out",
    line_freq_hz: options.LineFreq = None,
    reference: options.Reference = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Write the encoder's features of every window of every electrode, preprocessed like the training data.

    Example: `eegpt embed recording.edf --model encoder --out features.nc`
    """
    from eegpt.interop.embedding_files import embed_files

    found, failed = embed_files(
        files,
        model,
        out=out,
        window_s=window_s,
        stride_s=stride_s,
        recipe=recipe,
        unknown=unknown_electrodes,  # type: ignore[arg-type]  # checked there
        line_freq_hz=line_freq_hz,
        reference=reference,
        tell=_tell,
    )
    rows = [_row(name, dataset) for name, dataset in found.items()]
    if as_json:
        print(json.dumps({"out": str(out), "recordings": rows, "failed": {k: e.as_dict() for k, e in failed.items()}}))
    else:
        _print(rows)
    for name, error in failed.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _tell(name: str) -> None:
    if sys.stderr.isatty():
        print(f"reading {name}", file=sys.stderr)


def _row(name: str, dataset: Any) -> dict[str, Any]:
    left_out = [x for x in json.loads(dataset.attrs["left_out"]) if x["kind"] == "channel"]
    return {
        "recording": name,
        "windows": dataset.sizes["window"],
        "electrodes": dataset.sizes["electrode"],
        "features": dataset.sizes["feature"],
        "recipe": dataset.attrs["recipe"],
        "left out": ", ".join(f"{x['name']} ({x['code']})" for x in left_out),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.text import Text

    from .tables import console, plain_table

    if not rows:
        return
    table = plain_table()
    for name in rows[0]:
        number = isinstance(rows[0][name], int)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(f"{v:,}" if isinstance(v, int) else v) for v in row.values()))
    console().print(table)
