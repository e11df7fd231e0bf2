"""Events and trial values from variables of the recording's own MATLAB file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.decoded import SourceEvent
from eegprep.formats.matlab.paths import entries_of, texts_of, value_at
from eegprep.manifest.labels import look_up
from eegprep.manifest.schema import Manifest


def variable_events(path: Path, manifest: Manifest, n_samples: int) -> tuple[SourceEvent, ...]:
    """The events in the manifest's `event_variables`, sorted; none if the file has no positions.

    Raises
    ------
    InputError
        Positions and texts do not match, or a position is outside the recording.
    """
    spec = manifest.source.event_variables
    positions = None if spec is None else value_at(path, spec.position)
    if spec is None or positions is None:
        return ()
    at = np.ravel(np.asarray(positions, dtype=np.float64))
    words = value_at(path, spec.text)
    texts = [] if words is None else texts_of(words)
    if len(texts) != at.size:
        raise InputError(
            f"{path.name} has {len(texts)} texts for {at.size} events",
            where=path,
            expected=f"as many entries in {spec.text} as in {spec.position}",
        )
    if spec.names is not None:
        names = value_at(path, spec.names)
        meaning = dict(zip(spec.codes, [] if names is None else texts_of(names), strict=False))
        texts = [look_up(meaning, text) or text for text in texts]
    starts = np.rint(at).astype(np.int64) - spec.first
    if at.size and not (np.all(starts >= 0) and np.all(starts < n_samples)):
        raise InputError(
            f"{path.name} has events outside the recording",
            where=path,
            found=f"samples {starts.min()} to {starts.max()}",
            expected=f"0 to {n_samples - 1}, counted from {spec.first}",
        )
    return tuple(sorted(SourceEvent(start_sample=int(a), text=t) for a, t in zip(starts, texts, strict=True)))


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
        for number, text in enumerate(texts_of(list(array)), start=1):
            rows.setdefault(str(number), {})[name] = text
    return rows
