"""The source kind `matlab`: FieldTrip structures and plain arrays in .mat files of any version.

A FieldTrip structure (fields `trial`, `label`, `fsample` or `time`) describes itself; each of its trials is a stretch,
labelled with the first column of `trialinfo`, unless that numbers the trials or the manifest has `trial_values`.
Anything else is an array described by the manifest, named by `source:
variable:` (`EEG.data` for a field), with events and labels from other variables of the same file.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError, UsageError
from eegprep.formats.arrays import described_array, described_trials
from eegprep.formats.decoded import Decoded, SourceChannel
from eegprep.formats.epochs import overlapping
from eegprep.formats.matlab.file import fieldtrip_variables, variable_names
from eegprep.formats.matlab.labels import variable_events, variable_values
from eegprep.formats.matlab.paths import numbered_at, texts_of, value_at
from eegprep.formats.unit_names import unit_of
from eegprep.manifest.schema import Manifest
from eegprep.recording import Stretch

_MAX_RATE_ERROR = 0.01
_METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}


def read_matlab(path: Path, manifest: Manifest | None = None, *, part: str = "") -> Decoded:
    """Read one file, or one subject's part of it.

    Raises UsageError if a plain array is not described, InputError on damage.
    """
    names = sorted(n for n in variable_names(path) if not n.startswith(("#", "__")))
    spec = manifest.source if manifest is not None else None
    wanted = spec.variable if spec is not None else None
    structures = fieldtrip_variables(path) if wanted is None else []
    if structures == [""] and {"trial", "label"} <= set(names):
        return _with_values(_fieldtrip({name: value_at(path, name) for name in names}, path), path, manifest, part)
    variable = wanted or (names[0] if len(names) == 1 else structures[0] if len(structures) == 1 else "")
    found = numbered_at(path, variable, subject=part, parts=spec.parts if spec is not None else None)
    if not found:
        raise UsageError(
            f"the manifest must name the variable of {path.name}",
            found=", ".join(names[:20]),
            expected="`source: variable:`" if wanted is None else f"a variable that matches {wanted!r}",
        )
    value = found[0][1]
    if isinstance(value, dict) and {"trial", "label"} <= set(value):
        return _with_values(_fieldtrip(value, path), path, manifest, part)
    if manifest is not None and isinstance(value, list) and value:
        # a cell array of matrices: trials
        found = [(str(number), np.asarray(v)) for number, v in enumerate(value, 1)]
    if manifest is None or not all(isinstance(v, np.ndarray) for _, v in found):
        raise InputError(
            f"{path.name} contains no FieldTrip structure",
            where=path,
            found=f"{variable}: {type(value).__name__}",
            expected="a structure with trial, label and fsample, or an array that a manifest describes",
            todo="write a manifest with `source: kind: matlab` and `variable:`",
        )
    trials: list[tuple[str, Stretch]] = []
    if manifest.source.event_column is not None and ("{trial}" in variable or isinstance(value, list)):
        raise UsageError(
            f"`event_column` of the manifest {manifest.name} cannot be used with several arrays",
            where=path,
            expected="`event_variables` with {trial}",
        )
    if "{trial}" in variable or isinstance(value, list):
        decoded = described_trials(found, manifest, path, format_name="matlab")
        if isinstance(value, list) and manifest.trial_values is None:
            decoded = dataclasses.replace(decoded, trial_labels=())  # numbers are only meaningful with a table
        trials = [(number, stretch) for (number, _), stretch in zip(found, decoded.stretches, strict=True)]
    else:
        n_trials = len(value) if value.ndim == 3 and manifest.trial_values is not None else 0
        labels = [str(number) for number in range(1, n_trials + 1)] or _of_samples(path, manifest, part)
        decoded = described_array(value, manifest, path, format_name="matlab", labels=labels)
    return dataclasses.replace(
        decoded,
        events=decoded.events + variable_events(path, manifest, decoded.signal.shape[1], trials, part=part),
        trial_values=variable_values(path, manifest, part),
    )


def _of_samples(path: Path, manifest: Manifest, part: str) -> list[str] | None:
    """The labels in `event_column`, one for each sample or trial; None if it names a channel or is not given."""
    name = manifest.source.event_column
    if name is None or name in manifest.source.channels:
        return None
    value = value_at(path, name, subject=part, parts=manifest.source.parts)
    if value is None:
        raise InputError(
            f"{path.name} has no variable {name}, its labels",
            where=path,
            expected=f"{name} (`source: event_column:`), or a channel of that name",
        )
    return texts_of(value)


def _with_values(decoded: Decoded, path: Path, manifest: Manifest | None, part: str) -> Decoded:
    """A FieldTrip structure's trials under their numbers, if the manifest has values for them."""
    if manifest is None or manifest.trial_values is None:
        return decoded
    numbered = tuple((stretch, str(number)) for number, stretch in enumerate(decoded.stretches, 1))
    values = variable_values(path, manifest, part)
    return dataclasses.replace(decoded, trial_labels=numbered, trial_values=values)


def _fieldtrip(data: dict[str, Any], path: Path) -> Decoded:
    trials = data["trial"]
    trials = trials if isinstance(trials, list) else [trials]
    labels = _texts(data["label"])
    if empty := sum(not np.size(t) for t in trials):
        raise InputError(
            f"{path.name}: {empty} of {len(trials)} trials of the FieldTrip structure are empty",
            where=path,
            expected="samples in each, since trialinfo has a row for each",
            todo="remove them with ft_selectdata and save the structure again",
        )
    blocks = [_rows(t, len(labels), path) for t in trials]
    if not blocks:
        raise InputError(f"{path.name}: the FieldTrip structure has no trials", where=path)
    stretches: list[Stretch] = []
    start = 0
    for block in blocks:
        stretches.append(Stretch(start_sample=start, n_samples=block.shape[1]))
        start += block.shape[1]
    sfreq_hz, notes = _rate(data, path)
    trial_labels, more = _labels(data, stretches)
    return Decoded(
        format="fieldtrip",
        sfreq_hz=sfreq_hz,
        channels=_channels(data, labels),
        signal=np.concatenate(blocks, axis=1),
        stretches=tuple(stretches),
        trial_labels=trial_labels,
        origins=_origins(data, blocks),
        notes=(*notes, *more),
    )


