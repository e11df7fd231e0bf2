"""`eegpt push` and `eegpt pull`: models to and from the Hugging Face hub."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("push")(push)
    app.command("pull")(pull)


def push(
    run: Annotated[Path, typer.Argument(help="A run of `eegpt train` or `eegpt transfer`.")],
    repository: Annotated[str, typer.Argument(help="owner/name on the hub.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    card_only: Annotated[bool, typer.Option("--card", help="Print the model card without uploading.")] = False,
    as_json: Json = False,
) -> None:
    """Upload a model with its card; refused (exit code 3) if a licence of its data forbids it.

    Log in with `HF_TOKEN` or `hf auth login`. Example: `eegpt push encoder lab/eegpt-base --private`
    """
    from eegpt.interop.card import model_card
    from eegpt.interop.model import open_model

    if card_only:
        print(model_card(open_model(run)))
        return
    from eegpt.interop.hub import push as send

    _quiet()
    address = send(run, repository, private=private)
    print(json.dumps({"address": address}) if as_json else address)


def pull(
    repository: Annotated[str, typer.Argument(help="owner/name, or hf://owner/name@revision.")],
    out: Annotated[Path, typer.Option("--out", help="Output folder.")],
    as_json: Json = False,
) -> None:
    """Download a model and check it before it is put in place; pickles are never downloaded.

    Example: `eegpt pull lab/eegpt-base --out encoder`
    """
    from eegpt.interop.hub import pull as fetch

    _quiet()
    model = fetch(repository, out)
    told = {"out": str(out), "kind": model.kind, "sha256": model.sha256}
    print(json.dumps(told) if as_json else f"{out}: {model.kind}, weights {model.sha256[:12]}")


def _quiet() -> None:
    """Disable the client's progress bars if stderr is not a terminal."""
    if not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()
