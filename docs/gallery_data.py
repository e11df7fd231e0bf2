"""Make what the gallery's examples use: shards, an encoder and a model of the shipped recordings, as `make demo` does.

A minute of training on two cores; kept in the build's folder, so that a second build goes without it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TRAIN = (
    "schedule.batch_size=128", "schedule.micro_batch=128", "schedule.steps=80", "schedule.warmup_steps=10",
    "optimiser.learning_rate=2e-3", "encoder.token_stride=64", "held_out.every=0",
)  # fmt: skip


def prepare(folder: Path) -> Path:
    """Make the folder, or complete it; finished parts are not made again."""
    shards, encoder, model = folder / "shards", folder / "encoder-0", folder / "model"
    if not (model / "results.json").is_file():
        _run("prep", "ingest", "eegmat_sample", "--out", folder / "store")
        _run("prep", "shard", folder / "store", "--out", shards)
        _run("model", "train", "--shards", shards, "--out", encoder, *(w for s in TRAIN for w in ("--set", s)))
        _run("model", "transfer", "--shards", shards, "--encoder", encoder, "--out", model)
    return folder


def _run(command: str, *words: object) -> None:
    line = [sys.executable, "-m", f"_eegpt_cli.{command}", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(line)}: {done.stderr}")
