"""Onsets from the start of a recording have no place in a file that holds only its epochs."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest
from edfio import Edf, EdfAnnotation
from support.recordings import NAMES, eeg_uv, make_manifest

from eegprep.errors import InputError
from eegprep.sources import open_source

EVENT = {"by": "event", "labels": {"go": "go", "stop": "stop"}, "length_s": 0.1}
TASKS = [
    {"name": "marks", "classes": ["go", "stop"], "trials": EVENT},
    {"name": "epochs", "classes": ["go", "stop"], "trials": {"by": "trial"}},
]


def epochs(folder: Path, name: str) -> Path:
    """Four epochs of one second, which began every ten seconds."""
    events = np.array([[2000 * k, 0, 1 + k % 2] for k in range(4)])
    data = eeg_uv(6, 800).reshape(6, 4, 200).transpose(1, 0, 2) * 1e-6
    info = mne.create_info(list(NAMES), 200.0, "eeg")
    made = mne.EpochsArray(data, info, events, event_id={"go": 1, "stop": 2}, verbose="ERROR")
    folder.mkdir(parents=True, exist_ok=True)
    if name.endswith(".set"):
        made.export(folder / name, verbose="ERROR")
    else:
        made.save(folder / name, verbose="ERROR")
    return folder / name


@pytest.mark.parametrize("suffix", ["set", "fif"])
def test_a_table_of_events_beside_epochs(tmp_path: Path, suffix: str) -> None:
    """The epochs keep their labels, and the table's events are not put into others."""
    (tmp_path / "dataset_description.json").write_text("{}")
    folder = tmp_path / "sub-01" / "eeg"
    epochs(folder, f"sub-01_task-x_eeg.{suffix}")
    (folder / "sub-01_task-x_events.tsv").write_text("onset\tduration\ttrial_type\n0\t0\tgo\n2.5\t0\tstop\n")
    source = open_source(make_manifest(source={"kind": "bids"}, tasks=TASKS), tmp_path)
    recording = source.read(source.plan()[0])
    assert [text for _, text in recording.trial_labels] == ["go", "stop", "go", "stop"]
    assert recording.events == ()
    assert "events.tsv was ignored: its onsets have no place in a file of epochs" in recording.notes


def test_a_file_of_events_beside_epochs(tmp_path: Path) -> None:
    epochs(tmp_path, "s1-epo.fif")
    Edf([], annotations=[EdfAnnotation(0.5, 0, "go"), EdfAnnotation(2.5, 0, "stop")]).write(tmp_path / "s1.edf")
    manifest = make_manifest(source={"files": ["{subject}-epo.fif"], "events_file": "{subject}.edf"}, tasks=TASKS)
    source = open_source(manifest, tmp_path)
    with pytest.raises(InputError, match="no place in a file of epochs"):
        source.read(source.plan()[0])
