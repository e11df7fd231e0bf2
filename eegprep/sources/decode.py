"""One file to `Decoded`: the signature chooses the reader."""

from __future__ import annotations

from pathlib import Path

from eegprep.errors import InputError
from eegprep.manifest.schema import Manifest
from eegprep.sources.base import Decoded
from eegprep.sources.detect import FORMATS, detect, looks_like_recording
from eegprep.sources.mne_files import READERS, read_with_mne

__all__ = ["decode_file"]


def decode_file(path: Path, manifest: Manifest) -> Decoded:
    """Read one file by the reader that its first bytes call for.

    Raises
    ------
    InputError
        Where the file is absent, empty, of no known format, or damaged.
    """
    if not path.exists():
        raise InputError(f"{path.name} is not there", where=path)
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty", where=path, found="0 bytes", todo="copy the file again")
    if manifest.source.kind == "ts":
        from eegprep.sources.ts import read_ts

        return read_ts(path, manifest)
    found = detect(path)
    if found is None:
        claimed = looks_like_recording(path)
        raise InputError(
            f"{path.name} is not {FORMATS[claimed].title}" if claimed else f"{path.name} is no recording that we know",
            where=path,
            found="its first bytes fit no known format",
            expected=f"the signature of {FORMATS[claimed].title}" if claimed else "a recording",
            todo="check that the file was copied whole and in binary mode",
        )
    if found.name in READERS:
        return read_with_mne(path, found.name)
    raise InputError(
        f"{path.name} ({found.title}) needs a manifest that describes it",
        where=path,
        expected="`source:` with channels and sfreq_hz",
    )
