"""Time-stamped annotation lists (TAL) of EDF+ and BDF+: events, and the start time of each record.

A list is `onset [0x15 duration] 0x14 (text 0x14)* 0x00`. The parser reads from the front and does not search ahead for
a match; invalid bytes up to the next 0x00 are counted. Beyond the standard it accepts known deviations:
exponents or decimal commas in numbers, an empty or signed duration, a last text terminated by 0x00 only, lists that
continue in the next annotation signal, and lists without 0x00 between them (Nihon Kohden).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_NUMBER = re.compile(rb"\s*[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d{1,3})?\s*")
#: The onset of a list that begins where the previous one should have ended; a sign alone would match a text like "-1".
_ONSET = re.compile(rb"\+\d+(?:[.,]\d*)?")
_LONGEST_S = 3.2e9
_PADDING = b" \t\r\n"


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """An annotation, in seconds from the file's start."""

    onset_s: float
    duration_s: float
    text: str


@dataclass(frozen=True, kw_only=True)
class AnnotationLists:
    """The contents of a file's annotation signals.

    Attributes
    ----------
    starts : tuple of float or None
        Start of each record; None if its time stamp is missing.
    annotations : tuple of Annotation
    n_unread_bytes, n_unread_records : int
        Bytes that are not part of a valid list, and the number of records with such bytes.
    """

    starts: tuple[float | None, ...]
    annotations: tuple[Annotation, ...]
    n_unread_bytes: int = 0
    n_unread_records: int = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """A note on what could not be read; empty if everything could."""
        if not self.n_unread_bytes:
            return ()
        return (
            f"{self.n_unread_bytes} bytes of annotations, in {self.n_unread_records} of {len(self.starts)} "
            "records, cannot be read: events may be missing",
        )


@dataclass(frozen=True, kw_only=True)
class _List:
    onset_s: float
    duration_s: float
    texts: tuple[bytes, ...]


def parse_records(records: Iterable[Sequence[bytes]]) -> AnnotationLists:
    """All annotations of a file, in the order in which they are stored.

    Parameters
    ----------
    records : iterable of sequence of bytes
        Per record, the bytes of each annotation signal in order; the first signal has the time stamps.
    """
    starts: list[float | None] = []
    annotations: list[Annotation] = []
    n_bytes = n_records = 0
    for signals in records:
        start: float | None = None
        unread = 0
        data = b""
        for index, own in enumerate(signals):
            data += own
            found: list[_List] = []
            if index + 1 < len(signals) and (rest := _unfinished(data, signals[index + 1])):
                data, carried = data[:-rest], data[-rest:]
            else:
                carried = b""
            unread += sum(_parse(data, found))
            if index == 0:
                start = _time_stamp(data)
            annotations += [
                Annotation(onset_s=tal.onset_s, duration_s=tal.duration_s, text=text)
                for tal in found
                for text in map(_text, tal.texts)
                if text
            ]
            data = carried
        starts.append(start)
        n_bytes += unread
        n_records += unread > 0
    return AnnotationLists(
        starts=tuple(starts), annotations=tuple(annotations), n_unread_bytes=n_bytes, n_unread_records=n_records
    )


def _time_stamp(data: bytes) -> float | None:
    """The onset of a list at the front with an empty first text; None if there is none."""
    lists: list[_List] = []
    fits = not any(_parse(data.split(b"\0", 1)[0], lists))
    return lists[0].onset_s if fits and lists and lists[0].texts[:1] == (b"",) else None


def _unfinished(data: bytes, following: bytes) -> int:
    """Length of a last list that fills its signal to the end and continues in the next one; 0 if there is none."""
    last, head = data[data.rfind(b"\0") + 1 :], following.split(b"\0", 1)[0]
    if not last or not head or head[:1] in b"+-":  # the next signal begins with its own list
        return 0
    return 0 if any(_parse(last + head, [])) else len(last)


def _parse(data: bytes, found: list[_List]) -> Iterator[int]:
    """Append the lists of one signal to `found`; yield the length of each part that is not a list."""
    for part in data.split(b"\0"):
        if part.strip(_PADDING):
            yield from _parse_part(part.lstrip(_PADDING), found)


def _parse_part(part: bytes, found: list[_List]) -> Iterator[int]:
    """The content between two 0x00: one list, or several that lack the 0x00 between them."""
    stamp, *texts = part.split(b"\x14")
    while True:
        onset, *durations = stamp.split(b"\x15")
        onset_s = _seconds(onset)
        if onset_s is None or not texts:
            yield len(b"\x14".join([stamp, *texts]))
            return
        duration_s: float | None = 0.0
        if durations and durations != [b""]:
            duration_s = _seconds(durations[0]) if len(durations) == 1 else None
        if duration_s is None:
            yield len(stamp) - len(onset)
        last = next((i for i in range(len(texts)) if _begins_list(texts, i)), len(texts))
        own = texts[:last]
        found.append(_List(onset_s=onset_s, duration_s=max(duration_s or 0.0, 0.0), texts=tuple(own)))
        if last == len(texts):
            return
        stamp, texts = texts[last], texts[last + 1 :]


def _begins_list(texts: Sequence[bytes], i: int) -> bool:
    """Whether `texts[i]` is the onset of another list: it is followed by a text and looks like an onset.

    After an empty text (a record's time stamp, or the end of a list) any number with a plus sign is an onset; after
    another text it also needs decimals or a duration, since "+1" may be a text.
    """
    onset, *duration = texts[i].split(b"\x15")
    if _ONSET.fullmatch(onset) is None or i + 1 >= len(texts) or not texts[i + 1]:
        return False
    if duration:
        return len(duration) == 1 and (not duration[0] or _seconds(duration[0]) is not None)
    return i > 0 and (not texts[i - 1] or b"." in onset or b"," in onset)


def _seconds(number: bytes) -> float | None:
    """Parse a number leniently; None for anything else, and for more than a hundred years."""
    if _NUMBER.fullmatch(number) is None:
        return None
    value = float(number.replace(b",", b"."))
    return value if abs(value) <= _LONGEST_S else None


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return data.decode("latin-1").strip()
