"""The labels of a FieldTrip structure whose `trialinfo` has several columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from eegprep.errors import InputError
from eegprep.formats.decode import decode_file
from eegprep.sources import open_source
from eegprep.sources.base import SourceRecording

CLASSES = [2, 1, 2, 1, 1]
RULE = {"by": "trial", "labels": {"1": "a", "2": "b"}}


def read(made, names, folder: Path, info: np.ndarray, *, empty: int | None = None, **more: object) -> SourceRecording:
    trials = np.empty((1, len(info)), dtype=object)
    for i in range(len(info)):
        trials[0, i] = made["eeg_uv"](6, 400, seed=i)[:, : 0 if i == empty else 400]
    label = np.array(names, dtype=object).reshape(-1, 1)
    units = np.array(["uV"] * 6, dtype=object)
    data = {"trial": trials, "label": label, "fsample": 200.0, "trialinfo": info, "chanunit": units}
    scipy.io.savemat(folder / "s.mat", {"data": data})
    source = {"kind": "matlab", "files": ["{subject}.mat"], "unit": "uV", "variable": "data"}
    task = {"name": "t", "classes": ["a", "b"], "trials": {**RULE, **({"values": ["kind"]} if more else {})}}
    opened = open_source(made["manifest"](source=source, tasks=[task], **more), folder)
    return opened.read(opened.plan()[0])


def test_numbers_of_trials_are_no_labels(made, names, tmp_path: Path) -> None:
    """A first column that counts the trials gives no class to trials 1 and 2, and a note says so."""
    recording = read(made, names, tmp_path, np.column_stack([np.arange(1, 6), CLASSES]))
    assert [label for _, label in recording.trial_labels] == [""] * 5
    assert any("the first numbers the trials" in note for note in recording.notes)


def test_a_first_column_of_codes_is_used(made, names, tmp_path: Path) -> None:
    """A first column of codes gives the labels; that there are others is noted."""
    recording = read(made, names, tmp_path, np.column_stack([CLASSES, np.arange(1, 6) * 0.1]))
    assert [label for _, label in recording.trial_labels] == [str(c) for c in CLASSES]
    assert any("the labels are from the first" in note for note in recording.notes)


def test_another_column_is_named_by_the_manifest(made, names, tmp_path: Path) -> None:
    """`trial_values` names the column of the class."""
    values = {"variables": {"kind": {"variable": "data.trialinfo", "column": 2}}}
    recording = read(made, names, tmp_path, np.column_stack([np.arange(1, 6), CLASSES]), trial_values=values)
    assert [label for _, label in recording.trial_labels] == ["1", "2", "3", "4", "5"]
    assert [recording.trial_values[str(n)]["kind"] for n in range(1, 6)] == [str(c) for c in CLASSES]


def test_an_empty_trial_shifts_no_label(made, names, tmp_path: Path) -> None:
    """Labels of the trials after an empty one are not moved to others."""
    with pytest.raises(InputError, match="1 of 6 trials of the FieldTrip structure are empty"):
        read(made, names, tmp_path, np.array([[1], [2], [1], [2], [1], [2]]), empty=2)


def test_long_codes_stay_apart(made, names, tmp_path: Path) -> None:
    """Codes of seven digits and more are labels of their own."""
    codes = np.array([1100201, 1100202, 1100201, 110020314])
    read(made, names, tmp_path, codes[:, None])
    decoded = decode_file(tmp_path / "s.mat", made["manifest"](source={"kind": "matlab", "variable": "data"}))
    assert [label for _, label in decoded.trial_labels] == [str(code) for code in codes]
