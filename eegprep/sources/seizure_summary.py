"""Seizures listed in a patient's text file, as in CHB-MIT and in the Siena database.

`chbNN-summary.txt`, as documented by PhysioNet, has for each file a line `File Name:`, its number of seizures, and
a line each for the start and end of a seizure, in seconds from the file's start. A recording gets an event for each
seizure and for each part without one. Other lines (rate, channels, clock times) are ignored.

`Seizures-list-PNxx.txt` of the Siena database has an entry for each seizure, in text that varies from file to file:
`File name:`, `Registration start time:` and `Registration end time:`, then `Seizure start time:` (or `Start time:`) and
the end, as clock times such as `19.58.36` or `1:22:05`. A seizure's time in the recording is its clock time minus the
registration's start, across midnight if need be. The registration must be as long as the recording, and each seizure
inside it: a list that contradicts the recording is an error, since its clock is then not the recording's.
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


_CLOCK_LIST = re.compile(r"(?im)^\s*registration\s+start\s+time")
_CLOCK_FILE = re.compile(r"(?i)\s*file\s*name\s*:?\s*(\S[^:]{0,100}?\.edf)\s*$")
_CLOCK_TIME = re.compile(
    r"(?i)\s*(registration\s+)?(?:seizure\s+)?(start|end)\s*time\s*:?\s*(\d{1,2})\s*[.:]\s*(\d{1,2})\s*[.:]\s*(\d{1,2})\b"
)
_CLOCK_TIMES = ("registration start", "registration end", "seizure start", "seizure end")
_DAY_S = 86400.0
#: Clock times are whole seconds, and recordings end with a complete record.
_CLOCK_TOLERANCE_S = 5.0


@dataclass(kw_only=True)
class _Listed:
    """One file's entry: the number of seizures, their boundaries in seconds, and the recording's length if stated."""

    count: int | None = None
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    lasts_s: float | None = None


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
    text = path.read_text(encoding="utf-8", errors="replace")
    listed = _by_clock(text, path) if _CLOCK_LIST.search(text) else _read(text)
    if not listed:
        raise InputError(
            f"{path.name} is not a seizure summary", where=path, expected="lines that begin with 'File Name:'"
        )
    own = listed.get(recording) or listed.get(recording.casefold())
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
    if own.lasts_s is not None and abs(own.lasts_s - n_samples / sfreq_hz) > _CLOCK_TOLERANCE_S:
        raise InputError(
            f"{path.name} gives {recording} another length",
            where=path,
            found=f"{own.lasts_s:g} s from the registration's start to its end",
            expected=f"{n_samples / sfreq_hz:g} s, the recording's length",
            todo="correct the registration times of this file in the list",
        )
    events, at = [], 0
    for start_s, end_s in borders:
        start, end = (seconds_to_samples(t, sfreq_hz) for t in (start_s, end_s))
        events += [_event(at, start, NO_SEIZURE), _event(start, end, SEIZURE)]
        at = end
    events.append(_event(at, n_samples, NO_SEIZURE))
    return tuple(e for e in events if e.n_samples > 0)


def _by_clock(text: str, path: Path) -> dict[str, _Listed]:
    """The entries of a list with clock times, by file name in lower case."""
    found: dict[str, _Listed] = {}
    name, times = "", {}  # type: tuple[str, dict[str, float]]

    def add() -> None:
        """Keep the seizure whose lines were read, if it is complete."""
        if not {"seizure start", "seizure end"} & set(times):
            return
        missing = [what for what in _CLOCK_TIMES if what not in times]
        if not name or missing:
            raise InputError(
                f"{path.name} has an incomplete seizure of {name or 'an unnamed file'}",
                where=path,
                found=", ".join(sorted(times)),
                expected=", ".join(("file name", *_CLOCK_TIMES)),
                todo="complete this entry of the list",
            )
        begin = times["registration start"]
        listed = found.setdefault(name, _Listed(count=0, lasts_s=(times["registration end"] - begin) % _DAY_S))
        if listed.lasts_s != (times["registration end"] - begin) % _DAY_S:
            raise InputError(f"{path.name} has several registration times for {name}", where=path)
        seizure = ((times["seizure start"] - begin) % _DAY_S, (times["seizure end"] - begin) % _DAY_S)
        if seizure in zip(listed.starts, listed.ends, strict=True):
            return
        listed.count = (listed.count or 0) + 1
        listed.starts.append(seizure[0])
        listed.ends.append(seizure[1])

    for line in text.splitlines():
        if (named := _CLOCK_FILE.match(line)) is not None:
            add()
            name, times = re.sub(r"\s", "", named[1]).casefold(), {}
        elif (stated := _CLOCK_TIME.match(line)) is not None:
            registration, border, hours, minutes, seconds = stated.groups()
            what = f"{'registration' if registration else 'seizure'} {border.casefold()}"
            if what in times and what.startswith("seizure"):
                add()  # another seizure of the same file
                times = {k: v for k, v in times.items() if k.startswith("registration")}
            if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
                raise InputError(f"{path.name} has an impossible time", where=path, found=line.strip()[:80])
            times[what] = 3600.0 * int(hours) + 60.0 * int(minutes) + int(seconds)
    add()
    return found


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
