"""Continuous files that MNE reads, without their personal data.

The signal is read lazily, in volts as MNE scales it. MNE's log is silenced; its warnings may quote a header, so they
are only counted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import os
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.resolve import resolve
from eegprep.errors import InputError, install
from eegprep.formats.curry import with_epochs_or_remarks
from eegprep.formats.decoded import Decoded, LazySignal, whole
from eegprep.formats.detect import FORMATS, Format
from eegprep.formats.fif_tags import fif_contents
from eegprep.formats.gdf import completed
from eegprep.formats.marker_files import with_marker_fields, with_parts
from eegprep.formats.matlab.file import eeglab_header
from eegprep.formats.mef import with_pauses
from eegprep.formats.mff import tolerant_events, with_durations
from eegprep.formats.mne_channels import channels_of, facing, samples_of, types_of
from eegprep.formats.mne_events import at_first_sample, events_beside, events_of
from eegprep.formats.nihon_kohden import with_blocks
from eegprep.formats.wholeness import check_samples_file, check_whole, end_at_stated
from eegprep.privacy import clean_message

#: MNE's function for each format.
READERS = {
    "fif": "read_raw_fif",
    "gdf": "read_raw_gdf",
    "brainvision": "read_raw_brainvision",
    "eeglab": "read_raw_eeglab",
    "ant": "read_raw_ant",
    "neuroscan": "read_raw_cnt",
    "egi_raw": "read_raw_egi",
    "egi_mff": "read_raw_egi",
    "nihon_kohden": "read_raw_nihon",
    "nicolet": "read_raw_nicolet",
    "curry": "read_raw_curry",
    "eximia": "read_raw_eximia",
    "mef": "read_raw_mef",
    "nedf": "read_raw_nedf",
    "edf": "read_raw_edf",
    "bdf": "read_raw_bdf",
}

#: Arguments of the readers besides the path.
_OPTIONS: dict[str, dict[str, Any]] = {"nicolet": {"ch_type": "eeg"}}


#: MNE's warnings about lost or changed events, and our notes for them.
_LOSSES = {
    r"Omitted (\d+) annotation": "lie outside the recording and are left out",
    r"Limited (\d+) annotation": "reach beyond the recording and are cut to it",
    r"(\d+) events have an onset that is NaN": "have no time and are left out",
}


def read_with_mne(path: Path, format_name: str) -> Decoded:
    """Open one file with MNE's reader. Raises InputError with the reader's message."""
    import mne

    _require_package(path, FORMATS[format_name])
    notes, n_stated = check_whole(path, format_name)
    # Some readers print header contents, which must not reach our output.
    silent = contextlib.redirect_stdout(io.StringIO())
    with silent, mne.utils.use_log_level("CRITICAL"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with tolerant_events(format_name) as more:
                raw = _reader(format_name)(path, preload=False, verbose="WARNING", **_OPTIONS.get(format_name, {}))
            notes = (*notes, *more)
        except FileNotFoundError as error:
            renamed = any(path.with_suffix(ending).is_file() for ending in (".eeg", ".dat", ".fdt"))
            raise InputError(
                f"the data file of {path.name} is missing",
                where=path,
                found="the file names another file that does not exist",
                expected="its data file (.eeg, .fdt, .dat, signal1.bin) under the name in the header",
                todo="the files seem to have been renamed: correct the name in the header"
                if renamed
                else "copy the data file too, under its original name",
            ) from error
        except Exception as error:  # readers raise any exception on damaged files
            title = FORMATS[format_name].title
            raise InputError(
                f"{path.name} cannot be read as {title}",
                where=path,
                found=clean_message(error),
                todo="if the vendor's software opens it, export it as EDF; else leave it out",
            ) from error
        _refuse_files_elsewhere(raw, path)
        notes = (*notes, *check_samples_file(raw, path))
        decoded = _decoded(raw, path, format_name)
    if n_stated is not None:
        decoded = end_at_stated(decoded, n_stated)
    if format_name == "brainvision":
        decoded = with_marker_fields(decoded, path)
    elif format_name == "curry":
        decoded = with_epochs_or_remarks(decoded, path)
    elif format_name == "ant":
        decoded = with_parts(decoded, path)
    elif format_name == "eeglab" and any(c.position_m is not None for c in decoded.channels):
        decoded = dataclasses.replace(decoded, channels=facing(decoded.channels, eeglab_header(path).nose))
    if format_name != "mef":  # whose events are read again
        notes = (*notes, *_told(caught))
    return dataclasses.replace(decoded, notes=(*decoded.notes, *notes)) if notes else decoded


def _reader(format_name: str) -> Callable[..., Any]:
    """MNE's reader of a format; for Curry the one below that which makes epochs and loses some."""
    import mne

    if format_name == "curry":
        from mne.io.curry.curry import RawCurry

        return RawCurry  # type: ignore[no-any-return]
    reader: Callable[..., Any] = getattr(mne.io, READERS[format_name])
    return reader


