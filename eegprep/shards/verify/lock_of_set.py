"""A shard set's own lock, index and hashes, seen as the stages of a lock: to tell where two sets differ first.

A set's `lock.yaml` says how it was cut; what it was made from stands in its index. Together they answer which stage's
bytes differ first: the steps (`ingest`, parameters), the raw files (`ingest`, inputs), what was decoded from
them before any step (`ingest`, outputs), or the set's files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from eegprep.errors import InputError
from eegprep.manifest import yaml_strict
from eegprep.manifest.load import dump_manifest, load_manifests
from eegprep.manifest.lock import LOCK_NAME, Lock, Stage, read_lock
from eegprep.shards.sums import read_sums

__all__ = ["lock_of"]

_NO_HASH = "0" * 64


def lock_of(path: Path) -> Lock:
    """The lock of a store, of a file, or of a shard set."""
    path = Path(path)
    if not (path / "SHA256SUMS").is_file() or not (path / "recordings.parquet").is_file():
        return read_lock(path)
    return _of_shard_set(path)


def _of_shard_set(path: Path) -> Lock:
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = yaml_strict.read(path / LOCK_NAME, max_bytes=512 << 20).value
    if not isinstance(written, dict):
        raise InputError("not the lock of a shard set", where=path / LOCK_NAME)
    try:
        table = pq.ParquetFile(path / "recordings.parquet").read(
            columns=["id", "dataset", "steps", "source_sha256", "signal_sha256"]
        )
        rows = table.to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError("the index of the shard set can't be read", where=path, found=error) from error
    outputs = read_sums(path)
    counts = written.get("counts") or {}
    manifests = {
        m.name: hashlib.sha256(dump_manifest(m).encode()).hexdigest() for m in load_manifests(path / "manifest.yaml")
    }
    parameters = {k: str(written[k]) for k in ("format_version", "block_samples", "max_shard_bytes") if k in written}
    steps: dict[str, set[str]] = {}
    for row in rows:
        steps.setdefault(row["dataset"], set()).add(row["steps"] or "")
    ingest = Stage(
        stage="ingest",
        manifests=manifests,
        parameters={f"steps of {name}": _told(sorted(texts)) for name, texts in steps.items()},
        inputs={row["id"]: row["source_sha256"] or _NO_HASH for row in rows},
        outputs={row["id"]: row["signal_sha256"] or _NO_HASH for row in rows},
        counts={"recordings": len(rows)},
    )
    shard = Stage(
        stage="shard",
        parameters=parameters,
        outputs=outputs,
        counts={k: int(v) for k, v in counts.items() if str(v).isdigit()},
    )
    made_with = written.get("made_with")
    made_with = made_with if isinstance(made_with, dict) else {}
    versions = {"eegprep": str(written.get("eegprep", "unknown"))}
    for dataset, own in made_with.items():
        versions |= {f"{dataset}: {k}": str(v) for k, v in (own.items() if isinstance(own, dict) else ())}
    return Lock(lock=1, versions=versions, stages=[ingest, shard])


def _told(texts: list[str]) -> str:
    """The steps of a data set's recordings; by their hash where they are too long for a lock."""
    text = " | ".join(texts)
    return text if len(text) <= 4000 else hashlib.sha256(text.encode()).hexdigest()
