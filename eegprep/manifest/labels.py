"""Comparison of labels: trigger codes, annotation texts, table cells and manifest keys.

`1`, `1.0`, `"1"`, `" 1"`, `"+1"` and `"1e0"` are the same label, whatever program wrote them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

_T = TypeVar("_T")

#: The greatest float32.
_GREATEST = float.fromhex("0x1.fffffep+127")
#: Leading zeros are kept: "01" may differ from "1".
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
#: A marker as BrainVision pads it: "Stimulus/S  1", "R 12".
_PADDED = re.compile(r"((?:[^/]+/)?[A-Za-z]) {1,3}(\d{1,3})", re.ASCII)


def code_text(value: object) -> str:
    """A code or a name as text; all spellings of a number give the same text."""
    text = str(value).strip()
    if _NUMBER.fullmatch(text) is None:
        return text
    number = Decimal(text)
    return f"{number.normalize():f}" if number else "0"


def event_label(value: object) -> str:
    """The key for comparing labels: `code_text` without BrainVision's padding (`S  1` is `S1`)."""
    text = code_text(value)
    padded = _PADDED.fullmatch(text)
    return text if padded is None else padded[1] + padded[2]


def target_of(label: str) -> float:
    """The number that a label of a regression stands for; ValueError unless it is finite, also in single precision."""
    value = math.nan if "_" in label else float(label)
    if not abs(value) <= _GREATEST:  # also for NaN
        raise ValueError("not a finite number")
    return value


def look_up(labels: Mapping[str, _T], text: str) -> _T | None:
    """The entry whose key is the same label as `text`, preferring the exact key; None if there is none."""
    if text in labels:
        return labels[text]
    wanted = event_label(text)
    return next((entry for key, entry in labels.items() if event_label(key) == wanted), None)
