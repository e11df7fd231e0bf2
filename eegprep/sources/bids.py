"""BIDS trees: entities from file names, channels and events from the tables beside a recording.

Recordings are `sub-*/[ses-*/]eeg/*_eeg.*`, read by signature. `channels.tsv` (types, units, status), `events.tsv`,
`electrodes.tsv` (positions in CapTrak's or EEGLAB's frame) and `eeg.json` (line frequency, reference) take precedence
and are inherited from higher folders as in BIDS: the nearest TSV file applies alone, JSON files complete each other,
key by key. The run of a recording is the rest of its entities
(`task-rest_run-01`). Derivatives are skipped, since they are copies of the same recordings.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from eegprep.errors import UsageError
from eegprep.formats.companions import companions
from eegprep.formats.decode import decode_file
from eegprep.formats.detect import SIDECARS, looks_like_recording
from eegprep.manifest.schema import Manifest
from eegprep.sources.assemble import assemble, named_texts
from eegprep.sources.base import PlannedRecording, SourceRecording
from eegprep.sources.bids_tables import with_channels, with_description, with_events, with_positions
from eegprep.sources.entities import Group, key_of, plan_groups, size_of
from eegprep.sources.entry import Code, Entry, Kind
from eegprep.sources.files import detect_quietly
from eegprep.sources.known import no_recording
from eegprep.sources.tree import Tree, scan, unreadable
from eegprep.splits.names import chosen_subjects

_DATA = re.compile(r"(?:.*/)?(?P<stem>sub-[^/]+)_eeg\.(?P<suffix>(?i:edf|bdf|vhdr|set|fif|cnt|mff|gdf)(?i:\.gz)?)$")
#: Samples that cannot be opened without the header beside them.
_SAMPLES = re.compile(r"(?:.*/)?(?P<stem>sub-[^/]+)_eeg\.(?i:eeg|fdt)$")
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
        if not os.path.lexists(folder / "dataset_description.json"):
            raise UsageError(
                f"{folder} is not a BIDS data set",
                expected="dataset_description.json in it",
                todo="pass the root folder of the data set",
            )
        self.manifest, self.folder = manifest, folder
        self._planned: list[PlannedRecording] | None = None
        #: Tables by folder and kind, then by the entities that a recording must have.
        self._tables: dict[tuple[str, str], dict[frozenset[str], list[str]]] = {}
        #: Tables that apply to a recording, or would if there were none nearer to it.
        self._applied: set[str] = set()
        self._entries: dict[str, Entry] = {}
        self._ignored: tuple[str, ...] = ()
        self._chosen: set[str] = set()

    def plan(self) -> list[PlannedRecording]:
        """All recordings outside derivatives, sorted by key."""
        if self._planned is None:
            self._planned = self._make_plan(self._scan())
        return list(self._planned)

    def entries(self) -> list[Entry]:
        """All entries of the tree, each exactly once, sorted by path."""
        self.plan()
        return sorted(self._entries.values())

    def _scan(self) -> Tree:
        """The files of the folder."""
        return scan(self.folder)

    def _known(self, path: str) -> tuple[Code, str, str] | None:
        """Code, reason and remedy for a file in a recording's format that is not a recording, by its content."""
        full = self.folder / path
        return no_recording(full, detect_quietly(full))

    def _exists(self, path: str) -> bool:
        return os.path.lexists(self.folder / path)

    def _companions(self, path: str) -> tuple[str, ...]:
        """The files that belong to a recording's main file."""
        return companions(self.folder, path)

    def _size(self, path: str) -> int:
        return size_of(self.folder / path)

    def _make_plan(self, tree: Tree) -> list[PlannedRecording]:
        self._ignored = _ignored(self.folder)
        stems = [found["stem"] for e in tree.entries if e.kind is Kind.REFUSED and (found := _DATA.fullmatch(e.path))]
        stems += [found["stem"] for path in tree.files if (found := _DATA.fullmatch(path))]
        for path in tree.files:
            folder, _, name = path.rpartition("/")
            *own, kind = name.split("_")
            if kind in _TABLES:
                named = frozenset(e for e in own if not e.startswith("space-"))
                self._tables.setdefault((folder, kind), {}).setdefault(named, []).append(path)
        runs = _runs(stems)
        for tables in self._tables.values():
            respelled = [(_as_spelled(named, runs), listed) for named, listed in tables.items()]
            for named, listed in respelled:
                tables.setdefault(named, listed)
        self._chosen = chosen_subjects(self.manifest, (_entities(stem)["subject"] for stem in stems))
        for entry in tree.entries:
            self._entries[entry.path] = self._keyed(entry)
        groups: list[Group] = []
        for path in tree.files:
            found = _DATA.fullmatch(path)
            try:
                left_out = self._left_out(path) if found else self._no_data(path)
            except OSError as error:
                self._entries[path] = self._keyed(unreadable(path, error, "it cannot be read"))
                continue
            if left_out is not None:
                code, reason, todo = (*left_out, "")[:3]
                self._entries[path] = tree.entry(path, code, reason, todo, self._key(path, code.kind))
            elif found is not None:
                group = self._group(path, found["stem"])
                if (blocked := tree.blocked(group.files[1:])) is None:
                    groups.append(group)
                else:
                    reason = f"{blocked.path}, which belongs to it: {blocked.reason}"
                    self._refuse(tree, group, Code.SIDECAR_REFUSED, reason, blocked.todo)
        planned, alike = plan_groups(self.manifest, self.folder, groups, size=self._size)
        for one in planned:
            self._entries[one.files[0]] = tree.entry(one.files[0], Code.RECORDING)
            self._beside_of(tree, one.files, f"read with {one.files[0]}")
        for table in itertools.chain(*(t for tables in self._tables.values() for t in tables.values())):
            if table not in self._applied and self._entries[table].code is Code.SIDECAR:
                self._entries[table] = tree.entry(table, Code.SIDECAR, "applies to no recording that is read")
        for _, same in alike:
            names = " and ".join(g.files[0] for g in same)
            for group in same:
                reason = f"the same subject, session and entities: {names}"
                self._refuse(tree, group, Code.SAME_IDENTITY, reason, _KEEP_ONE)
        return planned

    def _refuse(self, tree: Tree, group: Group, code: Code, reason: str, todo: str) -> None:
        first = group.files[0]
        self._entries[first] = tree.entry(first, code, reason, todo, key_of(self.manifest, group.entities))
        self._beside_of(tree, group.files, f"belongs to {first}, which is refused")

    def _beside_of(self, tree: Tree, files: Sequence[str], reason: str) -> None:
        for file in files[1:]:
            if file in tree.names:
                self._entries[file] = tree.entry(file, Code.SIDECAR, reason)

    def _left_out(self, path: str) -> tuple[Code, str] | tuple[Code, str, str] | None:
        """Code, reason and remedy for a file that is named like a recording but not read; None if it is read."""
        return self._by_place(path) or self._known(path)

    def _no_data(self, path: str) -> tuple[Code, str] | tuple[Code, str, str]:
        """Code, reason and remedy for a file that is not named like a recording."""
        if looks_like_recording(self.folder / path):
            return self._by_place(path) or (Code.NO_BIDS_NAME, "not the name of a BIDS EEG recording")
        name, suffix = PurePosixPath(path), PurePosixPath(path).suffix.lower()
        if _SAMPLES.fullmatch(path) and not any(self._exists(str(name.with_suffix(s))) for s in _HEADERS):
            return self._by_place(path) or (Code.PART_MISSING, _HEADERLESS, "fetch the .vhdr or .set file too")
        return (
            (Code.SIDECAR, SIDECARS[suffix]) if suffix in SIDECARS else (Code.FOREIGN, "not part of an EEG recording")
        )

    def _keyed(self, entry: Entry) -> Entry:
        """A refused entry with the key from its name, or marked as left out if its path already excludes it."""
        if entry.kind is not Kind.REFUSED:
            return entry
        if (place := self._by_place(entry.path)) is not None:
            return dataclasses.replace(entry, code=place[0], reason=f"{place[1]}; {entry.reason}", todo="")
        return dataclasses.replace(entry, key=self._key(entry.path, entry.kind))

    def _by_place(self, path: str) -> tuple[Code, str] | None:
        """Code and reason if a file's path excludes it, regardless of its content."""
        if path.startswith(_ELSEWHERE):
            return Code.DERIVATIVE, "derived from recordings of this data set"
        if _fits(path, self._ignored):
            return Code.IGNORED, "listed in .bidsignore of the data set"
        found = _DATA.fullmatch(path)
        if found is not None and _entities(found["stem"])["subject"] not in self._chosen:
            return Code.NOT_IN_SUBSET, "subject not selected by the manifest"
        return None

    def _key(self, path: str, kind: Kind) -> str:
        found = (_DATA.fullmatch(path) or _SAMPLES.fullmatch(path)) if kind is Kind.REFUSED else None
        return "" if found is None else key_of(self.manifest, _entities(found["stem"]))

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Decode one recording and apply its tables. Raises InputError if it cannot be used."""
        path = self.folder / planned.files[0]
        decoded = decode_file(path, self.manifest)
        tables = {kind: [self.folder / file for file in tables_of(planned, kind)] for kind in _TABLES}
        for kind in ("channels.tsv", "electrodes.tsv", "events.tsv"):
            if len({table.read_bytes() for table in tables[kind]}) > 1:
                note = f"{kind} was ignored: {len(tables[kind])} files that differ apply to the recording equally"
                decoded = dataclasses.replace(decoded, notes=(*decoded.notes, note))
                tables[kind] = []
        for table in tables["channels.tsv"][:1]:
            decoded = with_channels(decoded, table)
        for table in tables["electrodes.tsv"][:1]:
            decoded = with_positions(decoded, table, tables["coordsystem.json"])
        for table in tables["events.tsv"][:1]:
            decoded = with_events(decoded, table, named_texts(self.manifest))
        decoded = with_description(decoded, tables["eeg.json"])
        return assemble(decoded, planned, self.manifest, self.folder)

    def _group(self, path: str, stem: str) -> Group:
        tables = {kind: self._beside(path, kind) for kind in _TABLES}
        # positions and their frame are of one space
        spaced = (*tables["electrodes.tsv"], *tables["coordsystem.json"])
        space = next((s for table in spaced if (s := _space(table))), "")
        tables["coordsystem.json"] = [t for t in tables["coordsystem.json"] if _space(t) in ("", space)]
        beside = {*itertools.chain(*tables.values()), *self._companions(path)}
        return Group(files=(path, *sorted(beside - {path})), entities=_entities(stem))

    def _beside(self, path: str, kind: str) -> list[str]:
        """The tables that apply to a recording: of TSV files the nearest, of JSON files all, nearest first.

        Several TSV files are the nearest if BIDS prefers none, such as those of a task and those of a run.
        """
        folder, _, name = path.rpartition("/")
        entities = frozenset(name.split("_")[:-1])
        found: list[str] = []
        for level in _levels(folder):
            tables = self._tables.get((level, kind), {})
            found += (table for named in _subsets(entities, tables) for table in tables[named])
        self._applied.update(found)
        found = nearest_first(found)
        return (
            found if kind.endswith(".json") else [table for table in found if _nearness(table) == _nearness(found[0])]
        )


def tables_of(planned: PlannedRecording, kind: str) -> list[str]:
    """A planned recording's tables of a kind (such as `eeg.json`), nearest first."""
    return nearest_first(file for file in planned.files[1:] if re.split("[_/]", file)[-1] == kind)


