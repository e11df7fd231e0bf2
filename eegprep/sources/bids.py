"""BIDS trees: entities from names, and what the tables beside a recording say of its channels and events.

What enters: the root of a tree. What leaves: the recordings of `sub-*/[ses-*/]eeg/*_eeg.*`, read by their
signatures, with `channels.tsv` (types, units, status), `events.tsv`, `electrodes.tsv` (positions in CapTrak's or
EEGLAB's frame) and `eeg.json` (line frequency, reference) put on top; tables may lie on any level above, as BIDS
has it. The run of a recording is the rest of its entities (`task-rest_run-01`). Derivatives are left out: they are the
same recordings once more.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

from eegprep.errors import InputError, UsageError
from eegprep.manifest.schema import Manifest
from eegprep.recording import seconds_to_samples
from eegprep.sources.assemble import assemble
from eegprep.sources.base import (
    Decoded,
    PlannedRecording,
    SkippedFile,
    SourceChannel,
    SourceEvent,
    SourceRecording,
)
from eegprep.sources.companions import companions
from eegprep.sources.decode import decode_file
from eegprep.sources.entities import Group, plan_groups
from eegprep.sources.patterns import walk
from eegprep.sources.unit_names import unit_of

__all__ = ["BIDSSource"]

_DATA = re.compile(r"(?:.*/)?(?P<stem>sub-[^/]+)_eeg\.(?P<suffix>edf|bdf|vhdr|set|fif|cnt|mff|EDF|BDF|gdf)$")
_KINDS = {"heog": "eog", "veog": "eog", "trig": "stim", "pupil": "misc", "eyegaze": "misc", "audio": "misc"}
_KNOWN = frozenset({"eeg", "eog", "ecg", "emg", "misc", "stim", "ref", "seeg", "ecog", "dbs"})
_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
_ELSEWHERE = ("derivatives/", "sourcedata/", "code/", "stimuli/")


class BIDSSource:
    """Recordings of one BIDS data set.

    Parameters
    ----------
    manifest : Manifest
    folder : Path
        The root, with `dataset_description.json`.
    """

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        if not (folder / "dataset_description.json").is_file():
            raise UsageError(
                f"{folder} is no BIDS data set", expected="dataset_description.json in it", todo="give the tree's root"
            )
        self.manifest, self.folder = manifest, folder
        self._planned: list[PlannedRecording] | None = None
        self._tables: dict[Path, list[Path]] = {}
        self._skipped: list[SkippedFile] = []

    def plan(self) -> list[PlannedRecording]:
        """All recordings outside of derivatives, sorted by key."""
        if self._planned is None:
            groups: list[Group] = []
            for path in walk(self.folder):
                found = _DATA.fullmatch(path)
                if found is None:
                    continue
                if path.startswith(_ELSEWHERE):
                    self._skipped.append(
                        SkippedFile(path=path, code="derivative", reason="derived from recordings of this data set")
                    )
                    continue
                groups.append(self._group(path, found["stem"]))
            self._planned = plan_groups(self.manifest, self.folder, groups)
        return list(self._planned)

    def skipped(self) -> list[SkippedFile]:
        """Recordings among derivatives and source data."""
        self.plan()
        return sorted(self._skipped)

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Decode one recording and put its tables on top. Raises InputError where it can't be used."""
        path = self.folder / planned.files[0]
        decoded = decode_file(path, self.manifest)
        tables = {
            kind: table for kind in ("channels", "events", "electrodes") if (table := self._beside(path, kind, "tsv"))
        }
        if "channels" in tables:
            decoded = _with_channels(decoded, tables["channels"])
        if "electrodes" in tables:
            decoded = _with_positions(decoded, tables["electrodes"], self._beside(path, "coordsystem", "json"))
        if "events" in tables:
            decoded = dataclasses.replace(decoded, events=tuple(_events(tables["events"], decoded.sfreq_hz)))
        described = self._beside(path, "eeg", "json")
        if described is not None:
            facts = _json(described)
            line = facts.get("PowerLineFrequency")
            reference = facts.get("EEGReference")
            decoded = dataclasses.replace(
                decoded,
                line_freq_hz=float(line) if line in (50, 60) else decoded.line_freq_hz,
                # the reference is free text; only what reads as the name of an electrode or a scheme is kept
                reference=reference
                if isinstance(reference, str) and re.fullmatch(r"[A-Za-z0-9+,/ ]{1,24}", reference)
                else decoded.reference,
            )
        return assemble(decoded, planned, self.manifest, self.folder)

    def _group(self, path: str, stem: str) -> Group:
        parts = [p.split("-", 1) for p in stem.split("_") if "-" in p]
        entities = {"subject": dict(parts).get("sub", "")}
        if "ses" in dict(parts):
            entities["session"] = dict(parts)["ses"]
        if rest := "_".join("-".join(p) for p in parts if p[0] not in ("sub", "ses")):
            entities["run"] = rest
        full = self.folder / path
        tables = [
            self._beside(full, kind, suffix)
            for kind, suffix in (("channels", "tsv"), ("events", "tsv"), ("electrodes", "tsv"), ("eeg", "json"))
        ]
        own = set(companions(self.folder, path))
        beside = {str(t.relative_to(self.folder).as_posix()) for t in tables if t is not None} | own
        return Group(files=(path, *sorted(beside - {path})), entities=entities)

    def _beside(self, path: Path, kind: str, suffix: str) -> Path | None:
        """The table that applies to a recording: the one with the most of its entities, nearest above it."""
        entities = set(path.name.split("_")[:-1])
        best: tuple[int, int, str] | None = None
        chosen: Path | None = None
        for depth, folder in enumerate(_levels(path.parent, self.folder)):
            for table in self._listed(folder):
                if not table.name.endswith(f"{kind}.{suffix}"):
                    continue
                own = set(table.stem.split("_")[:-1])
                foreign = {e for e in own - entities if not e.startswith("space-")}
                if foreign or not (table.stem == kind or table.stem.endswith(f"_{kind}")):
                    continue
                # CapTrak's frame is the one that positions are wanted in
                rank = (-depth, len(own & entities), "1" if "space-CapTrak" in own else "0")
                if best is None or rank > best:
                    best, chosen = rank, table
        return chosen

    def _listed(self, folder: Path) -> list[Path]:
        """The tables of a folder; listed once, since a root has as many entries as subjects."""
        if folder not in self._tables:
            self._tables[folder] = sorted(p for p in folder.iterdir() if p.suffix in (".tsv", ".json"))
        return self._tables[folder]


