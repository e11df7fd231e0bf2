"""Scatter plots with one colour and shape per class: maps of embeddings, with equal units on both axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from eegprep.report.figures.scales import finite
from eegprep.report.figures.svg import element, group, picture, polyline, text, text_width

N_COLOURS = 8


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The points of one class."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


def scatter(clouds: Sequence[Cloud], *, label: str, width: float = 480.0, height: float = 360.0) -> Markup:
    """Draw the clouds; classes differ in colour and in shape."""
    top = 30.0
    xs = finite(v for c in clouds for v in c.x) or [0.0]
    ys = finite(v for c in clouds for v in c.y) or [0.0]
    x_mid, y_mid = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    scale = min((width - 24) / max(max(xs) - min(xs), 1e-12), (height - top - 20) / max(max(ys) - min(ys), 1e-12))
    parts: list[Markup] = [
        element("rect", x=1.0, y=top, width=width - 2, height=height - top - 2, rx="6", class_="field")
    ]
    for place, cloud in enumerate(clouds):
        marks = [
            _mark(place, width / 2 + (x - x_mid) * scale, (top + height) / 2 - (y - y_mid) * scale)
            for x, y in zip(cloud.x, cloud.y, strict=True)
        ]
        parts.append(group(*marks, class_=f"f{place % N_COLOURS} points", title=cloud.label))
    left = 4.0
    for place, cloud in enumerate(clouds):
        parts.append(group(_mark(place, left + 5, 14.0), class_=f"f{place % N_COLOURS}"))
        parts.append(text(left + 15, 18, cloud.label, class_="key"))
        left += 15 + text_width(cloud.label) + 14
    return picture(parts, width=width, height=height, label=label)


def _mark(place: int, x: float, y: float) -> Markup:
    """A circle, square, diamond or triangle, in turn."""
    shape = place % 4
    if shape == 0:
        return element("circle", cx=x, cy=y, r=3.4)
    if shape == 1:
        return element("rect", x=x - 3, y=y - 3, width=6.0, height=6.0)
    if shape == 2:
        return polyline([(x, y - 4.2), (x + 4.2, y), (x, y + 4.2), (x - 4.2, y)], closed=True)
    return polyline([(x, y - 4), (x + 3.8, y + 3), (x - 3.8, y + 3)], closed=True)
