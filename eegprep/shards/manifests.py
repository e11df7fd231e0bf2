"""`manifest.yaml` of a shard set: the manifests of all its data sets, read as untrusted input."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from eegprep.errors import RefusedError, UsageError
from eegprep.files import write_atomic
from eegprep.manifest import dump_manifests, load_manifests
from eegprep.manifest.schema import Manifest


def write_manifests(path: Path, manifests: Iterable[Manifest]) -> None:
    """Write the manifests of all data sets as one list."""
    write_atomic(path, dump_manifests(manifests))


def read_manifests(path: Path) -> tuple[Manifest, ...]:
    """Read the list; RefusedError names the problem and its line."""
    try:
        return tuple(load_manifests(path))
    except UsageError as error:
        raise RefusedError(
            f"{path.name} of a shard set is damaged: {error.what}",
            where=error.where or path,
            found=error.found,
            expected=error.expected,
            todo="download or build the shard set again",
        ) from error
