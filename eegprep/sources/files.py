"""The file-based source kinds: `files`, `ts`, `table`, `uci`, `numpy`, `matlab`.

Files are matched with the manifest's patterns and read by signature, or as the manifest describes. Without patterns
(an implicit manifest) every file with the signature or suffix of a recording is planned. `entries` reports what each
file is, and why.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from eegprep.errors import EEGPTError, UsageError
from eegprep.formats.companions import companions
from eegprep.formats.decode import decode_file
from eegprep.formats.decoded import Decoded
from eegprep.formats.detect import SIDECARS, detect, looks_like_recording
from eegprep.formats.matlab.file import fieldtrip_variables
from eegprep.formats.tables.suggest import suggest
from eegprep.formats.uci import group_of
from eegprep.manifest.patterns import compile_pattern, match
from eegprep.manifest.schema import Manifest
from eegprep.sources.assemble import assemble
from eegprep.sources.base import PlannedRecording, SourceRecording
from eegprep.sources.entities import Group, key_of, plan_groups, subject_of
from eegprep.sources.entry import Code, Entry, Kind
from eegprep.sources.events_file import belonging, events_files, with_events
from eegprep.sources.implicit import guess_entities
from eegprep.sources.known import no_recording
from eegprep.sources.tree import Tree, place_of, scan, unreadable
from eegprep.sources.trial_values import ValuesOfTrials
from eegprep.splits.names import chosen_subjects


class FilesSource:
    """Recordings of any format that are one file each (with sidecars).

    Parameters
    ----------
    manifest : Manifest
    folder : Path
        The data set's folder, or one file.
    """

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self.manifest = manifest
        self.folder, self._only = place_of(folder)
        if not folder.exists() and not self._only:
            raise UsageError(f"the folder of {manifest.name} does not exist", where=folder)
        self._path = folder
        self._patterns = [] if self._only else [compile_pattern(p) for p in manifest.source.files]
        self._planned: list[PlannedRecording] | None = None
        self._entries: dict[str, Entry] = {}
        self._chosen: set[str] | None = None

    def plan(self) -> list[PlannedRecording]:
        """All recordings, sorted by key. Raises UsageError if patterns are given and none matches."""
        if self._planned is None:
            self._planned = self._make_plan()
        return list(self._planned)

    def entries(self) -> list[Entry]:
        """All entries of the folder, each exactly once, sorted by path."""
        self.plan()
        return sorted(self._entries.values())

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Decode one recording. Raises InputError if it cannot be used."""
        return assemble(self.decode(planned), planned, self.manifest, self.folder)

    def decode(self, planned: PlannedRecording) -> Decoded:
        """The reader's result, which includes personal data and must not leave this package."""
        paths = [self.folder / f for f in planned.files]
        if self.manifest.source.kind == "uci":
            from eegprep.formats.uci import read_uci

            return read_uci(paths)
        if planned.channels:
            from eegprep.formats.tables.described import read_electrode_files

            return read_electrode_files(paths, planned.channels, self.manifest)
        decoded = decode_file(paths[0], self.manifest, part=planned.part)
        if tables := [] if self._patterns else _tables_beside(paths[0]):
            note = (
                f"{' and '.join(tables)} beside it {'is' if len(tables) == 1 else 'are'} not read: name the folder of "
            )
            note += "the whole BIDS data set (dataset_description.json)"
            decoded = dataclasses.replace(decoded, notes=(*decoded.notes, note))
        pattern = self.manifest.source.events_file
        found = events_files(pattern, planned.files[1:]) if pattern else {}
        if pattern and not found:
            decoded = dataclasses.replace(decoded, notes=(*decoded.notes, f"no file beside it matches {pattern!r}"))
        for path in found.values():
            decoded = with_events(decoded, self.folder / path, paths[0].name, paths[0])
        return decoded

    def _make_plan(self) -> list[PlannedRecording]:
        tree = scan(self._path)
        self._chosen = self._chosen_subjects(tree)
        self._entries = {e.path: self._keyed(e) for e in tree.entries}
        chosen: list[tuple[str, dict[str, str], bool]] = []
        for path in tree.files:
            entities = match(self._patterns, path) if self._patterns else guess_entities(path)
            try:
                left_out = self._left_out(path, entities)
            except OSError as error:
                self._entries[path] = self._keyed(unreadable(path, error, "it cannot be read"))
                continue
            if left_out is None:
                chosen.append((path, entities or {}, not self._patterns))
            else:
                self._file(tree, path, *left_out)
                if entities is not None:
                    self._entries[path] = self._keyed(self._entries[path])
        if self._patterns and not chosen and not any(e.key for e in self._entries.values()):
            closed = [f"; {e.path}: {e.reason}" for e in tree.entries if e.kind is Kind.REFUSED]
            raise UsageError(
                f"no files of {self.manifest.name} in {self.folder}",
                found=f"{len(tree.files)} files, no match{''.join(closed[:3])}",
                expected=" or ".join(self.manifest.source.files),
                todo="download the data set, or pass its folder with --source",
            )
        chosen = self._without_doubles(tree, chosen)
        groups = self._usable(tree, self._in_parts(self._groups(chosen, self._events(tree))))
        planned, alike = plan_groups(self.manifest, self.folder, groups)
        own = {path for path, _, _ in chosen}
        for one in planned:
            for file in one.files:
                known = (Code.RECORDING, "") if file in own else (Code.SIDECAR, f"read with {one.files[0]}")
                self._file(tree, file, *known)
        for key, found in alike:
            names = " and ".join(g.files[0] for g in found)
            for group in found:
                reason = f"the same subject, session and run: {names}"
                self._refuse(tree, group, own, Code.SAME_IDENTITY, reason, _TELL_APART, key=key)
        by_file = {g.files: tuple(g.entities["channels"].split("\n")) for g in groups if "channels" in g.entities}
        return [dataclasses.replace(p, channels=by_file.get(p.files, ())) for p in planned]

    def _file(self, tree: Tree, path: str, code: Code, reason: str = "", todo: str = "", key: str = "") -> None:
        """Set the code of an entry; files beside a single recording are not in the tree and are ignored."""
        if path in self._entries or path in tree.names:
            self._entries[path] = tree.entry(path, code, reason, todo, key)

    def _keyed(self, entry: Entry) -> Entry:
        """A refused entry with the key from its name, or marked as left out if its name already excludes it."""
        if entry.kind is not Kind.REFUSED:
            return entry
        if self._patterns:
            entities = match(self._patterns, entry.path)
            if entities is not None and not self._in_subset(entities):
                return dataclasses.replace(entry, code=Code.NOT_IN_SUBSET, reason=_OTHER_SUBJECTS, todo="")
        else:
            entities = guess_entities(entry.path) if looks_like_recording(self.folder / entry.path) else None
        if entities is None or self.manifest.source.parts is not None:
            return entry
        return dataclasses.replace(entry, key=key_of(self.manifest, entities, implicit=not self._patterns))

    def _chosen_subjects(self, tree: Tree) -> set[str] | None:
        """The subjects selected by the manifest, by their names in the files; None if there is no selection."""
        source = self.manifest.source
        if not source.only_subjects or source.parts is not None:
            return None
        paths = [*tree.files, *(e.path for e in tree.entries if e.kind is Kind.REFUSED)]
        found = [match(self._patterns, path) if self._patterns else guess_entities(path) for path in paths]
        subjects = (subject_of(self.manifest, entities) for entities in found if entities is not None)
        return chosen_subjects(self.manifest, subjects, implicit=not self._patterns)

    def _in_subset(self, entities: Mapping[str, str]) -> bool:
        return self._chosen is None or subject_of(self.manifest, entities) in self._chosen

    def _left_out(self, path: str, entities: dict[str, str] | None) -> tuple[Code, str] | tuple[Code, str, str] | None:
        """Code, reason and remedy for a file that is not a recording of the data set; None if it is one."""
        if not self._patterns:
            known = self._no_recording(path)
            return known if known or self._in_subset(entities or {}) else (Code.NOT_IN_SUBSET, _OTHER_SUBJECTS)
        full = self.folder / path
        if entities is None:
            if self.manifest.subjects is not None and path == self.manifest.subjects.file:
                return Code.SIDECAR, "the manifest's table of subjects"
            return Code.NOT_IN_PATTERNS if detect_quietly(full) else Code.FOREIGN, _NOT_IN_PATTERNS
        if not self._in_subset(entities):
            return Code.NOT_IN_SUBSET, _OTHER_SUBJECTS
        if self.manifest.source.kind == "ts" and "run" in entities:
            entities["run"] = entities["run"].lower()
        return no_recording(full, detect_quietly(full)) if self.manifest.source.kind == "files" else None

    def _without_doubles(
        self, tree: Tree, chosen: list[tuple[str, dict[str, str], bool]]
    ) -> list[tuple[str, dict[str, str], bool]]:
        """The chosen files; two files for the same channel of a recording are both refused."""
        times = Counter(frozenset(entities.items()) for _, entities, _ in chosen if "channel" in entities)
        out = []
        for path, entities, implicit in chosen:
            if times[frozenset(entities.items())] > 1:
                self._file(tree, path, Code.SAME_IDENTITY, "another file names the same channel", _KEEP_ONE)
            else:
                out.append((path, entities, implicit))
        return out

    def _events(self, tree: Tree) -> dict[frozenset[tuple[str, str]], str]:
        """Events files by the entities in their names; two with the same entities are both refused."""
        if self.manifest.source.events_file is None:
            return {}
        pattern = compile_pattern(self.manifest.source.events_file)
        found = events_files(self.manifest.source.events_file, tree.files)
        taken = set(found.values())
        for path in tree.files:
            if pattern.entities(path) is None:
                continue
            if path in taken:
                self._file(tree, path, Code.FOREIGN, "events of a missing recording")
            else:
                self._file(tree, path, Code.SAME_IDENTITY, "another event file names the same recording", _KEEP_ONE)
        return found

    def _events_refused(self) -> list[tuple[frozenset[tuple[str, str]], Entry]]:
        """Refused events files, with the entities in their names."""
        if self.manifest.source.events_file is None:
            return []
        pattern = compile_pattern(self.manifest.source.events_file)
        refused = [(pattern.entities(e.path), e) for e in self._entries.values() if e.kind is Kind.REFUSED]
        return [(frozenset(named.items()), e) for named, e in refused if named is not None]

    def _usable(self, tree: Tree, groups: list[Group]) -> list[Group]:
        """The groups with usable sidecars and tables; the others are refused."""
        events_refused = self._events_refused()
        values = None if self.manifest.trial_values is None else ValuesOfTrials(self.manifest, self.folder, tree.files)
        usable: list[Group] = []
        first_error: EEGPTError | None = None
        for group in groups:
            own = frozenset(group.entities.items())
            # without its events, the recording would look as if nothing had happened
            blocked = next((e for named, e in events_refused if named <= own), None) or tree.blocked(group.files[1:])
            if blocked is not None:
                reason = f"{blocked.path}, which belongs to it: {blocked.reason}"
                self._refuse(tree, group, (), Code.SIDECAR_REFUSED, reason, blocked.todo)
                continue
            if values is not None:
                try:
                    rows, tables = values.of(group.entities)
                except EEGPTError as error:
                    first_error = first_error or error
                    reason = error.what + (f" ({error.found})" if error.found else "")
                    self._refuse(tree, group, (), Code.TABLE_REFUSED, reason, error.todo or "correct the table")
                    continue
                group = dataclasses.replace(group, files=(*group.files, *tables), trial_values=rows)
            usable.append(group)
        if first_error is not None and not usable:
            raise first_error  # no table can be used, so the manifest is wrong
        return usable

    def _refuse(
        self, tree: Tree, group: Group, own: Collection[str], code: Code, reason: str, todo: str, key: str = ""
    ) -> None:
        """Refuse the recording of a group; `own` are the files that are recordings rather than sidecars."""
        first, *others = group.files
        key = key or key_of(self.manifest, group.entities, implicit=group.implicit)
        self._file(tree, first, code, reason, todo, key)
        for file in others:
            if file in own:
                self._file(tree, file, code, reason, todo, key)
            elif file in tree.names:
                self._file(tree, file, Code.SIDECAR, f"belongs to {first}, which is refused")

    def _groups(
        self, chosen: list[tuple[str, dict[str, str], bool]], events: Mapping[frozenset[tuple[str, str]], str]
    ) -> list[Group]:
        """One group per recording: a file with its sidecars, or files that belong together."""
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
        """One group per subject if a file contains several."""
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

    def _no_recording(self, path: str) -> tuple[Code, str] | tuple[Code, str, str] | None:
        """Without patterns: code, reason and remedy from a file's content and name; None for a recording."""
        full = self.folder / path
        format_name, suffix = detect_quietly(full), full.suffix.lower()
        if (known := no_recording(full, format_name)) is not None:
            return known
        if format_name == "curry" and suffix == ".dat" and not self._only:
            return Code.SIDECAR, "data file of a Curry recording"
        if format_name == "matlab" and suffix in SIDECARS:
            return Code.SIDECAR, SIDECARS[suffix]
        if format_name in ("numpy", "ts") or (format_name == "matlab" and not fieldtrip_variables(full)):
            return Code.NEEDS_MANIFEST, _needs_manifest(full)
        if format_name or looks_like_recording(full):
            return None
        if suggest(full) is not None:
            return Code.NEEDS_MANIFEST, _needs_manifest(full)
        if suffix in SIDECARS:
            return Code.SIDECAR, SIDECARS[suffix]
        return Code.FOREIGN, "not a known recording format"


