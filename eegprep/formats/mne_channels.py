"""The channels of MNE objects: kind, unit with its evidence, position in the head frame, samples."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import warnings
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.decoded import SourceChannel
from eegprep.formats.unit_names import unit_of
from eegprep.privacy import clean_message

_BY_FORMAT = {
    "fif": "FIF data are in volts",
    "eeglab": "EEGLAB's convention is microvolt",
    "gdf": "the header says uV",
    "egi_raw": "the header's range gives microvolt",
    "egi_mff": "the format is in microvolt",
    "eximia": "the device's range gives microvolt",
    "nedf": "the format's range gives volts",
}
_KINDS = {"bio": "misc", "syst": "misc", "temperature": "misc", "gsr": "misc", "exci": "misc"}
#: Rotation of MNE's (x, y) for an EEGLAB file to put the nose in front, by the file's nose direction.
_TURNS = {"+Y": ((0, 1), (-1, 0)), "-X": ((-1, 0), (0, -1)), "-Y": ((0, -1), (1, 0))}
_HEAD_FRAME, _CARDINAL = 4, 1
#: Channel types whose samples MNE returns in volts.
VOLTS = frozenset({"eeg", "eog", "ecg", "emg", "seeg", "ecog", "dbs", "bio", "resp"})


def channels_of(instance: Any, format_name: str) -> tuple[SourceChannel, ...]:
    """The channels of an MNE Raw or Epochs object."""
    types = types_of(instance)
    units = getattr(instance, "_orig_units", None) or {}
    measured = format_name != "eeglab" and _has_landmarks(instance.info)
    return tuple(
        _channel(name, kind, entry, units.get(name, ""), name in instance.info["bads"], format_name, measured)
        for name, kind, entry in zip(instance.ch_names, types, instance.info["chs"], strict=True)
    )


def types_of(instance: Any) -> list[str]:
    """The channel types of an MNE object; InputError where the file states one that MNE does not know."""
    if not instance.ch_names:
        return []
    try:
        types: list[str] = instance.get_channel_types()
    except (ValueError, KeyError) as error:  # KeyError for a coil type
        raise InputError(
            "a channel of the file has an unknown type",
            found=clean_message(error),
            todo="the file is damaged, or of a newer version: copy it again, or update MNE; else leave it out",
        ) from error
    return types


def samples_of(raw: Any, rows: slice | int, start: int, stop: int) -> np.ndarray:
    """Samples of an MNE Raw, (n_rows, n_samples); InputError where the file's damage only shows here."""
    import mne

    silent = contextlib.redirect_stdout(io.StringIO())
    with silent, mne.utils.use_log_level("CRITICAL"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            block: np.ndarray = raw[rows, start:stop][0]
        except Exception as error:  # readers raise any exception on damaged files
            raise InputError(
                f"samples {start} to {stop} cannot be read",
                found=clean_message(error),
                todo="if other software reads them, export the recording as EDF; else leave it out",
            ) from error
    return block


def _has_landmarks(info: Any) -> bool:
    """Whether the head frame was measured from nasion and ears, rather than filled in by MNE (all equally far)."""
    found = {int(d["ident"]): np.asarray(d["r"], dtype=float) for d in info["dig"] or () if int(d["kind"]) == _CARDINAL}
    if not {1, 2, 3} <= set(found):
        return False
    far = [float(np.linalg.norm(found[i])) for i in (1, 2, 3)]
    return max(far) - min(far) > 1e-4


def facing(channels: tuple[SourceChannel, ...], nose: str) -> tuple[SourceChannel, ...]:
    """Correct the positions of an EEGLAB file, which MNE always reads with the nose on +X.

    Parameters
    ----------
    nose : str
        `chaninfo.nosedir`: +X, -X, +Y or -Y. With any other value, positions are dropped as meaningless.
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
    # x points to the right only in the head frame
    known = all(math.isfinite(v) for v in position) and any(v != 0.0 for v in position)
    known = known and int(entry["coord_frame"]) == _HEAD_FRAME
    header = unit_of(unit)
    if format_name == "brainvision" and kind == "misc" and header:
        # MNE does not know this spelling of the unit and does not scale the numbers
        kind, scale = "eeg", header
    elif format_name == "egi_raw" and entry["cal"] != 1e-6:
        scale = "uV"  # MNE applies the header's range, in microvolt, but labels the result as volts
    elif format_name == "eximia":
        scale = "uV"  # likewise: 2500 microvolt over 15 bits
    else:
        scale = "V"
    volts = kind in VOLTS
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
