"""EGI MFF: read the events of a folder, as far as possible.

The package mffpy rejects a recording if one key of one event has a value of the wrong type, as in folders written by
EEGLAB. These keys are not needed, so only such a key is ignored.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from eegprep.formats.decoded import Decoded
from eegprep.recording import seconds_to_samples

#: Net Station gives instants this duration.
_INSTANT_S = 0.001


@contextlib.contextmanager
def tolerant_events(format_name: str) -> Iterator[list[str]]:
    """Context in which mffpy skips unreadable keys of events; notes on them are added to the list."""
    if format_name != "egi_mff":
        yield []
        return
    from mffpy.xml_files import EventTrack

    notes: list[str] = []
    n_parts = n_events = 0
    strict_keys = EventTrack._parse_keys

    def keys(track: Any, element: Any) -> dict[str, Any]:
        nonlocal n_parts
        found: dict[str, Any] = {}
        for one in element:
            try:
                found.update(strict_keys(track, [one]))
            except Exception:  # any error from a wrong type
                n_parts += 1
        return found

    def events(track: Any) -> list[dict[str, Any]]:
        nonlocal n_parts, n_events
        found: list[dict[str, Any]] = []
        for element in track.findall("event"):
            event: dict[str, Any] = {"duration": 0}
            for part in element:
                tag = track.nsstrip(part.tag)
                try:
                    event[tag] = track._event_type_converter[tag](part)
                except Exception:  # any error from a wrong type
                    n_parts += 1
            if event.keys() >= {"code", "beginTime"}:
                found.append(event)
            else:
                n_events += 1
        return found

    with mock.patch.object(EventTrack, "_parse_keys", keys), mock.patch.object(EventTrack, "events", property(events)):
        yield notes
    if n_parts:
        notes.append(f"{n_parts} entries of the events have values of the wrong type and were ignored")
    if n_events:
        notes.append(f"{n_events} events without a readable code or time are left out")


def with_durations(decoded: Decoded, path: Path, header: Mapping[str, Any]) -> Decoded:
    """`decoded` with the durations of its events, which MNE leaves out.

    Events are matched in order of time; if a code has not as many events in the files, its events stay instants.
    `header` is MNE's (`raw._raw_extras[0]`).
    """
    from mffpy.xml_files import XML

    unit_s = 1e-6 if int(header.get("version") or 0) >= 3 else 1e-9
    listed: dict[str, list[tuple[Any, float]]] = {}
    for file in sorted(path.glob("Events*.xml")):
        try:
            found = XML.from_file(str(file)).events
        except Exception:  # its events are not in the recording either
            continue
        for event in found:
            lasts_s = float(event.get("duration", 0)) * unit_s
            listed.setdefault(event["code"], []).append((event["beginTime"], lasts_s))
    lasting: dict[str, list[float]] = {}
    for code, own in listed.items():
        n_read = sum(e.text == code and e.role == "stimulus" for e in decoded.events)
        if n_read == len(own) and any(lasts_s > _INSTANT_S for _, lasts_s in own):
            lasting[code] = [lasts_s for _, lasts_s in sorted(own, reverse=True)]
    events = []
    for event in sorted(decoded.events):
        if event.role == "stimulus" and lasting.get(event.text):
            lasts_s = lasting[event.text].pop()
            n_samples = seconds_to_samples(lasts_s, decoded.sfreq_hz) if lasts_s > _INSTANT_S else 0
            event = dataclasses.replace(event, n_samples=n_samples)
        events.append(event)
    return dataclasses.replace(decoded, events=tuple(sorted(events)))