def _levels(folder: Path, root: Path) -> Iterator[Path]:
    while True:
        yield folder
        if folder == root or root not in folder.parents:
            return
        folder = folder.parent


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as handle:
        reader = csv.DictReader(handle, delimiter="\t")
        return [
            {k: (v or "").strip() for k, v in row.items() if k is not None and isinstance(v, str)} for row in reader
        ]


def _json(path: Path) -> dict[str, object]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(f"{path.name} is no JSON", where=path, todo="correct the file") from error
    return data if isinstance(data, dict) else {}


def _with_channels(decoded: Decoded, table: Path) -> Decoded:
    rows = {row.get("name", ""): row for row in _rows(table)}
    out: list[SourceChannel] = []
    for channel in decoded.channels:
        row = rows.get(channel.name)
        if row is None:
            out.append(channel)
            continue
        kind = row.get("type", "").casefold()
        kind = _KINDS.get(kind, kind)
        unit = unit_of(row.get("units", ""))
        stated = not channel.unit and unit != ""
        out.append(
            dataclasses.replace(
                channel,
                kind=kind if kind in _KNOWN else ("misc" if kind else channel.kind),
                status="bad" if row.get("status", "").casefold() == "bad" else channel.status,
                unit=unit if stated else channel.unit,
                unit_evidence=f"channels.tsv says {unit}" if stated else channel.unit_evidence,
            )
        )
    return dataclasses.replace(decoded, channels=tuple(out))


def _with_positions(decoded: Decoded, table: Path, coordinates: Path | None) -> Decoded:
    """Positions in metres, x right, y front, z up; only from frames that say so."""
    facts = _json(coordinates) if coordinates is not None else {}
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


def _events(table: Path, sfreq_hz: float) -> Iterator[SourceEvent]:
    for row in _rows(table):
        text = next((t for t in (row.get("trial_type", ""), row.get("value", "")) if t not in ("", "n/a")), "")
        try:
            onset, duration = float(row.get("onset", "")), row.get("duration", "n/a")
        except ValueError:
            continue  # an event without an onset names no sample
        lasts = float(duration) if re.fullmatch(r"[0-9.eE+-]+", duration) else 0.0
        yield SourceEvent(
            start_sample=seconds_to_samples(onset, sfreq_hz),
            n_samples=max(0, seconds_to_samples(lasts, sfreq_hz)),
            text=text,
        )
