"""BIDS trees as they are found: broken tables cost their facts alone, nothing of a tree goes unmentioned."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from eegprep.errors import InputError
from eegprep.sources import open_source

LABELS = {"T1": "a", "T2": "b"}
TASK = {"name": "t", "classes": ["a", "b"], "trials": {"by": "event", "labels": LABELS, "length_s": 1}}


def tree(made, root: Path, **files: str) -> Path:
    """One recording of subject 010; `files` are the texts of its tables by kind (`channels`, `events`, `eeg`)."""
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    eeg = root / "sub-010" / "eeg"
    eeg.mkdir(parents=True)
    made["edf"](eeg / "sub-010_task-rest_eeg.edf", made["eeg_uv"](6, 4000))
    for kind, text in files.items():
        suffix = "json" if kind == "eeg" else "tsv"
        (eeg / f"sub-010_task-rest_{kind}.{suffix}").write_text(text, encoding="utf-8")
    return eeg / "sub-010_task-rest_eeg.edf"


def opened(made, root: Path):
    return open_source(made["manifest"](source={"kind": "bids"}, tasks=[TASK]), root)


def read(made, root: Path):
    source = opened(made, root)
    (planned,) = source.plan()
    assert planned.subject == "010", "a subject's name is text"
    return source.read(planned)


def test_invalid_time_costs_its_event_alone(made, tmp_path: Path) -> None:
    """Invalid times cost their event or its duration alone."""
    rows = [
        "1\tn/a\tT1",
        "n/a\t1\tT2",
        "2\t\tT1",
        "3\t-1\tT2",
        "nan\t0\tT1",
        "inf\t0\tT1",
        "1e300\t0\tT1",
        "5\tinf\tT1",
    ]
    tree(made, tmp_path, events="onset\tduration\ttrial_type\n" + "\n".join([*rows, "4\t0.5\tn/a"]) + "\n")
    found = [(e.start_sample, e.n_samples, e.text) for e in read(made, tmp_path).events]
    assert found == [(200, 0, "T1"), (400, 0, "T1"), (600, 0, "T2"), (1000, 0, "T1")]


def test_type_of_n_a_says_nothing(made, tmp_path: Path) -> None:
    """A type or status of n/a says nothing, and names match whatever their case."""
    rows = ["FP1\tEEG\tuV\tbad", "Fp2\tn/a\tn/a\tn/a", "C3\tMISC\tn/a\tgood", "C4\t\t\t"]
    tree(made, tmp_path, channels="name\ttype\tunits\tstatus\n" + "\n".join(rows) + "\n")
    by_name = {c.name: c for c in read(made, tmp_path).channels}
    assert by_name["Fp1"].status == "bad"
    assert {by_name[n].kind for n in ("Fp2", "C4")} == {"unknown"}
    assert by_name["C3"].kind == "misc"


@pytest.mark.parametrize(
    ("files", "note"),
    [
        ({"eeg": "{bad"}, "eeg.json is not valid JSON"),
        ({"channels": "name,type\nEEG1,EEG\n"}, "names no channel of the file"),
        ({"channels": "name\ttype\nFp1\tEEG\nF9\tEEG\nF10\tEEG\n"}, "names 2 channels that are not in the file"),
        ({"eeg": '{"SamplingFrequency": 500}'}, "states 500 Hz, the file 200 Hz"),
        ({"eeg": '{"SamplingFrequency": 500, "RecordingDuration": 20}'}, "states 500 Hz, the file 200 Hz"),
    ],
)
def test_broken_table_is_noted(made, tmp_path, files, note) -> None:
    """A table that is broken or contradicts is noted, and the recording is read."""
    tree(made, tmp_path, **files)
    recording = read(made, tmp_path)
    assert recording.n_samples == 4000
    assert any(note in n for n in recording.notes)
    assert all("010" not in n for n in recording.notes), "a table's name holds the subject's"


@pytest.mark.parametrize("files", [{}, {"channels": ""}, {"events": ""}, {"eeg": "[]"}, {"channels": "name\n"}])
def test_missing_table_costs_nothing(made, tmp_path: Path, files) -> None:
    """A table that is missing or empty costs nothing."""
    tree(made, tmp_path, **files)
    assert len(read(made, tmp_path).channels) == 6


def test_rate_against_duration_is_refused(made, tmp_path: Path) -> None:
    """A sampling rate that the stated duration shows to be wrong is refused."""
    tree(made, tmp_path, eeg='{"SamplingFrequency": 500, "RecordingDuration": 8}')
    with pytest.raises(InputError, match="contradicts its description"):
        read(made, tmp_path)


def test_every_file_is_planned_or_named(made, tmp_path: Path) -> None:
    """Every file that looks like a recording is planned or named with its reason."""
    data = tree(made, tmp_path).read_bytes()
    others = {
        "sub-010/eeg/sub-010_task-a_eeg.EDF": data,
        "sub-010/eeg/sub-010_task-b_eeg.edf.gz": gzip.compress(data),
        "sub-010/eeg/backup.edf": data,
        "sub-010/ieeg/sub-010_task-rest_ieeg.edf": data,
        "derivatives/x/sub-010/eeg/sub-010_task-rest_desc-clean_eeg.edf": data,
        "sub-099/eeg/sub-099_task-rest_eeg.edf": data,
        "sub-010/eeg/sub-010_task-broken_eeg.edf": data,
    }
    for name, content in others.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / ".bidsignore").write_text("# not ours\nsub-099/\n*_task-broken_*\n")
    source = opened(made, tmp_path)
    assert sorted(p.run for p in source.plan()) == ["task-a", "task-b", "task-rest"]
    assert {Path(e.path).name: e.code for e in source.entries() if e.kind == "no_recording"} == {
        "backup.edf": "no_bids_name",
        "sub-010_task-rest_ieeg.edf": "no_bids_name",
        "sub-010_task-rest_desc-clean_eeg.edf": "derivative",
        "sub-099_task-rest_eeg.edf": "ignored",
        "sub-010_task-broken_eeg.edf": "ignored",
    }
    for planned in source.plan():
        assert source.read(planned).n_samples == 4000
