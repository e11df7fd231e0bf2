"""Continuous files that MNE reads, taken over without their personal data.

What enters: a path and its format. What leaves: `Decoded`, in volts as MNE scales them, read lazily. MNE's log is
silenced; its warnings may quote a header, so they are not passed on, only counted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.recording import seconds_to_samples
from eegprep.sources.base import Decoded, LazySignal, SourceChannel, SourceEvent
from eegprep.sources.detect import FORMATS
from eegprep.sources.matlab import eeglab_nose
from eegprep.sources.privacy import clean_message
from eegprep.sources.segments import segment
from eegprep.sources.unit_names import unit_of
from eegprep.sources.wholeness import check_samples_file, check_whole

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
    "edf": "read_raw_edf",
    "bdf": "read_raw_bdf",
}

_BY_FORMAT = {
    "fif": "FIF holds volts",
    "eeglab": "EEGLAB's convention is microvolt",
    "gdf": "the header says uV",
    "egi_raw": "the header's range gives microvolt",
    "egi_mff": "the format holds microvolt",
}
_KINDS = {"bio": "misc", "syst": "misc", "temperature": "misc", "gsr": "misc", "resp": "misc", "exci": "misc"}
#: How MNE's (x, y) of an EEGLAB file is turned so that the nose is in front, by where the file has it.
_TURNS = {"+Y": ((0, 1), (-1, 0)), "-X": ((-1, 0), (0, -1)), "-Y": ((0, -1), (1, 0))}
_HEAD_FRAME, _CARDINAL = 4, 1
#: Channel types whose samples MNE holds in volts.
_VOLTS = frozenset({"eeg", "eog", "ecg", "emg", "seeg", "ecog", "dbs", "bio"})


def read_with_mne(path: Path, format_name: str, **options: Any) -> Decoded:
    """Open one file with MNE's reader of its format. Raises InputError with what the reader said."""
    import mne

    name = READERS[format_name]
    notes = check_whole(path, format_name)
    # Some readers print what they find in a header; nothing of it may reach our own output.
    silent = contextlib.redirect_stdout(io.StringIO())
    with silent, mne.utils.use_log_level("CRITICAL"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            raw = getattr(mne.io, name)(path, preload=False, verbose="CRITICAL", **options)
        except FileNotFoundError as error:
            raise InputError(
                f"the samples of {path.name} are not beside it",
                where=path,
                found="the file names another file that is not there",
                expected="its side-car (.eeg, .fdt, .dat, signal1.bin) under the name that the header gives",
                todo="copy the side-car too, under its original name",
            ) from error
        except Exception as error:  # readers raise anything on damaged files; all of it means the same here
            title = FORMATS[format_name].title
            raise InputError(
                f"{path.name} can't be read as {title}",
                where=path,
                found=clean_message(error),
                expected=f"a whole {title} recording",
                todo="copy the file again, with its side-cars, or leave it out",
            ) from error
        _refuse_files_elsewhere(raw, path)
        notes = (*notes, *check_samples_file(raw, path))
        decoded = decode_raw(raw, format_name, _events_beside(path, raw) if format_name == "fif" else None)
    if format_name == "eeglab" and any(c.position_m is not None for c in decoded.channels):
        decoded = dataclasses.replace(decoded, channels=facing(decoded.channels, eeglab_nose(path)))
    if caught:
        notes = (*notes, f"the reader gave {len(caught)} warning{'s' if len(caught) > 1 else ''}")
    return dataclasses.replace(decoded, notes=(*decoded.notes, *notes)) if notes else decoded


def _refuse_files_elsewhere(raw: Any, path: Path) -> None:
    """What the header names must lie beside it: a stranger's header must not choose files of this machine."""
    beside = path.parent if path.is_file() else path
    # `..` is taken out by the text: a link inside the folder may lead to where a versioning tool keeps the samples
    for file in (Path(os.path.abspath(f)) for f in raw.filenames if f is not None):  # noqa: PTH100
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
        from eegprep.sources.matlab import eeglab_trials

        return eeglab_trials(path) > 1
    return False


def decode_raw(raw: Any, format_name: str, more_events: list[SourceEvent] | None = None) -> Decoded:
    """`Decoded` of an open MNE Raw; `more_events` come from files beside it."""
    import mne

    sfreq_hz = float(raw.info["sfreq"])
    channels = channels_of(raw, format_name)
    types = raw.get_channel_types() if raw.ch_names else []
    n_samples = int(raw.n_times)
    events = [*_annotations(raw, sfreq_hz), *_stim_events(raw, types), *(more_events or [])]
    stretches, left_out = segment(n_samples, events)

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
                    expected=f"a whole {format_name} recording",
                    todo="copy the file again, or leave it out",
                ) from error
        return block

    return Decoded(
        format=format_name,
        sfreq_hz=sfreq_hz,
        channels=channels,
        signal=LazySignal(len(channels), n_samples, read),
        stretches=stretches,
        events=tuple(sorted(events)),
        line_freq_hz=raw.info["line_freq"],
        left_out=left_out,
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


def _annotations(raw: Any, sfreq_hz: float) -> list[SourceEvent]:
    # Onsets are in the time of the first sample of the acquisition, which FIF files may have cut off.
    return [
        SourceEvent(
            start_sample=seconds_to_samples(float(onset) - float(raw.first_time), sfreq_hz),
            n_samples=seconds_to_samples(float(duration), sfreq_hz),
            text=str(text),
        )
        for onset, duration, text in zip(
            raw.annotations.onset, raw.annotations.duration, raw.annotations.description, strict=True
        )
    ]


def _stim_events(raw: Any, types: list[str]) -> list[SourceEvent]:
    """Upward changes of the trigger channels, as the text of their value."""
    out: list[SourceEvent] = []
    for index, kind in enumerate(types):
        if kind != "stim":
            continue
        previous = 0
        for start in range(0, int(raw.n_times), 1 << 20):
            values = np.rint(np.nan_to_num(raw[index, start : start + (1 << 20)][0][0])).astype(np.int64)
            before = np.concatenate([[previous], values[:-1]])
            changed = np.flatnonzero((values != before) & (values != 0))
            out += [SourceEvent(start_sample=start + int(i), text=str(values[i])) for i in changed]
            previous = int(values[-1])
    return out


def _events_beside(path: Path, raw: Any) -> list[SourceEvent]:
    """Events of `name-eve.fif` beside `name_raw.fif`, as the text of their code."""
    import mne

    beside = path.with_name(re.sub(r"_(raw|eeg)$", "", path.stem) + "-eve.fif")
    if not beside.is_file():
        return []
    return [
        SourceEvent(start_sample=int(sample) - int(raw.first_samp), text=str(int(code)))
        for sample, before, code in mne.read_events(beside, verbose="CRITICAL")
        if code != 0 and code != before
    ]
