"""Seizures listed in a patient's text file, as in the summaries of CHB-MIT.

`chbNN-summary.txt`, as documented by PhysioNet, has for each file a line `File Name:`, its number of seizures, and
a line each for the start and end of a seizure, in seconds from the file's start. A recording gets an event for each
seizure and for each part without one. Other lines (rate, channels, clock times) are ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from eegprep.errors import InputError
from eegprep.formats.decoded import SourceEvent
from eegprep.recording import seconds_to_samples

SEIZURE, NO_SEIZURE = "seizure", "no seizure"
_MAX_BYTES = 4 << 20
_FILE = re.compile(r"File Name:\s*(\S{1,200})\s*")
_COUNT = re.compile(r"Number of Seizures in File:\s*(\d{1,4})\s*")
_BORDER = re.compile(r"Seizure\s*(?:\d{1,4}\s*)?(Start|End) Time:\s*(\d{1,7}(?:\.\d{1,6})?)\s*(?:seconds?|secs?)?\s*")


@dataclass(kw_only=True)
class _Listed:
    """One file's entry in the summary: the number of seizures, and their boundaries in seconds."""

    count: int | None = None
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)


def seizure_events(path: Path, recording: str, *, n_samples: int, sfreq_hz: float) -> tuple[SourceEvent, ...] | None:
    """Seizures of one recording and the parts between them, in order of time; None if it is not listed.

    Parameters
    ----------
    path : Path
        The summary.
    recording : str
        The recording's file name in the summary, such as `chb01_03.edf`.
    n_samples, sfreq_hz
        Length and sampling rate of the recording.

    Raises
    ------
    InputError
        The text is not a summary, or its entry contradicts itself or the recording's length.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path.name} is too large for a seizure summary", where=path, expected=f"{_MAX_BYTES} bytes")
    listed = _read(path.read_text(encoding="utf-8", errors="replace"))
    if not listed:
        raise InputError(
            f"{path.name} is not a seizure summary", where=path, expected="lines that begin with 'File Name:'"
        )
    own = listed.get(recording)
    if own is None:
        return None
    borders = list(zip(own.starts, own.ends, strict=False))
    times = [t for border in borders for t in border]
    if own.count is None or not len(own.starts) == len(own.ends) == own.count or times != sorted(set(times)):
        raise InputError(
            f"{path.name} has inconsistent seizures for {recording}",
            where=path,
            found=f"{own.count} seizures, starts {own.starts}, ends {own.ends}",
            expected="as many starts and ends as seizures, in ascending order",
        )
    if times and times[-1] > n_samples / sfreq_hz:
        raise InputError(
            f"{path.name} has a seizure after the end of {recording}",
            where=path,
            found=f"{times[-1]:g} s",
            expected=f"at most {n_samples / sfreq_hz:g} s",
        )
    events, at = [], 0
    for start_s, end_s in borders:
        start, end = (seconds_to_samples(t, sfreq_hz) for t in (start_s, end_s))
        events += [_event(at, start, NO_SEIZURE), _event(start, end, SEIZURE)]
        at = end
    events.append(_event(at, n_samples, NO_SEIZURE))
    return tuple(e for e in events if e.n_samples > 0)


def _event(start: int, stop: int, text: str) -> SourceEvent:
    return SourceEvent(start_sample=start, n_samples=stop - start, text=text, witness="events file")


def _read(text: str) -> dict[str, _Listed]:
    found: dict[str, _Listed] = {}
    current: _Listed | None = None
    for line in text.splitlines():
        line = line.strip()
        if named := _FILE.fullmatch(line):
            current = found.setdefault(named[1], _Listed())
        elif current is None:
            continue
        elif counted := _COUNT.fullmatch(line):
            current.count = int(counted[1])
        elif border := _BORDER.fullmatch(line):
            (current.starts if border[1] == "Start" else current.ends).append(float(border[2]))
    return found
