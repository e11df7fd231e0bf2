"""`eegpt sizes`: the four sizes of the model, their shapes and their parameters."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("sizes")(sizes)


def sizes(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """List the four model sizes: layers, width, heads, counted and published parameters.

    Example: `eegpt sizes --json`
    """
    from eegpt.model.sizes import SIZES, parameters

    rows: list[dict[str, Any]] = []
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
    from .tables import console, plain_table

    table = plain_table("parameters in millions")
    names = (
        "size",
        "ETE layers",
        "TEG layers",
        "width",
        "heads",
        "ETE",
        "TEG",
        "task heads",
        "total",
        "paper",
        "diff %",
    )
    for name in names:
        table.add_column(name, justify="left" if name == "size" else "right", min_width=5)
    for row in rows:
        shape = [str(row[k]) for k in ("size", "ete_layers", "teg_layers", "width", "heads")]
        millions = [f"{row[f'parameters_{part}'] / 1e6:.5g}" for part in ("ete", "teg", "heads", "total")]
        published = f"{row['parameters_published'] / 1e6:g}"
        table.add_row(*shape, *millions, published, f"{row['difference_percent']:+.2f}")
    console().print(table)
