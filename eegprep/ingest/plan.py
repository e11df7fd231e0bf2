"""Plan an ingest: its jobs, their inputs, and what the store already contains.

A recording depends on its files, the manifest, the recipe, the vocabulary and the version of eegprep. Their hash is
kept in the stored file; if it is unchanged, the recording is not processed again. Files are hashed by size and the
first and last 64 KiB, since reading all bytes would take as long as the ingest.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eegprep.errors import InputError, UsageError
from eegprep.ingest.duplicates import taken_as_duplicate
from eegprep.ingest.outcome import Job
from eegprep.manifest import dump_manifest
from eegprep.manifest.labels import look_up
from eegprep.manifest.load import dump_model
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest
from eegprep.manifest.tasks import TrialRule
from eegprep.privacy import clean_entity, pseudonym
from eegprep.recording import recording_id
from eegprep.sources.base import PlannedRecording
from eegprep.sources.entities import stored_part
from eegprep.splits.names import Names, resolve_split
from eegprep.store import Store

# Increase when equal inputs give different bytes than before.
PIPELINE_VERSION = 2
_EDGE = 1 << 16


@dataclass(frozen=True, kw_only=True)
class IngestPlan:
    """Pending and finished jobs, each with its planned recording, sorted by key."""

    todo: tuple[tuple[Job, PlannedRecording], ...]
    done: tuple[Job, ...]

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, sorted by key."""
        return tuple(sorted((*self.done, *(j for j, _ in self.todo)), key=lambda j: j.key))


def make_plan(
    planned: Sequence[PlannedRecording],
    *,
    refused: Collection[str] = (),
    manifest: Manifest,
    recipe: Recipe,
    folder: Path,
    store: Store,
    vocabulary_digest: str,
    keep_duplicates: bool = False,
    identity: Callable[[PlannedRecording], str] | None = None,
) -> IngestPlan:
    """Compare the source with the contents of the store.

    Paths of `planned` are relative to `folder`; `refused` are keys of recordings that planning refused. `identity`
    stands for the bytes of a recording's files if they are not in the folder.

    Raises
    ------
    UsageError
        If two planned recordings have the same id.
    """
    shared = hashlib.sha256()
    for text in (str(PIPELINE_VERSION), dump_manifest(manifest), dump_model(recipe), vocabulary_digest):
        shared.update(hashlib.sha256(text.encode("utf-8")).digest())
    work: list[tuple[Job, PlannedRecording]] = []
    for name, one in identities(planned, manifest):
        made_from = _made_from(one, folder, shared.digest(), None if identity is None else identity(one))
        work.append((Job(key=one.key, recording_id=name, made_from=made_from, n_bytes=one.n_bytes), one))
    finished = {j.recording_id for j, _ in work if store.made_from(j.recording_id) == j.made_from}
    known = set(finished)
    if not keep_duplicates:
        known |= {j.recording_id for j, _ in work if taken_as_duplicate(store, j, finished)}
    return IngestPlan(
        todo=tuple((j, one) for j, one in work if j.recording_id not in known),
        done=tuple(j for j, _ in work if j.recording_id in known),
    )


def identities(planned: Sequence[PlannedRecording], manifest: Manifest) -> list[tuple[str, PlannedRecording]]:
    """Each planned recording with its id, sorted by key.

    Raises
    ------
    UsageError
        If two have the same id.
    """
    found: dict[str, PlannedRecording] = {}
    for one in sorted(planned, key=lambda p: p.key):
        identity = recording_id(manifest.name, one.subject, one.session, one.run)
        if identity in found:
            raise UsageError(
                f"two recordings of {manifest.name} have the same id {identity}",
                todo="distinguish them with {subject}, {session} or {run} in `source: files:`",
            )
        found[identity] = one
    return list(found.items())


