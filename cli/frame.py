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
    """A group whose help gives the first sentence of every command whole, on as many lines as it needs."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, c.get_short_help_str(1000)) for name, c in named if c is not None and not c.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def new_app(name: str, purpose: str, examples: Sequence[str]) -> typer.Typer:
    """An app without commands; `examples` are lines `command  # what it does` for the end of its help."""
    lines = "\n".join(f"  {line}" for line in examples)
    app = typer.Typer(
        name=name,
        cls=Commands,
        help=purpose,
        # \b: these lines are kept as they are.
        epilog=f"\b\nExamples:\n{lines}\n\nEvery command has its own `--help`. Something wrong? `eegpt doctor`.",
        no_args_is_help=True,
        add_completion=True,
        # rich doubles what it takes to start; tables load it when they are printed.
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
    """Entry point of a command: its errors end as `errors.run` has it."""
    errors.run(fill(app, groups))


def _version(wanted: bool) -> None:
    if wanted:
        from eegprep import __version__

        print(__version__)
        raise typer.Exit
