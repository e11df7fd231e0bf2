"""Studies: many pre-training runs that differ in what is asked about, one table.

What enters: shard sets, common settings, variants. What leaves: a folder with one run per variant and
`study.json`. A finished run is not trained again, so a study goes on where it was stopped. Variants share seed
and order, so that differences come from what differs.

`ablation` changes one setting at a time; `scaling` crosses sizes with fractions of the data and fits
error = floor + a * parameters ** -alpha and error = floor + b * windows ** -beta.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import UsageError, nearest
from eegprep.files import write_json
from eegpt.runs.settings import with_settings
from eegpt.training.config import PretrainConfig
from eegpt.training.pretrain import pretrain

__all__ = ["ABLATIONS", "ablation", "scaling", "sized", "run_study", "fit_power_law"]

# Settings of one question each; the first is what `PretrainConfig` does by itself.
ABLATIONS: dict[str, tuple[str, ...]] = {
    "objective": ("new+spectrum", "token", "new", "masked"),
    "norm": ("output", "pre"),
    "position": ("rotary", "learned", "none"),
    "normalise": ("recording", "window", "fixed"),
    "skip": ("last", "none", "linear"),
    "token_samples": ("256", "128", "64"),
    "token_stride": ("32", "16", "64"),
    "random_offset": ("true", "false"),
    "flip": ("true", "false"),
    "dropout": ("0", "0.1"),
}

Probe = Callable[[Path], dict[str, float]]


def ablation(
    common: PretrainConfig,
    *,
    shards: Sequence[Path],
    out: Path,
    questions: Sequence[str] = (),
    probe: Probe | None = None,
) -> list[dict[str, Any]]:
    """Train the common configuration and every variant of the chosen questions (all where none is named)."""
    for question in questions:
        if question not in ABLATIONS:
            raise UsageError(
                f"there is no ablation of {question!r}",
                expected=", ".join(ABLATIONS),
                todo=nearest(question, ABLATIONS) or None,
            )
    variants = {"common": common}
    for question in questions or tuple(ABLATIONS):
        for value in ABLATIONS[question][1:]:
            variants[f"{question}={value}"] = with_settings(common, [f"{question}={value}"])
    return run_study(variants, shards=shards, out=out, probe=probe)


def scaling(
    common: PretrainConfig, *, shards: Sequence[Path], out: Path, sizes: Sequence[str], fractions: Sequence[float]
) -> dict[str, Any]:
    """Train sizes x fractions of the data and fit both laws; sizes are names or `LAYERSxWIDTHxHEADS`."""
    from eegpt.training.windows import open_windows

    data = open_windows(shards, common)
    total = sum(len(index) for index, _ in data.train)
    variants = {}
    for size in sizes:
        for fraction in fractions:
            if not 0 < fraction <= 1:
                raise UsageError("a fraction of the data is above 0 and at most 1", found=fraction)
            windows = 0 if fraction == 1 else max(1, round(fraction * total))
            shaped = sized(common, size)
            variants[f"{size}-{fraction:g}"] = dataclasses.replace(shaped, max_windows=windows)
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
        return dataclasses.replace(common, size=size)
    parts = size.split("x")
    if len(parts) != 3 or not all(p.isdigit() for p in parts):
        raise UsageError(f"there is no size {size!r}", expected="a size's name, or LAYERSxWIDTHxHEADS, e.g. 2x64x2")
    layers, width, heads = map(int, parts)
    return dataclasses.replace(common, n_layers=layers, width=width, n_heads=heads)


def run_study(
    variants: dict[str, PretrainConfig], *, shards: Sequence[Path], out: Path, probe: Probe | None = None
) -> list[dict[str, Any]]:
    """Train every variant in `out`/<its name> and collect held-out errors; a row per variant.

    The split of the errors is the first held-out one that has windows. `probe` adds scores of a run's encoder.
    """
    rows: list[dict[str, Any]] = []
    for name, config in variants.items():
        run = out / "runs" / name.replace("=", "-").replace("/", "-")
        result = pretrain(config, shards=shards, out=run)
        if not result.finished:
            raise UsageError(
                f"the study was stopped in {name!r}", where=run, todo="the same command goes on from there"
            )
        if not result.results["splits"]:
            raise UsageError("a study needs held-out windows", expected=", ".join(config.heldout_splits))
        split = next(s for s in config.heldout_splits if s in result.results["splits"])
        errors = result.results["splits"][split]
        linear = errors.get("linear", {}).get("new")
        new = errors["model"]["new"]
        rows.append(
            {
                "name": name,
                "split": split,
                "parameters": result.results["parameters"],
                "windows": result.results["windows_per_epoch"],
                "steps": result.steps,
                "new": new,
                "share_of_variance": new / errors["variance"],
                "below_linear": None if linear is None else 1 - new / linear,
                **(probe(run) if probe is not None else {}),
            }
        )
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "study.json", {"rows": rows})
    return rows


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
