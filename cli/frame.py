"""Create and run the typer app of a command line.

Each command group is a module with `register(app)`, which imports heavy packages inside its commands only.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import errors


class Commands(TyperGroup):
    """A group whose help shows the first sentence of every command in full."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, c.get_short_help_str(1000)) for name, c in named if c is not None and not c.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def new_app(name: str, purpose: str, examples: Sequence[str]) -> typer.Typer:
    """Create an app without commands; `examples` are lines `command  # what it does` shown at the end of its help."""
    lines = "\n".join(f"  {line}" for line in examples)
    app = typer.Typer(
        name=name,
        cls=Commands,
        help=purpose,
        # \b: keep the line breaks.
        epilog=f"\b\nExamples:\n{lines}\n\nEvery command has its own `--help`. Problems? Run `eegpt doctor`.",
        no_args_is_help=True,
        add_completion=True,
        # importing rich doubles the start-up time; only printing tables imports it.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def root(
        version: Annotated[
            bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
        ] = False,
    ) -> None:
        pass

    return app


def fill(app: typer.Typer, groups: Sequence[str]) -> typer.Typer:
    """Register every command group."""
    for name in groups:
        importlib.import_module(f".{name}", __package__).register(app)
    return app


def run(app: typer.Typer, groups: Sequence[str]) -> None:
    """Entry point of a command, with the error handling of `errors.run`."""
    errors.run(fill(app, groups))


def _version(wanted: bool) -> None:
    if wanted:
        from eegprep import __version__

        print(__version__)
        raise typer.Exit
