"""Drawing functions for all pages: inline SVG, and one page template.

They take plain numbers and text and return `markupsafe.Markup` (SVG, HTML fragments) and complete pages without
scripts, fonts or external addresses. Colours are CSS classes, so a drawing works in light and dark mode; every mark
has a `<title>` with its value for pointers and screen readers. Nothing here imports stores, shards or models.
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