def nearest_first(tables: Iterable[str]) -> list[str]:
    """Tables that apply to one recording in the order of their precedence: nearest folder, then most entities."""

    return sorted(sorted(tables), key=_nearness, reverse=True)


def _nearness(table: str) -> tuple[int, int, bool, str]:
    """Depth and number of entities of a table's name, and its space: CapTrak first, in which positions are needed."""
    space = _space(table)
    return table.count("/"), table.rpartition("/")[2].count("_") - bool(space), space == "space-CapTrak", space


def _space(table: str) -> str:
    """The entity `space` of a table's name; empty if it has none."""
    return next((e for e in table.rpartition("/")[2].split("_") if e.startswith("space-")), "")


# Tables with further information on a recording.
_TABLES = ("channels.tsv", "events.tsv", "electrodes.tsv", "coordsystem.json", "eeg.json")
_HEADERS = (".vhdr", ".VHDR", ".ahdr", ".set", ".SET")
_HEADERLESS = "samples of a recording whose header is missing"
_KEEP_ONE = "keep one of them, or list the others in .bidsignore"


def _entities(stem: str) -> dict[str, str]:
    """Subject, session and the rest of a BIDS name; `split` is ignored, since it does not identify a recording."""
    parts = [p.split("-", 1) for p in stem.split("_") if "-" in p and not p.startswith("split-")]
    entities = {"subject": dict(parts).get("sub", "")}
    if "ses" in dict(parts):
        entities["session"] = dict(parts)["ses"]
    if rest := "_".join("-".join(p) for p in parts if p[0] not in ("sub", "ses")):
        entities["run"] = rest
    return entities


