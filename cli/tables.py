"""Print tables: fitted to the terminal's width without breaking a word, or with full lines when output is piped."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

# Wide enough for the widest table: without a terminal rich would cut lines at 80 columns.
PIPE_COLUMNS = 180
_STACKED: dict[str, Any] = {
    "initial_indent": "  ", "subsequent_indent": "  ", "break_long_words": False, "break_on_hyphens": False,
}  # fmt: skip


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or error, whose texts can't steer the terminal."""
    from rich.console import Console
    from rich.segment import Segment
    from rich.table import Table

    from eegprep.errors import printable

    class Plain(Console):
        def render(self, *args: Any, **kwargs: Any) -> Iterable[Segment]:
            for segment in super().render(*args, **kwargs):
                text, style, control = segment
                yield segment if control else Segment(printable(text, keep="\n\u00a0"), style)

        def print(self, *objects: Any, **kwargs: Any) -> None:
            super().print(*(fitted(o, self.width) if isinstance(o, Table) else o for o in objects), **kwargs)

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


def fitted(table: Table, width: int) -> Table | Text:
    """The table with no column narrower than its longest word; if that is too wide, its rows below each other.

    Columns with `no_wrap` stay as they are.
    """
    from rich.text import Text

    def longest(cells: Iterable[Any]) -> int:
        words = (word for cell in cells for word in _plain(cell).split())
        return max(map(len, words), default=0)

    least, whole = [], []
    for column in table.columns:
        cells = [*column.cells, *([column.header] if table.show_header else [])]
        whole.append(max((len(line) for cell in cells for line in _plain(cell).split("\n")), default=0))
        least.append(max(whole[-1] if column.no_wrap else longest(cells), column.min_width or 0))
    spare = width - sum(least) - len(least) + 1
    if spare >= 0:
        wanting = sorted(range(len(least)), key=lambda i: whole[i] - least[i])
        for done, i in enumerate(wanting):  # what is left goes in equal parts to those that could use it
            more = max(0, min(whole[i] - least[i], spare // (len(wanting) - done)))
            table.columns[i].width = least[i] + more
            spare -= more
        return table
    lines = [_plain(table.title)] if table.title else []
    names = [_plain(column.header) for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        first, *others = map(_plain, row)
        named = [
            (f"{name}: " if name and table.show_header else "") + " ".join(cell.split())
            for name, cell in zip(names[1:], others, strict=True)
            if cell
        ]
        lines += [first, *textwrap.wrap(", ".join(named), width, **_STACKED)]
    return Text("\n".join(lines), overflow="ignore", no_wrap=True)


def _plain(cell: Any) -> str:
    """A cell's text without its markup."""
    from rich.text import Text

    return cell.plain if isinstance(cell, Text) else Text.from_markup(str(cell)).plain
