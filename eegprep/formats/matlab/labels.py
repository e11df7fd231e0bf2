"""Events and trial values from variables of the recording's own MATLAB file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError, UsageError
from eegprep.formats.decoded import SourceEvent
from eegprep.formats.matlab.paths import entries_of, numbered_at, texts_of, value_at
from eegprep.manifest.labels import look_up
from eegprep.manifest.schema import Manifest
from eegprep.recording import Stretch

#: So many events are never all within the first samples of a recording, as many as it has seconds.
_SEVERAL = 3


def variable_events(
    path: Path, manifest: Manifest, n_samples: int, trials: Sequence[tuple[str, Stretch]] = (), *, part: str = ""
) -> tuple[SourceEvent, ...]:
    """The events in the manifest's `event_variables`, sorted; none if the file has no positions.

    Parameters
    ----------
    n_samples : int
        Number of samples in the file.
    trials : sequence of (str, Stretch)
        Number and stretch of each trial that `source: variable:` names by `{trial}`; empty if it is a single array.
        Positions named by `{trial}` count from the start of the trial of that number.
    part : str
        Value of `{subject}`.

    Raises
    ------
    UsageError
        The signal is named by `{trial}` and the events are not, or the other way round.
    InputError
        Positions and texts do not match, or positions are not sample numbers of the recording.
    """
    spec, parts = manifest.source.event_variables, manifest.source.parts
    if spec is None:
        return ()
    by_trial = ["{trial}" in name for name in (spec.position, spec.text)]
    if set(by_trial) != {bool(trials)}:
        raise UsageError(
            f"the manifest {manifest.name} does not say in which trial the events of {path.name} are",
            found=f"variable: {manifest.source.variable}, position: {spec.position}, text: {spec.text}",
            expected="{trial} in all three, or in none",
        )
    meaning: dict[str, str] = {}
    if spec.names is not None and (names := value_at(path, spec.names, subject=part, parts=parts)) is not None:
        meaning = dict(zip(spec.codes, texts_of(names), strict=False))
    positions, words = (dict(numbered_at(path, name, subject=part, parts=parts)) for name in (spec.position, spec.text))
    whole = Stretch(start_sample=0, n_samples=n_samples)
    known = trials or [("", whole)]
    if strange := sorted(set(positions) - {number for number, _ in known}):
        raise InputError(
            f"{path.name} has events for trials without a signal",
            where=path,
            found=f"events of trial {strange[0]}",
            expected=f"only the trials of {manifest.source.variable}",
        )
    events: list[SourceEvent] = []
    for number, stretch in known:
        if number in positions:
            events += _placed(path, manifest, positions[number], words.get(number), stretch, meaning)
    return tuple(sorted(events))


def _placed(
    path: Path, manifest: Manifest, positions: Any, words: Any, stretch: Stretch, meaning: Mapping[str, str]
) -> list[SourceEvent]:
    """The events of one array of positions, which count from the start of `stretch`."""
    spec = manifest.source.event_variables
    assert spec is not None
    try:
        at = np.ravel(np.asarray(positions, dtype=np.float64))
    except (TypeError, ValueError):
        raise InputError(
            f"{spec.position} in {path.name} is not a list of sample numbers",
            where=path,
            found=type(positions).__name__,
            expected="one number for each event",
            todo="name one array: `{trial}` stands for each element of a cell array or struct array",
        ) from None
    texts = [] if words is None else texts_of(words)
    if len(texts) != at.size:
        raise InputError(
            f"{path.name} has {len(texts)} texts for {at.size} events",
            where=path,
            expected=f"as many entries in {spec.text} as in {spec.position}",
        )
    _check_positions(path, manifest, at, stretch.n_samples)
    starts = np.floor(at - spec.first + 0.5).astype(np.int64)
    return [
        SourceEvent(start_sample=stretch.start_sample + int(a), text=look_up(meaning, t) or t)
        for a, t in zip(starts, texts, strict=True)
    ]


def _check_positions(path: Path, manifest: Manifest, at: np.ndarray, n_samples: int) -> None:
    """Refuse positions that are not sample numbers of the recording: seconds, or one value for each sample."""
    spec = manifest.source.event_variables
    assert spec is not None
    if at.size == 0:
        return
    inside = np.isfinite(at) & (at - spec.first >= -0.5) & (at - spec.first < n_samples - 0.5)
    lasts_s = n_samples / (manifest.source.sfreq_hz or np.nan)
    early = bool(inside.all() and np.all(at <= lasts_s)) and (at.size >= _SEVERAL or bool(np.any(at % 1)))
    if at.size == n_samples or early:
        raise InputError(
            f"{spec.position} in {path.name} is not a list of sample numbers",
            where=path,
            found="one value for each sample"
            if at.size == n_samples
            else f"{at.size} numbers below the duration of {lasts_s:g} s, as if they were seconds",
            expected="the sample of each event",
            todo="name a trigger channel as `source: event_column:` instead, or convert seconds to samples and save "
            "the file again",
        )
    if not inside.all():
        found = at[np.isfinite(at)] - spec.first
        raise InputError(
            f"{path.name} has events outside the recording",
            where=path,
            found=f"samples {found.min(initial=np.inf):g} to {found.max(initial=-np.inf):g}"
            if found.size == at.size
            else f"{at.size - found.size} positions that are not numbers",
            expected=f"0 to {n_samples - 1}, counted from {spec.first}",
        )


def variable_values(path: Path, manifest: Manifest, part: str) -> Mapping[str, Mapping[str, str]]:
    """Values by trial number from variables of this file.

    Raises
    ------
    InputError
        A variable or column is missing.
    """
    rows: dict[str, dict[str, str]] = {}
    wanted = manifest.trial_values.variables if manifest.trial_values is not None else {}
    for name, spec in wanted.items():
        if "{trial}" in spec.variable:
            for number, value in numbered_at(path, spec.variable, subject=part, parts=manifest.source.parts):
                texts = texts_of(value)
                column = 1 if spec.column is None else spec.column
                if len(texts) < column or (spec.column is None and len(texts) > 1):
                    raise InputError(
                        f"{path.name}: {spec.variable} is not one value per trial",
                        where=path,
                        found=f"{len(texts)} values of trial {number}",
                        expected="one value" if spec.column is None else f"at least {column}",
                        todo="give its `column`" if spec.column is None else "",
                    )
                rows.setdefault(number, {})[name] = texts[column - 1]
            continue
        value = value_at(path, spec.variable, subject=part, parts=manifest.source.parts)
        if value is None:
            raise InputError(f"{path.name} has no variable {spec.variable}", where=path, expected=f"values of {name}")
        array = np.asarray(entries_of(value), dtype=object)
        if spec.column is not None:
            if array.ndim != 2 or array.shape[1] < spec.column:
                raise InputError(
                    f"{path.name}: {spec.variable} has no column {spec.column}",
                    where=path,
                    found=f"shape {array.shape}",
                    expected="one row per trial",
                )
            array = array[:, spec.column - 1]
        for row, text in enumerate(texts_of(list(array)), start=1):
            rows.setdefault(str(row), {})[name] = text
    return rows
