"""The documentation's own drawings: the way from raw files to a model, and how a window becomes tokens.

What enters: nothing but numbers of the paper's default (1024 samples, tokens of 256 every 32). What leaves: SVG
without a colour of its own; `generate.py` frames it, so that it follows the page's light or dark mode.
"""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from eegprep.report.figures.svg import element, group, picture, polyline, text

# What a box holds: a heading, two lines below it; and the command that leads to it.
BOXES = (
    ("recordings", "EDF, BDF, FIF, CNT,", "BIDS, MOABB, text", ""),
    ("store", "electrode × time,", "µV, 256 Hz", "eegprep ingest"),
    ("shard set", "a tar per electrode,", "Parquet index", "eegprep shard"),
    ("encoder (ETE)", "next token of", "any electrode", "eegpt train"),
    ("graph (TEG)", "all electrodes,", "all tasks at once", "eegpt transfer"),
)


def flow() -> Markup:
    """Five boxes from left to right, the command that makes each above its arrow."""
    width, height, gap, top = 158.0, 76.0, 34.0, 34.0
    parts: list[Markup] = []
    for i, (heading, first, second, command) in enumerate(BOXES):
        x = i * (width + gap)
        parts.append(element("rect", x=x + 1, y=top, width=width - 2, height=height, rx=6.0, class_="box"))
        for line, y, class_ in ((heading, 24, "strong"), (first, 46, None), (second, 63, None)):
            parts.append(text(x + width / 2, top + y, line, anchor="middle", class_=class_))
        if command:
            parts.append(text(x + width / 2, top - 12, command, anchor="middle", class_="code"))
            parts.append(polyline([(x - gap + 3, top + height / 2), (x - 5, top + height / 2)], class_="line"))
            tip = [(x - 11, top + height / 2 - 4), (x - 3, top + height / 2), (x - 11, top + height / 2 + 4)]
            parts.append(polyline(tip, closed=True, class_="mark"))
    label = "Recordings become a store, the store a shard set, which trains the encoder and then the graph"
    return picture(parts, width=5 * width + 4 * gap, height=top + height + 4, label=label)


def tokens(n_samples: int = 1024, token: int = 256, stride: int = 32) -> Markup:
    """A window of a made-up signal, its overlapping tokens below it, and what of the next token is new."""
    left, scale, signal_y = 6.0, 0.66, 76.0
    generator = np.random.default_rng(3)
    time_s = np.arange(n_samples) / 256
    drift = np.cumsum(generator.standard_normal(n_samples))
    drift -= np.linspace(drift[0], drift[-1], n_samples)
    wave = 14 * np.sin(2 * np.pi * 9.7 * time_s) * (0.55 + 0.45 * np.sin(2 * np.pi * 0.4 * time_s)) + 0.7 * drift
    wave *= 46 / np.abs(wave).max()
    points = [(left + scale * i, signal_y - float(v)) for i, v in enumerate(wave)]
    n_tokens = (n_samples - token) // stride + 1
    rows = token // stride
    parts = [polyline(points, class_="line")]
    for i in range(n_tokens):
        x, y = left + scale * i * stride, 142.0 + 12 * (i % rows)
        bar = element("rect", x=x, y=y, width=scale * token - 3, height=8.0, rx=2.0, class_="token")
        parts.append(group(bar, title=f"token {i + 1} of {n_tokens}: samples {i * stride} to {i * stride + token - 1}"))
    parts += _what_is_new(left, scale, n_tokens // 2, token, stride)
    parts.append(text(left, 262, f"{n_samples} samples at 256 Hz: {n_tokens} tokens of {token}, one every {stride}"))
    label = f"A window of {n_samples} samples and its {n_tokens} overlapping tokens"
    return picture(parts, width=2 * left + scale * n_samples, height=270, label=label)


def _what_is_new(left: float, scale: float, number: int, token: int, stride: int) -> list[Markup]:
    """The samples of token `number` that the token before it did not have, over the signal."""
    start = number * stride + token - stride
    x = left + scale * start
    edges = [left + scale * s for s in (start, start + stride)]
    band = element("rect", x=x, y=22.0, width=scale * stride, height=112.0, class_="new")
    lines = [polyline([(edge, 22), (edge, 134)], class_="edge") for edge in edges]
    return [band, *lines, text(edges[1], 14, f"the {stride} samples that only the next token has", anchor="middle")]
