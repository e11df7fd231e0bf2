"""Scaling studies: sizes x fractions of the data, the laws fitted to their errors, and one page.

error = floor + a * parameters ** -alpha, and error = floor + b * windows ** -beta.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import UsageError
from eegprep.files import write_json
from eegprep.report.figures import Column, Drawing, Line, Page, Section, Table, line_chart, write_page
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.data import open_windows
from eegpt.runs.settings import changed
from eegpt.studies.ablation import run_study


def scaling(
    common: PretrainConfig, *, shards: Sequence[Path], out: Path, sizes: Sequence[str], fractions: Sequence[float]
) -> dict[str, Any]:
    """Train sizes x fractions of the data and fit both laws; sizes are names or `LAYERSxWIDTHxHEADS`."""
    data = open_windows(shards, common)
    total = sum(len(index) for index, _ in data.train)
    variants = {}
    for size in sizes:
        for fraction in fractions:
            if not 0 < fraction <= 1:
                raise UsageError("a fraction of the data must be above 0 and at most 1", found=fraction)
            windows = 0 if fraction == 1 else max(1, round(fraction * total))
            variants[f"{size}-{fraction:g}"] = changed(sized(common, size), {"data.max_windows": windows})
    rows = run_study(variants, shards=shards, out=out)
    whole = [r for r in rows if r["windows"] == max(x["windows"] for x in rows)]
    largest = [r for r in rows if r["parameters"] == max(x["parameters"] for x in rows)]
    result = {
        "rows": rows,
        "by_parameters": fit_power_law([r["parameters"] for r in whole], [r["new"] for r in whole]),
        "by_windows": fit_power_law([r["windows"] for r in largest], [r["new"] for r in largest]),
    }
    write_json(out / "study.json", result)
    return result


def sized(common: PretrainConfig, size: str) -> PretrainConfig:
    """The settings with a size's name, or with `LAYERSxWIDTHxHEADS`."""
    if "x" not in size:
        return changed(common, {"encoder.size": size})
    parts = size.split("x")
    if len(parts) != 3 or not all(p.isdigit() for p in parts):
        raise UsageError(f"unknown size {size!r}", expected="a size's name, or LAYERSxWIDTHxHEADS, e.g. 2x64x2")
    names = ("encoder.n_layers", "encoder.width", "encoder.n_heads")
    return changed(common, dict(zip(names, map(int, parts), strict=True)))


def fit_power_law(x: Sequence[float], y: Sequence[float]) -> dict[str, float] | None:
    """floor, factor and exponent of y = floor + factor * x ** -exponent; None for fewer than three different x.

    For every floor on a grid below the smallest y, log(y - floor) is linear in log(x): the floor whose line fits
    y best wins. With few points the floor is poorly determined; the residual says how well the law holds.
    """
    if len(set(x)) < 3 or min(y) <= 0:
        return None
    log_x, values = np.log(np.asarray(x, dtype=float)), np.asarray(y, dtype=float)
    best: dict[str, float] | None = None
    for share in np.linspace(0.0, 0.999, 400):
        floor = share * values.min()
        slope, intercept = np.polyfit(log_x, np.log(values - floor), 1)
        fitted = floor + np.exp(intercept + slope * log_x)
        residual = math.sqrt(float(np.mean((fitted - values) ** 2)))
        if best is None or residual < best["residual"]:
            factor, exponent = math.exp(intercept), -float(slope)
            best = {"floor": float(floor), "factor": factor, "exponent": exponent, "residual": residual}
    return best


def write_scaling_page(result: dict[str, Any], out: Path) -> Path:
    """Write the page and return its path."""
    rows = result["rows"]
    names = ("name", "parameters", "windows", "steps", "new", "share_of_variance", "below_linear")
    table = Table(
        caption=f"Errors on new samples, {rows[0]['split']}",
        columns=[Column(label=n.replace("_", " "), numeric=n != "name") for n in names],
        rows=[[row[n] for n in names] for row in rows],
    )
    sections = [
        Section(anchor=x, heading=f"By {x}", parts=[_law(rows, x, line_by, result[f"by_{x}"])])
        for x, line_by in (("parameters", "windows"), ("windows", "parameters"))
    ]
    sections.append(Section(anchor="runs", heading="Runs", parts=[table]))
    page = Page(title="Scaling", subtitle="Held-out error by size and by data", kicker="EEGPT", sections=sections)
    return write_page(page, out)


def _law(rows: list[dict[str, Any]], x: str, line_by: str, law: dict[str, float] | None) -> Drawing:
    lines = []
    for value in sorted({r[line_by] for r in rows}):
        part = sorted((r for r in rows if r[line_by] == value), key=lambda r: r[x])
        lines.append(Line(label=f"{value:,} {line_by}", x=[r[x] for r in part], y=[r["new"] for r in part]))
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
    svg = line_chart(lines, label=f"Error by {x}", x_label=x, y_label="error on new samples", x_log=True)
    return Drawing(svg=svg, caption=caption)
