"""Print tables: fitted to the terminal's width, or with full lines when the output is piped."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Wide enough for the widest table: without a terminal rich would cut lines at 80 columns.
PIPE_COLUMNS = 180


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or error, whose texts can't steer the terminal."""
    from rich.console import Console
    from rich.segment import Segment

    from eegprep.errors import printable

    class Plain(Console):
        def render(self, *args: Any, **kwargs: Any) -> Iterable[Segment]:
            for segment in super().render(*args, **kwargs):
                text, style, control = segment
                yield segment if control else Segment(printable(text, keep="\n\u00a0"), style)

    stream = sys.stderr if stderr else sys.stdout
    own = getattr(stream, "stream", stream)
    if stderr:
        return Plain(file=own)
    return Plain(file=own, width=None if own.isatty() else PIPE_COLUMNS, highlight=False)


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
