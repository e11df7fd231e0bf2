"""EGI MFF: read the events of a folder, as far as possible.

The package mffpy rejects a recording if one key of one event has a value of the wrong type, as in folders written by
EEGLAB. These keys are not needed, so only such a key is ignored.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock


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
