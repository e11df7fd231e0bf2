"""A draft of a manifest: it asks for what files do not say, and with the answers ingest takes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import eegprep
from _eegpt_cli import manifest as command
from eegprep.errors import UsageError
from eegprep.ingest import ingest
from eegprep.manifest import load_manifest, parse_manifest
from eegprep.sources.naming import guess_patterns
from eegprep.store import Store

WriteEdf = Callable[[Path, np.ndarray], None]
EegSignal = Callable[[int], np.ndarray]


@pytest.mark.parametrize(
    ("paths", "patterns"),
    [
        (["Subject00_1.edf", "Subject00_2.edf", "Subject01_1.edf"], ("Subject{subject}_{run}.edf",)),
        (["S001/S001R03.edf", "S001/S001R04.edf", "S002/S002R03.edf"], ("S{subject}/S{subject}R{run}.edf",)),
        (["a/one.edf", "b/one.edf"], ("{subject}/one.edf",)),
        (["p1_s1_r1.bdf", "p1_s2_r2.bdf", "p2_s1_r2.bdf"], ("p{subject}_s{session}_r{run}.bdf",)),
        (["x1.edf", "x2.edf", "y/3.bdf", "y/4.bdf"], ("x{subject}.edf", "y/{subject}.bdf")),
        (["kim.edf"], ("{subject}.edf",)),
        (["anna.edf", "ben.edf"], ("{subject}.edf",)),
        (["a_b_c_d.edf", "e_f_g_h.edf"], ()),
        (["x1.edf", "x2.edf", "1.bdf", "2.bdf"], ()),  # two recordings of one identity
        (["rest.edf", "a_1.edf", "a_2.edf", "b_1.edf"], ("{subject}_{run}.edf", "{subject}.edf")),
        (["one.edf", "x y.edf"], ("{subject}.edf",)),
        ([], ()),
        (["block1.edf", "block2.edf"], ("block{run}.edf",)),
        (["x_run-01.edf", "x_run-02.edf"], ("{subject}_run-{run}.edf",)),
        (["day1/a.edf", "day2/a.edf"], ("day{session}/{subject}.edf",)),
        (["run1_sub1.edf", "run2_sub1.edf", "run1_sub2.edf"], ("run{run}_sub{subject}.edf",)),
        (["ses1_kim.edf", "ses2_kim.edf", "ses1_bo.edf"], ("ses{session}_{subject}.edf",)),
        (["run1_block1.edf", "run2_block1.edf", "run1_block2.edf"], ("run{run}_block{subject}.edf",)),
        (["anna_ses1_rest.edf", "anna_ses1_task.edf", "anna_ses2_rest.edf"], ("{subject}_ses{session}_{run}.edf",)),
        (["Müller rest.edf", "Müller task.edf"], ("{subject} {run}.edf",)),
        (["data/anna/rest1.edf", "data/anna/open.edf"], ("data/{subject}/{run}.edf",)),
        (["A_rest.edf", "A_task.edf", "B_rest.edf", "B_task.edf"], ("{subject}_{run}.edf",)),
        (["eeg_rest_1.edf", "eeg_task_1.edf", "eeg_rest_2.edf"], ("eeg_{run}_{subject}.edf",)),
        # groups of people: each of them has a subject 1
        (["h01.edf", "h02.edf", "s01.edf", "s02.edf"], ("{subject}.edf",)),
        (["HC_01_rest.edf", "HC_02_rest.edf", "PD_01_rest.edf"], ("{subject}_rest.edf",)),
        (["MDD S1 EC.edf", "H S1 EC.edf", "MDD S2 EO.edf"], ("{subject} {run}.edf",)),
        (["B0101T.gdf", "B0102T.gdf", "B0201T.gdf"], ("B{run}T.gdf",)),
        (["patients/p01.edf", "patients/p02.edf", "controls/c01.edf"], ("{run}/{subject}.edf",)),
        (["A01T.gdf", "A01E.gdf", "A02T.gdf", "A02E.gdf"], ("A{subject}{run}.gdf",)),
        (["rest1.edf", "task1.edf", "rest2.edf", "task2.edf"], ("{run}{subject}.edf",)),
    ],
)
def test_file_names_give_patterns(paths, patterns):
    """Names of files give patterns that fit all and tell them apart."""
    assert guess_patterns(paths) == patterns


def run(*words: object) -> object:
    app = typer.Typer()
    command.register(app)
    return CliRunner().invoke(app, ["manifest", *map(str, words)])


@pytest.fixture
def lab(tmp_path: Path, write_edf: WriteEdf, eeg_signal: EegSignal) -> Path:
    folder = tmp_path / "our lab"
    folder.mkdir()
    for person in range(2):
        for session in (1, 2):
            write_edf(folder / f"sub{person}_{session}.edf", eeg_signal(10 * person + session))
    return folder


def test_draft_is_ingested_as_it_is(lab, tmp_path):
    """What nobody has stated is unknown, the events are a task, and nothing may be shared."""
    out = tmp_path / "ours.yaml"
    assert run("new", lab, "--out", out, "--workers", 0).exit_code == 0
    text = out.read_text(encoding="utf-8")
    assert 'files: ["sub{subject}_{run}.edf"]  # 4 recordings of 2 subjects' in text
    assert re.search(r"^expect: \{subjects: 2, recordings: 4, channels: \d+, sfreq_hz: \d+\}", text, re.MULTILINE)
    manifest = load_manifest(out)
    assert (manifest.title, manifest.citation) == ("our-lab", "unpublished")
    assert (manifest.licence.id, manifest.licence.share_shards) == ("unknown", False)
    summary = ingest(manifest, lab, tmp_path / "store", workers=0)
    assert (summary.exit_code, summary.trials["our_lab_state"]) == (0, 8)
    assert len(Store(tmp_path / "store").ids()) == 4


def test_unknown_channels_are_asked_for(tmp_path, write_edf, eeg_signal):
    """Channels that lead to no electrode are asked for."""
    folder = tmp_path / "odd"
    folder.mkdir()
    write_edf(folder / "a.edf", eeg_signal(1))
    data = (folder / "a.edf").read_bytes()
    label = data[256:272]
    (folder / "a.edf").write_bytes(data[:256] + b"Q77".ljust(16) + data[272:])
    assert label != b"Q77".ljust(16)
    text = run("new", folder, "--workers", 0).stdout
    assert '#?   "Q77": {electrode: Cz}  # in 1 of 1 recordings' in text
    assert 'files: ["{subject}.edf"]' in text


def test_draft_overwrites_nothing(lab, tmp_path):
    """Nothing is overwritten, and an empty folder is refused."""
    (tmp_path / "there.yaml").write_text("mine")
    assert isinstance(run("new", lab, "--out", tmp_path / "there.yaml").exception, UsageError)
    assert (tmp_path / "there.yaml").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "empty", tmp_path / "nowhere", tmp_path / "there.yaml"):
        assert isinstance(run("new", wrong, "--workers", 0).exception, UsageError), wrong


def drafted(text: str) -> str:
    """A draft with every question answered by its own suggestion; channels of unknown names stay left out."""
    lines = (re.sub(r"^#\? ?", "", line) for line in text.splitlines() if '"Foo9"' not in line)
    return "\n".join(line for line in lines if not line.startswith(("country", "channels:"))) + "\n"


def test_tasks_come_from_the_events(lab, tmp_path):
    """The events that are there, with their counts; the draft's own task finds every one of them."""
    text = run("new", lab, "--workers", 0).stdout
    assert '\n        "T1": "T1"  # 8 in 4 of 4 recordings' in text
    assert '\n        "T2": "T2"  # 4 in 4 of 4 recordings' in text
    manifest = parse_manifest(drafted(text))
    assert manifest.tasks[0].classes == ["T1", "T2"]
    summary = ingest(manifest, lab, tmp_path / "store", workers=0)
    assert (summary.exit_code, summary.trials["our_lab_state"]) == (0, 8)  # the third event is too near the end