def _runs(stems: Iterable[str]) -> dict[tuple[str, str], set[str]]:
    """How recordings spell a run's number (`run-1`, `run-01`), by subject, and by an empty text for all subjects."""
    found: dict[tuple[str, str], set[str]] = {}
    for stem in stems:
        entities = stem.split("_")
        for run in (e for e in entities if re.fullmatch(r"run-\d+", e)):
            for subject in (entities[0], ""):
                found.setdefault((subject, run[4:].lstrip("0")), set()).add(run)
    return found


def _as_spelled(named: frozenset[str], runs: dict[tuple[str, str], set[str]]) -> frozenset[str]:
    """A table's entities with its run as the recordings spell it, if none has the table's own spelling."""
    run = next((e for e in named if re.fullmatch(r"run-\d+", e)), None)
    if run is None:
        return named
    subject = next((e for e in named if e.startswith("sub-")), "")
    spelled = runs.get((subject, run[4:].lstrip("0")), set())
    return named if run in spelled or len(spelled) != 1 else named - {run} | spelled


def _levels(folder: str) -> Iterator[str]:
    """A folder, the folders above it, and the root, which is empty."""
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


def _subsets(entities: frozenset[str], among: Collection[frozenset[str]]) -> Iterable[frozenset[str]]:
    """Those of `among` that only have these entities, without going through all of a large folder's."""
    if len(among) <= 1 << len(entities):
        return [one for one in among if one <= entities]
    sizes = range(len(entities) + 1)
    return [one for n in sizes for c in itertools.combinations(entities, n) if (one := frozenset(c)) in among]


def _ignored(root: Path) -> tuple[str, ...]:
    """The patterns of `.bidsignore`, in gitignore syntax."""
    path = root / ".bidsignore"
    if not path.is_file() or not os.access(path, os.R_OK):
        return ()
    lines = (line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return tuple(line.removeprefix("/") for line in lines if line and not line.startswith(("#", "!")))


def _fits(path: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern matches the path or a parent folder: completely or, without a slash, its last part."""
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for pattern in patterns:
        named = pattern.removeprefix("**/").rstrip("/")
        for one in above[:-1] if pattern.endswith("/") else above:
            last = one.rsplit("/", 1)[-1]
            if fnmatch.fnmatch(one, named) or ("/" not in named and fnmatch.fnmatch(last, named)):
                return True
    return False
