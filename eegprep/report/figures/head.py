"""Electrodes on a head, seen from above, nose up, with one value per electrode.

Positions are in metres (x to the right ear, y to the nose, z up). A sphere is fitted to them and each electrode is
drawn at its angle from the top (azimuthal equidistant projection): the circle through Fpz, T7, Oz and T8 is the
outline of the head, and electrodes below it, such as the mastoids, are drawn outside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from eegprep.report.figures.numbers import format_number
from eegprep.report.figures.scales import finite
from eegprep.report.figures.svg import element, group, picture, polyline, text

N_STEPS = 10
N_DIVERGING = 9
_OUTLINE = ("Fpz", "T7", "T8", "Oz")


def project(positions_m: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    """Positions on a flat head whose outline is the unit circle, y to the nose.

    The sphere is a least-squares fit; with fewer than four electrodes, or all in one plane, its centre is the origin
    of the coordinates.
    """
    if not positions_m:
        return {}
    names = sorted(positions_m)
    xyz = np.array([positions_m[n] for n in names], dtype=np.float64)  # (n, 3)
    centre = np.zeros(3)
    design = np.c_[2 * xyz, np.ones(len(xyz))]
    if len(xyz) >= 8 and np.linalg.matrix_rank(design, tol=1e-6) == 4:
        fitted = np.linalg.lstsq(design, (xyz**2).sum(axis=1), rcond=None)[0][:3]
        if np.linalg.norm(fitted) < 0.1:  # otherwise larger than a head, so the fit is wrong
            centre = fitted
    relative = (xyz - centre) @ _upright({n: xyz[i] - centre for i, n in enumerate(names) if n in _OUTLINE})
    radius = np.linalg.norm(relative, axis=1)
    theta = np.arccos(np.clip(relative[:, 2] / np.where(radius > 0, radius, 1.0), -1, 1))
    rim = [theta[i] for i, n in enumerate(names) if n in _OUTLINE]
    rho = theta / (float(np.mean(rim)) if rim else math.pi / 2)
    angle = np.arctan2(relative[:, 1], relative[:, 0])
    return {n: (float(r * math.cos(a)), float(r * math.sin(a))) for n, r, a in zip(names, rho, angle, strict=True)}


def _upright(rim: Mapping[str, np.ndarray]) -> np.ndarray:
    """Right, front and up of the head as columns, (3, 3), from four landmarks; the identity if one is missing.

    The z axis of a head frame is not that of the 10-20 system, where up is perpendicular to the plane of the rim.
    """
    if len(rim) < len(_OUTLINE):
        return np.eye(3)
    front = rim["Fpz"] - rim["Oz"]
    right = rim["T8"] - rim["T7"]
    up = np.cross(right, front)
    front = np.cross(up, right)
    return np.stack([v / np.linalg.norm(v) for v in (right, front, up)], axis=1)


def head(
    values: Mapping[str, float | None],
    positions_m: Mapping[str, Sequence[float]],
    *,
    label: str,
    unit: str = "",
    every: Mapping[str, Sequence[float]] | None = None,
    diverging: bool = False,
    low: float | None = None,
    high: float | None = None,
    size: float = 520.0,
    notes: Mapping[str, str] | None = None,
) -> Markup:
    """Draw each electrode of `values` that has a position, coloured by its value.

    Parameters
    ----------
    values : mapping of electrode to float
        None and non-finite values are drawn as empty circles.
    positions_m : mapping of electrode to (x, y, z)
        Electrodes of `values` that are missing here are named below the head, never dropped.
    every : mapping of electrode to (x, y, z), optional
        A montage drawn pale in the background, to show missing electrodes.
    diverging : bool
        Use a two-colour map with a range that is symmetric about zero.
    low, high : float, optional
        Colour range; by default that of the values (from zero if none is negative).
    notes : mapping of electrode to str, optional
        Tooltips; by default the value.
    """
    numbers = finite(values.values())
    low, high = _range(numbers, low, high, diverging)
    background = dict(every or {})
    flat = project({**background, **{n: positions_m[n] for n in values if n in positions_m}})
    placed = [n for n in sorted(values) if n in flat and n in positions_m]
    homeless = [n for n in sorted(values) if n not in placed]
    reach = max((math.hypot(*flat[n]) for n in flat), default=1.0)
    x_mid, unit_radius = size / 2, (size / 2 - 22) / max(1.12, reach + 0.05)
    # The height is that of the contents, which is less than the width.
    y_mid = 20 + unit_radius * max(1.1, *(y for _, y in flat.values()), 0.0)
    bottom = y_mid + unit_radius * max(1.0, *(-y for _, y in flat.values()), 0.0) + 20
    at = {n: (x_mid + x * unit_radius, y_mid - y * unit_radius) for n, (x, y) in flat.items()}
    radius = _radius([at[n] for n in placed], unit_radius)
    parts: list[Markup] = [_outline(x_mid, y_mid, unit_radius)]
    for name in sorted(set(background) - set(placed)):
        parts.append(group(element("circle", cx=at[name][0], cy=at[name][1], r=3.0, class_="absent"), title=name))
    for name in placed:
        parts.append(
            _electrode(name, values[name], at[name], radius, low, high, diverging, unit, (notes or {}).get(name))
        )
    height = bottom + 38
    parts.append(_key(low, high, unit, size, bottom, diverging))
    if homeless:
        height += 18
        parts.append(text(size / 2, height - 6, "no position: " + ", ".join(homeless), anchor="middle", class_="note"))
    return picture(parts, width=size, height=height, label=label, class_="figure head")


def _range(numbers: list[float], low: float | None, high: float | None, diverging: bool) -> tuple[float, float]:
    if diverging:
        bound = max((abs(v) for v in numbers), default=1.0) or 1.0
        return (-bound if low is None else low), (bound if high is None else high)
    least = min(numbers, default=0.0)
    low = min(0.0, least) if low is None else low
    high = max(numbers, default=1.0) if high is None else high
    return low, high if high > low else low + 1.0


def _radius(points: list[tuple[float, float]], unit_radius: float) -> float:
    """The largest radius at which circles do not touch, between 6 and 17 units."""
    nearest = min((math.dist(p, q) for i, p in enumerate(points) for q in points[i + 1 :]), default=unit_radius)
    return min(17.0, max(6.0, nearest * 0.48))


def _outline(x: float, y: float, r: float) -> Markup:
    nose = [(x - 0.11 * r, y - 0.993 * r), (x, y - 1.1 * r), (x + 0.11 * r, y - 0.993 * r)]
    ears = [
        element("ellipse", cx=x + side * r * 1.03, cy=y, rx=r * 0.045, ry=r * 0.17, class_="head-line")
        for side in (-1, 1)
    ]
    return group(
        *ears,
        polyline(nose, class_="head-line"),
        element("circle", cx=x, cy=y, r=r, class_="head-line face"),
        element("line", x1=x - r, x2=x + r, y1=y, y2=y, class_="head-cross"),
        element("line", x1=x, x2=x, y1=y - r, y2=y + r, class_="head-cross"),
    )


def _electrode(
    name: str,
    value: float | None,
    at: tuple[float, float],
    radius: float,
    low: float,
    high: float,
    diverging: bool,
    unit: str,
    note: str | None,
) -> Markup:
    shown = f"{name}: {format_number(value)}{' ' + unit if unit else ''}" if note is None else f"{name}: {note}"
    if value is None or not math.isfinite(value):
        class_, ink = "empty", "ink"
    else:
        n = N_DIVERGING if diverging else N_STEPS
        step = min(n - 1, max(0, int((value - low) / (high - low) * n)))
        class_, ink = (f"d{step}", f"dt{step}") if diverging else (f"q{step}", f"qt{step}")
    size = min(11.0, radius * (0.9 if len(name) <= 2 else 0.78 if len(name) == 3 else 0.62))
    return group(
        element("circle", cx=at[0], cy=at[1], r=radius, class_=f"electrode {class_}"),
        text(at[0], at[1] + size * 0.36, name, anchor="middle", class_=ink, style=f"font-size:{size:.1f}px"),
        title=shown,
    )


def _key(low: float, high: float, unit: str, size: float, top: float, diverging: bool) -> Markup:
    n = N_DIVERGING if diverging else N_STEPS
    wide, y = 22.0, top + 4
    x = size / 2 - n * wide / 2
    boxes = [
        element("rect", x=x + i * wide, y=y, width=wide, height=10.0, class_=f"{'d' if diverging else 'q'}{i}")
        for i in range(n)
    ]
    return group(
        *boxes,
        text(x, y + 24, format_number(low), anchor="middle", class_="tick"),
        text(x + n * wide, y + 24, format_number(high), anchor="middle", class_="tick"),
        text(size / 2, y + 24, unit, anchor="middle", class_="label"),
    )
