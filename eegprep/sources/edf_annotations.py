"""Time-stamped annotation lists (TAL) of EDF+ and BDF+: events, and when each record began.

What enters: the bytes of each record's annotation signals. What leaves: the start of every record, in seconds
from the file's start, and the events with onset, duration and text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Annotation", "parse_records"]

# onset, optional duration after 0x15, then texts ended by 0x14 each, the list ended by 0x00
_TAL = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14((?:[^\x00\x14]*\x14)*)\x00")


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """Seconds from the file's start."""

    onset_s: float
    duration_s: float
    text: str


def parse_records(records: Iterable[Sequence[bytes]]) -> tuple[list[float | None], list[Annotation]]:
    """Start of each record (None where its time stamp is lost) and all annotations.

    Parameters
    ----------
    records : iterable of sequence of bytes
        Per record, the bytes of each annotation signal in order; the first one keeps the time.
    """
    starts: list[float | None] = []
    annotations: list[Annotation] = []
    for signals in records:
        start: float | None = None
        for index, data in enumerate(signals):
            for number, tal in enumerate(_TAL.finditer(data)):
                onset = float(tal[1])
                texts = tal[3].split(b"\x14")[:-1]
                if index == 0 and number == 0 and tal.start() == 0 and texts and texts[0] == b"":
                    start = onset
                annotations += [
                    Annotation(onset_s=onset, duration_s=float(tal[2] or 0), text=_text(t)) for t in texts if t
                ]
        starts.append(start)
    return starts, annotations


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return data.decode("latin-1").strip()
