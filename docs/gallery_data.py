"""Make what the gallery's examples use: shards, an encoder and a model of the shipped recordings, as `make demo` does.

A minute of training on two cores; kept in the build's folder, so that a second build goes without it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from _eegpt_cli.demo import DEMOS, settings


def prepare(folder: Path) -> Path:
    """Make the folder, or complete it; finished parts are not made again."""
    shards, encoder, model = folder / "shards", folder / "encoder-0", folder / "model"
    if not (model / "results.json").is_file():
        run("prep", "ingest", "eegmat_sample", "--out", folder / "store")
        run("prep", "shard", folder / "store", "--out", shards)
        run("model", "train", "--shards", shards, "--out", encoder, *settings(DEMOS["sample"].train))
        graph = settings(("model.graph=true", "schedule.steps=40"))  # one of the examples shows its attention
        run("model", "transfer", "--shards", shards, "--encoder", encoder, "--out", model, *graph)
    return folder


def run(command: str, *words: object) -> None:
    """Run a command in a process of its own."""
    line = [sys.executable, "-m", f"_eegpt_cli.{command}", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(line)}: {done.stderr}")
