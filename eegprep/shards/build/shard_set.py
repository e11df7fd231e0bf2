"""Build a shard set from stores: `build_shard_set`.

Electrodes are written in any order and anywhere (threads, or any `concurrent.futures` executor such as Dask's); the
index follows the order of the plan, so the bytes are the same. After an interruption the same call resumes: an
electrode with a note in `building/` is not written again. `SHA256SUMS` is written last.

A set is never changed. To add recordings, pass the old set as `extends`: the new set reuses its shards (hard links if
the file system supports them) and writes the new recordings to new shards.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

import eegprep
from eegprep.electrodes import Vocabulary
from eegprep.errors import RefusedError, UsageError
from eegprep.files import PART, WRITING, alone, sha256_file, write_atomic, write_json
from eegprep.manifest.croissant import card, croissant
from eegprep.manifest.load import load_manifests
from eegprep.manifest.lock import LOCK_NAME, read_versions
from eegprep.shards.build.electrode import ElectrodeJob, ElectrodeResult, LeftOutStretch, write_electrode
from eegprep.shards.build.electrodes_of import vocabulary_of
from eegprep.shards.build.extend import Base
from eegprep.shards.build.index import blocks_table, electrodes_table, recordings_table, trials_table
from eegprep.shards.build.origin import left_out_by_ingest
from eegprep.shards.build.plan import Options, Plan, make_plan
from eegprep.shards.build.writer import WrittenShard
from eegprep.shards.format import (
    BLOCK_SAMPLES,
    BLOCKS,
    CARD,
    CROISSANT,
    ELECTRODES,
    FORMAT_VERSION,
    INDEX_FILES,
    MANIFEST,
    MAX_SHARD_BYTES,
    OPTIONAL_FILES,
    RECORDINGS,
    SUMS,
    TRIALS,
)  # fmt: skip
from eegprep.shards.lock import Counts, LeftOutByShard, SetLock, read_set_lock, write_set_lock
from eegprep.shards.manifests import write_manifests
from eegprep.shards.protocol import RecordingStore
from eegprep.shards.sums import write_sums
from eegprep.shards.tables import write_table
from eegprep.splits import SPLITS
from eegprep.store.view import Rereferenced

BUILDING = "building"


class Outlet(Protocol):
    """Where finished shards go, if they do not stay in the set's folder."""

    def take(self, path: Path, shard: WrittenShard) -> None:
        """Store a shard; its file may be deleted afterwards."""
        ...

    def holds(self, shard: WrittenShard) -> bool:
        """Whether the shard is stored completely."""
        ...


@dataclass(frozen=True, kw_only=True)
class ShardSummary:
    """Summary of a shard set, and of what was left out.

    `trials` are counted by task, including tasks without any, `splits` are recordings by split; `unfinished` are data
    sets whose ingest was not finished.
    """

    path: Path
    n_recordings: int
    n_electrodes: int
    n_shards: int
    n_blocks: int
    n_samples: int
    n_trials: int
    n_bytes: int
    hours: float
    left_out: tuple[LeftOutStretch, ...]
    trials: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str, int] = field(default_factory=dict)
    unfinished: tuple[str, ...] = ()
    already_done: bool = False