def _origins(data: dict[str, Any], blocks: list[np.ndarray]) -> tuple[int, ...]:
    """First samples of overlapping trials; `sampleinfo` has the first and last sample of each, from 1."""
    try:
        bounds = np.asarray(data.get("sampleinfo", ()), dtype=np.float64).reshape(len(blocks), 2)
    except (TypeError, ValueError):
        return ()
    return overlapping([int(s) for s in bounds[:, 0] - 1], blocks) if np.isfinite(bounds).all() else ()


def _rows(trial: Any, n_channels: int, path: Path) -> np.ndarray:
    """One trial, (n_channels, n_samples), with singleton dimensions that the library dropped restored."""
    block = np.asarray(trial, dtype=np.float64)
    if block.ndim == 1 and 1 in (n_channels, block.size // n_channels):
        block = block.reshape(n_channels, -1)
    if block.ndim != 2 or block.shape[0] != n_channels:
        raise InputError(
            f"{path.name}: the rows of a trial of the FieldTrip structure do not match `label`",
            where=path,
            found=f"a trial of shape {block.shape} for {n_channels} names",
            expected="one row per name",
        )
    return block


def _texts(cell: Any) -> list[str]:
    """A cell array of text, which the library returns as a text, a list or an array of any shape."""
    if isinstance(cell, str):
        return [cell]
    return [str(value) for value in np.ravel(np.array(cell, dtype=object))]


def _rate(data: dict[str, Any], path: Path) -> tuple[float, tuple[str, ...]]:
    """The rate and notes. Like FieldTrip, prefer `time`, since `fsample` may be from before a resampling."""
    stated = float(np.ravel(data["fsample"])[0]) if np.size(data.get("fsample", ())) else np.nan
    times = data.get("time")
    first = np.ravel(times[0] if isinstance(times, list) else times) if times is not None else np.zeros(0)
    first = first if first.dtype.kind == "f" else np.zeros(0)
    measured = (first.size - 1) / (first[-1] - first[0]) if first.size > 1 and first[-1] > first[0] else np.nan
    if np.isfinite(stated) and not (np.isfinite(measured) and abs(measured - stated) > _MAX_RATE_ERROR * stated):
        return stated, ()
    if not np.isfinite(measured):
        raise InputError(
            f"{path.name}: the FieldTrip structure states no sampling rate", where=path, expected="fsample or time"
        )
    if not np.isfinite(stated):
        return float(measured), ()
    return float(measured), (f"`time` gives {measured:.4g} Hz, `fsample` {stated:g} Hz; the former is used",)


def _channels(data: dict[str, Any], labels: list[str]) -> tuple[SourceChannel, ...]:
    header = data.get("hdr")
    holder: dict[str, Any] = data if "chanunit" in data or not isinstance(header, dict) else header
    units, unit_names = _texts(holder.get("chanunit", [])), _texts(holder.get("label", []))
    stated = dict(zip(unit_names, units, strict=False)) if len(unit_names) == len(units) else {}
    positions = _positions(data.get("elec"))
    out = []
    for name in labels:
        known = unit_of(stated.get(name, ""))
        out.append(
            SourceChannel(
                name=name,
                unit=known,
                unit_evidence=f"chanunit says {known}" if known else "",
                position_m=positions.get(name),
            )
        )
    return tuple(out)


def _positions(elec: Any) -> dict[str, tuple[float, float, float]]:
    """Positions in metres, only if the structure states that x is right (`neuromag`, `acpc`-like `ras` frames)."""
    if not isinstance(elec, dict) or not {"label", "chanpos", "unit"} <= set(elec):
        return {}
    scale = _METRES.get(str(elec["unit"]))
    if scale is None or str(elec.get("coordsys", "")) not in ("neuromag", "ras"):
        return {}
    places = np.asarray(elec["chanpos"], dtype=np.float64).reshape(-1, 3) * scale
    names = _texts(elec["label"])
    return {n: (float(x), float(y), float(z)) for n, (x, y, z) in zip(names, places, strict=False)}


def _labels(data: dict[str, Any], stretches: list[Stretch]) -> tuple[tuple[tuple[Stretch, str], ...], tuple[str, ...]]:
    """The label of each trial, and notes; the first of several columns may number the trials instead."""
    info = data.get("trialinfo")
    if info is None or np.size(info) == 0:
        return (), ()
    table = np.asarray(info)
    if table.size % len(stretches):
        return (), ("trialinfo does not have one row for each trial and was ignored",)
    table = table.reshape(len(stretches), -1)
    texts = texts_of(list(table[:, 0]))
    notes: tuple[str, ...] = ()
    if (n_columns := table.shape[1]) > 1:
        counts = len(texts) > 2 and len(set(texts)) == len(texts)
        used = "the first numbers the trials, so no label is known" if counts else "the labels are from the first"
        notes = (f"trialinfo has {n_columns} columns: {used}; `trial_values: variables` can name another",)
        texts = [""] * len(texts) if counts else texts
    return tuple(zip(stretches, texts, strict=True)), notes
