"""The tables beside a BIDS recording: what they add to it, and where they contradict the file.

The tables are `channels.tsv`, `electrodes.tsv` with `coordsystem.json`, `events.tsv` and `eeg.json`; problems in them
become notes. An invalid table only loses its own information, never the recording or the events in the file; a
sampling rate that contradicts the file is an error if the stated duration shows that the file is wrong.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from eegprep.electrodes.naming import NOT_EEG_KINDS
from eegprep.errors import InputError
from eegprep.formats.clock import Clock
from eegprep.formats.decoded import Decoded, Role, SourceChannel, SourceEvent
from eegprep.formats.segments import role_of
from eegprep.formats.tables.tsv import numbers, rows_of, text_of
from eegprep.formats.unit_names import unit_of
from eegprep.manifest.labels import event_label
from eegprep.recording import seconds_to_samples

_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
_LONGEST_S = 3.2e7
_MAX_RATE_ERROR = 0.01
#: This few onsets in another unit may be inside a recording by chance.
_FEW = 5
#: Events of a table and a file that are closer than this are the same event.
_SAME_S = 0.05


def _noted(decoded: Decoded, note: str) -> Decoded:
    return dataclasses.replace(decoded, notes=(*decoded.notes, note))


def _json(path: Path) -> dict[str, object] | None:
    """The content of a JSON file; None if it is invalid."""
    try:
        data = json.loads(text_of(path))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def merged_json(paths: Sequence[Path]) -> tuple[dict[str, object], list[Path]]:
    """The keys of JSON files, nearest first, each from the nearest that states it; and the files that are invalid."""
    contents = [_json(path) for path in paths]
    merged: dict[str, object] = {}
    for content in reversed(contents):
        merged.update(content or {})
    return merged, [path for path, content in zip(paths, contents, strict=True) if content is None]


def with_channels(decoded: Decoded, table: Path) -> Decoded:
    """Types, status, and units if the file states none."""
    try:
        listed, broken = rows_of(table, ("name", "type", "units", "status"), "name")
    except ValueError as error:
        return _noted(decoded, f"channels.tsv was ignored: {error}")
    twice = {row["name"] for row in listed if any(r["name"] == row["name"] and r != row for r in listed)}
    rows = {row["name"]: row for row in listed if row["name"] not in twice}
    if lost := broken + len(twice):
        decoded = _noted(decoded, f"channels.tsv: {lost} rows are invalid or contradictory and were ignored")
    folded = {name.strip().casefold(): row for name, row in rows.items()}
    used: set[str] = set()
    out: list[SourceChannel] = []
    for channel in decoded.channels:
        row = rows.get(channel.name) or folded.get(channel.name.strip().casefold())
        if row is None:
            out.append(channel)
            continue
        used.add(row.get("name", ""))
        kind = row.get("type", "").casefold()
        unit = unit_of(row.get("units", ""))
        stated = not channel.unit and unit != ""
        out.append(
            dataclasses.replace(
                channel,
                kind=kind
                if kind == "eeg" or kind in NOT_EEG_KINDS
                else (channel.kind if kind in ("", "n/a") else "misc"),
                status="bad" if row.get("status", "").casefold() == "bad" else channel.status,
                unit=unit if stated else channel.unit,
                unit_evidence=f"channels.tsv says {unit}" if stated else channel.unit_evidence,
            )
        )
    decoded = dataclasses.replace(decoded, channels=tuple(out))
    if rows and not used:
        return _noted(decoded, "channels.tsv names no channel of the file and was ignored")
    # include channels of another rate, which the reader left out
    known = used | {x.name for x in decoded.left_out if x.kind == "channel"}
    strange = sum(bool(name) and name not in known for name in rows)
    return _noted(decoded, f"channels.tsv names {strange} channels that are not in the file") if strange else decoded


def with_positions(decoded: Decoded, table: Path, coordinates: Sequence[Path]) -> Decoded:
    """Positions in metres, x right, y front, z up; only from frames with defined axes.

    Parameters
    ----------
    coordinates : sequence of Path
        The files `coordsystem.json`, nearest first.
    """
    facts, invalid = merged_json(coordinates)
    if invalid:  # an invalid file may state another frame or unit than the others
        return _noted(decoded, "coordsystem.json is not valid JSON, so electrodes.tsv was ignored")
    frame = str(facts.get("EEGCoordinateSystem", ""))
    scale = _METRES.get(str(facts.get("EEGCoordinateUnits", "")))
    if frame not in ("CapTrak", "EEGLAB") or scale is None:
        return decoded
    try:
        listed, broken = rows_of(table, ("name", "x", "y", "z"), "name")
        places = [numbers([row.get(axis, "") for row in listed]) for axis in "xyz"]
    except ValueError as error:
        return _noted(decoded, f"electrodes.tsv was ignored: {error}")
    if broken:
        decoded = _noted(decoded, f"electrodes.tsv: {broken} rows are invalid and were ignored")
    found: dict[str, tuple[float, float, float]] = {}
    for row, *place in zip(listed, *places, strict=True):
        x, y, z = (None if v is None else v * scale for v in place)
        if x is not None and y is not None and z is not None:  # "n/a": a channel without a position
            found[row["name"]] = (x, y, z) if frame == "CapTrak" else (-y, x, z)
    return dataclasses.replace(
        decoded,
        channels=tuple(
            dataclasses.replace(c, position_m=found[c.name], from_landmarks=frame == "CapTrak")
            if c.name in found
            else c
            for c in decoded.channels
        ),
    )


def with_events(decoded: Decoded, table: Path, named: Collection[str] = ()) -> Decoded:
    """Replace the file's events, except breaks and gaps, by the table's; an unusable table becomes a note.

    Parameters
    ----------
    named : collection of str
        Texts named by tasks (see `eegprep.formats.segments.role_of`).
    """
    if decoded.is_epoched:
        return _noted(decoded, "events.tsv was ignored: its onsets have no place in a file of epochs")
    own = [e for e in decoded.events if e.role == "stimulus" and _role(e, decoded, named) == "stimulus"]
    try:
        events, notes = _events(table, decoded, own, named)
    except ValueError as error:
        stands = "; the events in the file are kept" if own else ""
        return _noted(decoded, f"events.tsv was ignored: {error}{stands}")
    listed = [e.start_sample for e in events]
    near = max(1, seconds_to_samples(_SAME_S, decoded.sfreq_hz))
    if all(_role(e, decoded, named) != "stimulus" for e in events):
        events += own  # a table with only breaks does not replace the file's stimuli
    elif missing := len(own) - _matched([e.start_sample for e in own], listed, near):
        notes = [*notes, f"events.tsv is used; {missing} of the {len(own)} events in the file are missing in it"]
    stimuli = set(own)
    structure = [e for e in decoded.events if e not in stimuli]
    return dataclasses.replace(decoded, events=tuple(sorted((*structure, *events))), notes=(*decoded.notes, *notes))


def with_description(decoded: Decoded, paths: Sequence[Path]) -> Decoded:
    """Line frequency and reference from `eeg.json`; checks its sampling rate against the file's.

    Parameters
    ----------
    paths : sequence of Path
        The files that apply, nearest first.

    Raises
    ------
    InputError
        The stated rate and duration agree with each other and contradict the file.
    """
    facts, invalid = merged_json(paths)
    if invalid:
        decoded = _noted(decoded, "eeg.json is not valid JSON and was ignored")
    line, reference = facts.get("PowerLineFrequency"), facts.get("EEGReference")
    # the reference is free text, so keep it only if it is the name of an electrode or a scheme
    named = isinstance(reference, str) and re.fullmatch(r"[A-Za-z0-9+,/ ]{1,24}", reference) is not None
    named = named and str(reference).strip().lower() not in ("", "n/a", "na", "none", "unknown")
    decoded = dataclasses.replace(
        decoded,
        line_freq_hz=float(str(line)) if line in (50, 60) else decoded.line_freq_hz,
        reference=str(reference) if named else decoded.reference,
    )
    rate_hz, lasts_s = _number(facts, "SamplingFrequency"), _number(facts, "RecordingDuration")
    if rate_hz is None or abs(rate_hz - decoded.sfreq_hz) <= _MAX_RATE_ERROR * decoded.sfreq_hz:
        return decoded
    n_samples = decoded.signal.shape[1]
    if lasts_s is not None and abs(n_samples / rate_hz - lasts_s) <= max(1.0, _MAX_RATE_ERROR * lasts_s):
        raise InputError(
            "the sampling rate of the file contradicts its description",
            where=next(path for path in paths if "SamplingFrequency" in (_json(path) or {})),
            found=f"{decoded.sfreq_hz:g} Hz, so {n_samples / decoded.sfreq_hz:g} s",
            expected=f"{rate_hz:g} Hz and {lasts_s:g} s (SamplingFrequency, RecordingDuration)",
            todo="find out which one is right; correct the description, or leave the file out",
        )
    return _noted(decoded, f"the description states {rate_hz:g} Hz, the file {decoded.sfreq_hz:g} Hz, which is used")


def _number(facts: dict[str, object], name: str) -> float | None:
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) and 0 < value < _LONGEST_S else None


def _role(event: SourceEvent, decoded: Decoded, named: Collection[str]) -> Role:
    return role_of(event.text, event.n_samples, decoded.format, named)


def _matched(samples: Sequence[int], others: Sequence[int], near: int) -> int:
    """Number of `samples` that are near one of `others`."""
    if not others:
        return 0
    sorted_others = np.sort(np.asarray(others))
    at = np.searchsorted(sorted_others, samples)
    before, after = sorted_others[np.maximum(at - 1, 0)], sorted_others[np.minimum(at, len(others) - 1)]
    distance = np.minimum(np.abs(np.subtract(samples, before)), np.abs(np.subtract(after, samples)))
    return int(np.count_nonzero(distance <= near))


def event_texts(
    rows: Sequence[Mapping[str, str]], format_name: str = "", named: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """What each row of `events.tsv` is called, and notes.

    A row has up to three names: its `trial_type`, its `value`, and both joined by a slash. The one that a task names is
    used; a value alone only if all its rows have one `trial_type`, since a number may be a stimulus and a response.
    Otherwise it is the `trial_type`, with the value if all rows have the same `trial_type`. A value that marks a break
    or bad signal always counts.
    """
    pairs = [tuple("" if (t := row.get(c, "")) == "n/a" else t for c in ("trial_type", "value")) for row in rows]
    known = {event_label(name) for name in named}
    kinds: dict[str, set[str]] = {}
    values: dict[str, set[str]] = {}
    for kind, value in pairs:
        if kind and value:
            kinds.setdefault(event_label(value), set()).add(kind)
            values.setdefault(kind, set()).add(value)
    told = {kind for kind, own in values.items() if 1 < len(own) <= len(pairs) / 2}
    alone = len({kind for kind, _ in pairs if kind}) == 1
    texts, shared = [], set[str]()

    def marks(text: str) -> bool:
        return role_of(text, 2, format_name) != "stimulus"

    for kind, value in pairs:
        both = f"{kind}/{value}"
        if not kind or not value:
            texts.append(kind or value)
        elif event_label(both) in known:
            texts.append(both)
        elif event_label(kind) in known:
            texts.append(kind)
        elif (event_label(value) in known and len(kinds[event_label(value)]) == 1) or (
            marks(value) and not marks(kind)
        ):
            texts.append(value)
        else:
            shared |= {value} if event_label(value) in known else set()
            texts.append(both if alone and kind in told else kind)
    notes = []
    if shared:
        notes.append(f"events.tsv: {len(shared)} named values have several trial_types; trial_type/value names them")
    elif hidden := sum(text in told and event_label(text) not in known for text in texts):
        notes.append(f"events.tsv: {hidden} events of one trial_type have several values; trial_type/value names them")
    return texts, notes


def _events(
    table: Path, decoded: Decoded, own: Sequence[SourceEvent], named: Collection[str]
) -> tuple[list[SourceEvent], list[str]]:
    """The events of a table, and notes. Raises ValueError with the reason if it cannot be used."""
    rows, broken = rows_of(table, ("onset", "duration", "trial_type", "value", "sample", "channel"), "onset")
    if not rows:
        raise ValueError("it contains no events")
    lasts_s, n_rows = _lasts_s(decoded), len(rows) + broken
    onsets = numbers([row["onset"] for row in rows], lasts_s)
    lengths = _numbers_or_none([row.get("duration", "") for row in rows], lasts_s)
    samples = _numbers_or_none([row.get("sample", "") for row in rows])
    texts, unclear = event_texts(rows, decoded.format, named)
    if not any(texts):
        raise ValueError("it names no event (trial_type, value)")
    usable = [
        (onset, min(max(length or 0.0, 0.0), _LONGEST_S), text, sample, row.get("channel", ""))
        for onset, length, text, sample, row in zip(onsets, lengths, texts, samples, rows, strict=True)
        if onset is not None and abs(onset) < _LONGEST_S * decoded.sfreq_hz and text
    ]
    unreadable = broken + sum(t is None and r["onset"] not in ("", "n/a") for t, r in zip(onsets, rows, strict=True))
    if 2 * unreadable > n_rows or not usable:
        raise ValueError(f"{n_rows - len(usable)} of its {n_rows} rows have no onset, no name or cannot be read")
    decoded, more = _on_its_clock([u[0] for u in usable], [u[3] for u in usable], decoded, own)
    scale, notes = _scale([u[0] for u in usable], [u[3] for u in usable], decoded, own)
    notes += more + unclear
    if lost := n_rows - len(usable):
        notes.append(f"events.tsv: {lost} of {n_rows} rows have no onset, no name or cannot be read")
    if outside := sum(not 0 <= u[0] * scale <= lasts_s for u in usable):
        notes.append(f"events.tsv: {outside} events are outside the recording of {lasts_s:g} s")
    delimiter = _delimiter(table)
    inside = [u for u in usable if abs(u[0] * scale) < _LONGEST_S]
    places = [_placed(decoded, onset * scale, length * scale) for onset, length, *_ in inside]
    notes += Clock.notes(places.count(None))
    return [
        SourceEvent(
            start_sample=place[0],
            n_samples=place[1],
            text=text,
            channels=_channels(channel, delimiter, decoded),
            witness="events.tsv",
        )
        for place, (_, _, text, _, channel) in zip(places, inside, strict=True)
        if place is not None
    ], notes


def _lasts_s(decoded: Decoded) -> float:
    """Duration of the recording on the file's clock, including interruptions."""
    return decoded.signal.shape[1] / decoded.sfreq_hz if decoded.clock is None else decoded.clock.end_s


