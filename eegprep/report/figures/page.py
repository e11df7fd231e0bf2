"""One self-contained HTML page: tiles, sections, drawings, tables; no scripts, no external resources.

All text is escaped, so an untrusted manifest or channel name cannot inject markup, and a Content-Security-Policy
forbids the browser to load or run anything. Equal inputs give equal bytes: no times or paths.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from eegprep.files import write_atomic
from eegprep.report.figures.numbers import format_number

_HERE = Path(__file__).parent

Cell = str | float | int | None | Markup


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One number in large type, with a label and a remark."""

    label: str
    value: str
    note: str = ""
    tone: str = ""  # "", "good", "warn" or "bad"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A table's column; numbers are right-aligned in fixed-width digits."""

    label: str
    numeric: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells. Numbers are formatted here; `strong` are rows in bold, `folded` collapses the table.

    At most `limit` rows are printed, with the number of hidden ones below the table.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    folded: bool = False
    limit: int = 1000
    strong: frozenset[int] = frozenset()

    kind = "table"

    @property
    def shown(self) -> list[list[str]]:
        """The printed rows as text (or `Markup`)."""
        return [[_cell(c) for c in row] for row in self.rows[: self.limit]]

    @property
    def n_hidden(self) -> int:
        """Rows beyond the limit."""
        return max(0, len(self.rows) - self.limit)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure with its caption, and the same numbers as a collapsed table for accessibility."""

    svg: Markup
    caption: str
    heading: str = ""
    data: Table | None = None

    kind = "drawing"


@dataclass(frozen=True, kw_only=True)
class Note:
    """A paragraph; `tone` is "", "good", "warn" or "bad"."""

    text: str
    tone: str = ""

    kind = "note"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Parts side by side if the page is wide enough."""

    parts: Sequence[Drawing | Table | Note]

    kind = "row"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with an anchor, an opening sentence and parts."""

    anchor: str
    heading: str
    opening: str = ""
    parts: Sequence[Drawing | Table | Note | Row] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """A complete page."""

    title: str
    subtitle: str
    kicker: str = ""
    tiles: Sequence[Tile] = ()
    sections: Sequence[Section] = ()
    footer: str = ""


def _cell(value: Cell) -> str:
    if value is None:
        return format_number(None)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return format_number(value)
    return value


def _filled(parts: Sequence[Any]) -> list[Any]:
    """The parts without tables, rows and drawings that hold nothing."""
    kept = []
    for part in parts:
        if isinstance(part, Row):
            part = dataclasses.replace(part, parts=_filled(part.parts))
        empty = {"row": not getattr(part, "parts", ()), "table": not getattr(part, "rows", ())}
        if not (empty.get(part.kind) or (isinstance(part, Drawing) and not part.svg)):
            kept.append(part)
    return kept


def render(page: Page) -> str:
    """The page as HTML text; parts, and sections of parts, without contents are left out."""
    sections = [dataclasses.replace(s, parts=_filled(s.parts)) for s in page.sections]
    page = dataclasses.replace(page, sections=[s for s in sections if s.parts or s.opening])
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = Markup((_HERE / "page.css").read_text(encoding="utf-8"))
    return environment.get_template("page.html").render(page=page, style=style, version=_version())


def _version() -> str:
    try:
        return importlib.metadata.version("eegpt")
    except importlib.metadata.PackageNotFoundError:
        return "from source"


def write_page(page: Page, out: Path) -> Path:
    """Write the page to `out` atomically, creating parent folders."""
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(out, render(page))
    return out
