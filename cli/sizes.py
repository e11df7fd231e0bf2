"""`eegpt sizes`: the four sizes of the model, their shapes and their parameters."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("sizes")(sizes)


def sizes(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """The four sizes: layers, width, heads, parameters counted and published."""
    from eegpt.model.sizes import SIZES, parameters

    rows = []
    for size in SIZES.values():
        counts = parameters(size.name)
        rows.append(
            {
                "size": size.name,
                "ete_layers": size.ete_layers,
                "teg_layers": size.teg_layers,
                "width": size.width,
                "heads": size.n_heads,
                **{f"parameters_{part}": n for part, n in counts.items()},
                "parameters_published": size.published,
                "difference_percent": round(100 * (counts["total"] / size.published - 1), 2),
            }
        )
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in (
        "size",
        "ETE layers",
        "TEG layers",
        "width",
        "heads",
        "ETE",
        "TEG",
        "heads'",
        "total",
        "paper",
        "diff",
    ):
        table.add_column(name, justify="left" if name == "size" else "right")
    for row in rows:
        millions = [f"{row[f'parameters_{part}'] / 1e6:.3f} M" for part in ("ete", "teg", "heads", "total")]
        shape = [str(row[k]) for k in ("size", "ete_layers", "teg_layers", "width", "heads")]
        table.add_row(
            *shape, *millions, f"{row['parameters_published'] / 1e6:g} M", f"{row['difference_percent']:+.2f} %"
        )
    Console().print(table)
