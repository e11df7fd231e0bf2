"""The tables beside a BIDS recording: what they add to its channels and events, and where they contradict the file.

What enters: a `Decoded` and the paths of `channels.tsv`, `electrodes.tsv` with its `coordsystem.json`, `events.tsv` and
`eeg.json`. What leaves: the `Decoded` with their facts on top and notes on what in them can't be used. A table that is
broken costs its own facts, never the recording; a rate that contradicts the file's is refused where the stated duration
shows that the file is wrong.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

from eegprep.errors import InputError
from eegprep.recording import seconds_to_samples
from eegprep.sources.base import Decoded, SourceChannel, SourceEvent
from eegprep.sources.unit_names import unit_of

__all__ = ["with_channels", "with_description", "with_events", "with_positions"]

_KINDS = {"heog": "eog", "veog": "eog", "trig": "stim", "pupil": "misc", "eyegaze": "misc", "audio": "misc"}
_KNOWN = frozenset({"eeg", "eog", "ecg", "emg", "misc", "stim", "ref", "seeg", "ecog", "dbs"})
_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
_LONGEST_S = 3.2e7
_MAX_RATE_ERROR = 0.01


def _noted(decoded: Decoded, note: str) -> Decoded:
    return dataclasses.replace(decoded, notes=(*decoded.notes, note))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
        reader = csv.DictReader(handle, delimiter="\t")
        return [
            {k: (v or "").strip() for k, v in row.items() if k is not None and isinstance(v, str)} for row in reader
        ]


def _json(path: Path) -> dict[str, object] | None:
    """The facts of a JSON file; None where it is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def with_channels(decoded: Decoded, table: Path) -> Decoded:
    """Types, status, and units where the file states none."""
    rows = {row.get("name", ""): row for row in _rows(table)}
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
        kind = _KINDS.get(kind, kind)
        unit = unit_of(row.get("units", ""))
        stated = not channel.unit and unit != ""
        out.append(
            dataclasses.replace(
                channel,
                kind=kind if kind in _KNOWN else (channel.kind if kind in ("", "n/a") else "misc"),
                status="bad" if row.get("status", "").casefold() == "bad" else channel.status,
                unit=unit if stated else channel.unit,
                unit_evidence=f"channels.tsv says {unit}" if stated else channel.unit_evidence,
            )
        )
    decoded = dataclasses.replace(decoded, channels=tuple(out))
    if rows and not used:
        return _noted(decoded, "channels.tsv names no channel of the file and was not used")
    # channels of another rate were left out by the reader, so they are known too
    known = used | {x.name for x in decoded.left_out if x.kind == "channel"}
    strange = sum(bool(name) and name not in known for name in rows)
    return _noted(decoded, f"channels.tsv names {strange} channels that the file does not have") if strange else decoded


def with_positions(decoded: Decoded, table: Path, coordinates: Path | None) -> Decoded:
    """Positions in metres, x right, y front, z up; only from frames that say so."""
    facts = (_json(coordinates) if coordinates is not None else None) or {}
    frame = str(facts.get("EEGCoordinateSystem", ""))
    scale = _METRES.get(str(facts.get("EEGCoordinateUnits", "")))
    if frame not in ("CapTrak", "EEGLAB") or scale is None:
        return decoded
    found: dict[str, tuple[float, float, float]] = {}
    for row in _rows(table):
        try:
            x, y, z = (float(row[axis]) * scale for axis in ("x", "y", "z"))
        except (KeyError, ValueError):
            continue  # "n/a": a channel without a place
        found[row.get("name", "")] = (x, y, z) if frame == "CapTrak" else (-y, x, z)
    return dataclasses.replace(
        decoded,
        channels=tuple(dataclasses.replace(c, position_m=found.get(c.name, c.position_m)) for c in decoded.channels),
    )


def with_events(decoded: Decoded, table: Path) -> Decoded:
    """The events of the table instead of the file's."""
    return dataclasses.replace(decoded, events=tuple(_events(table, decoded.sfreq_hz)))


def with_description(decoded: Decoded, path: Path) -> Decoded:
    """Line frequency and reference of `eeg.json`; its rate held against the file's.

    Raises
    ------
    InputError
        The stated rate and duration agree with each other and contradict the file.
    """
    facts = _json(path)
    if facts is None:
        return _noted(decoded, f"{_kind(path)} is no JSON and was not used")
    line, reference = facts.get("PowerLineFrequency"), facts.get("EEGReference")
    # the reference is free text; only what reads as the name of an electrode or a scheme is kept
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
            "the file's rate contradicts the one that its data set states",
            where=path,
            found=f"{decoded.sfreq_hz:g} Hz, so {n_samples / decoded.sfreq_hz:g} s",
            expected=f"{rate_hz:g} Hz and {lasts_s:g} s (SamplingFrequency, RecordingDuration)",
            todo="find out which one is right; correct the description, or leave the file out",
        )
    return _noted(decoded, f"the description states {rate_hz:g} Hz, the file {decoded.sfreq_hz:g} Hz, which is taken")


def _kind(path: Path) -> str:
    """A table's own part of its name; the rest of it names the subject."""
    return path.name.rsplit("_", 1)[-1]


def _number(facts: dict[str, object], name: str) -> float | None:
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) and 0 < value < _LONGEST_S else None


def _events(table: Path, sfreq_hz: float) -> Iterator[SourceEvent]:
    for row in _rows(table):
        text = next((t for t in (row.get("trial_type", ""), row.get("value", "")) if t not in ("", "n/a")), "")
        onset_s, lasts_s = _seconds(row.get("onset", "")), _seconds(row.get("duration", ""))
        if onset_s is None:
            continue  # an event without an onset names no sample
        yield SourceEvent(
            start_sample=seconds_to_samples(onset_s, sfreq_hz),
            n_samples=max(0, seconds_to_samples(lasts_s or 0.0, sfreq_hz)),
            text=text,
        )


def _seconds(text: str) -> float | None:
    """A time of a table; None for `n/a`, for what is no number, and for more than a year."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < _LONGEST_S else None
