"""Epoched EEGLAB and FIF files: each epoch becomes a stretch with its label.

The label of an epoch is the name (or number) of its time-locking event. Several events at that sample are joined by
`/`, and the manifest's tasks select from them. Epochs often overlap and are baseline-corrected, so they
are never joined; if their position in the recording is known, overlapping samples are counted once.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.decoded import Decoded
from eegprep.formats.matlab.file import eeglab_header, variable_names
from eegprep.formats.matlab.paths import entries_of, texts_of, value_at
from eegprep.formats.wholeness import check_whole
from eegprep.privacy import clean_message
from eegprep.recording import Stretch

#: Number of pairs of overlapping epochs to compare, and the largest difference that counts as the same signal.
_N_COMPARED, _MAX_DIFFERENCE = 16, 0.2


@dataclass(frozen=True, kw_only=True)
class _Epochs:
    """The label and the first sample in the recording of each epoch, from EEGLAB's events."""

    labels: tuple[str, ...]
    origins: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Event:
    """An event of an epoch; `at` is in samples after the epoch's time zero, `number` EEGLAB's urevent."""

    text: str
    at: float
    number: int | None = None


def read_epochs(path: Path, format_name: str) -> Decoded:
    """Read an epoched file. Raises InputError if that fails."""
    import mne

    from eegprep.formats.mne_channels import facing

    if format_name == "eeglab":
        check_whole(path, format_name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if format_name == "eeglab":
                # MNE would join the names of all events of an epoch, so pass none
                numbered = np.array([(i, 0, 1) for i in range(eeglab_header(path).trials)])
                epochs: Any = mne.io.read_epochs_eeglab(path, numbered, {"epoch": 1}, verbose="CRITICAL")
            else:
                epochs = mne.read_epochs(path, preload=True, verbose="CRITICAL")
            data = np.asarray(epochs.get_data(copy=False), dtype=np.float64)
        except Exception as error:  # readers raise any exception on damaged files
            raise InputError(
                f"{path.name} cannot be read as epochs",
                where=path,
                found=clean_message(error),
                todo="if EEGLAB or MNE opens it, save it there again; else leave it out",
            ) from error
    if format_name != "eeglab":
        return decode_epochs(epochs, data, format_name)
    decoded = _decoded(epochs, data, format_name, _eeglab(path, data.shape))
    if any(c.position_m is not None for c in decoded.channels):
        decoded = dataclasses.replace(decoded, channels=facing(decoded.channels, eeglab_header(path).nose))
    return decoded


def decode_epochs(epochs: Any, data: np.ndarray, format_name: str) -> Decoded:
    """`Decoded` of MNE's Epochs with their samples, (n_epochs, n_channels, n_samples)."""
    return _decoded(epochs, data, format_name, _fif(epochs))


def _decoded(epochs: Any, data: np.ndarray, format_name: str, said: _Epochs) -> Decoded:
    from eegprep.formats.mne_channels import channels_of

    n_epochs, n_channels, n_samples = data.shape
    sfreq_hz = float(epochs.info["sfreq"])
    stretches = tuple(Stretch(start_sample=i * n_samples, n_samples=n_samples) for i in range(n_epochs))
    origins = overlapping(said.origins, data)
    notes = [f"{n_epochs} epochs of {n_samples / sfreq_hz:g} s", *said.notes]
    if origins:
        notes.append("they overlap; overlapping samples are counted once")
    return Decoded(
        format=f"{format_name}_epochs",
        sfreq_hz=sfreq_hz,
        channels=channels_of(epochs, format_name),
        signal=data.transpose(1, 0, 2).reshape(n_channels, n_epochs * n_samples),
        stretches=stretches,
        trial_labels=tuple(zip(stretches, said.labels, strict=True)),
        origins=origins,
        line_freq_hz=epochs.info["line_freq"],
        notes=tuple(notes),
    )


def _fif(epochs: Any) -> _Epochs:
    names: dict[int, str] = {}
    for name, code in epochs.event_id.items():
        names[int(code)] = f"{names[int(code)]}/{name}" if int(code) in names else str(name)
    # event samples are at the rate of the recording; epochs may have been resampled
    rate = float(np.ravel(getattr(epochs, "_raw_sfreq", None) or epochs.info["sfreq"])[0])
    ratio = float(epochs.info["sfreq"]) / rate
    first = round(float(epochs.times[0]) * float(epochs.info["sfreq"]))
    return _Epochs(
        labels=tuple(names.get(int(code), str(int(code))) for code in epochs.events[:, 2]),
        origins=tuple(round(int(sample) * ratio) + first for sample in epochs.events[:, 0]),
    )


def overlapping(origins: Sequence[int], data: Any) -> tuple[int, ...]:
    """`origins` if epochs overlap in the recording and have the same signal there, else empty.

    Parameters
    ----------
    origins : sequence of int
        First sample of each epoch in the recording; may be made up (`mne.EpochsArray`).
    data : sequence of ndarray, (n_channels, n_samples)
    """
    order = sorted(range(len(origins)), key=lambda i: origins[i])
    shared = [
        (i, j, n)
        for i, j in itertools.pairwise(order)
        if (n := min(origins[i] + data[i].shape[1] - origins[j], data[j].shape[1])) > 0
    ]
    if not shared:
        return ()
    equal = compared = 0
    for i, j, n in sorted(shared, key=lambda s: -s[2])[:_N_COMPARED]:
        first = origins[j] - origins[i]
        a, b = data[i][:, first : first + n], data[j][:, :n]
        if n < 4 and any(s[2] >= 4 for s in shared):
            continue
        # each epoch may have been baseline-corrected
        a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
        compared += 1
        equal += bool(np.linalg.norm(a - b) <= _MAX_DIFFERENCE * max(np.linalg.norm(a), np.linalg.norm(b)))
    return tuple(int(o) for o in origins) if compared and equal >= 0.8 * compared else ()


def _eeglab(path: Path, shape: tuple[int, ...]) -> _Epochs:
    """Labels and first samples of the epochs of an EEGLAB file, (n_epochs, n_channels, n_samples)."""
    n_epochs, _, n_samples = shape
    names = ("srate", "xmin", "epoch", "event", "urevent")
    whole: Any = value_at(path, "EEG") if "EEG" in variable_names(path) else None
    facts: dict[str, Any] = whole if whole is not None else {name: value_at(path, name) for name in names}
    rate = float(facts["srate"])
    before = float(facts["xmin"]) * rate  # samples from time zero to the first one, negative
    listed = _of_events(facts.get("event"), n_epochs, n_samples, before)
    cut = _of_epochs(facts.get("epoch"), n_epochs, rate)
    labels: list[str] = []
    alone = 0
    for own, other in zip(cut, listed, strict=True):
        at_zero = [e.text for e in own if abs(e.at) <= 0.5] or [e.text for e in other if abs(e.at) <= 0.5]
        texts = list(dict.fromkeys(at_zero)) or list(dict.fromkeys(e.text for e in own or other))
        alone += not at_zero and len(texts) == 1
        labels.append("/".join(texts) if at_zero or len(texts) == 1 else "")
    notes = (f"{alone} epochs have no event at time zero and are labelled by their only event",) if alone else ()
    return _Epochs(labels=tuple(labels), origins=_origins(listed, facts.get("urevent"), n_samples, before), notes=notes)


def _columns(value: Any, *names: str) -> list[list[Any]]:
    """Fields of a struct array, with equal lengths; empty if one is missing."""
    if not isinstance(value, dict) or not set(names) <= set(value):
        return []
    columns = [[value[n]] if isinstance(value[n], str) else entries_of(value[n]) for n in names]
    return columns if len({len(c) for c in columns}) == 1 else []


def _of_epochs(value: Any, n_epochs: int, rate: float) -> list[list[_Event]]:
    """The events of each epoch from `EEG.epoch`, with latencies in milliseconds."""
    columns = _columns(value, "eventtype", "eventlatency")
    if not columns or len(columns[0]) != n_epochs:
        return [[] for _ in range(n_epochs)]
    return [
        [_Event(text=t, at=at * rate / 1000) for t, at in zip(texts_of(types), _floats(latencies), strict=False)]
        for types, latencies in zip(*columns, strict=True)
    ]


def _of_events(value: Any, n_epochs: int, n_samples: int, before: float) -> list[list[_Event]]:
    """The events of each epoch from `EEG.event`, with latencies in samples from 1 over all epochs."""
    out: list[list[_Event]] = [[] for _ in range(n_epochs)]
    columns = _columns(value, "type", "latency", "urevent") or _columns(value, "type", "latency")
    for kind, latency, *rest in zip(*columns, strict=True):
        for at in _floats(latency)[:1]:
            epoch = math.floor((at - 0.5) / n_samples) if math.isfinite(at) else -1
            if 0 <= epoch < n_epochs:
                number = next((int(n) for v in rest for n in _floats(v)[:1] if math.isfinite(n)), None)
                text = "/".join(texts_of(kind))
                out[epoch].append(_Event(text=text, at=at - 1 - epoch * n_samples + before, number=number))
    return out


def _floats(value: Any) -> list[float]:
    try:
        return [float(v) for v in np.ravel(np.array(entries_of(value), dtype=object))]
    except (TypeError, ValueError):
        return []


def _origins(events: Sequence[Sequence[_Event]], recorded: Any, n_samples: int, before: float) -> tuple[int, ...]:
    """First sample of each epoch in the recording, from the original events, else from events shared by two epochs."""
    columns = _columns(recorded, "latency")
    latencies = [next(iter(_floats(v)), math.nan) for v in columns[0]] if columns else []
    places = {n: at - 1 for n, at in enumerate(latencies, start=1) if math.isfinite(at)}
    known = bool(places)
    origins: list[int] = []
    stop = 0
    for own in events:
        numbered = [
            (e.number, e.at - before) for e in own if e.number is not None
        ]  # in samples after the epoch's start
        found = [round(places[n] - at) for n, at in numbered if n in places]
        if known and not found:
            return ()
        origins.append(found[0] if found else stop)
        stop = max(stop, origins[-1] + n_samples)
        if not known:
            places |= {n: origins[-1] + at for n, at in numbered if n not in places}
    return tuple(origins)