def with_stored_tasks(manifest: Manifest, planned: Sequence[PlannedRecording]) -> Manifest:
    """The manifest with the stored names of the sessions and runs that its tasks name.

    Tasks are written with the names in the files; recordings carry the stored ones, which may be pseudonyms.
    """
    stored: dict[str, dict[str, str]] = {"session": {}, "run": {}}
    for one in planned:
        for kind, names in stored.items():
            names.update(dict.fromkeys(one.names.get(kind, ()), str(getattr(one, kind))))

    def renamed(keys: Iterable[str], kind: str) -> dict[str, str]:
        return {key: look_up(stored[kind], key) or key for key in keys}

    def rule_of(rule: TrialRule) -> TrialRule:
        changed: dict[str, object] = {}
        if rule.runs is not None:
            changed["runs"] = list(renamed(rule.runs, "run").values())
        if rule.by in stored:
            names = renamed(rule.labels, rule.by)
            changed["labels"] = {names[key]: label for key, label in rule.labels.items()}
        if rule.by == "interval" and rule.attribute in stored:
            names = renamed(rule.intervals, rule.attribute)
            changed["intervals"] = {names[key]: intervals for key, intervals in rule.intervals.items()}
        return rule.model_copy(update=changed)

    tasks = [task.model_copy(update={"trials": rule_of(task.trials)}) for task in manifest.tasks]
    return manifest.model_copy(update={"tasks": tasks})


def with_stored_names(
    manifest: Manifest, planned: Sequence[PlannedRecording], *, partial: bool
) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest with the stored names of the subjects, sessions and runs in its split; see `resolve_split`."""
    known: dict[str, Names] = {}
    hidden = not manifest.anonymous_subjects and any(p.names for p in planned)
    for kind, prefix in (("subject", "s"), ("session", "d"), ("run", "r")):
        own: dict[str, set[str]] = {}
        for one in planned:
            stored = str(getattr(one, kind))
            own.setdefault(stored, set()).update(one.names.get(kind, (stored,)))
        hide = functools.partial(stored_part, manifest, prefix=prefix)
        if kind == "subject":
            hide = functools.partial(pseudonym if hidden else clean_entity, manifest.name, prefix=prefix)
        known[kind] = Names({s: sorted(names) for s, names in own.items()}, kind, hide)
    return resolve_split(manifest, known, partial=partial)


def _made_from(planned: PlannedRecording, folder: Path, shared: bytes, identity: str | None) -> str:
    digest = hashlib.sha256(shared)
    digest.update(repr((sorted(planned.attributes.items()), planned.n_bytes)).encode())
    if planned.trial_values:
        digest.update(repr(sorted((n, sorted(v.items())) for n, v in planned.trial_values.items())).encode())
    if identity is not None:
        digest.update(identity.encode())
        return digest.hexdigest()
    for name in planned.files:
        path = folder / name
        parts = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for part in parts:
            if not part.is_file():
                continue
            size = part.stat().st_size
            digest.update(f"{name} {size} ".encode(errors="surrogateescape"))
            try:
                with part.open("rb") as handle:
                    digest.update(handle.read(_EDGE))
                    if size > _EDGE:
                        handle.seek(max(size - _EDGE, _EDGE))
                        digest.update(handle.read(_EDGE))
            except OSError as error:  # reported by its own job
                digest.update(f"unreadable {error.errno}".encode())
    return digest.hexdigest()


def check_expected(
    planned: Sequence[PlannedRecording],
    manifest: Manifest,
    *,
    refused: Collection[str] = (),
    partial: bool,
    folder: Path | None = None,
) -> None:
    """Check the plan against the manifest's `expect`; InputError if they differ.

    Recordings that were refused individually (`refused`, by key) still count. `folder` is searched for missing files
    of the data set if the manifest or a list of hashes names them.
    """
    from eegprep.remote.fetch import is_fetchable, missing_files  # imported only to list the missing files

    expect = manifest.expect
    keys = {p.key for p in planned} | set(refused)
    subjects = {p.subject for p in planned} | {key.split("/")[0] for key in refused}
    for what, found, wanted in (
        ("subjects", len(subjects), expect.subjects),
        ("recordings", len(keys), expect.recordings),
    ):
        if wanted is not None and (found > wanted if partial else found != wanted):
            missing = missing_files(manifest, folder) if folder is not None and found < wanted else None
            correct = f"correct `expect: {what}: {wanted}` in the manifest"
            get = "fetch" if is_fetchable(manifest) else "add"
            if found > wanted or missing == []:
                todo = correct
            elif missing:
                todo = f"{get} the missing files ({len(missing)} files, the first {missing[0]}), or use --partial"
            else:
                todo = f"{get} the missing files, or use --partial; if the data set is complete, {correct}"
            raise InputError(
                f"the number of {what} in the folder does not match `expect:` of {manifest.name}",
                where="the data set's folder",
                found=str(found),
                expected=str(wanted),
                todo=todo,
            )
