"""Print tables: fitted to the terminal's width, or with full lines when the output is piped."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Wide enough for the widest table: without a terminal rich would cut lines at 80 columns.
PIPE_COLUMNS = 180


def console() -> Console:
    """A console on standard output."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)


def plain_table(title: str | None = None) -> Table:
    """A table without a frame, its title to the left."""
    from rich.table import Table

    return Table(
        box=None,
        header_style="bold",
        pad_edge=False,
        collapse_padding=True,
        title=title,
        title_justify="left",
        title_style="bold",
    )
