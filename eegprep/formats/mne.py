"""Continuous files that MNE reads, taken over without their personal data.

What enters: a path and its format. What leaves: `Decoded`, in volts as MNE scales them, read lazily. MNE's log is
silenced; its warnings may quote a header, so they are not passed on, only counted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import math
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.resolve import resolve
from eegprep.errors import InputError
from eegprep.formats.decoded import Decoded, LazySignal, SignalLike, SourceChannel, SourceEvent, whole
from eegprep.formats.detect import FORMATS, Format
from eegprep.formats.events import trigger_events
from eegprep.formats.marker_files import with_marker_fields, with_parts
from eegprep.formats.matlab.file import eeglab_header
from eegprep.formats.mff import tolerant_events
from eegprep.formats.unit_names import unit_of
from eegprep.formats.wholeness import check_samples_file, check_whole, end_at_stated
from eegprep.privacy import clean_message
from eegprep.recording import seconds_to_samples

__all__ = ["READERS", "channels_of", "facing", "decode_raw", "is_epoched", "read_with_mne"]

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

#: What a reader has to be told besides the path.
_OPTIONS: dict[str, dict[str, Any]] = {"nicolet": {"ch_type": "eeg"}}

_BY_FORMAT = {
    "fif": "FIF holds volts",
    "eeglab": "EEGLAB's convention is microvolt",
    "gdf": "the header says uV",
    "egi_raw": "the header's range gives microvolt",
    "egi_mff": "the format holds microvolt",
    "eximia": "the device's range gives microvolt",
    "nedf": "the format's range gives volts",
}
#: Neuromag's trigger channels that hold the lines together, and the lines.
_COMBINED = frozenset({"STI101", "STI201", "STI301", "STI 014", "STI014"})
_LINE = re.compile(r"STI ?0(0[1-9]|1[0-356])")
_KINDS = {"bio": "misc", "syst": "misc", "temperature": "misc", "gsr": "misc", "resp": "misc", "exci": "misc"}
#: How MNE's (x, y) of an EEGLAB file is turned so that the nose is in front, by where the file has it.
_TURNS = {"+Y": ((0, 1), (-1, 0)), "-X": ((-1, 0), (0, -1)), "-Y": ((0, -1), (1, 0))}
_HEAD_FRAME, _CARDINAL = 4, 1
#: Channel types whose samples MNE holds in volts.
_VOLTS = frozenset({"eeg", "eog", "ecg", "emg", "seeg", "ecog", "dbs", "bio"})


def read_with_mne(path: Path, format_name: str) -> Decoded:
    """Open one file with MNE's reader of its format. Raises InputError with what the reader said."""
    import mne

    name = READERS[format_name]
    _require_package(path, FORMATS[format_name])
    notes, n_stated = check_whole(path, format_name)
    # Some readers print what they find in a header; nothing of it may reach our own output.
    silent = contextlib.redirect_stdout(io.StringIO())
    with silent, mne.utils.use_log_level("CRITICAL"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with tolerant_events(format_name) as more:
                raw = getattr(mne.io, name)(path, preload=False, verbose="CRITICAL", **_OPTIONS.get(format_name, {}))
            notes = (*notes, *more)
        except FileNotFoundError as error:
            renamed = any(path.with_suffix(ending).is_file() for ending in (".eeg", ".dat", ".fdt"))
            raise InputError(
                f"the samples of {path.name} are not beside it",
                where=path,
                found="the file names another file that is not there",
                expected="its side-car (.eeg, .fdt, .dat, signal1.bin) under the name that the header gives",
                todo="the files seem to have been renamed: correct the name in the header"
                if renamed
                else "copy the side-car too, under its original name",
            ) from error
        except Exception as error:  # readers raise anything on damaged files; all of it means the same here
            title = FORMATS[format_name].title
            raise InputError(
                f"{path.name} can't be read as {title}",
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
    elif format_name == "ant":
        decoded = with_parts(decoded, path)
    elif format_name == "eeglab" and any(c.position_m is not None for c in decoded.channels):
        decoded = dataclasses.replace(decoded, channels=facing(decoded.channels, eeglab_header(path).nose))
    if caught:
        notes = (*notes, f"the reader gave {len(caught)} warning{'s' if len(caught) > 1 else ''}")
    return dataclasses.replace(decoded, notes=(*decoded.notes, *notes)) if notes else decoded


def _decoded(opened: Any, path: Path, format_name: str) -> Decoded:
    import mne

    if isinstance(opened, mne.BaseEpochs):  # Curry files may hold either
        from eegprep.formats.epochs import decode_epochs

        return decode_epochs(opened, np.asarray(opened.get_data(copy=False), dtype=np.float64), format_name)
    decoded = decode_raw(opened, format_name, path if format_name == "fif" else None)
    if format_name == "mef":
        decoded = _scalp_by_names(decoded)
    if format_name == "gdf":
        signal, note = _with_missing(decoded.signal, decoded.channels, opened._raw_extras[0])
        decoded = dataclasses.replace(decoded, signal=signal, notes=(*decoded.notes, note) if note else decoded.notes)
    return decoded


def _scalp_by_names(decoded: Decoded) -> Decoded:
    """MEF3 does not say where its channels lie, and MNE calls them all intracranial.

    Contacts of depth electrodes bear a letter and a number too (A1, C3), so names count only where most of them are
    of the 10-10 system and two at least are such as no contact has: on the midline, or of the frontal pole.
    """
    base = Vocabulary.base()
    places = {c.name: resolve(base, c.name, kind="eeg").electrode for c in decoded.channels}
    known = [place for place in places.values() if place is not None]
    sure = {place for place in known if place.endswith("z") or place.startswith("Fp")}
    if 2 * len(known) < len(places) or len(sure) < 2:
        return decoded
    note = f"{len(known)} of {len(places)} names are of the 10-10 system, {len(sure)} on the midline or frontal pole"
    channels = tuple(dataclasses.replace(c, kind="eeg") if places[c.name] else c for c in decoded.channels)
    return dataclasses.replace(decoded, channels=channels, notes=(*decoded.notes, f"taken as scalp EEG: {note}"))


def _with_missing(
    signal: SignalLike, channels: Sequence[SourceChannel], header: Mapping[str, Any]
) -> tuple[SignalLike, str]:
    """A GDF file's signal with NaN where samples are missing, which integers write as the channel's digital minimum.

    An amplifier at the end of its range gives the same number. It comes near the end first, a missing sample does not:
    a run of minima whose neighbours lie in the lowest twentieth of the range is a signal that was clipped, and stays.
    A channel that lies there most of the time is flat.
    """
    if np.issubdtype(header["dtype_np"], np.floating):
        return signal, ""  # missing samples are NaN already
    rows = [i for i, c in enumerate(channels) if c.kind in _VOLTS]
    least, n_samples = header["digital_min"], signal.shape[1]
    near = least + 0.05 * (header["digital_max"] - least)
    low: dict[int, list[np.ndarray]] = {row: [] for row in rows}
    ends: dict[int, list[np.ndarray]] = {row: [] for row in rows}
    for start in range(0, n_samples, 1 << 18):
        block = np.asarray(signal[:, start : start + (1 << 18)], dtype=np.float64)
        for row in rows:
            numbers = np.rint((block[row] / header["units"][row] - header["offsets"][row]) / header["cal"][row])
            low[row].append(start + np.flatnonzero(numbers <= near[row]))
            ends[row].append(start + np.flatnonzero(numbers <= least[row]))
    missing: dict[int, np.ndarray] = {}
    for row in rows:
        at = np.concatenate(ends[row]) if ends[row] else np.zeros(0, dtype=np.intp)
        if not 0 < 2 * at.size < n_samples:
            continue
        runs = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
        outer = np.array([[run[0] - 1, run[-1] + 1] for run in runs])
        near_or_outside = np.isin(outer, np.concatenate(low[row])) | (outer < 0) | (outer >= n_samples)
        clipped = np.logical_and(near_or_outside[:, 0], near_or_outside[:, 1])
        found = [run for run, is_clipped in zip(runs, clipped, strict=True) if not is_clipped]
        if found:
            missing[row] = np.concatenate(found)
    if not missing:
        return signal, ""

    def read(start: int, stop: int) -> np.ndarray:
        block = np.array(signal[:, start:stop], dtype=np.float64)
        for row, at in missing.items():
            a, b = np.searchsorted(at, (start, stop))
            block[row, at[a:b] - start] = np.nan
        return block

    n_missing = sum(at.size for at in missing.values())
    note = f"{n_missing} samples of {len(missing)} channels hold the digital minimum, which stands for a missing sample"
    return LazySignal(signal.shape[0], n_samples, read), note


def _require_package(path: Path, found: Format) -> None:
    """Some readers import a module on demand; without it no file of their format is at fault."""
    if not found.package:
        return
    try:
        importlib.import_module(found.package)
    except ImportError as error:
        raise InputError(
            f"reading {found.title} needs the Python package {found.package}",
            where=path,
            found="it is not installed, or can't be imported",
            todo=f'install it: pip install "{found.install or found.package}"',
        ) from error


def _refuse_files_elsewhere(raw: Any, path: Path) -> None:
    """What the header names must lie beside it: a stranger's header must not choose files of this machine."""
    beside = path.parent if path.is_file() else path
    # `..` is taken out by the text: a link inside the folder may lead to where a versioning tool keeps the samples
    for file in (Path(os.path.abspath(f)) for f in getattr(raw, "filenames", ()) if f):  # noqa: PTH100
        if not file.is_relative_to(beside.absolute()) and not file.resolve().is_relative_to(beside.resolve()):
            raise InputError(
                f"the header of {path.name} names a file in another folder",
                where=path,
                expected="a file beside the header",
                todo="a recording's files lie in one folder: correct the header",
            )


def is_epoched(path: Path, format_name: str) -> bool:
    """Whether a FIF or EEGLAB file holds epochs. Anything that can't be told counts as continuous."""
    if format_name == "fif":
        import mne

        try:
            return "epochs" in str(mne.what(path))
        except (ValueError, OSError):
            return False
    if format_name == "eeglab":
        from eegprep.formats.matlab.file import eeglab_header

        return eeglab_header(path).trials > 1
    return False


def decode_raw(raw: Any, format_name: str, path: Path | None = None) -> Decoded:
    """`Decoded` of an open MNE Raw; a file of events beside `path` is read too."""
    import mne

    sfreq_hz = float(raw.info["sfreq"])
    channels = channels_of(raw, format_name)
    types = raw.get_channel_types() if raw.ch_names else []
    n_samples = int(raw.n_times)
    events, notes = _events(raw, format_name, types)
    if path is not None:
        events += _at_first_sample(path, raw)
        beside, more = _events_beside(path, raw, events)
        events, notes = [*events, *beside], [*notes, *more]

    def read(start: int, stop: int) -> np.ndarray:
        silent = contextlib.redirect_stdout(io.StringIO())
        with silent, mne.utils.use_log_level("CRITICAL"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                block: np.ndarray = raw[:, start:stop][0]
            except Exception as error:  # a file may be damaged far behind its header
                raise InputError(
                    f"samples {start} to {stop} can't be read",
                    found=clean_message(error),
                    todo="if other software reads them, export the recording as EDF; else leave it out",
                ) from error
        return block

    return Decoded(
        format=format_name,
        sfreq_hz=sfreq_hz,
        channels=channels,
        signal=LazySignal(len(channels), n_samples, read),
        stretches=whole(n_samples),
        events=tuple(sorted(events)),
        line_freq_hz=raw.info["line_freq"],
        notes=tuple(notes),
    )


def channels_of(instance: Any, format_name: str) -> tuple[SourceChannel, ...]:
    """The channels of an MNE Raw or Epochs object."""
    types = instance.get_channel_types() if instance.ch_names else []
    units = getattr(instance, "_orig_units", None) or {}
    measured = format_name != "eeglab" and _has_landmarks(instance.info)
    return tuple(
        _channel(name, kind, entry, units.get(name, ""), name in instance.info["bads"], format_name, measured)
        for name, kind, entry in zip(instance.ch_names, types, instance.info["chs"], strict=True)
    )


def _has_landmarks(info: Any) -> bool:
    """Whether the head frame was measured from nasion and ears, rather than filled in by MNE (all equally far)."""
    found = {int(d["ident"]): np.asarray(d["r"], dtype=float) for d in info["dig"] or () if int(d["kind"]) == _CARDINAL}
    if not {1, 2, 3} <= set(found):
        return False
    far = [float(np.linalg.norm(found[i])) for i in (1, 2, 3)]
    return max(far) - min(far) > 1e-4


def facing(channels: tuple[SourceChannel, ...], nose: str) -> tuple[SourceChannel, ...]:
    """Channels of an EEGLAB file whose positions MNE has taken for ones with the nose on +X.

    Parameters
    ----------
    nose : str
        `chaninfo.nosedir`: +X, -X, +Y or -Y. With any other, positions mean nothing and are taken away.
    """
    if nose == "+X":
        return channels
    turn = _TURNS.get(nose)
    return tuple(
        c
        if c.position_m is None
        else dataclasses.replace(
            c, position_m=None if turn is None else (*_turned(c.position_m[0], c.position_m[1], turn), c.position_m[2])
        )
        for c in channels
    )


def _turned(x: float, y: float, turn: tuple[tuple[int, int], tuple[int, int]]) -> tuple[float, float]:
    (a, b), (c, d) = turn
    return a * x + b * y, c * x + d * y


def _channel(name: str, kind: str, entry: Any, unit: str, bad: bool, format_name: str, measured: bool) -> SourceChannel:
    position = tuple(float(v) for v in entry["loc"][:3])
    # only the head frame has x to the right
    known = all(math.isfinite(v) for v in position) and any(v != 0.0 for v in position)
    known = known and int(entry["coord_frame"]) == _HEAD_FRAME
    header = unit_of(unit)
    if format_name == "brainvision" and kind == "misc" and header:
        # MNE does not know this way to write the unit and left the numbers as they are
        kind, scale = "eeg", header
    elif format_name == "egi_raw" and entry["cal"] != 1e-6:
        scale = "uV"  # MNE applies the header's range, which gives microvolt, and calls the result volts
    elif format_name == "eximia":
        scale = "uV"  # likewise: 2500 microvolt over 15 bits
    else:
        scale = "V"
    volts = kind in _VOLTS
    evidence = f"the header says {header}" if header else _BY_FORMAT.get(format_name, "the format states its scale")
    return SourceChannel(
        name=name,
        kind=_KINDS.get(kind, kind),
        unit=scale if volts and unit != "n/a" else "",
        position_m=(position[0], position[1], position[2]) if known else None,
        from_landmarks=known and measured,
        status="bad" if bad else "good",
        unit_evidence=evidence if volts else "",
    )


def _annotations(raw: Any, sfreq_hz: float, format_name: str) -> list[SourceEvent]:
    # Onsets are in the time of the first sample of the acquisition, which FIF files may have cut off.
    marks = raw.annotations
    names = marks.ch_names if marks.ch_names is not None else [()] * len(marks)
    return [
        SourceEvent(
            start_sample=seconds_to_samples(float(onset) - float(raw.first_time), sfreq_hz),
            n_samples=max(0, seconds_to_samples(float(duration), sfreq_hz)) if math.isfinite(duration) else 0,
            text=str(text),
            role="break" if format_name == "eeglab" and text == "boundary" else "stimulus",
            channels=tuple(str(c) for c in channels or ()),
            witness="annotations",
        )
        for onset, duration, text, channels in zip(marks.onset, marks.duration, marks.description, names, strict=True)
        if math.isfinite(onset)
    ]


def _events(raw: Any, format_name: str, types: list[str]) -> tuple[list[SourceEvent], list[str]]:
    """The events of the annotations and of the trigger channels, and notes."""
    annotations, notes = _annotations(raw, float(raw.info["sfreq"]), format_name), list[str]()
    if format_name == "gdf":
        annotations, notes = _at_own_rate(raw, annotations)
    channels = [(i, name) for i, (name, kind) in enumerate(zip(raw.ch_names, types, strict=True)) if kind == "stim"]
    if format_name == "egi_raw":
        # a channel for each event, named by it; the annotations have an entry for every sample of it
        annotations = []
    else:
        # MNE made these channels out of the very events, or the events out of the channels
        told = {event.text for event in annotations}
        channels = [(i, name) for i, name in channels if name not in told]
    if any(name in _COMBINED for _, name in channels):
        channels = [(i, name) for i, name in channels if name in _COMBINED or _LINE.fullmatch(name) is None]
    events = list(annotations)
    for index, name in channels:
        blocks = (raw[index, a : a + (1 << 20)][0][0] for a in range(0, int(raw.n_times), 1 << 20))
        found, more = trigger_events(blocks, name, text=name if format_name == "egi_raw" else None)
        events += found
        notes += more
    return events, notes


def _at_own_rate(raw: Any, annotations: list[SourceEvent]) -> tuple[list[SourceEvent], list[str]]:
    """The events of a GDF file, whose table may count at another rate than the recording's; MNE takes them for one."""
    stated_hz, table = raw._raw_extras[0].get("event_sfreq"), raw._raw_extras[0].get("events")
    sfreq_hz = float(raw.info["sfreq"])
    if not table or not stated_hz or not math.isfinite(stated_hz) or abs(stated_hz - sfreq_hz) <= 1e-4 * sfreq_hz:
        return annotations, []
    ratio = sfreq_hz / float(stated_hz)
    events = [
        SourceEvent(
            start_sample=seconds_to_samples(float(at), ratio),
            n_samples=seconds_to_samples(float(lasts), ratio),
            text=str(int(code)),
            witness="annotations",
        )
        for at, code, lasts in zip(table[1], table[2], table[4], strict=True)
    ]
    return events, [f"the table of events counts at {float(stated_hz):g} Hz, and was brought to the recording's rate"]


def _at_first_sample(path: Path, raw: Any) -> list[SourceEvent]:
    """Annotations of the first sample, which MNE loses: FIF rounds their onset, here to before the recording."""
    import mne

    try:
        written = mne.read_annotations(path)
    except Exception:  # what the reader of the recording could not read it has said
        return []
    sfreq_hz = float(raw.info["sfreq"])
    return [
        SourceEvent(
            start_sample=0, n_samples=seconds_to_samples(lasts, sfreq_hz), text=str(text), witness="annotations"
        )
        for onset, lasts, text in zip(written.onset, written.duration, written.description, strict=True)
        if onset < raw.first_time and seconds_to_samples(onset + lasts - raw.first_time, sfreq_hz) == 0
    ]


def _events_beside(path: Path, raw: Any, others: Sequence[SourceEvent]) -> tuple[list[SourceEvent], list[str]]:
    """Events of `name-eve.fif` beside `name_raw.fif`, as the text of their code, and notes.

    Their samples count from the start of the acquisition, as MNE writes them. Some programs count from the first sample
    of the file instead; that is believed where it alone fits the recording or its other events.
    """
    import mne

    stem = re.sub(r"_(raw|eeg)$", "", path.stem)
    beside = next((p for end in ("-eve", "_eve") if (p := path.with_name(f"{stem}{end}.fif")).is_file()), None)
    if beside is None:
        return [], []
    try:
        rows = mne.read_events(beside, verbose="CRITICAL")
    except Exception as error:  # it costs its own events alone
        return [], [f"the file of events beside the recording cannot be read and was not used: {clean_message(error)}"]
    rows = [(int(sample), str(int(code))) for sample, before, code in rows if code != 0 and code != before]
    near = {(e.start_sample + d, e.text) for e in others for d in (-1, 0, 1)}

    def fits(first: int) -> tuple[int, int]:
        inside = [(sample - first, code) for sample, code in rows if 0 <= sample - first < raw.n_times]
        return len(near & set(inside)), len(inside)

    first, notes = int(raw.first_samp), list[str]()
    if first and fits(0) > fits(first):
        first = 0
        notes.append("the file of events counts its samples from the first one of the recording")
    events = [SourceEvent(start_sample=sample - first, text=code, witness="events file") for sample, code in rows]
    return events, notes
