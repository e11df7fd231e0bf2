"""The `eegprep` command line (also `eegpt-prep`): from recordings to shard sets."""

from __future__ import annotations

import typer

from . import frame

app = frame.new_app(
    "eegprep",
    "Turn EEG recordings of any format into per-electrode shards.",
    [
        "eegprep inspect recordings            # a dry run of every channel",
        "eegprep ingest recordings --out store # to 256 Hz, microvolt, standard names",
        "eegprep shard store --out shards      # the format that models read",
        "eegprep verify shards --deep          # check every hash",
    ],
)
GROUPS = ("inspect", "ingest", "shards", "report", "datasets", "manifest", "electrodes")


def build() -> typer.Typer:
    """The app with every command group registered."""
    return frame.fill(app, GROUPS)


def main() -> None:
    """Entry point of `eegprep` and `eegpt-prep`."""
    frame.run(app, GROUPS)


if __name__ == "__main__":
    main()