def build_shard_set(
    stores: Sequence[Path | RecordingStore],
    out: Path,
    *,
    vocabulary: Vocabulary | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    block_samples: int = BLOCK_SAMPLES,
    workers: int = 1,
    executor: Executor | None = None,
    extends: Path | None = None,
    allow_unfinished: bool = False,
    reference: str | None = None,
    sync: bool = True,
    outlet: Outlet | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> ShardSummary:
    """Build one shard set from the recordings of stores.

    Parameters
    ----------
    stores : sequence of Path or RecordingStore
        Folders written by `eegprep ingest`, or equivalent objects, in any order.
    out : Path
        The set's folder. An incomplete build of the same plan is resumed; one of another plan is cleared.
    vocabulary : Vocabulary, optional
        Default: that of the set to extend, else that of the stores (`vocabulary_of`).
    max_shard_bytes, block_samples : int
        Maximum sizes of shards and blocks.
    workers : int
        Number of threads, each writing one electrode.
    executor : concurrent.futures.Executor, optional
        Used instead of threads; its processes must see the same files.
    extends : Path, optional
        A finished set to extend; its recordings are not written again.
    allow_unfinished : bool
        Also use the available part of a store whose ingest was stopped or is running (no `lock.yaml`). The set's lock
        then names the data set.
    reference : str, optional
        Re-reference the EEG (an electrode, a recorded scheme, or `average`), see `eegprep.store.view`; by default
        every stored derivation is written as it is.
    sync : bool
        Whether to sync each shard to disk.
    outlet : Outlet, optional
        Takes each electrode's shards, which are then deleted here: the folder only keeps the index.
    progress : callable, optional
        Called with (electrode, electrodes done, electrodes in total).

    Raises
    ------
    UsageError, RefusedError
        See `make_plan`; also if `out` is a finished set with other contents, or a store is unfinished.
    """
    out = Path(out)
    opened: tuple[RecordingStore, ...] = tuple(_open(s) for s in stores)
    unfinished = _unfinished(stores, opened)
    if unfinished and not allow_unfinished:
        name, folder = next(iter(unfinished.items()))
        raise RefusedError(
            f"the ingest of {name} was stopped or is still running",
            where=folder,
            found=f"no {LOCK_NAME}",
            todo="run the same `eegprep ingest` until it ends; --allow-unfinished takes what is there, and says so",
        )
    base = Base.open(Path(extends)) if extends is not None else None
    if reference is not None:
        opened = tuple(Rereferenced(store, reference) for store in opened)
    vocabulary = vocabulary or (base.vocabulary if base else vocabulary_of(opened))
    if base is not None:
        base.check(vocabulary, out)
    options = Options(block_samples=block_samples, max_shard_bytes=max_shard_bytes)
    plan = make_plan(opened, vocabulary, options, version=eegprep.__version__, base=base.held if base else None)
    if (out / SUMS).exists() and not any((out / name).exists() for name in (BUILDING, WRITING)):
        return _finished(out, plan)
    with alone(out):
        if (out / SUMS).exists():
            return _finished(out, plan)
        notes = _notes(out, plan)
        if base is not None:
            base.link_shards(out)
        jobs = plan.jobs(
            out,
            first_recording=base.n_recordings if base else 0,
            first_numbers=base.n_shards if base else {},
            sync=sync,
        )
        results = _run(jobs, notes, workers, executor, progress, outlet)
        made_with, before = _made_with(stores, opened, base), base.lock.unfinished if base else ()
        about = {"unfinished": sorted({*unfinished, *before}), "reference": _reference_of(opened)}
        write_sums(out, _write_index(out, plan, results, base, made_with, about))
        shutil.rmtree(notes)
    return _summary(out, results)


def _open(store: Path | RecordingStore) -> RecordingStore:
    if isinstance(store, (str, Path)):
        from eegprep.store import Store

        return Store.open(Path(store))
    return store


def _reference_of(stores: Sequence[RecordingStore]) -> str:
    return next((s.reference for s in stores if isinstance(s, Rereferenced)), "")


def _unfinished(stores: Sequence[Path | RecordingStore], opened: Sequence[RecordingStore]) -> dict[str, Path]:
    """Folders of stores without a lock (which ingest writes last), by data set."""
    folders = {one.manifest.name: Path(s) for s, one in zip(stores, opened, strict=True) if isinstance(s, (str, Path))}
    return {name: folder for name, folder in sorted(folders.items()) if not (folder / LOCK_NAME).is_file()}


def _made_with(
    stores: Sequence[Path | RecordingStore], opened: Sequence[RecordingStore], base: Base | None
) -> dict[str, dict[str, str]]:
    """Versions that standardised each data set, from the stores' locks."""
    found = dict(base.lock.made_with) if base else {}
    for store, one in zip(stores, opened, strict=True):
        if isinstance(store, (str, Path)) and (versions := read_versions(Path(store))):
            found[one.manifest.name] = versions
    return dict(sorted(found.items()))


def _finished(out: Path, plan: Plan) -> ShardSummary:
    lock = read_set_lock(out)
    if lock.plan_sha256 != plan.sha256:
        raise UsageError(
            "the folder contains another complete shard set",
            where=out,
            todo="choose another --out; to add recordings to a set, build a new one with --extends",
        )
    # A kill after the last file was written leaves the notes in place.
    shutil.rmtree(out / BUILDING, ignore_errors=True)
    return _counts(out, lock, (), already_done=True)


def _notes(out: Path, plan: Plan) -> Path:
    """The folder of notes on finished electrodes, kept for one plan; `out` must be locked."""
    notes = out / BUILDING
    found = [p for p in out.iterdir() if p.name != WRITING]
    index = (*INDEX_FILES, *OPTIONAL_FILES, SUMS)
    foreign = [p for p in found if p.name.removesuffix(PART) not in index and p.name not in (BUILDING, "shards")]
    if foreign or (found and not notes.is_dir()):
        raise UsageError(
            "the folder contains other files",
            where=out,
            found=", ".join(sorted(p.name for p in found)[:5]),
            todo="choose another --out",
        )
    notes.mkdir(exist_ok=True)
    for part in out.glob(f"*{PART}"):
        part.unlink()
    stated = notes / "plan.json"
    if not stated.exists() or json.loads(stated.read_text(encoding="utf-8")) != plan.sha256:
        shutil.rmtree(out / "shards", ignore_errors=True)
        for note in notes.glob("*.json"):
            note.unlink()
        write_json(stated, plan.sha256)
    return notes


def _run(
    jobs: Sequence[ElectrodeJob],
    notes: Path,
    workers: int,
    executor: Executor | None,
    progress: Callable[[str, int, int], None] | None,
    outlet: Outlet | None,
) -> list[ElectrodeResult]:
    done: dict[str, ElectrodeResult] = {}
    for job in jobs:
        note = notes / f"electrode-{job.electrode}.json"
        if note.exists():
            result = ElectrodeResult.from_json(json.loads(note.read_text(encoding="utf-8")))
            if all(outlet.holds(s) if outlet else (job.folder / s.name).is_file() for s in result.shards):
                done[job.electrode] = result
    pool = executor or ThreadPoolExecutor(max_workers=max(1, workers))
    try:
        # Largest electrodes first, to keep all workers busy.
        todo = sorted((j for j in jobs if j.electrode not in done), key=lambda j: -len(j.parts))
        futures = [pool.submit(write_electrode, job) for job in todo]
        for future in as_completed(futures):
            result = future.result()
            if outlet is not None:
                for shard in result.shards:
                    outlet.take(jobs[0].folder / shard.name, shard)
                    (jobs[0].folder / shard.name).unlink(missing_ok=True)
            write_json(notes / f"electrode-{result.electrode}.json", result.to_json())
            done[result.electrode] = result
            if progress is not None:
                progress(result.electrode, len(done), len(jobs))
    finally:
        if executor is None:
            pool.shutdown(cancel_futures=True)
    return [done[job.electrode] for job in jobs]


def _write_index(
    out: Path,
    plan: Plan,
    results: Sequence[ElectrodeResult],
    base: Base | None,
    made_with: dict[str, dict[str, str]],
    about: dict[str, Any],
) -> dict[str, str]:
    """Write every index file and return the hashes of all files of the set."""
    written = {r.electrode: r.shards for r in results}
    shards: dict[str, tuple[WrittenShard, ...]] = {}
    first_shard: dict[str, int] = {}
    count = 0
    for name in plan.vocabulary.names:
        old = base.shards.get(name, ()) if base else ()
        shards[name] = (*old, *written.get(name, ()))
        first_shard[name] = count + len(old)
        count += len(shards[name])
    first_recording = base.n_recordings if base else 0
    recordings = recordings_table(plan.recordings)
    blocks = blocks_table(results, plan.vocabulary, first_shard)
    trials = trials_table(plan.recordings, first_recording)
    manifests = plan.manifests
    if base is not None:
        recordings = pa.concat_tables([base.recordings_table, recordings])
        trials = pa.concat_tables([base.trials_table, trials])
        blocks = base.merge_blocks(blocks, shards)
        manifests = base.merge_manifests(manifests)
    write_table(out / RECORDINGS, recordings)
    write_table(out / BLOCKS, blocks)
    write_table(out / TRIALS, trials)
    electrodes = electrodes_table(plan.vocabulary, shards, blocks)
    write_table(out / ELECTRODES, electrodes)
    write_manifests(out / MANIFEST, manifests)
    lock = _lock(plan, results, base, made_with, electrodes, recordings, blocks, trials)
    write_set_lock(out, lock.model_copy(update=about))
    hashes = {s.name: s.sha256 for some in shards.values() for s in some}
    hashes |= {name: sha256_file(out / name) for name in INDEX_FILES}
    write_json(out / CROISSANT, croissant(manifests, hashes))
    write_atomic(out / CARD, card(manifests))
    return hashes | {name: sha256_file(out / name) for name in OPTIONAL_FILES}


def _lock(
    plan: Plan,
    results: Sequence[ElectrodeResult],
    base: Base | None,
    made_with: dict[str, dict[str, str]],
    electrodes: pa.Table,
    recordings: pa.Table,
    blocks: pa.Table,
    trials: pa.Table,
) -> SetLock:
    files = [s for text in electrodes["shards"].to_pylist() for s in json.loads(text)]
    splits = recordings["split"].to_pylist()
    earlier = base.lock.left_out_by_ingest if base else ()
    return SetLock(
        format_version=FORMAT_VERSION,
        eegprep=eegprep.__version__,
        made_with=made_with,
        plan_sha256=plan.sha256,
        extends=base.sha256 if base else None,
        block_samples=plan.options.block_samples,
        max_shard_bytes=plan.options.max_shard_bytes,
        counts=Counts(
            recordings=recordings.num_rows,
            electrodes=len(set(blocks["electrode"].to_pylist())),
            shards=len(files),
            blocks=blocks.num_rows,
            samples=sum(electrodes["n_samples"].to_pylist()),
            trials=trials.num_rows,
            shard_bytes=sum(n_bytes for _, n_bytes, _ in files),
            hours=sum(electrodes["hours"].to_pylist()),
        ),
        splits={name: splits.count(name) for name in sorted(set(splits))},
        left_out_by_ingest=left_out_by_ingest((p.info for p in plan.recordings), earlier),
        left_out=[LeftOutByShard(**dataclasses.asdict(x)) for r in results for x in r.left_out],
    )


def _summary(out: Path, results: Sequence[ElectrodeResult]) -> ShardSummary:
    left_out = tuple(x for r in results for x in r.left_out)
    return _counts(out, read_set_lock(out), left_out)


def _counts(out: Path, lock: SetLock, left_out: tuple[LeftOutStretch, ...], **more: Any) -> ShardSummary:
    counts = lock.counts
    found = Counter(pq.read_table(out / TRIALS, columns=["task"])["task"].to_pylist())
    split = Counter(pq.read_table(out / RECORDINGS, columns=["split"])["split"].to_pylist())
    tasks = {t.name for m in load_manifests(out / MANIFEST) for t in m.tasks}
    index_bytes = sum((out / name).stat().st_size for name in (*INDEX_FILES, SUMS))
    return ShardSummary(
        path=out,
        n_recordings=counts.recordings,
        n_electrodes=counts.electrodes,
        n_shards=counts.shards,
        n_blocks=counts.blocks,
        n_samples=counts.samples,
        n_trials=counts.trials,
        n_bytes=counts.shard_bytes + index_bytes,
        hours=counts.hours,
        left_out=left_out,
        trials={name: found[name] for name in sorted({*found, *tasks})},
        splits={name: split[name] for name in SPLITS},
        unfinished=tuple(lock.unfinished),
        **more,
    )