_OTHER_SUBJECTS = "subject not selected by the manifest"
_NOT_IN_PATTERNS = "matches no pattern of the manifest"
_KEEP_ONE = "keep one of them in the folder"
_TELL_APART = "distinguish them with {session} or {run} in `source: files:` of the manifest, or keep one of them"


def _tables_beside(path: Path) -> list[str]:
    """BIDS tables beside a file that is read on its own, without them."""
    stem, is_eeg, _ = path.name.partition("_eeg.")
    if not (stem.startswith("sub-") and is_eeg):
        return []
    return [f"{kind}.tsv" for kind in ("channels", "events") if (path.parent / f"{stem}_{kind}.tsv").is_file()]


def _needs_manifest(path: Path) -> str:
    """Why a file of plain numbers is not read, with the manifest lines to read it if they can be guessed."""
    found = suggest(path)
    if found is None:
        return "a manifest must state its rate and channels"
    ending = "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:])
    return f"a manifest must describe it, such as {found.flow('{subject}' + ending)}; `eegprep manifest new` drafts one"


def detect_quietly(path: Path) -> str:
    """The format's name for planning; for a damaged file, the format of its suffix."""
    try:
        found = detect(path)
    except OSError:
        raise
    except Exception:  # header readers raise any exception on damaged files; the format's reader reports it later
        return looks_like_recording(path)
    return looks_like_recording(path) if found is None else found.name
