"""The source kinds whose recordings are files: `files`, `ts`, `table`, `uci`, `numpy`, `matlab`.

Files are told apart by the manifest's patterns and read by their signatures, or as the manifest describes them.

What enters: a manifest and a folder, or a single file. Without patterns (an implicit manifest) every file whose
signature or suffix is that of a recording is planned; what is not is listed by `skipped` with a reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from eegprep.errors import EEGPTError, InputError, UsageError
from eegprep.manifest.schema import Manifest
from eegprep.sources.assemble import assemble
from eegprep.sources.base import Decoded, PlannedRecording, SkippedFile, SourceRecording
from eegprep.sources.companions import companions, fif_part_of
from eegprep.sources.decode import decode_file
from eegprep.sources.detect import SIDECARS, detect, looks_like_recording
from eegprep.sources.entities import Group, chosen_subjects, plan_groups
from eegprep.sources.events_file import belonging, events_files, with_events
from eegprep.sources.implicit import guess_entities
from eegprep.sources.matlab import fieldtrip_variables
from eegprep.sources.patterns import FOLDER_FORMATS, compile_pattern, match, walk
from eegprep.sources.suggest import suggest
from eegprep.sources.trial_values import ValuesOfTrials
from eegprep.sources.uci import group_of

__all__ = ["FilesSource"]


class FilesSource:
    """Recordings that are one file each (with side-cars), of any format.

    Parameters
    ----------
    manifest : Manifest
    folder : Path
        The data set's folder, or one file.
    """

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self.manifest = manifest
        self._only = folder.name if folder.is_file() or folder.suffix.lower() in FOLDER_FORMATS else None
        self.folder = folder.parent if self._only is not None else folder
        if not folder.exists():
            raise UsageError(f"the folder of {manifest.name} is not there", where=folder)
        self._planned: list[PlannedRecording] | None = None
        self._skipped: list[SkippedFile] = []
        self._channels: dict[str, list[str]] = {}

    def plan(self) -> list[PlannedRecording]:
        """All recordings, sorted by key. Raises UsageError where patterns are given and none fits any file."""
        if self._planned is None:
            self._planned = self._make_plan()
        return list(self._planned)

    def skipped(self) -> list[SkippedFile]:
        """Files that are no recordings, each with its reason."""
        self.plan()
        return sorted(self._skipped)

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Decode one recording by its signature. Raises InputError where it can't be used."""
        return assemble(self.decode(planned), planned, self.manifest, self.folder)

    def decode(self, planned: PlannedRecording) -> Decoded:
        """What the reader makes of the files, personal data included: never let it leave this package."""
        paths = [self.folder / f for f in planned.files]
        for full in paths:
            if not full.resolve().is_relative_to(self.folder.resolve()):
                raise InputError("the file lies outside the data set's folder", where=full)
        if self.manifest.source.kind == "uci":
            from eegprep.sources.uci import read_uci

            return read_uci(paths)
        if planned.key in self._channels:
            from eegprep.sources.table import read_electrode_files

            return read_electrode_files(paths, self._channels[planned.key], self.manifest)
        decoded = decode_file(paths[0], self.manifest, part=planned.part)
        pattern = self.manifest.source.events_file
        found = events_files(pattern, planned.files[1:]) if pattern else {}
        if pattern and not found:
            decoded = dataclasses.replace(decoded, notes=(*decoded.notes, f"no file beside it fits {pattern!r}"))
        for path in found.values():
            decoded = with_events(decoded, self.folder / path, paths[0].name)
        return decoded

    def _make_plan(self) -> list[PlannedRecording]:
        patterns = [compile_pattern(p) for p in self.manifest.source.files]
        if self._only is not None:
            paths = [self._only]
            patterns = []
        else:
            paths = list(walk(self.folder))
        chosen: list[tuple[str, dict[str, str], bool]] = []
        for path in paths:
            if patterns:
                entities = match(patterns, path)
                if entities is not None:
                    if self.manifest.source.kind == "ts" and "run" in entities:
                        entities["run"] = entities["run"].lower()
                    chosen.append((path, entities, False))
                elif detect_quietly(self.folder / path):
                    self._skip(path, "not_in_patterns", "no pattern of the manifest fits it")
            elif self._is_recording(path):
                chosen.append((path, guess_entities(path), True))
        if patterns and not chosen:
            raise UsageError(
                f"no file of {self.manifest.name} is in {self.folder}",
                found=f"{len(paths)} files, none fits",
                expected=" or ".join(self.manifest.source.files),
                todo="fetch the data set, or give its folder with --source",
            )
        if self.manifest.source.only_subjects and self.manifest.source.parts is None:
            chosen = self._of_chosen_subjects(chosen)
        events = events_files(self.manifest.source.events_file, paths) if self.manifest.source.events_file else {}
        groups = self._with_values(self._in_parts(self._groups(chosen, events)), paths)
        planned = plan_groups(self.manifest, self.folder, groups)
        taken = {path for path, _, _ in chosen}
        beside = {f: p.files[0] for p in planned for f in p.files[1:] if f in paths and f not in taken}
        self._skipped = [s for s in self._skipped if s.path not in beside]
        for file, owner in beside.items():
            self._skip(file, "sidecar", f"read with {owner}")
        by_file = {g.files: g.entities["channels"].split("\n") for g in groups if "channels" in g.entities}
        self._channels = {p.key: by_file[p.files] for p in planned if p.files in by_file}
        return planned

    def _of_chosen_subjects(
        self, found: list[tuple[str, dict[str, str], bool]]
    ) -> list[tuple[str, dict[str, str], bool]]:
        def named(entities: Mapping[str, str]) -> str:
            return entities.get("subject") or self.manifest.source.subject or "unknown"

        implicit = not self.manifest.source.files
        chosen = chosen_subjects(self.manifest, (named(e) for _, e, _ in found), implicit=implicit)
        for path, entities, _ in found:
            if named(entities) not in chosen:
                self._skip(path, "not_in_subset", "the manifest chooses other subjects")
        return [one for one in found if named(one[1]) in chosen]

    def _groups(
        self, chosen: list[tuple[str, dict[str, str], bool]], events: Mapping[frozenset[tuple[str, str]], str]
    ) -> list[Group]:
        """One group a recording: a file with its side-cars, or files that belong together."""
        groups: dict[tuple[object, ...], Group] = {}
        for path, entities, implicit in chosen:
            channel = entities.pop("channel", None)
            extra = group_of(entities.get("subject", "")) if self.manifest.source.kind == "uci" else {}
            if self.manifest.source.kind == "uci" or channel is not None:
                key: tuple[object, ...] = tuple(sorted(entities.items()))
            else:
                key = (path,)
            before = groups.get(key)
            files = (path, *companions(self.folder, path)) if before is None else (*before.files, path)
            if (scored := belonging(events, entities)) is not None:
                files = (*files, scored)
            if channel is not None:
                known = before.entities["channels"] + "\n" if before is not None else ""
                entities["channels"] = known + channel
            groups[key] = Group(files=files, entities=entities, implicit=implicit, extra=extra)
        return list(groups.values())

    def _in_parts(self, groups: list[Group]) -> list[Group]:
        """One group a person, where a file holds several."""
        parts = self.manifest.source.parts
        if parts is None:
            return groups
        numbers = [str(number) for number in range(1, parts + 1)]
        chosen = chosen_subjects(self.manifest, numbers)
        return [
            dataclasses.replace(g, entities={**g.entities, "subject": number}, part=number)
            for g in groups
            for number in numbers
            if number in chosen
        ]

    def _with_values(self, groups: list[Group], paths: list[str]) -> list[Group]:
        """Every group with what is known of its trials, and the tables that say so among its files."""
        if self.manifest.trial_values is None:
            return groups
        values = ValuesOfTrials(self.manifest, self.folder, paths)
        out = []
        for group in groups:
            rows, tables = values.of(group.entities)
            out.append(dataclasses.replace(group, files=(*group.files, *tables), trial_values=rows))
        return out

    def _is_recording(self, path: str) -> bool:
        full = self.folder / path
        format_name = detect_quietly(full)
        if (first := fif_part_of(full)) is not None:
            self._skip(path, "sidecar", f"a later part of {first.name}")
        elif format_name == "events":
            self._skip(path, "sidecar", "events of a FIF recording")
        elif format_name == "curry" and full.suffix.lower() == ".dat" and self._only is None:
            self._skip(path, "sidecar", "samples of a Curry recording")
        elif format_name == "matlab" and full.suffix.lower() in SIDECARS:
            self._skip(path, "sidecar", SIDECARS[full.suffix.lower()])
        elif format_name in ("numpy", "ts") or (format_name == "matlab" and not fieldtrip_variables(full)):
            self._skip(path, "needs_manifest", _needs_manifest(full))
        elif format_name or looks_like_recording(full):
            return True
        elif suggest(full) is not None:
            self._skip(path, "needs_manifest", _needs_manifest(full))
        else:
            suffix = full.suffix.lower()
            reason = SIDECARS.get(suffix, "no format of a recording is recognised")
            self._skip(path, "sidecar" if suffix in SIDECARS else "no_recording", reason)
        return False

    def _skip(self, path: str, code: str, reason: str) -> None:
        self._skipped.append(SkippedFile(path=path, code=code, reason=reason))


def _needs_manifest(path: Path) -> str:
    """Why a file of plain numbers is not read, with the lines that would read it where they can be told."""
    found = suggest(path)
    if found is None:
        return "its rate and channels have to be stated in a manifest"
    ending = "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:])
    return (
        f"a manifest has to describe it, such as {found.flow('{subject}' + ending)}; `eegprep manifest new` drafts one"
    )


def detect_quietly(path: Path) -> str:
    """The format's name for planning, where a damaged file counts as what its suffix claims."""
    if path.name.endswith(("-eve.fif", "_eve.fif")):
        return "events"
    try:
        found = detect(path)
    except EEGPTError:
        return looks_like_recording(path)
    return "" if found is None else found.name
