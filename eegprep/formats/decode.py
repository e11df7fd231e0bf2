"""Decode one file with the reader that matches its signature."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.resolve import resolve
from eegprep.errors import EEGPTError, InputError
from eegprep.formats.aliases import TemporaryFolder, alias, own_samples
from eegprep.formats.companions import named_files, two_meanings
from eegprep.formats.decoded import Decoded, LazySignal, SignalLike
from eegprep.formats.detect import FORMATS, Format, detect, is_archive, looks_like_recording
from eegprep.formats.mne import READERS, is_epoched, read_with_mne
from eegprep.formats.tables.suggest import Suggestion, suggest
from eegprep.manifest.schema import Manifest

#: Source kinds whose files are described only by the manifest.
_DESCRIBED = {
    "ts": ("ts", "read_ts"),
    "table": ("tables.described", "read_described_table"),
    "numpy": ("arrays", "read_numpy"),
}

#: Formats whose readers decompress gzip.
_PACKED = frozenset({"fif", "openbci", "muse", "emotiv_csv"})
#: Formats with our own reader: module and function.
_OWN = {
    "edf": ("edf.read", "read_edf"),
    "bdf": ("edf.read", "read_edf"),
    "neuroscan": ("neuroscan", "read_neuroscan"),
    "persyst": ("persyst", "read_persyst"),
    "openbci": ("devices", "read_openbci"),
    "muse": ("devices", "read_muse"),
    "emotiv_csv": ("devices", "read_emotiv"),
    "bci2000": ("bci2000", "read_bci2000"),
}


def decode_file(path: Path, manifest: Manifest, *, part: str = "") -> Decoded:
    """Read one file, or one subject's `part` of it, with the reader of its format.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged or in an unknown format.
    """
    if not path.exists():
        raise InputError(f"{path.name} does not exist", where=path)
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty", where=path, found="0 bytes", todo="copy the file again")
    if manifest.source.kind == "matlab":
        from eegprep.formats.matlab.read import read_matlab

        return read_matlab(path, manifest, part=part)
    described = _DESCRIBED.get(manifest.source.kind)
    if described is not None:
        module, function = described
        read: Callable[[Path, Manifest], Decoded] = getattr(
            importlib.import_module(f"eegprep.formats.{module}"), function
        )
        return read(path, manifest)
    found = detect(path)
    if found is None and (shown := suggest(path)) is not None:
        raise _undescribed(path, shown)
    if found is None:
        claimed, packed = looks_like_recording(path), path.is_file() and is_archive(_first_bytes(path))
        raise InputError(
            f"{path.name} is not {FORMATS[claimed].title}"
            if claimed
            else f"{path.name} is not a recording in a known format",
            where=path,
            found="an archive" if packed else "first bytes that match no known format",
            expected=f"the signature of {FORMATS[claimed].title}" if claimed else "a recording",
            todo="unpack it first" if packed else "check that the file was copied completely and in binary mode",
        )
    if found.convert:
        raise InputError(
            f"{path.name} is {found.title}, which is recognised but not supported", where=path, todo=found.convert
        )
    if (ending := two_meanings(path)) is not None:
        raise InputError(
            f"the files that belong to {path.name} are ambiguous",
            where=path,
            found=f"the header names a {ending} file of another name, and there is also one of its own name",
            expected="one file of each kind",
            todo="correct the name in the header, or move one of the two files to another folder",
        )
    opened, holder = alias(
        path, found, unpacks=found.name in _PACKED, by_suffix=found.name in READERS and found.name not in _OWN
    )
    notes: tuple[str, ...] = ()
    if found.name == "eeglab" and holder is None and (other := own_samples(path)) is not None:
        opened, holder, notes = other[0], other[1], (other[2],)
    if holder is None:
        return _decode_as(path, found, manifest)
    try:
        decoded = _decode_as(opened, found, manifest)
    except EEGPTError as error:
        # report the file's own name, not the alias
        what, told = error.what.replace(opened.name, path.name), (error.found, error.expected, error.todo)
        raise type(error)(what, where=path, found=told[0], expected=told[1], todo=told[2]) from error
    decoded = dataclasses.replace(decoded, notes=(*decoded.notes, *notes))
    if isinstance(decoded.signal, np.ndarray):
        return decoded
    return dataclasses.replace(decoded, signal=_Held(decoded.signal, holder))


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(1024)


class _Held(LazySignal):
    """A lazy signal that keeps the temporary folder of its file alive."""

    def __init__(self, signal: SignalLike, holder: TemporaryFolder) -> None:
        super().__init__(signal.shape[0], signal.shape[1], lambda start, stop: signal[:, start:stop])
        self.holder = holder


def _decode_as(path: Path, found: Format, manifest: Manifest) -> Decoded:
    """Read a file that has the name its reader expects."""
    if found.name == "xdf":
        from eegprep.formats.xdf import read_xdf

        return read_xdf(path, manifest.source.variable)
    if found.name in _OWN:
        module, function = _OWN[found.name]
        reader: Callable[[Path], Decoded] = getattr(importlib.import_module(f"eegprep.formats.{module}"), function)
        return reader(path)
    if found.name == "egi_mff" and not list(path.glob("signal*.bin")):
        raise InputError(
            f"{path.name} contains no signal",
            where=path,
            found="no signal1.bin in the folder",
            expected="an EGI MFF folder with signal1.bin",
            todo="copy the complete folder again",
        )
    if found.name == "matlab":
        from eegprep.formats.matlab.read import read_matlab

        return read_matlab(path)
    if found.name in READERS:
        if found.name in ("fif", "eeglab") and is_epoched(path, found.name):
            from eegprep.formats.epochs import read_epochs

            return read_epochs(path, found.name)
        _refuse_names_elsewhere(path)
        return read_with_mne(path, found.name)
    raise _undescribed(path, suggest(path))


def _undescribed(path: Path, found: Suggestion | None) -> InputError:
    """The error for plain numbers that need a manifest, with what the file does show.

    Only electrode columns are named: errors are stored, and other names may contain personal data.
    """
    base = Vocabulary.base()
    if found is not None and not all(resolve(base, n).electrode for n in found.channels):
        found = dataclasses.replace(found, channels=(), n_channels=len(found.channels))
    return InputError(
        f"{path.name} contains numbers that a manifest must describe",
        where=path,
        expected=found.flow(path.name) if found is not None else "`source: kind:` with channels, sfreq_hz and unit",
        todo="write a manifest (draft one with `eegprep manifest new`) and pass it instead of the file",
    )


def _refuse_names_elsewhere(path: Path) -> None:
    """A header may only name files in its own folder."""
    for name in named_files(path):
        if re.search(r"[\\/]", name):
            inside = (path.parent / name.replace("\\", "/")).resolve()
            if not inside.is_relative_to(path.parent.resolve()):
                raise InputError(
                    f"the header of {path.name} names a file in another folder",
                    where=path,
                    expected="a file beside the header",
                    todo="the files of a recording must be in one folder: correct the header",
                )
