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
    from eegpt.model.config import from_mapping, with_settings
    from eegpt.training.config import PretrainConfig

    plain: Any = {}
    if config is not None:
        plain = yaml_strict.read(config).value or {}
    if size is not None:
        plain = {**plain, "size": size}
    return with_settings(from_mapping(PretrainConfig, plain, where=str(config or "settings")), settings)


def print_errors(results: dict[str, Any]) -> None:
    """The errors on held-out windows, one table per split."""
    from rich.console import Console
    from rich.table import Table

    if not results.get("splits"):
        print("no held-out window: nothing can be said about signals that were not seen", file=sys.stderr)
        return
    console = Console()
    for split, errors in results["splits"].items():
        table = Table(title=f"{split}: {errors['n_windows']:,} windows, variance {errors['variance']:.3f}")
        bands = list(errors["model"]["band"])
        for name in ("predictor", "new samples", "share of variance", "all values", *bands):
            table.add_column(name, justify="left" if name == "predictor" else "right")
        for name in ("model", "linear", "linear_whole_context", "persistence", "zero"):
            if name not in errors:
                continue
            e = errors[name]
            cells = [e["new"], e["new"] / errors["variance"], e["all"], *(e["band"][b] for b in bands)]
            table.add_row(name.replace("_", " "), *(f"{v:.4f}" for v in cells))
        console.print(table)
