"""Events in a second file: hypnograms and scorings in EDF+, or lists of a patient's seizures.

The manifest gives a pattern for such files. A file belongs to the recordings whose entities (subject, session, run)
include those in its name, so a summary per patient applies to all recordings of that patient.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from eegprep.errors import InputError
from eegprep.formats.clock import Clock
from eegprep.formats.decoded import Decoded, SourceEvent
from eegprep.manifest.patterns import compile_pattern
from eegprep.recording import seconds_to_samples


def events_files(pattern: str, paths: Iterable[str]) -> dict[frozenset[tuple[str, str]], str]:
    """Relative paths of events files by the entities in their names; files with the same entities are left out."""
    compiled = compile_pattern(pattern)
    found: dict[frozenset[tuple[str, str]], list[str]] = {}
    for path in paths:
        fit = compiled.entities(path)
        if fit is not None:
            found.setdefault(frozenset(fit.items()), []).append(path)
    return {named: alike[0] for named, alike in found.items() if len(alike) == 1}


def belonging(found: Mapping[frozenset[tuple[str, str]], str], entities: Mapping[str, str]) -> str | None:
    """The events file with these entities, or else with the largest subset of them."""
    own = frozenset(entities.items())
    if own in found:
        return found[own]
    fitting = [named for named in found if named and named < own]
    return found[max(fitting, key=lambda named: (len(named), sorted(named)))] if fitting else None


def with_events(decoded: Decoded, path: Path, recording: str, beside: Path | None = None) -> Decoded:
    """`decoded` with the events of an EDF+ file of annotations, or of a summary of seizures (.txt).

    Events outside the recording are left out, with a note. One that begins before it lasts from its start.

    Parameters
    ----------
    recording : str
        The recording's file name.
    beside : Path, optional
        The recording, for its start: onsets in EDF+ count from the start of their own file.

    Raises
    ------
    InputError
        The file is neither, or the recording holds epochs.
    """
    if decoded.is_epoched:
        raise InputError(
            f"the events in {path.name} have no place in a file of epochs",
            where=path,
            found=f"{recording} holds epochs",
            expected="a continuous recording",
            todo="use the continuous recording, or remove `source: events_file:` and use `by: trial`",
        )
    from eegprep.formats.edf.read import read_annotations
    from eegprep.sources.seizure_summary import seizure_events

    if path.suffix.lower() == ".txt":
        listed = seizure_events(path, recording, n_samples=decoded.signal.shape[1], sfreq_hz=decoded.sfreq_hz)
        if listed is None:
            return dataclasses.replace(decoded, notes=(*decoded.notes, f"{path.name} does not list this recording"))
        return dataclasses.replace(decoded, events=tuple(sorted((*decoded.events, *listed))))

    lists = read_annotations(path)
    if not lists.annotations:
        raise InputError(
            f"{path.name} contains no annotations",
            where=path,
            found=" ".join(lists.notes) or None,
            expected="EDF+ with annotations",
        )
    n_samples = decoded.signal.shape[1]
    lasts_s = n_samples / decoded.sfreq_hz if decoded.clock is None else decoded.clock.end_s
    later_s, began = _later(path, beside, lasts_s)
    events, n_lost, n_outside = [], 0, 0
    for a in lists.annotations:
        onset_s = a.onset_s + later_s
        start = seconds_to_samples(onset_s, decoded.sfreq_hz)
        stop = seconds_to_samples(onset_s + a.duration_s, decoded.sfreq_hz)
        if decoded.clock is not None:
            at = decoded.clock.place(onset_s, a.duration_s)
            n_lost += at is None
            if at is None:
                continue
            start, stop = at[0], at[0] + at[1]
        if start < 0 < stop:  # it lasts into the recording
            start = 0
        if 0 <= start < n_samples:
            lasts = max(min(stop, n_samples) - start, 0)
            events.append(SourceEvent(start_sample=start, n_samples=lasts, text=a.text, witness="events file"))
        else:
            n_outside += 1
    outside = [f"{n_outside} events outside the recording are left out"] if n_outside else []
    notes = [f"event file: {note}" for note in (*lists.notes, *began, *Clock.notes(n_lost), *outside)]
    return dataclasses.replace(
        decoded, events=tuple(sorted((*decoded.events, *events))), notes=(*decoded.notes, *notes)
    )


def _later(events: Path, recording: Path | None, lasts_s: float) -> tuple[float, list[str]]:
    """Seconds by which an EDF+ file of events begins after the recording, as far as both headers are believable.

    Headers without dates have midnight, or another day, as their start.
    """
    first, second = (None if p is None else _start(p) for p in (recording, events))
    if first is None or second is None or first == second:
        return 0.0, []
    (day, at), (other_day, other) = first, second
    if day != other_day or 0 in (at, other) or abs(other - at) >= lasts_s:
        return 0.0, [
            "its header has another start than the recording's; its onsets are taken from the recording's start"
        ]
    said = f"it begins {abs(other - at)} s {'after' if other > at else 'before'} the recording, which its onsets follow"
    return float(other - at), [said]


def _start(path: Path) -> tuple[str, int] | None:
    """The date in an EDF or BDF header and its time in seconds; None if there is none."""
    if not path.is_file():  # a recording that is a folder
        return None
    with path.open("rb") as handle:
        head = handle.read(184)
    found = re.fullmatch(rb"(\d\d\.\d\d\.\d\d)(\d\d)\.(\d\d)\.(\d\d)", head[168:])
    if found is None or head[:8] not in (b"0       ", b"\xffBIOSEMI"):
        return None
    return found[1].decode(), 3600 * int(found[2]) + 60 * int(found[3]) + int(found[4])
