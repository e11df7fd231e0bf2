"""The result of an ingest: a printed summary, `report.json` and `lock.yaml`, without times, paths or host names."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from eegprep.electrodes.montage_check import montage_warning
from eegprep.files import sha256_file, write_json
from eegprep.ingest.matches import Mismatch, counted, hinted, mismatches
from eegprep.manifest import dump_manifest
from eegprep.manifest.load import dump_model
from eegprep.manifest.lock import FetchedFile, Lock, Stage, decisions, versions, write_lock
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest
from eegprep.recording import STANDARD_SFREQ_HZ, RecordingInfo
from eegprep.sources.entry import Code, Entry, Kind, count_files
from eegprep.store import Store, key_of_id


@dataclass(frozen=True, kw_only=True)
class IngestSummary:
    """The result of an ingest.

    Attributes
    ----------
    out : Path
        The store.
    recordings, subjects, electrodes : int
    hours, electrode_hours : float
        Hours of the stretches, and kept electrode-hours.
    electrode_hours_left_out : mapping of str to float
        By code, for electrodes in the store; with `electrode_hours` they add up to everything recorded.
    trials : mapping of str to int
        Per task.
    done_before : int
        Recordings finished by earlier runs.
    failed : mapping of str to mapping
        Recording id to the parts of its error, with local paths (removed in the store's copy).
    duplicates : mapping of str to str
        Recording id of each duplicate to that of the original.
    left_out : mapping of str to mapping of str to int
        Kind (`channel`, `stretch`, `trial`, `file`) to counts by code.
    unmet : tuple of str
        How the result contradicts the manifest's `expect`.
    montage : float or None
        The median of the recordings' montage figures (`eegprep.recording.MontageFit`).
    montage_recordings : int
        Number of recordings with a montage figure.
    montage_warning : str
        Empty if the figures are normal.
    unmatched : tuple of Mismatch
        Parts of the manifest's tasks that match nothing in any recording of the store.
    classes : mapping of str to mapping of str to int
        Trials per class of each classification task.
    notes : tuple of str
        Notes for the user, not stored.
    refused : tuple of Entry
        Entries refused in planning, with local paths.
    files : mapping of str to int
        Number of files in the source's folder by kind; failed recordings count as refused.
    """

    out: Path
    recordings: int
    subjects: int
    electrodes: int
    hours: float
    electrode_hours: float
    electrode_hours_left_out: Mapping[str, float]
    trials: Mapping[str, int]
    done_before: int = 0
    failed: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    duplicates: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    unmet: tuple[str, ...] = ()
    montage: float | None = None
    montage_recordings: int = 0
    montage_warning: str = ""
    unmatched: tuple[Mismatch, ...] = ()
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    refused: tuple[Entry, ...] = ()
    files: Mapping[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """1 if an input failed or was refused, an expectation is not met or a task matches nothing, else 0."""
        wrong = self.failed or self.refused or self.unmet or any(m.fails for m in self.unmatched)
        return 1 if wrong else 0


def unmet_expectations(
    hours: float, trials: Mapping[str, int], manifest: Manifest, *, partial: bool
) -> tuple[str, ...]:
    """Unmet expectations of the manifest; with `partial`, only what exceeds them."""
    found = []
    expect = manifest.expect
    if expect.hours is not None and (hours > 1.01 * expect.hours or (not partial and hours < 0.99 * expect.hours)):
        found.append(f"{hours:.2f} hours instead of {expect.hours:g}")
    for task, wanted in sorted(expect.trials.items()):
        n = trials.get(task, 0)
        if n > wanted or (not partial and n < wanted):
            found.append(f"{n} trials of {task} instead of {wanted}")
    return tuple(found)


def summarise(
    store: Store,
    infos: Sequence[RecordingInfo],
    *,
    manifest: Manifest,
    done_before: int,
    failed: Mapping[str, Mapping[str, str | None]],
    duplicates: Mapping[str, str],
    entries: Sequence[Entry],
    partial: bool,
    notes: Sequence[str] = (),
    seen: Mapping[str, Mapping[str, int]] | None = None,
) -> IngestSummary:
    """Summarise the store; `seen` are the texts in the files, see `hinted`."""
    kinds: dict[str, Counter[str]] = {}
    for info in infos:
        for one in info.left_out:
            kinds.setdefault(one.kind, Counter())[one.code] += 1
    for entry in entries:
        if entry.code not in (Code.RECORDING, Code.FAILED):
            kinds.setdefault("file", Counter())[str(entry.code)] += 1
    fits = [i.montage for i in infos if i.montage is not None]
    trials = _trials(infos, manifest)
    classes = Counter((t.task, t.label) for i in infos for t in i.trials)
    return IngestSummary(
        out=store.path,
        recordings=len(infos),
        subjects=len({i.subject for i in infos}),
        electrodes=len({e for i in infos for e in i.electrodes}),
        hours=_hours(infos),
        electrode_hours=sum(sum(s or 0.0 for s in i.quality.get("kept_s", ())) for i in infos) / 3600,
        electrode_hours_left_out=_left_out_hours(infos),
        trials=trials,
        done_before=done_before,
        failed=dict(sorted(failed.items())),
        duplicates=dict(sorted(duplicates.items())),
        left_out={kind: dict(sorted(c.items())) for kind, c in sorted(kinds.items())},
        unmet=unmet_expectations(_hours(infos), trials, manifest, partial=partial),
        unmatched=hinted(mismatches(manifest, counted(infos), partial=partial), seen or {}, owner=False),
        classes={t.name: {c: classes[t.name, c] for c in t.classes} for t in manifest.tasks},
        notes=tuple(notes),
        montage=median(f.figure for f in fits) if fits else None,
        montage_recordings=len(fits),
        montage_warning=montage_warning(fits) or "",
        refused=tuple(e for e in entries if e.kind is Kind.REFUSED and e.code is not Code.FAILED),
        files=count_files(entries),
    )


def write_report(
    store: Store,
    infos: Sequence[RecordingInfo],
    summary: IngestSummary,
    *,
    manifest: Manifest,
    recipe: Recipe,
    failed: Mapping[str, Mapping[str, str | None]],
    address: str = "",
    fetched: Mapping[str, FetchedFile] | None = None,
) -> None:
    """Write `report.json` and `lock.yaml`; equal stores get equal bytes.

    `failed` are the errors in their public form; `fetched` the files that were read from `address`.
    """
    report = {
        "dataset": manifest.name,
        "recipe": recipe.name,
        "recordings": summary.recordings,
        "subjects": summary.subjects,
        "electrodes": sorted({e for i in infos for e in i.electrodes}),
        "hours": round(summary.hours, 6),
        "electrode_hours": round(summary.electrode_hours, 6),
        "electrode_hours_left_out": {k: round(v, 6) for k, v in summary.electrode_hours_left_out.items()},
        "trials": dict(sorted(summary.trials.items())),
        "failed": {k: dict(v) for k, v in sorted(failed.items())},
        "duplicates": dict(summary.duplicates),
        "left_out": {k: dict(v) for k, v in summary.left_out.items()},
        "unmet": list(summary.unmet),
        "montage": {
            "median": None if summary.montage is None else round(summary.montage, 4),
            "recordings": summary.montage_recordings,
            "warning": summary.montage_warning,
        },
        "unmatched": list(map(str, summary.unmatched)),
        "files": dict(summary.files),
    }
    write_json(store.path / "report.json", report)
    stage = _stage(store, infos, summary, manifest, recipe)
    if fetched is not None:
        parameters = {**stage.parameters, "address": address}
        stage = stage.model_copy(update={"parameters": parameters, "fetched": dict(fetched)})
    write_lock(store.path, Lock(lock=1, versions=versions(), stages=[stage]))


def _stage(
    store: Store, infos: Sequence[RecordingInfo], summary: IngestSummary, manifest: Manifest, recipe: Recipe
) -> Stage:
    outputs: dict[str, str] = {}
    rows: list[tuple[str, str, str, str]] = []
    for info in infos:
        for suffix in (".arrow", ".json"):
            name = f"recordings/{key_of_id(info.id)}{suffix}"
            outputs[name] = sha256_file(store.path / name)
        rows += [(info.id, x.name, f"{x.kind} left out: {x.code}", "") for x in info.left_out]
        rows += [(info.id, n, f"electrode {e}", "") for n, e in zip(info.source_channels, info.electrodes, strict=True)]
        rows.append((info.id, "unit", "microvolt", info.units_evidence))
        if info.montage is not None:
            rows.append((info.id, "montage", "checked against the signal", f"figure {info.montage.figure:.1f}"))
    rows += [
        (copy, "recording", "duplicate left out", f"the same signal as {of}") for copy, of in summary.duplicates.items()
    ]
    digest = hashlib.sha256(dump_manifest(manifest).encode("utf-8")).hexdigest()
    return Stage(
        stage="ingest",
        manifests={manifest.name: digest},
        parameters={"recipe": dump_model(recipe)},
        inputs={i.id.replace("/", "+"): i.source_sha256 for i in infos if i.source_sha256},
        outputs=outputs,
        counts={
            "recordings": summary.recordings,
            "trials": sum(summary.trials.values()),
            "failed": len(summary.failed),
            "refused": len(summary.refused),
        },
        decisions=decisions(rows),
    )


def _hours(infos: Sequence[RecordingInfo]) -> float:
    return sum(i.covered(i.stretches) for i in infos) / STANDARD_SFREQ_HZ / 3600


def _left_out_hours(infos: Sequence[RecordingInfo]) -> dict[str, float]:
    """Hours by code, over the electrodes of all recordings; each sample counts once."""
    samples: Counter[str] = Counter()
    for info in infos:
        silent = {x.name for x in info.left_out if x.kind == "channel" and x.code == "silent"}
        for row, name in enumerate(info.source_channels):
            samples.update({"silent": info.n_recorded} if name in silent else info.left_out_samples(row))
    return {code: n / STANDARD_SFREQ_HZ / 3600 for code, n in sorted(samples.items()) if n}


def _trials(infos: Sequence[RecordingInfo], manifest: Manifest) -> dict[str, int]:
    found = Counter(t.task for i in infos for t in i.trials)
    return {name: found[name] for name in sorted({*found, *(t.name for t in manifest.tasks)})}
