"""What a model's data were: the data sets with their licences, and the steps that made their signal. Kept in its lock.

What enters: shard sets. What leaves: plain data, one entry per data set, for `lock.yaml`. Whoever applies the model to
a new signal takes the steps from here; whoever passes it on, the licences.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from eegprep.errors import InputError
from eegprep.shards import ShardSet

__all__ = ["LOCK", "entries_of", "fingerprints", "origin_of", "read_lock", "read_origin"]

LOCK = "lock.yaml"
_MAX_BYTES = 16 << 20


def fingerprints(sets: Sequence[ShardSet]) -> dict[str, str]:
    """SHA-256 of each set by its folder's name; folders of one name are numbered."""
    found: dict[str, str] = {}
    for one in sets:
        own = one.path.resolve().name
        name, i = own, 1
        while name in found:
            i += 1
            name = f"{own}-{i}"
        found[name] = one.sha256
    return found


def origin_of(sets: Sequence[ShardSet], recordings: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The data sets of some shard sets, by name.

    Parameters
    ----------
    recordings : collection of str, optional
        Count these alone.

    Returns
    -------
    list of dict
        `name`, `version`, `title`, `citation`, `url`, `licence`, `tasks`, and `steps`: the different chains of steps
        as the shards' index has them, each with the source's rate, the mains, and electrode-hours made with it.
    """
    found: dict[str, dict[str, Any]] = {}
    chains: dict[str, dict[tuple[str, float, float | None], float]] = {}
    for one in sets:
        samples = np.bincount(one.blocks.recording, one.blocks.n_samples, minlength=len(one.recordings))
        hours = samples / (3600.0 * one.recordings.sfreq_hz)
        columns = [one.recordings.table[c].to_pylist() for c in ("steps", "source_sfreq_hz", "line_freq_hz")]
        for row, (name, steps, sfreq_hz, line_hz) in enumerate(zip(one.recordings.dataset, *columns, strict=True)):
            if recordings is not None and one.recordings.id[row] not in recordings:
                continue
            key = (steps, sfreq_hz, line_hz if line_hz == line_hz else None)
            chain = chains.setdefault(name, {})
            chain[key] = chain.get(key, 0.0) + float(hours[row])
        for manifest in one.manifests:
            if manifest.name in chains:
                plain = manifest.model_dump(mode="json", include={"name", "version", "title", "citation", "url", "doi"})
                licence = manifest.licence.model_dump(mode="json", exclude_none=True)
                found[manifest.name] = {**plain, "licence": licence, "tasks": [t.name for t in manifest.tasks]}
    return [
        {
            **found[name],
            "steps": [
                {
                    "steps": json.loads(s),
                    "sfreq_hz": rate,
                    "line_freq_hz": line,
                    "hours": round(chains[name][s, rate, line], 6),
                }
                for s, rate, line in sorted(chains[name], key=lambda k: (-chains[name][k], str(k)))
            ],
        }
        for name in sorted(found)
    ]


def read_lock(run: Path) -> dict[str, Any]:
    """The lock of a run as plain data; empty where there is none."""
    path = Path(run) / LOCK
    if not path.is_file():
        return {}
    if path.stat().st_size > _MAX_BYTES:
        raise InputError("the lock is too large", where=path, found=f"{path.stat().st_size} bytes")
    try:
        lock = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError("the lock can't be read", where=path, found=str(error)) from None
    if not isinstance(lock, dict):
        raise InputError("the lock can't be read", where=path, found=type(lock).__name__, expected="a table")
    return lock


def read_origin(run: Path) -> list[dict[str, Any]]:
    """All data sets that a run has learned from, its encoder's included; empty where its lock does not say."""
    lock = read_lock(run)
    entries = [e for key in ("encoder_data", "data") for e in entries_of(lock, key, where=run)]
    return list({str(e.get("name", "")): e for e in entries}.values())


def entries_of(lock: dict[str, Any], key: str, *, where: Path) -> list[dict[str, Any]]:
    """The data sets under `data` or `encoder_data` of a lock; InputError where they are no list of tables."""
    entries = lock.get(key) or []
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise InputError("the lock's data sets can't be read", where=Path(where) / LOCK, expected="a list of tables")
    return entries
