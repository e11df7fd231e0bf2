"""The SVG elements used by the drawings; all text is escaped.

Coordinates are rounded to a tenth of a unit, which is invisible and keeps a page of a hundred electrodes small; equal
inputs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape


def element(name: str, content: object = "", /, **attributes: object) -> Markup:
    """One element. `_` in attribute names becomes `-`, a trailing `_` is dropped; None omits the attribute.

    `content` is escaped unless it is `Markup`.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None:
            continue
        shown = _number(value) if isinstance(value, float) else str(value)
        parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    inner = escape(content)
    parts.append(f">{inner}</{name}>" if inner else "/>")
    return Markup("".join(parts))


def _number(value: float) -> str:
    rounded = f"{value:.1f}"
    return rounded.removesuffix(".0").replace("-0", "0") if rounded in ("-0.0",) else rounded.removesuffix(".0")


def group(*parts: object, class_: str | None = None, title: str | None = None, transform: str | None = None) -> Markup:
    """A `<g>` of the given parts; `title` is for tooltips and screen readers."""
    inner = Markup("").join(escape(p) for p in parts)
    if title is not None:
        inner = element("title", title) + inner
    return element("g", inner, class_=class_, transform=transform)


def text(
    x: float, y: float, content: str, *, anchor: str = "start", class_: str | None = None, **more: object
) -> Markup:
    """Text with its baseline at `y`; `anchor` is `start`, `middle` or `end`."""
    return element(
        "text",
        content,
        x=float(x),
        y=float(y),
        text_anchor=None if anchor == "start" else anchor,
        class_=class_,
        **more,
    )


def polyline(points: Iterable[tuple[float, float]], *, closed: bool = False, **attributes: object) -> Markup:
    """A path through `points`, or an area if closed."""
    steps = [f"{'M' if i == 0 else 'L'}{_number(float(x))} {_number(float(y))}" for i, (x, y) in enumerate(points)]
    if not steps:
        return Markup("")
    return element("path", d="".join(steps) + ("Z" if closed else ""), **attributes)


def picture(parts: Sequence[object], *, width: float, height: float, label: str, class_: str = "figure") -> Markup:
    """The `<svg>` around the parts: scales with the page; `label` describes it in words."""
    return element(
        "svg",
        Markup("").join(escape(p) for p in parts),
        viewBox=f"0 0 {_number(float(width))} {_number(float(height))}",
        width=_number(float(width)),
        height=_number(float(height)),
        role="img",
        aria_label=label,
        class_=class_,
    )


def text_width(content: str, size: float = 12.0) -> float:
    """An upper estimate of the width of `content` in a system font of the given size."""
    return sum(0.36 if c in "il.,:;'|!()[] \u202f" else 0.92 if c in "mwMW%@" else 0.64 for c in content) * size
