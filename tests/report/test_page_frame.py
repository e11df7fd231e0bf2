"""The page frame: self-contained, escaped, the same bytes for the same content."""

from __future__ import annotations

import itertools
from html.parser import HTMLParser
from pathlib import Path

from eegprep.report.figures import Column, Drawing, Note, Page, Row, Section, Table, Tile, bar_chart, render, write_page
from eegprep.report.figures.bars import Bar

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """Collects tags and attributes; `unbalanced` lists end tags that close nothing open."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.unbalanced: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.unbalanced.append(tag)

    @property
    def still_open(self) -> list[str]:
        return self._open


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    return parser


def page(word: str = "plain") -> Page:
    table = Table(
        caption=f"table of {word}",
        columns=[Column(label="what"), Column(label="how many", numeric=True)],
        rows=[[word, 1.5], ["b", 1234], ["c", None], ["d", True]],
        limit=3,
    )
    drawing = Drawing(svg=bar_chart([Bar(label=word, value=1)], label=word), caption=word, heading=word, data=table)
    return Page(
        title=word,
        subtitle=word,
        kicker=word,
        tiles=[Tile(label=word, value=word, note=word, tone="good")],
        sections=[
            Section(anchor="one", heading=word, opening=word, parts=[Row(parts=[drawing, Note(text=word)]), table])
        ],
        footer=word,
    )


def test_page_is_well_formed_without_script() -> None:
    """A page is well formed and names no address and no script."""
    found = outline(render(page()))
    assert found.unbalanced == []
    assert found.still_open == []
    assert not {"script", "iframe", "object", "embed", "img", "form"} & set(found.tags)
    addresses = [v for _, name, v in found.attributes if name in ("src", "href", "xlink:href", "action", "data")]
    assert all(a.startswith("#") or a == "data:," for a in addresses)
    assert ("meta", "http-equiv", "Content-Security-Policy") in found.attributes


def test_words_put_no_markup_on_the_page() -> None:
    """Words of strangers put no markup on the page."""
    html = render(page("<img src=x onerror=alert(1)>\"'&"))
    assert "<img" not in html
    assert outline(html).unbalanced == []


def test_rows_beyond_the_limit_are_counted() -> None:
    """Rows beyond the limit are counted, not dropped silently."""
    assert "and 1 more row, not printed here" in render(page())


def test_headings_go_down_level_by_level() -> None:
    """Headings go down one level at a time, and every section can be reached."""
    found = outline(render(page()))
    levels = [int(t[1]) for t in found.tags if t in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    anchors = {v[1:] for tag, name, v in found.attributes if tag == "a" and name == "href"}
    ids = {v for _, name, v in found.attributes if name == "id"}
    assert anchors <= ids


def test_equal_pages_have_equal_bytes(tmp_path: Path) -> None:
    """Equal pages have equal bytes and are written whole."""
    first = write_page(page(), tmp_path / "a" / "one.html")
    second = write_page(page(), tmp_path / "b" / "two.html")
    assert first.read_bytes() == second.read_bytes()
    assert [p.name for p in first.parent.iterdir()] == ["one.html"]
