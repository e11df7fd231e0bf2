"""Duplicate signals, under two names or two subjects: one is kept, the others are recorded as duplicates.

Signals are compared by the hash of their decoded samples. Of equal signals the first by key is kept, regardless of
reading order; for each other one `duplicates/<key>.json` names the original, so a later run need not read it again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from eegprep.files import write_json
from eegprep.ingest.outcome import Job
from eegprep.store import Store, key_of_id


def taken_as_duplicate(store: Store, job: Job, finished: Collection[str]) -> bool:
    """Whether an earlier run found this recording to be a copy of one of `finished`, so it can be skipped."""
    note = _note(store, job.recording_id)
    if note is None or note["made_from"] != job.made_from or note["of"] not in finished:
        return False
    return store.info(note["of"]).signal_sha256 == note["signal_sha256"]


def copies(signals: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Map the recording id of each copy to that of its original.

    Parameters
    ----------
    signals : iterable of (str, str)
        Recording id and signal hash, sorted by the plan's keys: the first of equal signals is the original.
    """
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for identity, signal in signals:
        if (of := first.setdefault(signal, identity)) != identity:
            found[identity] = of
    return found


def find_duplicates(store: Store, jobs: Sequence[Job]) -> dict[str, str]:
    """The copies among the finished recordings of a store."""
    ids = [j.recording_id for j in sorted(jobs, key=lambda j: j.key)]
    return copies((i, store.info(i).signal_sha256) for i in ids if store.made_from(i) is not None)


def take_once(store: Store, jobs: Sequence[Job]) -> None:
    """Remove copies from the store: first write the note, then delete the recording, so a kill loses nothing."""
    by_id = {j.recording_id: j for j in jobs}
    for copy, of in find_duplicates(store, jobs).items():
        note = {"made_from": by_id[copy].made_from, "of": of, "signal_sha256": store.info(copy).signal_sha256}
        (store.path / "duplicates").mkdir(exist_ok=True)
        write_json(_path(store, copy), note)
        store.remove(copy)


def noted_duplicates(store: Store, jobs: Sequence[Job]) -> dict[str, str]:
    """Copies among the given jobs that were removed from the store."""
    found = {}
    for job in jobs:
        note = _note(store, job.recording_id)
        if note is not None and note["made_from"] == job.made_from and store.made_from(job.recording_id) is None:
            found[job.recording_id] = str(note["of"])
    return found


def _path(store: Store, recording_id: str) -> Any:
    return store.path / "duplicates" / f"{key_of_id(recording_id)}.json"


def _note(store: Store, recording_id: str) -> dict[str, str] | None:
    path = _path(store, recording_id)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
