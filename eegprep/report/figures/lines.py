"""Line charts with axes, grid and legend: spectra, loss curves, signals against forecasts.

Lines may have a band around them. A missing y interrupts the line. Lines with more than 600 points (more
than there are pixels) are averaged in equal bins.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from eegprep.report.figures.scales import Scale
from eegprep.report.figures.svg import element, group, picture, polyline, text, text_width

MAX_POINTS = 600
N_COLOURS = 8


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line, optionally with a band `low..high` around it; all sequences have the same length.

    `colour` picks one of eight series colours (default: the line's position); `dashed` is for lines that only serve
    as a comparison; `points` marks every value, with error bars from `low` to `high` instead of a band.
    """

    label: str
    x: Sequence[float | None]
    y: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    colour: int | None = None
    dashed: bool = False
    faint: bool = False
    points: bool = False


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A vertical (`x`) or horizontal (`y`) line with a label."""

    label: str
    x: float | None = None
    y: float | None = None


def line_chart(
    lines: Sequence[Line],
    *,
    label: str,
    x_label: str,
    y_label: str,
    x_log: bool = False,
    y_log: bool = False,
    y_zero: bool = False,
    marks: Sequence[Mark] = (),
    width: float = 720.0,
    height: float = 320.0,
) -> Markup:
    """Draw `lines`; `label` describes the chart in words."""
    lines = [line if line.points else _binned(line) for line in lines]
    legend, legend_height = _legend(lines, width)
    left, right, top, bottom = 62.0, 14.0, 10.0 + legend_height, 44.0
    x_scale = Scale.over([v for line in lines for v in line.x], left, width - right, log=x_log)
    seen = [v for line in lines for column in (line.y, line.low or (), line.high or ()) for v in column]
    y_scale = Scale.over([*seen, *(m.y for m in marks)], height - bottom, top, log=y_log, zero=y_zero)
    parts: list[Markup] = [_axes(x_scale, y_scale, x_label, y_label, width, height, bottom)]
    for mark in marks:
        parts.append(_mark(mark, x_scale, y_scale))
    for place, line in enumerate(lines):
        if line.low is not None and line.high is not None and not line.points:
            parts.append(_band(line, place, x_scale, y_scale))
    for place, line in enumerate(lines):
        parts.append(_path(line, place, x_scale, y_scale))
    return picture([*parts, legend], width=width, height=height, label=label)


def _colour(line: Line, place: int) -> int:
    return (place if line.colour is None else line.colour) % N_COLOURS


def _class(line: Line, place: int) -> str:
    return f"line s{_colour(line, place)}" + (" dashed" if line.dashed else "") + (" faint" if line.faint else "")


def _binned(line: Line) -> Line:
    """The line as lists of floats, averaged to at most `MAX_POINTS`."""
    return dataclasses.replace(
        line,
        x=_means(line.x),
        y=_means(line.y),
        low=None if line.low is None else _means(line.low),
        high=None if line.high is None else _means(line.high),
    )


def _means(values: Sequence[float | None]) -> list[float | None]:
    plain = [None if v is None or not math.isfinite(v) else float(v) for v in values]
    n = len(plain)
    if n <= MAX_POINTS:
        return plain
    edges = [round(i * n / MAX_POINTS) for i in range(MAX_POINTS + 1)]
    bins = [[v for v in plain[a:b] if v is not None] for a, b in itertools.pairwise(edges)]
    return [sum(there) / len(there) if there else None for there in bins]


def _axes(
    x_scale: Scale, y_scale: Scale, x_label: str, y_label: str, width: float, height: float, bottom: float
) -> Markup:
    parts = []
    for value, shown in y_scale.ticks(5):
        y = y_scale(value)
        parts.append(element("line", x1=x_scale.start, x2=x_scale.stop, y1=y, y2=y, class_="grid"))
        parts.append(text(x_scale.start - 7, y + 4, shown, anchor="end", class_="tick"))
    for value, shown in x_scale.ticks(8):
        x = x_scale(value)
        parts.append(element("line", x1=x, x2=x, y1=y_scale.start, y2=y_scale.start + 4, class_="axis"))
        parts.append(text(x, y_scale.start + 17, shown, anchor="middle", class_="tick"))
    parts.append(element("line", x1=x_scale.start, x2=x_scale.stop, y1=y_scale.start, y2=y_scale.start, class_="axis"))
    parts.append(text((x_scale.start + x_scale.stop) / 2, height - 6, x_label, anchor="middle", class_="label"))
    middle = (y_scale.start + y_scale.stop) / 2
    parts.append(
        text(0, 0, y_label, anchor="middle", class_="label", transform=f"translate(13 {middle:.0f}) rotate(-90)")
    )
    return group(*parts)


def _runs(line: Line, x_scale: Scale, y_scale: Scale) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(line.x, line.y, strict=True):
        if x is not None and y is not None and x_scale.shows(x) and y_scale.shows(y):
            runs[-1].append((x_scale(x), y_scale(y)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _path(line: Line, place: int, x_scale: Scale, y_scale: Scale) -> Markup:
    class_ = _class(line, place)
    parts: list[Markup] = []
    for run in _runs(line, x_scale, y_scale):
        if len(run) == 1:
            parts.append(element("circle", cx=run[0][0], cy=run[0][1], r=2.5, class_=f"dot f{_colour(line, place)}"))
            continue
        parts.append(polyline(run, class_=class_))
        if line.points:
            parts += [element("circle", cx=x, cy=y, r=3, class_=f"dot f{_colour(line, place)}") for x, y in run]
    if line.points:
        for x, low, high in _spans(line, x_scale, y_scale):
            parts.append(element("line", x1=x, x2=x, y1=low, y2=high, class_=f"line s{_colour(line, place)}"))
    return group(*parts, title=line.label) if parts else Markup("")


def _band(line: Line, place: int, x_scale: Scale, y_scale: Scale) -> Markup:
    points = _spans(line, x_scale, y_scale)
    outline = [(x, low) for x, low, _ in points] + [(x, high) for x, _, high in reversed(points)]
    return polyline(outline, closed=True, class_=f"band f{_colour(line, place)}")


def _spans(line: Line, x_scale: Scale, y_scale: Scale) -> list[tuple[float, float, float]]:
    """Positions of x, low and high where all three are known."""
    return [
        (x_scale(x), y_scale(low), y_scale(high))
        for x, low, high in zip(line.x, line.low or (), line.high or (), strict=bool(line.low))
        if x is not None
        and low is not None
        and high is not None
        and x_scale.shows(x)
        and y_scale.shows(low)
        and y_scale.shows(high)
    ]


def _mark(mark: Mark, x_scale: Scale, y_scale: Scale) -> Markup:
    if mark.x is not None and x_scale.shows(mark.x) and x_scale.low <= mark.x <= x_scale.high:
        x = x_scale(mark.x)
        end = x > (x_scale.start + x_scale.stop) / 2
        return group(
            element("line", x1=x, x2=x, y1=y_scale.start, y2=y_scale.stop, class_="mark"),
            text(
                x + (-4 if end else 4), y_scale.stop + 11, mark.label, anchor="end" if end else "start", class_="note"
            ),
        )
    if mark.y is not None and y_scale.shows(mark.y):
        y = y_scale(mark.y)
        return group(
            element("line", x1=x_scale.start, x2=x_scale.stop, y1=y, y2=y, class_="mark"),
            text(x_scale.stop - 3, y - 4, mark.label, anchor="end", class_="note"),
        )
    return Markup("")


def _legend(lines: Sequence[Line], width: float) -> tuple[Markup, float]:
    """The legend above the chart, and its height."""
    named = [(place, line) for place, line in enumerate(lines) if line.label]
    if len(named) < 1:
        return Markup(""), 0.0
    parts: list[Markup] = []
    x, y = 62.0, 14.0
    for place, line in named:
        wide = 26 + text_width(line.label) + 16
        if x + wide > width - 4 and x > 62.0:
            x, y = 62.0, y + 18
        class_ = _class(line, place)
        parts.append(element("line", x1=x, x2=x + 20, y1=y - 4, y2=y - 4, class_=class_))
        parts.append(text(x + 26, y, line.label, class_="key"))
        x += wide
    return group(*parts), y + 8
