"""Events in a second file: hypnograms and scorings in EDF+, or lists of a patient's seizures.

The manifest gives a pattern for such files. A file belongs to the recordings whose entities (subject, session, run)
include those in its name, so a summary per patient applies to all recordings of that patient.
"""

from __future__ import annotations

import dataclasses
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


def with_events(decoded: Decoded, path: Path, recording: str) -> Decoded:
    """`decoded` with the events of an EDF+ file of annotations, or of a summary of seizures (.txt).

    Events that begin outside the recording are dropped. `recording` is the recording's file name.

    Raises
    ------
    InputError
        The file is neither.
    """
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
    events, n_lost = [], 0
    for a in lists.annotations:
        start = seconds_to_samples(a.onset_s, decoded.sfreq_hz)
        stop = seconds_to_samples(a.onset_s + a.duration_s, decoded.sfreq_hz)
        if decoded.clock is not None:
            at = decoded.clock.place(a.onset_s, a.duration_s)
            n_lost += at is None
            start, stop = (-1, -1) if at is None else (at[0], at[0] + at[1])
        if 0 <= start < n_samples:
            lasts = max(min(stop, n_samples) - start, 0)
            events.append(SourceEvent(start_sample=start, n_samples=lasts, text=a.text, witness="events file"))
    notes = [f"event file: {note}" for note in (*lists.notes, *Clock.notes(n_lost))]
    return dataclasses.replace(
        decoded, events=tuple(sorted((*decoded.events, *events))), notes=(*decoded.notes, *notes)
    )
