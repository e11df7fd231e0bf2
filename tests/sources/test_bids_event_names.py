"""The name of an event in events.tsv: its trial_type, its value, or both."""

from __future__ import annotations

from pathlib import Path

import pytest

from eegprep.sources import open_source
from eegprep.sources.base import SourceRecording

#: Second, trial_type and value.
ROWS = [
    (2, "stimulus", "1"),
    (3, "response", "1"),
    (4, "stimulus", "2"),
    (5, "response", "1"),
    (6, "stimulus", "1"),
    (7, "stimulus", "2"),
]


def read(made, root: Path, rows: list[tuple[float, str, str]], labels: dict[str, str], **more: str) -> SourceRecording:
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    eeg = root / "sub-01" / "eeg"
    eeg.mkdir(parents=True)
    made["edf"](eeg / "sub-01_task-x_eeg.edf", made["eeg_uv"](6, 4000))
    lines = "".join(f"{t}\t0\t{kind}\t{value}\n" for t, kind, value in rows)
    (eeg / "sub-01_task-x_events.tsv").write_text("onset\tduration\ttrial_type\tvalue\n" + lines)
    rule = {"by": "event", "labels": labels, "length_s": 1}
    tasks = [{"name": "t", "classes": sorted({"a", "b", *labels.values()}), "trials": rule}] if labels else []
    source = open_source(made["manifest"](source={"kind": "bids"}, tasks=tasks), root)
    return source.read(source.plan()[0])


def found(recording: SourceRecording) -> list[tuple[int, str]]:
    return [(e.start_sample // 200, e.text) for e in recording.events]


def test_a_value_tells_events_of_one_type_apart(made, tmp_path: Path) -> None:
    """A trial_type that all events have does not hide their codes."""
    rows = [(2, "STATUS", "1"), (3, "STATUS", "2"), (4, "STATUS", "1"), (5, "STATUS", "2.0")]
    recording = read(made, tmp_path, rows, {"1": "a", "2": "b"})
    assert found(recording) == [(2, "1"), (3, "2"), (4, "1"), (5, "2")]


def test_inspect_lists_the_values_of_a_single_type(made, tmp_path: Path) -> None:
    """Without a task the codes are listed with their trial_type."""
    rows = [(2, "STATUS", "1"), (3, "STATUS", "2"), (4, "STATUS", "1"), (5, "STATUS", "2")]
    assert read(made, tmp_path, rows, {}).event_counts == {"STATUS/1": 2, "STATUS/2": 2}


def test_a_type_that_is_named_stays_one_class(made, tmp_path: Path) -> None:
    """A task that names the trial_type gets all of its events, whatever their values."""
    recording = read(made, tmp_path, ROWS, {"stimulus": "a", "response": "b"})
    assert found(recording) == [(t, kind) for t, kind, _ in ROWS]
    assert not any("several" in note for note in recording.notes)


def test_type_and_value_name_an_event(made, tmp_path: Path) -> None:
    """A code that stimuli and responses share is named with its trial_type."""
    recording = read(made, tmp_path, ROWS, {"stimulus/1": "a", "stimulus/2": "b"})
    assert found(recording) == [(2, "stimulus/1"), (4, "stimulus/2"), (6, "stimulus/1"), (7, "stimulus/2")]


def test_a_code_of_two_types_is_not_guessed(made, tmp_path: Path) -> None:
    """A code that stimuli and responses share names neither of them, and a note says so."""
    recording = read(made, tmp_path, ROWS, {"1": "a", "2": "b"})
    assert found(recording) == [(4, "2"), (7, "2")]
    assert any("1 named values have several trial_types" in note for note in recording.notes)


@pytest.mark.parametrize("mark", ["boundary", "New Segment/"])
def test_a_break_in_the_value_is_a_break(made, tmp_path: Path, mark: str) -> None:
    """A break is found where the value alone says so."""
    rows = [(2, "STATUS", "1"), (10, "STATUS", mark), (12, "STATUS", "2"), (14, "STATUS", "1")]
    recording = read(made, tmp_path, rows, {"1": "a", "2": "b"})
    assert [s.start_sample for s in recording.stretches] == [0, 2000]


def test_a_column_sample_that_contradicts_is_noted(made, tmp_path: Path) -> None:
    """Onsets are used where the column `sample` says something else, and a note says so."""
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    eeg = tmp_path / "sub-01" / "eeg"
    eeg.mkdir(parents=True)
    made["edf"](eeg / "sub-01_task-x_eeg.edf", made["eeg_uv"](6, 4000))
    lines = "".join(f"{t}\t0\t{200 * t - 100}\ta\n" for t in range(2, 12))
    (eeg / "sub-01_task-x_events.tsv").write_text("onset\tduration\tsample\ttrial_type\n" + lines)
    source = open_source(made["manifest"](source={"kind": "bids"}), tmp_path)
    notes = source.read(source.plan()[0]).notes
    assert "events.tsv: its column `sample` contradicts the onsets of 10 events; the onsets are used" in notes