def test_without_events_tasks_come_from_runs(tmp_path, write_edf, eeg_signal):
    """Remarks are no events of a task, and block numbers are no subjects."""
    (tmp_path / "lab").mkdir()
    for block in (1, 2, 3):
        path = tmp_path / "lab" / f"block{block}.edf"
        write_edf(path, eeg_signal(block))
        data = path.read_bytes()
        path.write_bytes(data.replace(b"T1", b"  ").replace(b"T2", b"  "))
    text = run("new", tmp_path / "lab", "--workers", 0).stdout
    assert 'files: ["block{run}.edf"]  # 3 recordings' in text
    assert "#?   subject: S1  # the file names do not contain the subject" in text
    assert "expect: {subjects" not in text
    assert '#?         "2": "2"  # 1 recordings' in text
    manifest = parse_manifest(drafted(text))
    assert manifest.tasks[0].trials.by == "run"
    assert ingest(manifest, tmp_path / "lab", tmp_path / "store", workers=0).exit_code == 0


def test_a_reference_of_n_a_is_unknown(tmp_path, write_edf, eeg_signal):
    """What BIDS writes for `not stated` is no reference."""
    folder = tmp_path / "tree" / "sub-01" / "eeg"
    write_edf(folder / "sub-01_task-x_eeg.edf", eeg_signal(1), ("C3", "Cz", "C4", "F3", "F4"))
    (tmp_path / "tree" / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    facts = '{"EEGReference": "n/a", "SamplingFrequency": 200, "PowerLineFrequency": "n/a", "TaskName": "x"}'
    (folder / "sub-01_task-x_eeg.json").write_text(facts)
    text = run("new", tmp_path / "tree", "--workers", 0).stdout
    assert "n/a" not in text
    assert "#? reference: A1A2" in text


def test_a_draft_counts_what_an_ingest_would(lab, tmp_path):
    """Copies and files that are refused are planned, too: `expect` counts them."""
    (lab / "sub3_1.edf").write_bytes((lab / "sub0_1.edf").read_bytes())
    (lab / "sub4_1.edf").write_bytes((lab / "sub0_2.edf").read_bytes()[:500])
    text = run("new", lab, "--workers", 0).stdout
    assert "expect: {subjects: 4, recordings: 6," in text
    summary = ingest(parse_manifest(drafted(text)), lab, tmp_path / "store", workers=0)
    assert len(summary.failed) == 1
    assert len(summary.duplicates) == 1


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (["block1", "block2"], '{by: run, train: ["1"], test: ["2"]}'),
        (["x_run-1", "x_run-2", "x_run-10"], '{by: run, train: ["1", "2"], test: ["10"]}'),
        ([f"run{i}" for i in range(1, 7)], '{by: run, train: ["1", "2", "3", "4"], validation: ["5"], test: ["6"]}'),
        (["day1/a", "day2/a"], '{by: session, train: ["1"], test: ["2"]}'),
        (["a1_1", "a2_1"], "{by: subject, ratio: [8, 1, 1]}"),
        (["alone"], "{by: subject, ratio: [8, 1, 1]}"),
    ],
)
def test_one_subject_is_split_by_run(names, split, tmp_path: Path, write_edf, eeg_signal):
    """The drafted split is one that ingest and shards accept; of a single recording, the way is named."""
    from eegprep.shards import ShardSet, build_shard_set

    folder = tmp_path / "own"
    folder.mkdir()
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        write_edf(folder / f"{name}.edf", eeg_signal(i))
    out = tmp_path / "own.yaml"
    assert run("new", folder, "--out", out, "--workers", 0).exit_code == 0
    text = out.read_text(encoding="utf-8")
    assert f"split: {split}" in text
    assert ("within:5" in text) == (names == ["alone"])
    if "by: subject" in split:
        return
    answered = re.sub(r"^#\? (title|citation|licence)", r"\1", text, flags=re.MULTILINE)
    answered = re.sub(r"^#\?   subject", "  subject", answered, flags=re.MULTILINE)
    ingest(parse_manifest(answered), folder, tmp_path / "store", workers=0)
    build_shard_set([tmp_path / "store"], tmp_path / "shards", sync=False)
    splits = ShardSet.open(tmp_path / "shards").recordings.split
    assert set(splits) == {word for word in ("train", "validation", "test") if f"{word}:" in split}


def test_equal_numbers_in_two_groups_are_asked_about(tmp_path, write_edf: WriteEdf, eeg_signal: EegSignal):
    """The first patient and the first control are one subject by their names; the draft says what to do."""
    for seed, name in enumerate(("patients/01", "patients/02", "controls/01", "controls/02")):
        (tmp_path / "lab" / name).parent.mkdir(parents=True, exist_ok=True)
        write_edf(tmp_path / "lab" / f"{name}.edf", eeg_signal(seed))
    text, _ = eegprep.draft_manifest(tmp_path / "lab", out=tmp_path / "m.yaml", workers=0)
    assert "4 recordings; a number in two {run} is one subject: rename files of two people" in text
