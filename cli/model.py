"""The `eegpt` command line: from shard sets to an encoder and an electrode graph."""

from __future__ import annotations

import typer

from . import frame

app = frame.new_app(
    "eegpt",
    "Pre-train an encoder on per-electrode shards and transfer it to all tasks at once.",
    [
        "eegpt demo                             # the whole pipeline on real EEG",
        "eegpt train --shards shards --out encoder",
        "eegpt transfer --encoder encoder --shards shards --out model",
        "eegpt evaluate model --shards shards   # scores, with baselines",
    ],
)
GROUPS = ("train", "transfer", "claims", "embed", "predict", "stream", "export", "hub", "sizes", "demo", "doctor")


def build() -> typer.Typer:
    """The app with every command group registered."""
    return frame.fill(app, GROUPS)


def main() -> None:
    """Entry point of `eegpt`."""
    frame.run(app, GROUPS)


if __name__ == "__main__":
    main()