def _placed(decoded: Decoded, onset_s: float, lasts_s: float = 0.0) -> tuple[int, int] | None:
    """First sample and number of samples; None if nothing was recorded at that time."""
    if decoded.clock is not None:
        return decoded.clock.place(onset_s, lasts_s)
    return seconds_to_samples(onset_s, decoded.sfreq_hz), seconds_to_samples(lasts_s, decoded.sfreq_hz)


def _numbers_or_none(cells: Sequence[str], longest: float = math.inf) -> list[float | None]:
    try:
        return numbers(cells, longest)
    except ValueError:
        return [None] * len(cells)


def _agreeing(
    onsets: Sequence[float],
    samples: Sequence[float | None],
    decoded: Decoded,
    own: Sequence[SourceEvent],
    factor: float = 1.0,
) -> int:
    """Number of onsets that, times `factor`, agree with the table's column `sample` or with the file's events."""
    near = max(2, seconds_to_samples(0.002, decoded.sfreq_hz))
    placed = [_placed(decoded, t * factor) for t in onsets]
    witnesses = [s for s in samples if s is not None]
    if len(witnesses) == len(onsets):
        return sum(a is not None and abs(a[0] - b) <= near for a, b in zip(placed, witnesses, strict=True))
    return _matched([a[0] for a in placed if a is not None], [e.start_sample for e in own], near)


