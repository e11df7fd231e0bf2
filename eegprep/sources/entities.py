"""Turn the files of a folder into planned recordings: identity, pseudonyms, subject table.

`PlannedRecording`s have unique keys and are sorted. Files with the same entities are all refused, never overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eegprep.errors import UsageError
from eegprep.manifest.schema import Manifest
from eegprep.privacy import clean_entity, has_date, pseudonym
from eegprep.recording import recording_id
from eegprep.sources.base import PlannedRecording
from eegprep.sources.naming import counts
from eegprep.sources.side_table import named_columns
from eegprep.splits.names import Names, spellings


@dataclass(frozen=True, kw_only=True)
class Group:
    """The files of one recording, main file first, and the entities in their paths.

    `implicit` marks entities that were guessed from paths; since they may be personal, all become pseudonyms. `part` is
    the number of the subject in a file with several.
    """

    files: tuple[str, ...]
    entities: Mapping[str, str]
    implicit: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)
    part: str = ""
    trial_values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def subject_attributes(manifest: Manifest, folder: Path) -> dict[str, dict[str, str]]:
    """Read the manifest's subject table. Only the columns that the manifest names are read.

    Raises
    ------
    UsageError
        The table is missing, lacks a column, or contradicts itself.
    """
    table = manifest.subjects
    if table is None:
        return {}
    rows = named_columns(
        folder / table.file,
        table.separator,
        {table.id_column, *table.attributes.values()},
        f"the subject table of {manifest.name}",
    )
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        said = {name: row[column] for name, column in table.attributes.items()}
        subject = _subject_of(table.id_pattern, row[table.id_column])
        if subject and found.setdefault(subject, said) != said:
            raise UsageError(
                f"the subject table of {manifest.name} contradicts itself",
                where=folder / table.file,
                found=f"{row[table.id_column]!r} twice, with different {' or '.join(table.attributes)}",
                expected="one row for each subject",
                todo="correct the table",
            )
    return found


def _subject_of(pattern: str, listed: str) -> str:
    """The subject of an entry of the subject table; empty if it does not match the manifest's `id_pattern`."""
    before, _, after = pattern.partition("{subject}")
    fits = len(listed) > len(before) + len(after) and listed.startswith(before) and listed.endswith(after)
    return listed[len(before) : len(listed) - len(after)] if fits else ""


def subject_of(manifest: Manifest, entities: Mapping[str, str]) -> str:
    """The subject's name in the files."""
    return entities.get("subject") or manifest.source.subject or "unknown"


def identity(manifest: Manifest, entities: Mapping[str, str], *, implicit: bool = False) -> tuple[str, str, str]:
    """Subject, session and run as they may be stored."""
    subject = subject_of(manifest, entities)
    session, run = entities.get("session", ""), entities.get("run", "")
    if implicit:
        session = pseudonym(manifest.name, session, "d") if session else ""
        run = pseudonym(manifest.name, run, "r") if run else ""
    else:
        session, run = stored_part(manifest, session, "d"), stored_part(manifest, run, "r")
    if manifest.anonymous_subjects and not implicit:
        return clean_entity(manifest.name, subject, "s"), session, run
    return pseudonym(manifest.name, subject), session, run


def stored_part(manifest: Manifest, text: str, prefix: str) -> str:
    """A session or run as it may be stored; like the subject, one from a file name may identify a person.

    Numbers, optionally after a letter or a word such as `run`, are kept, and so is everything in anonymous data sets.
    """
    told = manifest.anonymous_subjects or not manifest.source.files or counts(text)
    return clean_entity(manifest.name, text, prefix) if told else pseudonym(manifest.name, text, prefix)


def key_of(manifest: Manifest, entities: Mapping[str, str], *, implicit: bool = False) -> str:
    """`subject/session/run` as they may be stored, with `-` for an empty part."""
    return recording_id(*identity(manifest, entities, implicit=implicit))


def plan_groups(
    manifest: Manifest, folder: Path, groups: Iterable[Group], *, size: Callable[[str], int] | None = None
) -> tuple[list[PlannedRecording], list[tuple[str, list[Group]]]]:
    """Planned recordings sorted by key, and the groups with a shared key, together with that key.

    `size` gives the bytes of a file by its path; by default they are looked up in the folder.
    """
    size = size or (lambda file: size_of(folder / file))
    table = subject_attributes(manifest, folder)
    ids = Names(dict.fromkeys(table, ()))
    by_key: dict[str, list[Group]] = {}
    for group in groups:
        by_key.setdefault(key_of(manifest, group.entities, implicit=group.implicit), []).append(group)
    planned: list[PlannedRecording] = []
    for key, (group, *others) in sorted(by_key.items()):
        if others:
            continue
        attributes = dict(group.extra)
        if manifest.subjects is not None:
            listed = ids.find(subject_of(manifest, group.entities), where=f"`subjects:` of {manifest.name}")
            attributes.update(table[listed] if listed is not None else {})
        subject, session, run = identity(manifest, group.entities, implicit=group.implicit)
        planned.append(
            PlannedRecording(
                subject=subject,
                session=session,
                run=run,
                files=group.files,
                n_bytes=sum(map(size, group.files)),
                key=key,
                attributes=attributes,
                part=group.part,
                trial_values=group.trial_values,
                names={
                    "subject": spellings(subject_of(manifest, group.entities), implicit=group.implicit),
                    "session": (group.entities.get("session", ""),),
                    "run": (group.entities.get("run", ""),),
                },
                public_files=tuple(_public(manifest, key, f, i, group.implicit) for i, f in enumerate(group.files)),
            )
        )
    return planned, [(key, found) for key, found in sorted(by_key.items()) if len(found) > 1]


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; 0 if it does not exist."""
    if path.is_dir():
        return sum(p.stat().st_size for p in sorted(path.rglob("*")) if p.is_file())
    return path.stat().st_size if path.is_file() else 0


def _public(manifest: Manifest, key: str, file: str, number: int, implicit: bool) -> str:
    """A file's name as stored; unchanged only if the data set's names are anonymous."""
    if manifest.anonymous_subjects and not implicit and file.isprintable() and not has_date(file):
        return file
    suffix = "".join(s for s in Path(file).suffixes[-2:] if len(s) <= 6 and s[1:].isalpha())
    return f"{key.replace('/', '_')}.{number}{suffix}"
