"""Continuous files that MNE reads, taken over without their personal data.

What enters: a path and its format. What leaves: `Decoded`, in volts as MNE scales them, read lazily. MNE's log is
silenced; its warnings may quote a header, so they are not passed on, only counted.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.recording import seconds_to_samples
from eegprep.sources.base import Decoded, LazySignal, SourceChannel, SourceEvent
from eegprep.sources.detect import FORMATS
from eegprep.sources.privacy import clean_message
from eegprep.sources.segments import segment

__all__ = ["READERS", "decode_raw", "read_with_mne"]

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
    "persyst": "read_raw_persyst",
    "nihon_kohden": "read_raw_nihon",
    "nicolet": "read_raw_nicolet",
    "curry": "read_raw_curry",
    "eximia": "read_raw_eximia",
    "mef": "read_raw_mef",
    "edf": "read_raw_edf",
    "bdf": "read_raw_bdf",
}

_UNITS = {"µV": "uV", "uV": "uV", "mV": "mV", "V": "V", "nV": "nV"}
_KINDS = {"bio": "misc", "syst": "misc", "temperature": "misc", "gsr": "misc", "resp": "misc", "exci": "misc"}
#: Channel types whose samples MNE holds in volts.
_VOLTS = frozenset({"eeg", "eog", "ecg", "emg", "seeg", "ecog", "dbs", "bio"})


def read_with_mne(path: Path, format_name: str, **options: Any) -> Decoded:
    """Open one file with MNE's reader of its format. Raises InputError with what the reader said."""
    import mne

    name = READERS[format_name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            raw = getattr(mne.io, name)(path, preload=False, verbose="ERROR", **options)
        except Exception as error:  # readers raise anything on damaged files; all of it means the same here
            title = FORMATS[format_name].title
            raise InputError(
                f"{path.name} can't be read as {title}",
                where=path,
                found=clean_message(error),
                expected=f"a whole {title} recording",
                todo="copy the file again, with its side-cars, or leave it out",
            ) from error
        decoded = decode_raw(raw, format_name)
    if not caught:
        return decoded
    import dataclasses

    note = f"the reader gave {len(caught)} warning{'s' if len(caught) > 1 else ''}"
    return dataclasses.replace(decoded, notes=(*decoded.notes, note))


def decode_raw(raw: Any, format_name: str) -> Decoded:
    """`Decoded` of an open MNE Raw."""
    sfreq_hz = float(raw.info["sfreq"])
    types = raw.get_channel_types() if raw.ch_names else []
    units = getattr(raw, "_orig_units", None) or {}
    channels = tuple(
        _channel(name, kind, entry, units.get(name, ""), name in raw.info["bads"])
        for name, kind, entry in zip(raw.ch_names, types, raw.info["chs"], strict=True)
    )
    n_samples = int(raw.n_times)
    events = _annotations(raw, sfreq_hz) + _stim_events(raw, types)
    stretches, left_out = segment(n_samples, events)

    def read(start: int, stop: int) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            block: np.ndarray = raw[:, start:stop][0]
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


def _channel(name: str, kind: str, entry: Any, unit: str, bad: bool) -> SourceChannel:
    position = tuple(float(v) for v in entry["loc"][:3])
    known = all(math.isfinite(v) for v in position) and any(v != 0.0 for v in position)
    header = _UNITS.get(unit, "")
    volts = kind in _VOLTS
    if header:
        evidence = f"the header says {header}"
    else:
        evidence = "the format holds volts" if volts else ""
    return SourceChannel(
        name=name,
        kind=_KINDS.get(kind, kind),
        unit="V" if volts and unit != "n/a" else "",
        position_m=(position[0], position[1], position[2]) if known else None,
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
