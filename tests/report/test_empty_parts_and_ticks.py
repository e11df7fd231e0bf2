"""Axes of short ranges, marked points with error bars, and pages without empty parts."""

from __future__ import annotations

import re

import pytest

from eegprep.report.figures import Bar, Drawing, Line, Page, Row, Section, Table, bar_chart, line_chart
from eegprep.report.figures.page import render
from eegprep.report.figures.scales import Scale


@pytest.mark.parametrize(("low", "high"), [(1.5596962, 1.8), (0.97, 1.09), (31.0, 47.0), (2.2, 9.7), (1e-5, 1.3e-5)])
def test_short_log_axes_have_round_ticks(low, high):
    """Less than a decade: several ticks, in range, of at most four digits."""
    ticks = Scale.over([low, high], 0.0, 100.0, log=True).ticks(5)
    assert len(ticks) >= 3
    for value, shown in ticks:
        assert low * 0.99 <= value <= high * 1.01
        assert len(re.sub(r"e.*|[^0-9]|^0\.0*", "", shown).strip("0")) <= 4, shown


def test_wide_log_axes_have_decades():
    assert [v for v, _ in Scale.over([1, 1e6], 0.0, 100.0, log=True).ticks()] == pytest.approx(
        [10.0**k for k in range(7)]
    )


def test_points_have_markers_and_bars():
    """A line of points has a circle for each value and a vertical line for each error bar."""
    line = Line(label="a", x=[1, 2, 3], y=[1.0, 2.0, 3.0], low=[0.5, 1.5, 2.5], high=[1.5, 2.5, 3.5], points=True)
    svg = str(line_chart([line], label="l", x_label="x", y_label="y"))
    assert svg.count("<circle") == 3
    assert "band" not in svg
    plain = str(line_chart([Line(label="a", x=[1, 2], y=[1.0, 2.0])], label="l", x_label="x", y_label="y"))
    assert "<circle" not in plain


def test_bars_show_their_intervals():
    svg = str(bar_chart([Bar(label="a", value=3.0, low=2.0, high=4.5)], label="l"))
    assert svg.count("whisker") == 3
    assert "whisker" not in str(bar_chart([Bar(label="a", value=3.0)], label="l"))


def test_empty_parts_are_not_drawn():
    """Rows, tables and sections that hold nothing leave no empty card."""
    empty = Section(anchor="empty", heading="Nothing", parts=[Row(parts=[]), Table(caption="T", columns=[], rows=[])])
    svg = bar_chart([Bar(label="a", value=1.0)], label="l")
    full = Section(anchor="full", heading="Something", parts=[Row(parts=[Drawing(svg=svg, caption="c")])])
    text = render(Page(title="t", subtitle="s", sections=[empty, full]))
    assert "Nothing" not in text
    assert text.count('class="row"') == 1


def test_ticks_of_one_axis_have_one_notation():
    """Numbers of parameters from thousands to millions are all written in full."""
    shown = [text for _, text in Scale.over([1.6e5, 8.7e6], 0.0, 100.0, log=True).ticks()]
    assert len(shown) >= 3
    assert not any("e" in text for text in shown)
