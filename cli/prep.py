"""`eegprep` and `eegpt-prep`: recordings in, shards out."""

from __future__ import annotations

import importlib

import typer

from . import errors

app = typer.Typer(
    name="eegprep",
    help="Turn EEG recordings of any kind into per-electrode shards.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

# One module per command group; each has `register(app)` and imports heavy things inside its commands.
GROUPS = ("datasets", "inspect", "ingest", "shards", "report", "manifest", "electrodes")


def build() -> typer.Typer:
    """The app with every command group registered."""
    for name in GROUPS:
        importlib.import_module(f".{name}", __package__).register(app)
    return app


def main() -> None:
    """Entry point of `eegprep` and `eegpt-prep`."""
    errors.run(build())


if __name__ == "__main__":
    main()
