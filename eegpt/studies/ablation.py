"""Ablations: pre-training runs that differ in one setting, compared on held-out windows.

A study is a folder with one run per variant and `study.json`. A finished run is not trained again, so the same command
resumes a study. Variants share seed and order, so that differences are due to the setting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import UsageError, nearest
from eegprep.files import alone, write_json
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.loop import pretrain
from eegpt.runs.settings import with_settings

# By name: a setting and its values, of which those that the common settings lack are compared with these.
ABLATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "objective": ("objective.kind", ("new+spectrum", "token", "new", "masked")),
    "norm": ("encoder.norm", ("output", "pre")),
    "position": ("encoder.position", ("rotary", "learned", "none")),
    "normalise": ("encoder.normalise", ("recording", "window", "fixed")),
    "skip": ("encoder.skip", ("last", "none", "linear")),
    "token_samples": ("encoder.token_samples", ("256", "128", "64")),
    "token_stride": ("encoder.token_stride", ("32", "16", "64")),
    "random_offset": ("augmentation.random_offset", ("true", "false")),
    "flip": ("augmentation.flip", ("true", "false")),
    "dropout": ("encoder.dropout", ("0", "0.1")),
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
    """Train the common settings and all variants of the chosen ablations (names of `ABLATIONS`; all by default)."""
    variants = {"common": common}
    for question in questions or tuple(ABLATIONS):
        if question not in ABLATIONS:
            raise UsageError(
                f"unknown question {question!r}",
                expected=", ".join(ABLATIONS),
                todo=nearest(question, ABLATIONS) or None,
            )
        path, values = ABLATIONS[question]
        for value in values:
            if (variant := with_settings(common, [f"{path}={value}"])) != common:
                variants[f"{question}={value}"] = variant
    return run_study(variants, shards=shards, out=out, probe=probe)


def run_study(
    variants: dict[str, PretrainConfig], *, shards: Sequence[Path], out: Path, probe: Probe | None = None
) -> list[dict[str, Any]]:
    """Train every variant in `out`/<name> and collect held-out errors, one row per variant.

    Errors are those of the first held-out split with windows. `probe` returns further scores of a run's encoder.
    """
    with alone(out):
        return _run_study(variants, shards, out, probe)


def _run_study(
    variants: dict[str, PretrainConfig], shards: Sequence[Path], out: Path, probe: Probe | None
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, config in variants.items():
        run = out / "runs" / name.replace("=", "-").replace("/", "-")
        result = pretrain(config, shards=shards, out=run)
        if result.results is None:
            raise UsageError(
                f"the study was stopped in {name!r}", where=run, todo="run the same command again to resume it"
            )
        found, wanted = result.results.splits, config.held_out.splits
        if not found:
            raise UsageError("a study needs held-out windows", expected=", ".join(wanted))
        split = next(s for s in wanted if s in found)
        errors = found[split]
        rows.append(
            {
                "name": name,
                "split": split,
                "parameters": result.results.parameters,
                "windows": result.results.windows_per_epoch,
                "steps": result.steps,
                "new": errors.model.new,
                "new_se": _standard_error(list(errors.model.electrode.values())),
                "share_of_variance": errors.model.new / errors.variance,
                "below_linear": errors.gain(),
                **(probe(run) if probe is not None else {}),
            }
        )
        write_json(out / "study.json", {"rows": rows})
    return rows


def _standard_error(values: Sequence[float]) -> float | None:
    """Of a mean over electrodes; None for fewer than two."""
    n = len(values)
    return None if n < 2 else float(np.std(values, ddof=1)) / n**0.5
