"""The source class of each `source: kind:`, imported on demand."""

from __future__ import annotations

from pathlib import Path

from eegprep.errors import UsageError
from eegprep.manifest.schema import Manifest
from eegprep.remote.mirror import is_mirror
from eegprep.sources.base import Source


def open_source(manifest: Manifest, folder: Path) -> Source:
    """The source that a manifest describes, for its folder or one file. Raises UsageError if that is impossible."""
    kind = manifest.source.kind
    folder = Path(folder)
    if is_mirror(folder):
        from eegprep.sources.remote import RemoteBIDSSource

        if kind != "bids":
            raise UsageError("an address must be that of a BIDS data set", found=f"kind: {kind}", expected="kind: bids")
        return RemoteBIDSSource(manifest, folder)
    if kind in ("files", "ts", "table", "uci", "numpy", "matlab"):
        from eegprep.sources.files import FilesSource

        return FilesSource(manifest, folder)
    if kind == "bids":
        from eegprep.sources.bids import BIDSSource

        return BIDSSource(manifest, folder)
    if kind == "moabb":
        from eegprep.sources.moabb import MOABBSource

        return MOABBSource(manifest, folder)
    if kind == "mne":
        from eegprep.sources.mne import FetchedSource

        return FetchedSource(manifest, folder)
    raise UsageError(f"unknown source kind {kind!r}")
