"""A shard set's lock, index and hashes as stages of a lock, to find the first difference between two sets.

`lock.yaml` describes how a set was built, the index its sources. The stages are the steps (`ingest`,
parameters), the raw files (`ingest`, inputs), the decoded signals (`ingest`, outputs), and the set's files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from eegprep.manifest.load import dump_manifest
from eegprep.manifest.lock import Lock, Stage, read_lock
from eegprep.shards.format import MANIFEST, RECORDING_SCHEMA, RECORDINGS, SUMS
from eegprep.shards.lock import read_set_lock
from eegprep.shards.manifests import read_manifests
from eegprep.shards.sums import read_sums
from eegprep.shards.tables import read_table, texts

_NO_HASH = "0" * 64


def lock_of(path: Path) -> Lock:
    """The lock of a store, of a file, or of a shard set."""
    path = Path(path)
    if not (path / SUMS).is_file() or not (path / RECORDINGS).is_file():
        return read_lock(path)
    return _of_shard_set(path)


def _of_shard_set(path: Path) -> Lock:
    written = read_set_lock(path)
    table = read_table(path / RECORDINGS, RECORDING_SCHEMA)
    columns = {name: texts(table[name]) for name in ("id", "dataset", "steps", "source_sha256", "signal_sha256")}
    steps: dict[str, set[str]] = {}
    for name, text in zip(columns["dataset"], columns["steps"], strict=True):
        steps.setdefault(name, set()).add(text)

    def hashes(column: str) -> dict[str, str]:
        return {name: digest or _NO_HASH for name, digest in zip(columns["id"], columns[column], strict=True)}

    ingest = Stage(
        stage="ingest",
        manifests={
            m.name: hashlib.sha256(dump_manifest(m).encode()).hexdigest() for m in read_manifests(path / MANIFEST)
        },
        parameters={f"steps of {name}": _told(sorted(found)) for name, found in steps.items()},
        inputs=hashes("source_sha256"),
        outputs=hashes("signal_sha256"),
        counts={"recordings": table.num_rows},
    )
    counts = written.counts.model_dump()
    shard = Stage(
        stage="shard",
        parameters={k: str(getattr(written, k)) for k in ("format_version", "block_samples", "max_shard_bytes")},
        outputs=read_sums(path),
        counts={name: value for name, value in counts.items() if isinstance(value, int)},
    )
    versions = {"eegprep": written.eegprep}
    for dataset, own in written.made_with.items():
        versions |= {f"{dataset}: {k}": v for k, v in own.items()}
    return Lock(lock=1, versions=versions, stages=[ingest, shard])


def _told(texts: list[str]) -> str:
    """The steps of a data set's recordings, or their hash if they are too long for a lock."""
    text = " | ".join(texts)
    return text if len(text) <= 4000 else hashlib.sha256(text.encode()).hexdigest()