def _told(caught: Sequence[warnings.WarningMessage]) -> list[str]:
    """Notes on warnings; of MNE's own, only those about lost events are used, since others may quote headers."""
    own = [w for w in caught if w.filename == __file__]  # MNE attributes warnings to its caller
    notes = [
        f"{found[1]} events {said}"
        for w in own
        for pattern, said in _LOSSES.items()
        if (found := re.match(pattern, str(w.message))) is not None
    ]
    if n_others := len(caught) - len(own):
        notes.append(f"the reader gave {n_others} warning{'s' if n_others > 1 else ''}")
    return notes


def _decoded(opened: Any, path: Path, format_name: str) -> Decoded:
    decoded = decode_raw(opened, format_name, path if format_name == "fif" else None)
    if format_name == "mef":
        decoded = with_pauses(_scalp_by_names(decoded), opened, path)
    if format_name == "egi_mff":
        decoded = with_durations(decoded, path, opened._raw_extras[0])
    if format_name == "nihon_kohden":
        decoded = with_blocks(decoded, opened)
    if format_name == "gdf":
        decoded = completed(decoded, opened._raw_extras[0], path)
    return decoded


def _scalp_by_names(decoded: Decoded) -> Decoded:
    """Recognise scalp EEG in MEF3, which does not state channel types; MNE calls all channels intracranial.

    Contacts of depth electrodes also have a letter and a number (A1, C3), so names only count if most belong to the
    10-10 system and at least two are never used for contacts: on the midline or the frontal pole.
    """
    base = Vocabulary.base()
    places = {c.name: resolve(base, c.name, kind="eeg").electrode for c in decoded.channels}
    known = [place for place in places.values() if place is not None]
    sure = {place for place in known if place.endswith("z") or place.startswith("Fp")}
    if 2 * len(known) < len(places) or len(sure) < 2:
        return decoded
    note = f"{len(known)} of {len(places)} names belong to the 10-10 system, {len(sure)} on the midline or frontal pole"
    channels = tuple(dataclasses.replace(c, kind="eeg") if places[c.name] else c for c in decoded.channels)
    return dataclasses.replace(decoded, channels=channels, notes=(*decoded.notes, f"treated as scalp EEG: {note}"))


def _require_package(path: Path, found: Format) -> None:
    """The error for a missing module that a reader imports on demand."""
    if not found.package:
        return
    try:
        importlib.import_module(found.package)
    except ImportError as error:
        raise InputError(
            f"reading {found.title} needs the Python package {found.package}",
            where=path,
            found="not installed, or cannot be imported",
            todo="install it: " + (install(found.extra) if found.extra else f"python -m pip install {found.package}"),
        ) from error


def _refuse_files_elsewhere(raw: Any, path: Path) -> None:
    """Check that the files named in an untrusted header are in its folder."""
    beside = path.parent if path.is_file() else path
    # `..` is resolved textually: a link inside the folder may point to the store of a versioning tool
    for file in (Path(os.path.abspath(f)) for f in getattr(raw, "filenames", ()) if f):  # noqa: PTH100
        if not file.is_relative_to(beside.absolute()) and not file.resolve().is_relative_to(beside.resolve()):
            raise InputError(
                f"the header of {path.name} names a file in another folder",
                where=path,
                expected="a file beside the header",
                todo="the files of a recording must be in one folder: correct the header",
            )


def is_epoched(path: Path, format_name: str) -> bool:
    """Whether a FIF or EEGLAB file contains epochs; InputError for a FIF file that readers would never finish."""
    if format_name == "fif":
        contents = fif_contents(path)
        if contents.loops:
            raise InputError(
                "the tags of the FIF file form a loop",
                where=path,
                todo="the file is damaged: copy it again, or leave it out",
            )
        return contents.has_epochs
    if format_name == "eeglab":
        from eegprep.formats.matlab.file import eeglab_header

        return eeglab_header(path).trials > 1
    return False


def decode_raw(raw: Any, format_name: str, path: Path | None = None) -> Decoded:
    """`Decoded` from an MNE Raw; an event file beside `path` is read too."""

    sfreq_hz = float(raw.info["sfreq"])
    channels = channels_of(raw, format_name)
    types = types_of(raw)
    n_samples = int(raw.n_times)
    events, notes = events_of(raw, format_name, types)
    if path is not None:
        events += at_first_sample(path, raw)
        beside, more = events_beside(path, raw, events)
        events, notes = [*events, *beside], [*notes, *more]

    return Decoded(
        format=format_name,
        sfreq_hz=sfreq_hz,
        channels=channels,
        signal=LazySignal(len(channels), n_samples, lambda start, stop: samples_of(raw, slice(None), start, stop)),
        stretches=whole(n_samples),
        events=tuple(sorted(events)),
        line_freq_hz=raw.info["line_freq"],
        notes=tuple(notes),
    )
