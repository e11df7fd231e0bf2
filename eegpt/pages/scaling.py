"""The page of a scaling study: error by model size and amount of data, and the runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eegprep.report.figures import (
    Column,
    Drawing,
    Line,
    Page,
    Section,
    Table,
    format_number,
    format_percent,
    line_chart,
    write_page,
)

_BARS = "Bars: one standard error over electrodes. σ is the robust SD that a signal is divided by."


def write_scaling_page(result: dict[str, Any], out: Path) -> Path:
    """Write the page and return its path."""
    rows = result["rows"]
    names = {
        "name": "name",
        "parameters": "parameters",
        "windows": "windows",
        "steps": "steps",
        "new": "squared error (σ²)",
        "share_of_variance": "share of variance",
    }
    table = Table(
        caption=f"Errors on new samples, {rows[0]['split']}",
        columns=[
            *(Column(label=label, numeric=n != "name") for n, label in names.items()),
            Column(label="against linear autoregression", numeric=True),
        ],
        rows=[[*(row[n] for n in names), _against(row["below_linear"])] for row in rows],
    )
    sections = [
        Section(anchor=x, heading=f"By {x}", parts=[_law(rows, x, line_by, result[f"by_{x}"])])
        for x, line_by in (("parameters", "windows"), ("windows", "parameters"))
    ]
    sections.append(Section(anchor="runs", heading="Runs", parts=[table]))
    page = Page(title="Scaling", subtitle="Held-out error by size and by data", kicker="EEGPT", sections=sections)
    return write_page(page, out)


def _against(gain: float | None) -> str | None:
    """In words, since a negative reduction is an increase."""
    return None if gain is None else f"{format_percent(abs(gain))} {'below' if gain >= 0 else 'above'}"


def _law(rows: list[dict[str, Any]], x: str, line_by: str, law: dict[str, float] | None) -> Drawing:
    lines = []
    for value in sorted({r[line_by] for r in rows}):
        part = sorted((r for r in rows if r[line_by] == value), key=lambda r: r[x])
        errors = [r.get("new_se") or 0.0 for r in part]
        lines.append(
            Line(
                label=f"{format_number(value)} {line_by}",
                x=[r[x] for r in part],
                y=[r["new"] for r in part],
                low=[r["new"] - e for r, e in zip(part, errors, strict=True)],
                high=[r["new"] + e for r, e in zip(part, errors, strict=True)],
                points=True,
            )
        )
    caption = f"Error on new samples by {x}; too few runs to fit a law."
    if law is not None:
        ends = [r[x] for r in rows]
        grid = np.geomspace(min(ends), max(ends), 60)
        fitted = law["floor"] + law["factor"] * grid ** -law["exponent"]
        lines.append(Line(label="law", x=grid.tolist(), y=fitted.tolist(), dashed=True))
        caption = (
            f"Error on new samples by {x}; law: {law['floor']:.3f} + {law['factor']:.3g} x {x} to the power of "
            f"{-law['exponent']:.3f}, residual {law['residual']:.2g}."
        )
    svg = line_chart(lines, label=f"Error by {x}", x_label=x, y_label="squared error (σ²)", x_log=True)
    return Drawing(svg=svg, caption=f"{caption} {_BARS}")