def _on_its_clock(
    onsets: Sequence[float], samples: Sequence[float | None], decoded: Decoded, own: Sequence[SourceEvent]
) -> tuple[Decoded, list[str]]:
    """`decoded`, without its clock if the onsets ignore interruptions, and a note."""
    if decoded.clock is None:
        return decoded, []
    stored = dataclasses.replace(decoded, clock=None)
    if _agreeing(onsets, samples, stored, own) > _agreeing(onsets, samples, decoded, own):
        return stored, ["the onsets in events.tsv leave out the interruptions, as other marks of the same events show"]
    return decoded, ["the onsets in events.tsv are taken for times on the file's clock, which jumps"]


def _scale(
    onsets: Sequence[float], samples: Sequence[float | None], decoded: Decoded, own: Sequence[SourceEvent]
) -> tuple[float, list[str]]:
    """Factor from onsets to seconds: 1, unless a witness shows that they are in samples or milliseconds.

    Witnesses are the table's own column `sample` and the file's events. Raises ValueError if the onsets cannot be
    seconds and no witness shows their unit.
    """
    rate_hz, lasts_s = decoded.sfreq_hz, _lasts_s(decoded)

    def agreeing(factor: float) -> int:
        return _agreeing(onsets, samples, decoded, own, factor)

    n_inside = sum(-lasts_s <= t <= lasts_s for t in onsets)
    outside = 2 * n_inside < len(onsets)
    if outside or (len(onsets) > 1 and agreeing(1.0) == 0):
        for factor, unit in ((1 / rate_hz, "samples"), (1e-3, "milliseconds")):
            if agreeing(factor) >= 0.9 * len(onsets) and all(abs(t * factor) <= lasts_s for t in onsets):
                return factor, [f"the onsets in events.tsv are in {unit}, judging by other marks of the same events"]
    # a truncated recording still contains several events, or some agree with the file's
    if outside and n_inside < _FEW and not 0 < n_inside <= 2 * agreeing(1.0):
        raise ValueError(f"most onsets are outside the recording of {lasts_s:g} s; are they in seconds?")
    if all(s is not None for s in samples) and (odd := len(onsets) - agreeing(1.0)):
        return 1.0, [f"events.tsv: its column `sample` contradicts the onsets of {odd} events; the onsets are used"]
    return 1.0, []


def _delimiter(table: Path) -> str:
    facts = _json(table.with_suffix(".json")) or {}
    column = facts.get("channel")
    return str(column.get("Delimiter", ",")) if isinstance(column, dict) else ","


def _channels(cell: str, delimiter: str, decoded: Decoded) -> tuple[str, ...]:
    """The channels that an event applies to; empty for all."""
    if cell.casefold() in ("", "n/a", "all"):
        return ()
    if any(c.name == cell for c in decoded.channels) or not delimiter:
        return (cell,)
    return tuple(part for part in (p.strip() for p in cell.split(delimiter)) if part)
