"""Bar charts (hours per electrode, what was left out by reason) and histograms.

One row per bar, with label and value next to it, so that every value can be read as a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from eegprep.report.figures.numbers import format_number
from eegprep.report.figures.scales import Scale
from eegprep.report.figures.svg import element, group, picture, text, text_width


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar; `shown` is the text next to it (default: the value), `note` its tooltip.

    `of` draws a pale bar of that length behind it, to show a proportion; `low` and `high` an interval over it.
    """

    label: str
    value: float
    shown: str | None = None
    note: str = ""
    of: float | None = None
    colour: int = 0
    low: float | None = None
    high: float | None = None


def bar_chart(
    bars: Sequence[Bar], *, label: str, width: float = 720.0, row: float = 22.0, axis: str = "", columns: int = 1
) -> Markup:
    """Horizontal bars from zero, in the given order, in one or more columns filled downwards."""
    per_column = -(-len(bars) // columns) if bars else 1
    gap = 24.0
    column_width = (width - gap * (columns - 1)) / columns
    left = min(max((text_width(b.label) for b in bars), default=40.0) + 8, column_width * 0.5)
    right = max((text_width(_shown(b)) for b in bars), default=30.0) + 10
    scale = Scale.over(
        [*(v for b in bars for v in (b.value, b.of, b.high)), 0.0], left, max(column_width - right, left + 20)
    )
    parts: list[Markup] = []
    for i, bar in enumerate(bars):
        x, y = (i // per_column) * (column_width + gap), (i % per_column) * row
        parts.append(_bar(bar, scale, row, f"translate({x:.0f} {y:.0f})"))
    height = per_column * row + (18 if axis else 2)
    if axis:
        parts.append(text(left, height - 4, axis, class_="label"))
    # On a phone a single column may shrink; several keep their size and scroll sideways.
    return picture(parts, width=width, height=height, label=label, class_="figure wide" if columns > 1 else "figure")


def _shown(bar: Bar) -> str:
    return format_number(bar.value) if bar.shown is None else bar.shown


def _bar(bar: Bar, scale: Scale, row: float, transform: str) -> Markup:
    thick = row * 0.62
    top = (row - thick) / 2
    zero, end = scale(0.0), scale(bar.value)
    parts = [text(zero - 7, row / 2 + 4, _fitting(bar.label, zero - 7), anchor="end", class_="name")]
    far = end
    if bar.of is not None:
        far = max(end, scale(bar.of))
        parts.append(element("rect", x=zero, y=top, width=scale(bar.of) - zero, height=thick, rx="2", class_="whole"))
    width = max(end - zero, 1.0 if bar.value > 0 else 0.0)
    parts.append(element("rect", x=zero, y=top, width=width, height=thick, rx="2", class_=f"f{bar.colour % 8}"))
    if bar.low is not None and bar.high is not None:
        a, b, middle = scale(bar.low), scale(bar.high), row / 2
        parts.append(element("line", x1=a, x2=b, y1=middle, y2=middle, class_="whisker"))
        parts += [element("line", x1=x, x2=x, y1=middle - 3, y2=middle + 3, class_="whisker") for x in (a, b)]
    parts.append(text(far + 6, row / 2 + 4, _shown(bar), class_="value"))
    return group(*parts, title=bar.note or f"{bar.label}: {_shown(bar)}", transform=transform)


def _fitting(label: str, room: float) -> str:
    if text_width(label) <= room + 6:
        return label
    while label and text_width(label + "…") > room:
        label = label[:-1]
    return label + "…"


def histogram(
    edges: Sequence[float],
    counts: Sequence[float],
    *,
    label: str,
    x_label: str,
    y_label: str,
    width: float = 720.0,
    height: float = 240.0,
    colour: int = 0,
    y_log: bool = False,
) -> Markup:
    """Counts between `edges` (one more than counts). On a log axis empty bins have no bar."""
    left, right, top, bottom = 62.0, 14.0, 10.0, 44.0
    x_scale = Scale.over(edges, left, width - right)
    positive = [c for c in counts if c > 0]
    floor = min(positive, default=1.0) / 2
    y_scale = Scale.over([*positive, floor] if y_log else counts, height - bottom, top, log=y_log, zero=True)
    parts: list[Markup] = []
    for value, shown in y_scale.ticks(4):
        y = y_scale(value)
        parts.append(element("line", x1=left, x2=width - right, y1=y, y2=y, class_="grid"))
        parts.append(text(left - 7, y + 4, shown, anchor="end", class_="tick"))
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if count <= 0:
            continue
        y = y_scale(count)
        bar = element(
            "rect",
            x=x_scale(low) + 0.5,
            y=y,
            width=max(x_scale(high) - x_scale(low) - 1, 0.5),
            height=y_scale.start - y,
            class_=f"f{colour % 8}",
        )
        parts.append(group(bar, title=f"{format_number(low)} to {format_number(high)}: {format_number(count)}"))
    for value, shown in x_scale.ticks(8):
        parts.append(text(x_scale(value), height - bottom + 17, shown, anchor="middle", class_="tick"))
    parts.append(element("line", x1=left, x2=width - right, y1=y_scale.start, y2=y_scale.start, class_="axis"))
    parts.append(text((left + width - right) / 2, height - 6, x_label, anchor="middle", class_="label"))
    middle = (top + height - bottom) / 2
    parts.append(
        text(0, 0, y_label, anchor="middle", class_="label", transform=f"translate(13 {middle:.0f}) rotate(-90)")
    )
    return picture(parts, width=width, height=height, label=label)
