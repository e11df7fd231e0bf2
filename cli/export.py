"""`eegpt export`: a model as one file for other programs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("export")(export)


def export(
    model: Annotated[str, typer.Argument(help="A run of train or transfer, or hf://owner/name.")],
    out: Annotated[Path, typer.Option("--out", help="Output file: model.onnx, or model.pt2 for torch.export.")],
    task: Annotated[str | None, typer.Option(help="Task of a transfer run to export, or `encoder`.")] = None,
    n_samples: Annotated[
        int | None, typer.Option("--samples", help="Window length at 256 Hz; default: as in training.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Export a model as ONNX or torch.export, and check that the outputs match.

    Example: `eegpt export encoder --out encoder.onnx`
    """
    from eegpt.interop.exported.export import export as write

    done = write(model, out, task=task, n_samples=n_samples)
    checked = not math.isnan(done.largest_difference)
    if as_json:
        print(
            json.dumps(
                {
                    "path": str(done.path),
                    "description": str(done.description),
                    "largest_difference": done.largest_difference if checked else None,
                }
            )
        )
        return
    print(f"{done.path}, described in {done.description}")
    if checked:
        print(f"largest difference to the model on random input: {done.largest_difference:.2g}")
    else:
        from eegprep.errors import install

        print(f"not compared with the model: onnxruntime is not installed ({install('export')})")
