"""The lock of a manifest: hashes of inputs and outputs, versions, decisions, counts; no clock, no host name.

Each stage of work (`ingest`, `shard`) adds one entry. Two labs that did the same work have equal locks; otherwise
`first_difference` names the first stage that differs.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from eegprep.errors import UsageError
from eegprep.files import write_atomic
from eegprep.manifest import yaml_strict
from eegprep.manifest.fields import Name, RelativePath, Sha256, StrictModel, Text, WholeNumber, Word
from eegprep.manifest.load import dump_model, validate_document

LOCK_NAME = "lock.yaml"
# A lock names every input, output and decision of a large corpus.
_MAX_BYTES = 512 << 20
_HEAD_CHARACTERS = 1 << 14
# What can change a stored byte; Python's patch level and the platform cannot.
_PACKAGES = ("eegpt", "mne", "numpy", "scipy", "pyarrow")


class Decision(StrictModel):
    """One decision (a channel mapped or left out, a unit accepted, time rejected) and its recordings."""

    about: Word
    decision: Word
    detail: Text = ""
    recordings: list[Word] = Field(default_factory=list)


class FetchedFile(StrictModel):
    """A file that was read from an address: what the server said of it, and what it was verified against."""

    n_bytes: Annotated[int, Field(ge=0)] | None = None
    etag: Annotated[str, Field(max_length=200)] = ""
    version: Annotated[str, Field(max_length=1100)] = ""
    digest: Annotated[str, Field(max_length=200)] = ""


class Stage(StrictModel):
    """One stage of work. Paths are relative to the data set's folder (inputs) or the result's (outputs).

    `fetched` are the files of a data set that was read from an address, by public name.
    """

    stage: Literal["ingest", "shard", "merge", "subset", "train", "transfer"]
    manifests: dict[Name, Sha256] = Field(default_factory=dict)
    parameters: dict[Word, Text] = Field(default_factory=dict)
    inputs: dict[RelativePath, Sha256] = Field(default_factory=dict)
    fetched: dict[RelativePath, FetchedFile] = Field(default_factory=dict)
    outputs: dict[RelativePath, Sha256] = Field(default_factory=dict)
    counts: dict[Word, int] = Field(default_factory=dict)
    decisions: list[Decision] = Field(default_factory=list)


class Lock(StrictModel):
    """All stages in order, and the versions of the last one."""

    lock: Annotated[Literal[1], WholeNumber]
    versions: dict[Word, Word]
    stages: list[Stage]


def versions() -> dict[str, str]:
    """Versions that can affect the output: Python's minor version, eegpt, and the packages that compute or write."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in _PACKAGES:
        found[package] = importlib.metadata.version(package)
    return found


def decisions(rows: Iterable[tuple[str, str, str, str]]) -> list[Decision]:
    """Sorted decisions from (recording, about, decision, detail) rows; equal ones of many recordings are merged."""
    grouped: dict[tuple[str, str, str], set[str]] = {}
    for recording, about, decision, detail in rows:
        grouped.setdefault((about or "-", decision, detail), set()).add(recording)
    return [
        Decision(about=about, decision=decision, detail=detail, recordings=sorted(recordings))
        for (about, decision, detail), recordings in sorted(grouped.items())
    ]


def write_lock(folder: Path, lock: Lock) -> None:
    """Write `lock.yaml` into a folder, atomically; equal locks give equal bytes."""
    ordered = lock.model_copy(update={"stages": [_sorted(stage) for stage in lock.stages]})
    write_atomic(Path(folder) / LOCK_NAME, dump_model(ordered))


def read_lock(path: Path) -> Lock:
    """Read a lock from a file, or from a folder with `lock.yaml`."""
    path = Path(path)
    file = path / LOCK_NAME if path.is_dir() else path
    return validate_document(Lock, yaml_strict.read(file, max_bytes=_MAX_BYTES), "lock")


def read_versions(folder: Path) -> dict[str, str]:
    """Read only the versions of a folder's lock; empty if there is no lock."""
    path = Path(folder) / LOCK_NAME
    if not path.is_file():
        return {}
    with path.open("r", encoding="utf-8", errors="replace") as file:
        head, found, _ = file.read(_HEAD_CHARACTERS).partition("\nstages:")
    if not found:
        raise UsageError(
            "the lock contains no versions", where=path, expected="versions before stages, as written by ingest"
        )
    value = yaml_strict.parse(head, where=str(path)).value
    versions = value.get("versions") if isinstance(value, dict) else None
    return {str(k): str(v) for k, v in versions.items()} if isinstance(versions, dict) else {}


def first_difference(ours: Lock, theirs: Lock) -> str | None:
    """Describe the first difference between two locks, in the order of the stages; None if there is none.

    Versions are not a difference by themselves; they are only named as its likely cause.
    """
    for position, (a, b) in enumerate(zip(ours.stages, theirs.stages, strict=False)):
        if a.stage != b.stage:
            return f"stage {position + 1} is {a.stage} here and {b.stage} there"
        for name in ("manifests", "parameters", "inputs", "fetched", "outputs", "counts"):
            if text := _difference(getattr(a, name), getattr(b, name)):
                cause = _difference(ours.versions, theirs.versions)
                return f"stage {a.stage}, {name}: {text}" + (f" (versions: {cause})" if cause else "")
        if a.decisions != b.decisions:
            mine, other = ({(d.about, d.decision, d.detail, *d.recordings) for d in s.decisions} for s in (a, b))
            example = sorted(mine ^ other)[0]
            return f"stage {a.stage}, decisions: {len(mine ^ other)} differ, first {' '.join(example[:3])}"
    if len(ours.stages) != len(theirs.stages):
        return f"{len(ours.stages)} stages here, {len(theirs.stages)} there"
    return None


def _difference(ours: Mapping[str, object], theirs: Mapping[str, object]) -> str:
    different = sorted(k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k))
    if not different:
        return ""
    first = different[0]
    return (
        f"{len(different)} of {len({*ours, *theirs})} differ, first {first}: "
        f"{_short(ours.get(first))} here, {_short(theirs.get(first))} there"
    )


def _short(value: object) -> str:
    return "absent" if value is None else str(value)[:40]


def _sorted(stage: Stage) -> Stage:
    mappings = {
        name: dict(sorted(getattr(stage, name).items()))
        for name in ("manifests", "parameters", "inputs", "fetched", "outputs", "counts")
    }
    return stage.model_copy(update=mappings)
