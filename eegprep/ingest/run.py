"""An ingest from plan to report: finished recordings are kept, failures are quarantined, the rest continues.

A process killed at any time leaves complete recordings and at most a `.part` file, which the next run removes.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from eegprep.electrodes import Vocabulary, dump_vocabulary
from eegprep.errors import EEGPTError, InputError, UsageError
from eegprep.files import alone, write_json
from eegprep.ingest import duplicates as doubled
from eegprep.ingest.guard import check_names, check_store, check_strangers, remove_parts, tidy, whole_or_nothing
from eegprep.ingest.job import Setting, public_error
from eegprep.ingest.outcome import Job, Outcome
from eegprep.ingest.plan import IngestPlan, check_expected, make_plan, with_stored_names, with_stored_tasks
from eegprep.ingest.selection import EVERYTHING, Selection
from eegprep.ingest.summary import IngestSummary, summarise, write_report
from eegprep.manifest import recipe_of
from eegprep.manifest.lock import LOCK_NAME
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest
from eegprep.recording import STANDARD_SFREQ_HZ, RecordingInfo
from eegprep.sources.base import PlannedRecording, Source
from eegprep.sources.entry import Entry, Kind, with_failed
from eegprep.sources.tree import place_of
from eegprep.standardise.chain import plan_chain
from eegprep.store import Store, key_of_id
from eegprep.temporary import remove_abandoned_folders

# done, total, bytes done, total bytes, id of the last finished recording
Progress = Callable[[int, int, int, int, str], None]


def ingest(
    manifest: Manifest,
    folder: Path,
    out: Path,
    *,
    recipe: Recipe | None = None,
    vocabulary: Vocabulary | None = None,
    workers: int = 1,
    cluster: str | None = None,
    keep_duplicates: bool = False,
    partial: bool = False,
    prune: bool = False,
    selection: Selection = EVERYTHING,
    progress: Progress | None = None,
) -> IngestSummary:
    """Ingest a data set into a store.

    Parameters
    ----------
    manifest : Manifest
    folder : Path
        Folder with its files (a single file for an implicit manifest).
    out : Path
        The store; an earlier run of the same ingest is resumed.
    recipe : Recipe, optional
        Used instead of the manifest's own.
    vocabulary : Vocabulary, optional
        Used instead of the shipped one (`eegprep.electrodes.load_vocabulary`). Rows of the kinds that the recipe keeps
        are appended if it lacks them.
    workers : int
        Number of worker processes; 0 runs everything in this process.
    cluster : str, optional
        Dask scheduler's address, or `slurm`, instead of local processes.
    keep_duplicates : bool
        Keep recordings with duplicate signals.
    partial : bool
        The folder contains only part of the data set: `expect` is then an upper limit.
    prune : bool
        Delete recordings from the store that are not in the source. Without it such a store is refused.
    selection : Selection
        The part of the data set to ingest; implies `partial`.
    progress : callable, optional
        Called after each recording.

    Returns
    -------
    IngestSummary
        Its `exit_code` is 1 if some recordings failed.

    Raises
    ------
    UsageError
        Wrong folder, recipe or store; nothing was started.
    InputError
        The disk is full; finished recordings are kept.
    """
    recipe = recipe or recipe_of(manifest)
    vocabulary = (vocabulary or Vocabulary.base()).with_kinds(recipe.kinds)
    source, planned, entries = planned_recordings(manifest, folder, recipe, selection)
    partial = partial or bool(selection)
    root = place_of(folder)[0]
    entries = [e for e in entries if not _is_ours(root / e.path, out)]
    if not planned:
        raise nothing_planned(manifest, folder, entries)
    refused = {e.key for e in entries if e.key}
    check_expected(planned, manifest, refused=refused, partial=partial, folder=folder)
    # Workers need the files' own names; only pseudonyms are stored.
    as_written = manifest = with_stored_tasks(manifest, planned)
    manifest, absent = with_stored_names(manifest, planned, partial=partial)
    check_store(out, manifest)
    words = dump_vocabulary(vocabulary)
    with alone(out) as new, whole_or_nothing(out, new=new):
        remove_abandoned_folders()
        plan = make_plan(
            planned,
            refused=refused,
            manifest=manifest,
            recipe=recipe,
            folder=root,
            store=Store(out),
            vocabulary_digest=words,
            keep_duplicates=keep_duplicates,
            identity=getattr(source, "identity", None),
        )
        check_names(out, plan)
        check_strangers(Store(out), plan, {f"{manifest.name}/{key}" for key in refused}, prune=prune)
        store = Store.create(out, manifest, vocabulary)
        tidy(store, plan)
        # Without its lock a store counts as unfinished.
        (out / LOCK_NAME).unlink(missing_ok=True)
        setting = Setting(
            manifest_json=as_written.model_dump_json(),
            recipe_json=recipe.model_dump_json(),
            vocabulary_json=words,
            folder=str(folder.absolute()),
            out=str(out.absolute()),
        )
        seen: dict[str, Counter[str]] = {}
        failed = _run(plan, setting, store, seen, workers=workers, cluster=cluster, progress=progress)
        if not keep_duplicates:
            doubled.take_once(store, plan.jobs)
        copies = doubled.noted_duplicates(store, plan.jobs) if not keep_duplicates else {}
        by_key = {p.key: p for p in planned}
        by_id = {j.recording_id: by_key[j.key] for j in plan.jobs}
        public = {i: public_error(e, by_id[i], root) for i, e in failed.items()}
        entries = with_failed(entries, {f: e.get("what") or "" for i, e in failed.items() for f in by_id[i].files})
        for identity, error in public.items():
            store.quarantine.mkdir(exist_ok=True)
            write_json(store.quarantine / f"{key_of_id(identity)}.json", {"recording": identity, "error": error})
        infos = store.infos()
        summary = summarise(
            store,
            infos,
            manifest=manifest,
            done_before=len({j.recording_id for j in plan.done} - copies.keys()),
            failed=failed,
            duplicates=copies,
            entries=entries,
            partial=partial,
            notes=_absent(manifest, absent),
            seen=seen,
        )
        write_report(
            store, infos, summary, manifest=manifest, recipe=recipe, failed=public, **_fetched(source, by_id, infos)
        )
        if not infos:
            raise _nothing(summary)
        return summary


def _fetched(source: Source, by_id: Mapping[str, PlannedRecording], infos: Sequence[RecordingInfo]) -> dict[str, Any]:
    """The address of a remote source, and its files that are in the store."""
    if (told := getattr(source, "fetched", None)) is None:
        return {}
    files = {name: file for info in infos if info.id in by_id for name, file in told(by_id[info.id]).items()}
    return {"address": source.mirror.listing.address, "fetched": files}  # type: ignore[attr-defined]


def planned_recordings(
    manifest: Manifest, folder: Path, recipe: Recipe, selection: Selection = EVERYTHING
) -> tuple[Source, list[PlannedRecording], list[Entry]]:
    """The source, its selected recordings, and all entries of the folder. UsageError for a wrong folder or recipe."""
    from eegprep.sources import open_source

    plan_chain(recipe, sfreq_hz=2 * STANDARD_SFREQ_HZ, line_freq_hz=manifest.line_freq_hz)
    source = open_source(manifest, folder)
    planned, entries = selection.apply(source)
    return source, planned, entries


def _is_ours(path: Path, out: Path) -> bool:
    """Whether a file of the source's folder is in the store and therefore not an input."""
    return path.absolute().is_relative_to(out.absolute())


