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
        str,
        typer.Option(
            "--claims",
            help="joint, tuning, scratch, untrained, objective, sizes, fractions, labels, unseen; all by default.",
        ),
    ] = "",
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
    from eegprep.errors import UsageError
    from eegpt.pages.claims import claims_markdown, claims_table, write_claims_page
    from eegpt.pretraining.config import PretrainConfig
    from eegpt.runs.settings import changed, with_settings
    from eegpt.studies.claims import ClaimsConfig, run_claims
    from eegpt.transfer.config import TransferConfig

    if seeds < 1:
        raise UsageError("--seeds must be 1 or more", found=seeds)
    try:
        shares = tuple(float(f) for f in fractions.split(",") if f)
    except ValueError:
        raise UsageError(f"--fractions {fractions!r} must be numbers", expected="e.g. 0.25,0.5") from None
    transfer = changed(TransferConfig(), {"data.scheme": scheme, "seeds": list(range(seeds))})
    config = ClaimsConfig(
        claims=tuple(n.strip() for n in names.split(",") if n.strip()),
        sizes=tuple(s.strip() for s in sizes.split(",") if s.strip()),
        fractions=shares,
        vary=tuple(vary or ()),
        pretrain=with_settings(PretrainConfig(), set_ or []),
        transfer=with_settings(transfer, transfer_set or []),
    )
    paths = [*shards, *(more or [])]
    result = run_claims(config, shards=paths, out=out, tell=lambda text: print(text, file=sys.stderr))
    page = write_claims_page(result, shards=paths, out=out)
    if as_json:
        print(json.dumps(result.as_json()))
        return
    print(claims_markdown(result) if markdown else claims_table(result))
    print(f"page: {page}", file=sys.stderr)
