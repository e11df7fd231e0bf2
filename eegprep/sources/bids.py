"""BIDS trees: entities from names, and what the tables beside a recording say of its channels and events.

What enters: the root of a tree. What leaves: the recordings of `sub-*/[ses-*/]eeg/*_eeg.*`, read by their
signatures, with `channels.tsv` (types, units, status), `events.tsv`, `electrodes.tsv` (positions in CapTrak's or
EEGLAB's frame) and `eeg.json` (line frequency, reference) put on top; tables may lie on any level above, as BIDS
has it. The run of a recording is the rest of its entities (`task-rest_run-01`). Derivatives are left out: they are the
same recordings once more.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from eegprep.errors import UsageError
from eegprep.manifest.schema import Manifest
from eegprep.sources.assemble import assemble, named_texts
from eegprep.sources.base import PlannedRecording, SkippedFile, SourceRecording
from eegprep.sources.bids_tables import with_channels, with_description, with_events, with_positions
from eegprep.sources.companions import companions, fif_part_of
from eegprep.sources.decode import decode_file
from eegprep.sources.detect import looks_like_recording
from eegprep.sources.entities import Group, chosen_subjects, plan_groups
from eegprep.sources.patterns import walk

__all__ = ["BIDSSource"]

_DATA = re.compile(r"(?:.*/)?(?P<stem>sub-[^/]+)_eeg\.(?P<suffix>(?i:edf|bdf|vhdr|set|fif|cnt|mff|gdf)(?i:\.gz)?)$")
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
            ignored = _ignored(self.folder)
            for path in walk(self.folder):
                found = _DATA.fullmatch(path)
                if found is None:
                    if looks_like_recording(self.folder / path):
                        self._skip(path, "no_bids_name", "its name is not that of an EEG recording in BIDS")
                elif path.startswith(_ELSEWHERE):
                    self._skip(path, "derivative", "derived from recordings of this data set")
                elif _fits(path, ignored):
                    self._skip(path, "ignored", ".bidsignore of the data set names it")
                elif fif_part_of(self.folder / path) is not None:
                    self._skip(path, "sidecar", "a later part of a split recording")
                else:
                    groups.append(self._group(path, found["stem"]))
            chosen = chosen_subjects(self.manifest, (g.entities["subject"] for g in groups))
            for group in groups:
                if group.entities["subject"] not in chosen:
                    self._skip(group.files[0], "not_in_subset", "the manifest chooses other subjects")
            kept = (g for g in groups if g.entities["subject"] in chosen)
            self._planned = plan_groups(self.manifest, self.folder, kept)
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
            decoded = with_channels(decoded, tables["channels"])
        if "electrodes" in tables:
            decoded = with_positions(decoded, tables["electrodes"], self._beside(path, "coordsystem", "json"))
        if "events" in tables:
            decoded = with_events(decoded, tables["events"], named_texts(self.manifest))
        described = self._beside(path, "eeg", "json")
        if described is not None:
            decoded = with_description(decoded, described)
        return assemble(decoded, planned, self.manifest, self.folder)

    def _skip(self, path: str, code: str, reason: str) -> None:
        self._skipped.append(SkippedFile(path=path, code=code, reason=reason))

    def _group(self, path: str, stem: str) -> Group:
        parts = [p.split("-", 1) for p in stem.split("_") if "-" in p and not p.startswith("split-")]
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


def _ignored(root: Path) -> tuple[str, ...]:
    """The patterns of `.bidsignore`, which are written as for git."""
    path = root / ".bidsignore"
    if not path.is_file():
        return ()
    lines = (line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return tuple(line.removeprefix("/") for line in lines if line and not line.startswith(("#", "!")))


def _fits(path: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names the path or a folder above it, by the whole or, without a slash, by the last part."""
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for pattern in patterns:
        named = pattern.removeprefix("**/").rstrip("/")
        for one in above[:-1] if pattern.endswith("/") else above:
            last = one.rsplit("/", 1)[-1]
            if fnmatch.fnmatch(one, named) or ("/" not in named and fnmatch.fnmatch(last, named)):
                return True
    return False