def nothing_planned(manifest: Manifest, folder: Path, entries: Sequence[Entry]) -> InputError:
    """The error that refuses a folder without a recording."""
    # problems that the user can fix come first
    ranked = sorted(entries, key=lambda e: (e.kind is not Kind.REFUSED, not e.todo, e.code))
    reasons = list(dict.fromkeys(f"{e.code}: {e.reason}" for e in ranked))
    todos = dict.fromkeys(e.todo for e in ranked if e.todo)
    return InputError(
        f"{manifest.name} contains no recordings",
        where=folder,
        found=", ".join(reasons[:5]) or "no files",
        expected="EEG files",
        todo="; ".join(list(todos)[:3]) or None,
    )


def outcomes_of(
    work: Sequence[tuple[Job, PlannedRecording]], setting: Setting, *, workers: int, cluster: str | None = None
) -> Iterator[Outcome]:
    """Run jobs, largest first to keep all workers busy; yields outcomes as they arrive."""
    from eegprep.ingest.workers import run_here, run_in_processes

    work = sorted(work, key=lambda w: (-w[0].n_bytes, w[0].key))
    if cluster is not None:
        from eegprep.ingest.cluster import run_on_cluster

        return run_on_cluster(work, setting, cluster, max(workers, 1))
    if workers == 0 or not work:
        return run_here(work, setting)
    n_processes = min(workers, len(work))
    return run_in_processes(work, dataclasses.replace(setting, threads=workers // n_processes), n_processes)


def _absent(manifest: Manifest, names: Sequence[str]) -> tuple[str, ...]:
    """A note on names in the split that are not in this part of the data set."""
    if not names:
        return ()
    listed = ", ".join(map(repr, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return (f"the split lists {len(names)} {manifest.split.by}s that are missing: {listed}",)


def _run(
    plan: IngestPlan,
    setting: Setting,
    store: Store,
    seen: dict[str, Counter[str]],
    *,
    workers: int,
    cluster: str | None,
    progress: Progress | None,
) -> dict[str, dict[str, str | None]]:
    """Run the jobs and return errors by recording id; the files' texts are counted in `seen`."""
    total, n_bytes = len(plan.jobs), sum(j.n_bytes for j in plan.jobs)
    done, done_bytes = len(plan.done), sum(j.n_bytes for j in plan.done)
    sizes = {j.recording_id: j.n_bytes for j in plan.jobs}
    planned = {job.key: one for job, one in plan.todo}
    if progress is not None:
        progress(done, total, done_bytes, n_bytes, "")
    outcomes = outcomes_of(plan.todo, setting, workers=workers, cluster=cluster)
    failed: dict[str, dict[str, str | None]] = {}
    with contextlib.closing(outcomes):  # type: ignore[type-var]
        for outcome in outcomes:
            for of, counts in (outcome.seen or {}).items():
                seen.setdefault(of, Counter()).update(counts)
            quarantined = store.quarantine / f"{key_of_id(outcome.recording_id)}.json"
            if outcome.error is not None:
                if outcome.fatal:
                    raise _as_error(outcome.error)
                failed[outcome.recording_id] = _with_place(outcome.error, planned[outcome.key], setting)
                # A file that can no longer be read must not keep an older version.
                store.remove(outcome.recording_id)
            else:
                quarantined.unlink(missing_ok=True)
            done, done_bytes = done + 1, done_bytes + sizes[outcome.recording_id]
            if progress is not None:
                progress(done, total, done_bytes, n_bytes, outcome.recording_id)
    remove_parts(store.path)
    for identity in {job.recording_id for job, _ in plan.todo} - failed.keys() - {*store.ids()}:
        # The process of a lost worker removed it, or somebody did.
        failed[identity] = InputError(
            "a recording was stored but is gone", where=store.path, todo="run the same command again"
        ).as_dict()
    return failed


def _with_place(error: dict[str, str | None], planned: PlannedRecording, setting: Setting) -> dict[str, str | None]:
    """Add the file to an error that does not name it."""
    if error.get("where") is not None or not planned.files:
        return error
    return {**error, "where": str(place_of(Path(setting.folder))[0] / planned.files[0])}


def _nothing(summary: IngestSummary) -> EEGPTError:
    """The error if every recording failed: a list of all errors, or the only one itself."""
    errors = list(summary.failed.values())
    if len(errors) == 1 and not summary.refused:
        return _as_error(errors[0])
    listed = [f"{e.get('where') or i}: {e.get('what')}" for i, e in summary.failed.items()]
    listed += [f"{e.path}: {e.reason}; to do: {e.todo}" for e in summary.refused]
    return InputError(
        "no recording could be read:\n  " + "\n  ".join(listed),
        expected="at least one readable EEG file",
    )


def _as_error(e: Mapping[str, str | None]) -> EEGPTError:
    kind = UsageError if e.get("error") == "UsageError" else InputError
    return kind(
        e.get("what") or "a recording failed",
        where=e.get("where"),
        found=e.get("found"),
        expected=e.get("expected"),
        todo=e.get("todo"),
    )
