"""Scaling studies: sizes x fractions of the data, and power laws fitted to their errors.

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
    """The settings with a size given by name or as `LAYERSxWIDTHxHEADS`; a shape that was set gives way to it."""
    names = ("encoder.n_layers", "encoder.width", "encoder.n_heads")
    if "x" not in size:
        return changed(common, {"encoder.size": size, **dict.fromkeys(names)})
    parts = size.split("x")
    if len(parts) != 3 or not all(p.isdecimal() and int(p[:9]) > 0 for p in parts):
        raise UsageError(f"unknown size {size!r}", expected="a size's name, or LAYERSxWIDTHxHEADS, e.g. 2x64x2")
    return changed(common, dict(zip(names, map(int, parts), strict=True)))


def fit_power_law(x: Sequence[float], y: Sequence[float]) -> dict[str, float] | None:
    """Fit floor, factor and exponent of y = floor + factor * x ** -exponent; None for fewer than three distinct x.

    For every floor on a grid below the smallest y, log(y - floor) is linear in log(x); the floor with the best fit to y
    is used. With few points the floor is poorly determined; the residual measures the goodness of fit.
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
