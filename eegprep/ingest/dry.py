"""The dry run behind `eegprep inspect`: plan, workers, decisions and errors of an ingest, without output."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eegprep.display import html_table, listed
from eegprep.electrodes import Vocabulary, dump_vocabulary
from eegprep.electrodes.montage_check import montage_warning
from eegprep.errors import InputError, UsageError
from eegprep.ingest.duplicates import copies
from eegprep.ingest.inspection import Inspected, gather
from eegprep.ingest.job import Setting
from eegprep.ingest.matches import Counted, Mismatch, hinted, mismatches
from eegprep.ingest.outcome import Job, Outcome
from eegprep.ingest.plan import check_expected, identities, with_stored_names, with_stored_tasks
from eegprep.ingest.run import Progress, nothing_planned, outcomes_of, planned_recordings
from eegprep.ingest.selection import EVERYTHING, Selection
from eegprep.ingest.summary import unmet_expectations
from eegprep.manifest import recipe_of
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest
from eegprep.sources.entry import Code, Entry, Kind, with_failed


@dataclass(frozen=True, kw_only=True, repr=False)
class Inspection:
    """The result of a dry run.

    Attributes
    ----------
    recordings : tuple of Inspected
        Sorted by file name.
    entries : tuple of Entry
        All entries of the folder, by path; failed recordings count as refused.
    refused : mapping or None
        The parts of the error if the data set would be refused.
    unmet : tuple of str
        How the result would contradict the manifest's `expect`.
    unmatched : tuple of Mismatch
        Parts of the manifest's tasks that match nothing.
    dataset : str
        Name of the data set.
    """

    recordings: tuple[Inspected, ...]
    entries: tuple[Entry, ...] = ()
    refused: Mapping[str, str | None] | None = None
    unmet: tuple[str, ...] = ()
    unmatched: tuple[Mismatch, ...] = ()
    dataset: str = ""

    def __repr__(self) -> str:
        usable, refused = sum(r.usable for r in self.recordings), sum(r.error is not None for r in self.recordings)
        return f"Inspection({self.dataset!r}: {len(self.recordings)} recordings, {usable} usable, {refused} refused)"

    def _repr_html_(self) -> str:
        rows = [
            {
                "file": r.file,
                "format": r.format,
                "Hz": r.sfreq_hz or "",
                "minutes": 60 * r.hours,
                "channels": f"{sum(c.electrode is not None for c in r.channels)} of {len(r.channels)}",
                "refused": (r.error or {}).get("what") or "",
            }
            for r in self.recordings
        ]
        facts = {
            "recordings": len(self.recordings),
            "to be stored": sum(r.usable for r in self.recordings),
            "refused files": listed([f"{e.path}: {e.reason}" for e in self.left_out]),
            "warning": self.montage_warning,
        }
        return html_table(f"Inspection of {self.dataset}", facts, rows)

    @property
    def montage_warning(self) -> str:
        """The warning of the montage check for the data set, or an empty string."""
        return montage_warning([r.montage for r in self.recordings if r.usable and r.montage is not None]) or ""

    @property
    def exit_code(self) -> int:
        """1 if an input fails, an expectation is not met, or a task matches nothing."""
        wrong = self.refused or self.unmet or any(m.fails for m in self.unmatched)
        return 1 if wrong or self.left_out or any(r.error for r in self.recordings) else 0

    @property
    def seen(self) -> dict[str, dict[str, int]]:
        """The files' own texts with their counts over all recordings: `events`, and `labels` of epochs."""
        sums: dict[str, Counter[str]] = {"events": Counter(), "labels": Counter()}
        for one in self.recordings:
            sums["events"].update(one.events)
            sums["labels"].update(one.labels)
        return {of: dict(sorted(found.items(), key=lambda x: (-x[1], x[0]))) for of, found in sums.items()}

    @property
    def left_out(self) -> tuple[Entry, ...]:
        """The entries that planning refused."""
        return tuple(e for e in self.entries if e.kind is Kind.REFUSED and e.code is not Code.FAILED)


def inspect(
    manifest: Manifest,
    folder: Path,
    *,
    recipe: Recipe | None = None,
    vocabulary: Vocabulary | None = None,
    workers: int = 1,
    partial: bool = False,
    selection: Selection = EVERYTHING,
    progress: Progress | None = None,
) -> Inspection:
    """Report what `eegprep.ingest.ingest` would do with the same arguments.

    Raises
    ------
    UsageError
        Wrong folder or recipe, or two recordings with the same id.
    """
    recipe = recipe or recipe_of(manifest)
    _, planned, entries = planned_recordings(manifest, folder, recipe, selection)
    partial = partial or bool(selection)
    manifest = with_stored_tasks(manifest, planned)
    refused = None
    try:
        if not planned:
            raise nothing_planned(manifest, folder, entries)
        check_expected(planned, manifest, refused={e.key for e in entries if e.key}, partial=partial, folder=folder)
        with_stored_names(manifest, planned, partial=partial)
    except (InputError, UsageError) as error:
        refused = error.as_dict()
    work = [
        (Job(key=one.key, recording_id=i, made_from="", n_bytes=one.n_bytes), one)
        for i, one in identities(planned, manifest)
    ]
    setting = Setting(
        manifest_json=manifest.model_dump_json(),
        recipe_json=recipe.model_dump_json(),
        vocabulary_json=dump_vocabulary((vocabulary or Vocabulary.base()).with_kinds(recipe.kinds)),
        folder=str(folder.absolute()),
        out="",
        dry=True,
    )
    sizes = {job.recording_id: job.n_bytes for job, _ in work}
    n_bytes, done_bytes = sum(sizes.values()), 0
    found: dict[str, Outcome] = {}
    if progress is not None:
        progress(0, len(work), 0, n_bytes, "")
    outcomes = outcomes_of(work, setting, workers=workers)
    with contextlib.closing(outcomes):  # type: ignore[type-var]
        for outcome in outcomes:
            found[outcome.recording_id] = outcome
            done_bytes += sizes[outcome.recording_id]
            if progress is not None:
                progress(len(found), len(work), done_bytes, n_bytes, outcome.recording_id)
    signals = [(job.recording_id, _signal(found[job.recording_id])) for job, _ in work]
    recordings = tuple(gather(work, found, copies((i, s) for i, s in signals if s)))
    kept = [r for r in recordings if r.usable]
    trials: Counter[str] = Counter()
    for one in kept:
        trials.update(one.trials)
    unmet = unmet_expectations(sum(r.hours_in_stretches for r in kept), trials, manifest, partial=partial)
    why = {
        file: outcome.error["what"] or ""
        for job, one in work
        for file in one.files
        if (outcome := found[job.recording_id]).error is not None
    }
    kept_keys = {r.key: r.tasks for r in kept}
    cut = [
        Counted(subject=p.subject, session=p.session, run=p.run, attributes=p.attributes, tasks=kept_keys[p.key])
        for p in planned
        if p.key in kept_keys
    ]
    inspection = Inspection(
        recordings=recordings,
        entries=tuple(with_failed(entries, why)),
        refused=refused,
        unmet=unmet,
        dataset=manifest.name,
    )
    unmatched = hinted(mismatches(manifest, cut, partial=partial), inspection.seen, owner=True)
    return dataclasses.replace(inspection, unmatched=unmatched)


def _signal(outcome: Outcome) -> str:
    """The hash of the signal that would be stored; empty if none would."""
    return "" if outcome.error is not None else str((outcome.inspected or {}).get("signal_hash", ""))
