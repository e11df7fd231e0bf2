"""Complete what MNE ignores in companion files: fields of BrainVision markers and the parts of ANT files."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path

from eegprep.formats.companions import named_files
from eegprep.formats.decoded import Decoded, SourceEvent

#: `Mk12=Bad Interval,Bad Min-Max,1234,500,3`: type, description, position from 1, samples, channel from 1 or 0 for all.
_MARKER = re.compile(r"^Mk\d+=([^,]*),([^,]*),(\d+),(\d+),(\d+)", re.M)
#: ANT's amplifiers measure impedances before they stop and after they start, a few samples apart on the time line;
#: newer ones write a discontinuity code.
_PAIR_S, _DISCONTINUITY = 0.01, "__"


def with_marker_fields(decoded: Decoded, path: Path) -> Decoded:
    """The role of each marker from its type field, and its channel if it applies to one."""
    beside = [path.parent / n for n in named_files(path) if n.lower().endswith((".vmrk", ".amrk"))]
    channels: dict[tuple[int, str], set[int]] = {}
    for file in (f for f in [*beside, path.with_suffix(".vmrk")][:1] if f.is_file()):
        for kind, text, position, _, channel in _MARKER.findall(file.read_bytes().decode("utf-8", "replace")):
            channels.setdefault((int(position) - 1, f"{kind}/{text}"), set()).add(int(channel))
    events: list[SourceEvent] = []
    for event in decoded.events:
        kind = event.text.partition("/")[0].casefold()
        found = channels.get((event.start_sample, event.text), {0})
        own = decoded.channels
        names = () if 0 in found else tuple(own[c - 1].name for c in sorted(found) if c <= len(own))
        if kind == "new segment":
            event = dataclasses.replace(event, role="break")
        elif kind == "bad interval":
            event = dataclasses.replace(event, role="gap", channels=names)
        elif names:
            event = dataclasses.replace(event, channels=names)
        if not (names and event in events[-len(names) :]):  # a marker for several channels is written once per channel
            events.append(event)
    events += _segments(path, decoded.signal.shape[1])
    return dataclasses.replace(decoded, events=tuple(sorted(events)))


def _segments(path: Path, n_samples: int) -> list[SourceEvent]:
    """Breaks between the segments that the header states; an export without markers has no others."""
    head = path.read_bytes()[: 1 << 16]
    kind = re.search(rb"^SegmentationType[ \t]*=[ \t]*(MARKERBASED|FIXTIME)", head, re.M | re.I)
    stated = re.search(rb"^SegmentDataPoints[ \t]*=[ \t]*(\d+)", head, re.M | re.I)
    length = int(stated[1]) if kind and stated else 0
    if not 1 < length < n_samples or n_samples % length:
        return []
    return [SourceEvent(start_sample=s, text="boundary", role="break") for s in range(length, n_samples, length)]


def with_parts(decoded: Decoded, path: Path) -> Decoded:
    """Breaks where an ANT recording was paused, from its `.seg` file or from pairs of impedance markers."""
    n_samples = decoded.signal.shape[1]
    starts, notes = _listed(path, n_samples)
    marks = sorted(e.start_sample for e in decoded.events if e.text.casefold() == "impedance")
    near = max(1, round(_PAIR_S * decoded.sfreq_hz))
    starts |= {b for a, b in itertools.pairwise(marks) if 0 < b - a <= near}
    breaks = [
        SourceEvent(start_sample=s, text=_DISCONTINUITY, role="break") for s in sorted(starts) if 0 < s < n_samples
    ]
    events = tuple(sorted((*decoded.events, *breaks)))
    return dataclasses.replace(decoded, events=events, notes=(*decoded.notes, *notes))


def _listed(path: Path, n_samples: int) -> tuple[set[int], list[str]]:
    """The first samples of the parts that a `.seg` file lists, and notes.

    After a line with the number of parts, each part (or each but the first) has a date, a fraction of a second and a
    number of samples.
    """
    file = next((f for f in (path.with_suffix(s) for s in (".seg", ".SEG")) if f.is_file()), None)
    if file is None:
        return set(), []
    head, *lines = file.read_text(encoding="latin-1").split("\n")
    stated = re.match(r"\s*NumberSegments\s*=\s*(\d+)", head, re.I)
    found = [m for line in lines if line.strip() and (m := re.fullmatch(r"\s*\S+\s+\S+\s+(\d+)\s*", line))]
    lengths = [int(m[1]) for m in found]
    n_parts = int(stated[1]) if stated else -1
    if len(lengths) == n_parts - 1:
        lengths.insert(0, n_samples - sum(lengths))
    if len(lengths) != n_parts or sum(lengths) != n_samples or min(lengths) < 0:
        return set(), ["the .seg file does not match the length of the recording and was ignored"]
    return {sum(lengths[:k]) for k in range(1, n_parts)}, []
