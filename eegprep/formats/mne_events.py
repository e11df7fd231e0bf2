"""The events of MNE objects: annotations, trigger channels, and event files beside a FIF recording."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eegprep.errors import InputError
from eegprep.formats.decoded import SourceEvent
from eegprep.formats.events import trigger_events
from eegprep.formats.mne_channels import samples_of
from eegprep.privacy import clean_message
from eegprep.recording import seconds_to_samples

#: Neuromag's composite trigger channels, and the channels of the individual trigger lines.
_COMBINED = frozenset({"STI101", "STI201", "STI301", "STI 014", "STI014"})
#: MNE rounds onsets to microseconds; EEGLAB's boundaries are half-way between two samples and must stay there.
_ROUNDED_S = 1e-6
_LINE = re.compile(r"STI ?0(0[1-9]|1[0-356])")


def _annotations(raw: Any, sfreq_hz: float, format_name: str) -> list[SourceEvent]:
    # Onsets are relative to the start of the acquisition, which may have been cropped from a FIF file.
    marks = raw.annotations
    names = marks.ch_names if marks.ch_names is not None else [()] * len(marks)
    events = []
    for onset, duration, text, channels in zip(marks.onset, marks.duration, marks.description, names, strict=True):
        if not math.isfinite(onset):
            continue
        is_break = format_name == "eeglab" and text == "boundary"
        events.append(
            SourceEvent(
                start_sample=seconds_to_samples(
                    float(onset) - float(raw.first_time) + (_ROUNDED_S if is_break else 0.0), sfreq_hz
                ),
                n_samples=max(0, seconds_to_samples(float(duration), sfreq_hz)) if math.isfinite(duration) else 0,
                text=str(text),
                role="break" if is_break else "stimulus",
                channels=tuple(str(c) for c in channels or ()),
                witness="annotations",
            )
        )
    return events


def events_of(raw: Any, format_name: str, types: list[str]) -> tuple[list[SourceEvent], list[str]]:
    """The events of the annotations and of the trigger channels, and notes."""
    annotations, notes = _annotations(raw, float(raw.info["sfreq"]), format_name), list[str]()
    if n_timeless := len(raw.annotations) - len(annotations):
        notes.append(f"{n_timeless} events have no time and are left out")
    if format_name == "gdf":
        annotations, notes = _at_own_rate(raw, annotations)
    channels = [(i, name) for i, (name, kind) in enumerate(zip(raw.ch_names, types, strict=True)) if kind == "stim"]
    if format_name == "egi_raw":
        # one channel per event name; the annotations have an entry for each of its samples
        annotations = []
    else:
        # MNE derived these channels from the events, or the events from the channels
        told = {event.text for event in annotations}
        channels = [(i, name) for i, name in channels if name not in told]
    if any(name in _COMBINED for _, name in channels):
        channels = [(i, name) for i, name in channels if name in _COMBINED or _LINE.fullmatch(name) is None]
    events = list(annotations)
    for index, name in channels:
        blocks = (samples_of(raw, index, a, a + (1 << 20))[0] for a in range(0, int(raw.n_times), 1 << 20))
        found, more = trigger_events(blocks, name, text=name if format_name == "egi_raw" else None)
        events += found
        notes += more
    return events, notes


def _at_own_rate(raw: Any, annotations: list[SourceEvent]) -> tuple[list[SourceEvent], list[str]]:
    """The events of a GDF file, whose table may use another rate than the recording; MNE assumes the same rate."""
    stated_hz, table = raw._raw_extras[0].get("event_sfreq"), raw._raw_extras[0].get("events")
    sfreq_hz = float(raw.info["sfreq"])
    if not table or not stated_hz or not math.isfinite(stated_hz) or abs(stated_hz - sfreq_hz) <= 1e-4 * sfreq_hz:
        return annotations, []
    if len({len(table[k]) for k in (1, 2, 4)}) > 1:
        raise InputError("the event table of the file is damaged", found="columns of several lengths")
    ratio = sfreq_hz / float(stated_hz)
    events = [
        SourceEvent(
            start_sample=seconds_to_samples(float(at), ratio),
            n_samples=seconds_to_samples(float(lasts), ratio),
            text=str(int(code)),
            witness="annotations",
        )
        for at, code, lasts in zip(table[1], table[2], table[4], strict=True)
    ]
    return events, [f"the event table counts at {float(stated_hz):g} Hz and was converted to the recording's rate"]


def at_first_sample(path: Path, raw: Any) -> list[SourceEvent]:
    """Annotations at the first sample, which MNE drops if FIF's rounding puts their onset before the recording."""
    import mne

    try:
        written = mne.read_annotations(path)
    except Exception:  # already reported by the recording's reader
        return []
    sfreq_hz = float(raw.info["sfreq"])
    return [
        SourceEvent(
            start_sample=0, n_samples=seconds_to_samples(lasts, sfreq_hz), text=str(text), witness="annotations"
        )
        for onset, lasts, text in zip(written.onset, written.duration, written.description, strict=True)
        if onset < raw.first_time and seconds_to_samples(onset + lasts - raw.first_time, sfreq_hz) == 0
    ]


def events_beside(path: Path, raw: Any, others: Sequence[SourceEvent]) -> tuple[list[SourceEvent], list[str]]:
    """Events of `name-eve.fif` beside `name_raw.fif`, as the text of their code, and notes.

    Their samples count from the start of the acquisition, as MNE writes them. Some programs count from the first sample
    of the file; this is assumed only if nothing else fits the recording or its other events.
    """
    import mne

    stem = re.sub(r"_(raw|eeg)$", "", path.stem)
    beside = next((p for end in ("-eve", "_eve") if (p := path.with_name(f"{stem}{end}.fif")).is_file()), None)
    if beside is None:
        return [], []
    try:
        rows = mne.read_events(beside, verbose="CRITICAL")
    except Exception as error:  # only this file's events are lost
        return [], [f"the event file cannot be read and was ignored: {clean_message(error)}"]
    rows = [(int(sample), str(int(code))) for sample, before, code in rows if code != 0 and code != before]
    near = {(e.start_sample + d, e.text) for e in others for d in (-1, 0, 1)}

    def fits(first: int) -> tuple[int, int]:
        inside = [(sample - first, code) for sample, code in rows if 0 <= sample - first < raw.n_times]
        return len(near & set(inside)), len(inside)

    first, notes = int(raw.first_samp), list[str]()
    if first and fits(0) > fits(first):
        first = 0
        notes.append("the event file counts samples from the first one of the recording")
    events = [SourceEvent(start_sample=sample - first, text=code, witness="events file") for sample, code in rows]
    return events, notes
