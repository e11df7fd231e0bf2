"""`eegpt claims`: the paper's comparisons, repeated on your shard sets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("claims")(claims)


def claims(
    shards: Annotated[list[Path], typer.Option("--shards", help="A shard set; more may follow.")],
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[S...]", help="More shard sets.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the encoders, runs and the page.")] = Path("claims"),
    names: Annotated[
        str | None,
        typer.Option(
            "--claims",
            help="joint, tuning, scratch, untrained, objective, sizes, fractions, labels, unseen; all by default.",
        ),
    ] = None,
    scheme: Annotated[
        str, typer.Option(help="split, kfold:5, loso, few-shot:5, few-shot:5:5 or within:5.")
    ] = "kfold:5",
    seeds: Annotated[int, typer.Option(help="Seeds of the graphs.")] = 1,
    sizes: Annotated[str, typer.Option(help="Sizes, or LAYERSxWIDTHxHEADS, separated by commas.")] = "base,large",
    fractions: Annotated[
        str, typer.Option(help="Fractions of the training windows besides 1, separated by commas.")
    ] = "0.25,0.5",
    vary: Annotated[
        list[str] | None,
        typer.Option("--vary", metavar="KEY=VALUE", help="A pre-training setting to compare with its default."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A pre-training setting.")
    ] = None,
    transfer_set: Annotated[
        list[str] | None, typer.Option("--transfer-set", metavar="KEY=VALUE", help="A transfer setting.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Repeat the paper's comparisons: train the models, score every arm, write tables and a page.

    Example: `eegpt claims --shards shards --out claims --claims objective,unseen --set schedule.steps=400`
    """
    from eegpt.api import claims as run
    from eegpt.pages.claims import claims_markdown, claims_table

    result = run(
        [*shards, *(more or [])],
        out=out,
        names=names,
        scheme=scheme,
        seeds=seeds,
        sizes=sizes,
        fractions=fractions,
        vary=vary,
        settings=set_ or [],
        transfer_settings=transfer_set or [],
        tell=lambda text: print(text, file=sys.stderr),
    )
    if as_json:
        print(json.dumps(result.as_json()))
        return
    print(claims_markdown(result) if markdown else claims_table(result))
    print(f"page: {out / 'index.html'}", file=sys.stderr)
