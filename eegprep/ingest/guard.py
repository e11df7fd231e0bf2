"""Protect a store during a run: check that it is the right one, and remove partial files.

Finished recordings are deleted only on request.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from eegprep import platform
from eegprep.errors import UsageError
from eegprep.files import PART, WRITING
from eegprep.ingest.plan import IngestPlan
from eegprep.manifest.schema import Manifest
from eegprep.store import Store, key_of_id


def check_store(out: Path, manifest: Manifest) -> None:
    """Refuse a file, a folder that is not a store, and the store of another data set."""
    if out.is_file():
        raise UsageError("the store cannot be written: a file with that name exists", where=out)
    if (out / "manifest.yaml").is_file():
        there = Store(out).manifest.name
        if there != manifest.name:
            raise UsageError(
                "the store contains another data set",
                where=out,
                found=there,
                expected=manifest.name,
                todo="choose another --out",
            )
    elif out.is_dir() and not _barely_begun(out):
        raise UsageError("the folder for the store is not empty", where=out, todo="choose another --out")


def _barely_begun(out: Path) -> bool:
    """Whether the folder contains only remains of a run that was killed before writing its manifest."""
    found = {p.name for p in out.iterdir()}
    empty = not (out / "recordings").is_dir() or not any((out / "recordings").iterdir())
    return found <= {WRITING, "recordings", f"manifest.yaml{PART}"} and empty


@contextlib.contextmanager
def whole_or_nothing(out: Path, *, new: bool) -> Iterator[None]:
    """If the run ends early, remove partial files, and a new folder in which nothing was stored.

    The store must be locked (`eegprep.files.alone`), so no other process writes there.
    """
    try:
        yield
    except BaseException:
        remove_parts(out)
        if new and not any((out / "recordings").glob("*.json")):
            for path in out.iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name != WRITING:
                    path.unlink()
        raise


def remove_parts(out: Path) -> None:
    """Remove what processes that died were writing."""
    for part in out.rglob(f"*{PART}"):
        part.unlink(missing_ok=True)


def check_names(out: Path, plan: IngestPlan) -> None:
    """Refuse recordings whose files would be the same file in the store, on file systems that ignore case."""
    alike = platform.alike_names(j.recording_id for j in plan.jobs)
    if alike and platform.ignores_case(out / WRITING):
        raise UsageError(
            "the names of two recordings differ only by case, which the file system of the store ignores",
            where=out,
            found=" and ".join(alike[0]),
            todo="choose an --out on another file system, or rename one of them",
        )


def check_strangers(store: Store, plan: IngestPlan, refused: Collection[str], *, prune: bool) -> None:
    """Refuse to delete finished recordings without `prune`, except those (`refused`, by id) that cannot be read now."""
    strangers = sorted({*store.ids()} - {j.recording_id for j in plan.jobs} - set(refused))
    if strangers and not prune:
        raise UsageError(
            f"the store contains {len(strangers)} recordings that are not in this source",
            where=store.path,
            found=", ".join(strangers[:5]) + (" ..." if len(strangers) > 5 else ""),
            todo="choose another --out, or delete them from the store with --prune",
        )


def tidy(store: Store, plan: IngestPlan) -> None:
    """Remove the remains of a killed run, and recordings that are no longer in the source."""
    remove_parts(store.path)
    for signal in store.recordings.glob("*.arrow"):
        # Unfinished or partly removed: a recording without a sidecar does not count.
        if not signal.with_suffix(".json").exists():
            signal.unlink(missing_ok=True)
    wanted = {j.recording_id for j in plan.jobs}
    for identity in store.ids():
        if identity not in wanted:
            store.remove(identity)
    keys = {key_of_id(i) for i in wanted}
    for folder in (store.quarantine, store.path / "duplicates"):
        for note in folder.glob("*.json"):
            if note.stem not in keys:
                note.unlink()
