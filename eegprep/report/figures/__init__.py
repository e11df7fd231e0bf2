"""Drawing for every page that we write: inline SVG by small functions, and one page frame around it.

What enters: plain numbers and words. What leaves: `markupsafe.Markup` (SVG, HTML fragments) and whole pages
that need no script, no font and no address outside themselves. Colours are CSS classes, so that one drawing
serves light and dark; every mark carries a `<title>`, so that a pointer or a screen reader gets its value.
Knows neither stores nor shards nor models, and is therefore free for all of them to import.
"""

from eegprep.report.figures.bars import Bar, bar_chart, histogram
from eegprep.report.figures.clouds import Cloud, scatter
from eegprep.report.figures.head import head
from eegprep.report.figures.lines import Line, Mark, line_chart
from eegprep.report.figures.matrix import confusion_matrix
from eegprep.report.figures.numbers import format_bytes, format_duration, format_number, format_percent
from eegprep.report.figures.page import Column, Drawing, Note, Page, Row, Section, Table, Tile, render, write_page

__all__ = [
    "Bar",
    "Cloud",
    "Column",
    "Drawing",
    "Line",
    "Mark",
    "Note",
    "Page",
    "Row",
    "Section",
    "Table",
    "Tile",
    "bar_chart",
    "confusion_matrix",
    "format_bytes",
    "format_duration",
    "format_number",
    "format_percent",
    "head",
    "histogram",
    "line_chart",
    "render",
    "scatter",
    "write_page",
]
