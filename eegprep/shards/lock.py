"""The types of a shard set's `lock.yaml`: how the set was built, its contents, and what was left out.

The file is untrusted, so it is read by the strict YAML reader and validated; a damaged file is an integrity error and
refused.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from eegprep.errors import RefusedError, UsageError
from eegprep.files import write_atomic
from eegprep.manifest import yaml_strict
from eegprep.manifest.fields import Name, Sha256, StrictModel, Word
from eegprep.manifest.load import dump_document, validate_document
from eegprep.shards.format import LOCK

_MAX_BYTES = 32 << 20
_MAX_NODES = 1_000_000  # reading an untrusted lock takes at most about 200 MB of memory


class Counts(StrictModel):
    """How much the set holds; `samples` and `hours` are of single electrodes."""

    recordings: int
    electrodes: int
    shards: int
    blocks: int
    samples: int
    trials: int
    shard_bytes: int
    hours: float


class LeftOutByIngest(StrictModel):
    """Entries of one kind and code: how many, of how many recordings, and samples of one electrode (0: no length)."""

    dataset: str
    kind: str
    code: str
    count: int
    recordings: int
    samples: int


class LeftOutByShard(StrictModel):
    """Samples of a recording's electrode that the shard stage could not store."""

    recording: str
    electrode: str
    start_sample: int
    n_samples: int
    code: str


class SetLock(StrictModel):
    """The lock of a shard set.

    `made_with` has the versions that standardised each data set, `unfinished` the data sets whose ingest had not
    ended when they were sharded, `reference` what the EEG was re-referenced to by `eegprep shard` (empty: as stored).
    """

    format_version: int
    eegprep: str
    made_with: dict[str, dict[str, Word]] = Field(default_factory=dict)
    plan_sha256: Sha256
    extends: Sha256 | None = None
    unfinished: list[Name] = Field(default_factory=list)
    reference: str = ""
    block_samples: int
    max_shard_bytes: int
    counts: Counts
    splits: dict[str, int]
    left_out_by_ingest: list[LeftOutByIngest]
    left_out: list[LeftOutByShard]


def write_set_lock(folder: Path, lock: SetLock) -> None:
    """Write the lock, atomically; equal locks give equal bytes."""
    plain = lock.model_dump(mode="json")
    for name in ("made_with", "unfinished", "reference"):
        if not plain[name]:
            del plain[name]
    write_atomic(folder / LOCK, dump_document(plain))


def read_set_lock(path: Path) -> SetLock:
    """Read the lock of a shard set, from its folder or the file itself; RefusedError if it is damaged."""
    file = path / LOCK if path.is_dir() else path
    try:
        return validate_document(SetLock, yaml_strict.read(file, max_bytes=_MAX_BYTES, max_nodes=_MAX_NODES), "lock")
    except UsageError as error:
        raise RefusedError(
            f"{LOCK} of a shard set is damaged: {error.what}",
            where=error.where or file,
            found=error.found,
            expected=error.expected,
            todo="download or build the shard set again",
        ) from error
