"""A task, class or label that matches nothing is said, before anything is written and after."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import edfio
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from _eegpt_cli import ingest as ingest_command
from _eegpt_cli import inspect as inspect_command
from _eegpt_cli import manifest as manifest_command
from _eegpt_cli import shards as shards_command
from eegprep.errors import UsageError
from eegprep.ingest import ingest, inspect
from eegprep.ingest.matches import Counted, hinted, mismatches
from eegprep.manifest import dump_manifest
from eegprep.manifest.schema import Manifest
from eegprep.report.contents.from_shards import contents_of_shards
from eegprep.report.contents.from_store import contents_of_store
from eegprep.shards import build_shard_set
from eegprep.store import Store

Marks = tuple[tuple[float, str], ...]
EegSignal = Callable[[int], np.ndarray]


def describe(task: Mapping[str, object] | None, **more: object) -> Manifest:
    return Manifest.model_validate(
        {
            "manifest": 1,
            "name": "t",
            "version": "1",
            "title": "t",
            "citation": "c",
            "licence": {"id": "CC0-1.0"},
            "source": {"kind": "files", "files": ["{subject}_{run}.edf"]},
            "tasks": [task] if task else [],
            "recipe": "as_recorded",
            **more,
        }
    )


def hand(labels: Mapping[str, str], **more: object) -> dict[str, object]:
    return {
        "name": "hand",
        "classes": ["left", "right"],
        "trials": {"by": "event", "labels": dict(labels), "length_s": 0.5, **more},
    }


@pytest.fixture
def lab(tmp_path: Path, eeg_signal: EegSignal) -> Callable[..., Path]:
    """`lab(s1_1=((1.0, "Left"), ...))`: a folder of EDF+ files with these events."""

    def make(folder: str = "data", **files: Marks) -> Path:
        for seed, (name, marks) in enumerate(files.items()):
            rows = eeg_signal(seed)[:3, : 200 * 12]
            signals = [
                edfio.EdfSignal(row, 200, label=label, physical_dimension="uV", physical_range=(-500, 500))
                for row, label in zip(rows, ("C3", "Cz", "C4"), strict=True)
            ]
            (tmp_path / folder).mkdir(exist_ok=True)
            notes = [edfio.EdfAnnotation(onset, None, text) for onset, text in marks]
            edfio.Edf(signals, annotations=notes).write(tmp_path / folder / f"{name}.edf")
        return tmp_path / folder

    return make


def run(command: object, *words: object) -> object:
    app = typer.Typer()
    command.register(app)  # type: ignore[attr-defined]
    app.callback()(lambda: None)
    return CliRunner().invoke(app, [*map(str, words)])


def saved(manifest: Manifest, path: Path) -> Path:
    path.write_text(dump_manifest(manifest), encoding="utf-8")
    return path


BOTH = ((1.0, "left"), (3.0, "right"), (5.0, "left"))


def test_labels_in_other_case_are_noted(lab, tmp_path):
    """The files have `left`, the manifest says `Left`: exit code 1, and a hint."""
    source = lab(s1_1=BOTH)
    path = saved(describe(hand({"Left": "left", "Right": "right"})), tmp_path / "m.yaml")
    result = run(ingest_command, "ingest", path, "--source", source, "--out", tmp_path / "store", "--workers", 0)
    assert result.exit_code == 1
    assert "task hand: 0 trials (left 0, right 0)" in result.stdout
    assert "warning: task hand: no event has the label Left or Right" in result.stderr
    assert "did you mean 'left' for 'Left'" in result.stderr
    again = run(ingest_command, "ingest", path, "--source", source, "--out", tmp_path / "store", "--workers", 0)
    assert again.exit_code == 1
    assert "no event has the label Left or Right" in again.stderr


def test_the_rest_of_the_chain_says_zero(lab, tmp_path):
    """`shard` and `report` show a task without a trial."""
    ingest(describe(hand({"L": "left", "R": "right"})), lab(s1_1=BOTH), tmp_path / "store", workers=0)
    summary = build_shard_set([tmp_path / "store"], tmp_path / "shards")
    assert summary.trials == {"hand": 0}
    assert summary.splits == {"train": 1, "validation": 0, "test": 0}
    result = run(shards_command, "shard", tmp_path / "store", "--out", tmp_path / "shards")
    assert "task hand: 0 trials" in result.stdout
    assert "warning: task hand has no trial" in result.stderr
    for contents in (contents_of_store(tmp_path / "store"), contents_of_shards([tmp_path / "shards"])):
        assert [(t.task, t.label, t.count) for t in contents.trials] == [("hand", "left", 0), ("hand", "right", 0)]


def test_whole_match_has_no_note(lab, tmp_path):
    manifest = describe(hand({"left": "left", "right": "right"}))
    summary = ingest(manifest, lab(s1_1=BOTH, s2_1=BOTH), tmp_path / "store", workers=0)
    assert (summary.exit_code, summary.unmatched, summary.trials) == (0, (), {"hand": 6})


def test_class_without_trials_is_an_error(lab, tmp_path):
    """Of two labels one matches nothing: the trials of the other hide nothing."""
    manifest = describe(hand({"left": "left", "Right": "right"}))
    summary = ingest(manifest, lab(s1_1=BOTH), tmp_path / "store", workers=0)
    assert summary.exit_code == 1
    assert [str(m) for m in summary.unmatched] == ["task hand: no event has the label Right"]
    assert "did you mean 'right' for 'Right'" in summary.unmatched[0].hint
    assert ingest(manifest, tmp_path / "data", tmp_path / "store", workers=0, partial=True).exit_code == 0


def test_second_word_of_a_class_is_an_error(lab, tmp_path):
    """A label that no file has is an error even where its class has trials by another."""
    manifest = describe(hand({"left": "left", "links": "left", "right": "right"}))
    found = inspect(manifest, lab(s1_1=BOTH), workers=0)
    assert [m.wanted for m in found.unmatched] == [("links",)]
    assert found.exit_code == 1


def test_a_class_that_no_label_leads_to(lab):
    task = hand({"left": "left"}) | {"classes": ["left", "right"]}
    found = inspect(describe(task), lab(s1_1=BOTH), workers=0)
    assert [m.what for m in found.unmatched] == ["no trial has the class right"]


def test_subject_without_trials_is_counted(lab, tmp_path):
    """A subject, or a recording, that has none is a note: people miss conditions."""
    manifest = describe(hand({"left": "left", "right": "right"}), anonymous_subjects=True)
    summary = ingest(manifest, lab(s1_1=BOTH, s1_2=(), s2_1=(), s3_1=BOTH), tmp_path / "store", workers=0)
    assert summary.exit_code == 0
    assert [str(m) for m in summary.unmatched] == ["task hand: 1 of 3 subjects have no trial: s2"]


def test_events_all_left_out_are_reported(lab, tmp_path):
    """The label is right, and no window fits: another reason than a wrong label."""
    manifest = describe(hand({"left": "left", "right": "right"}, length_s=60))
    summary = ingest(manifest, lab(s1_1=BOTH), tmp_path / "store", workers=0)
    assert [str(m) for m in summary.unmatched] == ["task hand: no trial was found; left out: outside stretch 3"]
    assert summary.exit_code == 1


@pytest.mark.parametrize(
    ("runs", "exit_code", "partial"), [(["9"], 1, False), (["9"], 0, True), (["1", "9"], 0, False)]
)
def test_runs_that_are_not_there(lab, runs, exit_code, partial):
    """A rule for runs that nobody has finds nothing; with --partial they may be elsewhere."""
    manifest = describe(hand({"left": "left", "right": "right"}, runs=runs))
    found = inspect(manifest, lab(s1_1=BOTH), workers=0, partial=partial)
    assert found.exit_code == exit_code
    assert "run" in found.unmatched[0].what


@pytest.mark.parametrize(("length_s", "runs", "exit_code"), [(2, ("8", "9"), 0), (60, ("1", "9"), 1)])
def test_labelled_runs_may_be_elsewhere(lab, length_s, runs, exit_code):
    """So it is where runs are the labels; a run that is there and gives no trial stays an error."""
    trials = {"by": "run", "labels": dict(zip(runs, "ab", strict=True)), "length_s": length_s, "stride_s": length_s}
    manifest = describe({"name": "k", "classes": ["a", "b"], "trials": trials})
    source = lab(s1_1=BOTH)
    assert inspect(manifest, source, workers=0, partial=True).exit_code == exit_code
    assert inspect(manifest, source, workers=0).exit_code == 1


def test_a_task_of_nothing_fails_a_part_too(lab):
    """A part of the data set excuses a class, not a task that finds nothing where it should."""
    manifest = describe(hand({"L": "left", "R": "right"}))
    assert inspect(manifest, lab(s1_1=BOTH), workers=0, partial=True).exit_code == 1


def test_runs_sessions_and_attributes(lab, tmp_path):
    """Labels of whole recordings: what there is instead stands in the message."""
    source = lab(s1_1=BOTH, s2_1=BOTH)
    by_run = {"name": "k", "classes": ["a", "b"], "trials": {"by": "run", "labels": {"1": "a", "02": "b"}}}
    (m,) = inspect(describe(by_run), source, workers=0).unmatched
    assert (m.what, m.fails) == ("no recording has the run 02; there are 1 (2)", True)
    (source / "people.csv").write_text("id,Group\ns1,control\n", encoding="utf-8")
    table = {"file": "people.csv", "id_column": "id", "attributes": {"group": "Group"}}
    by_group = {
        "name": "k",
        "classes": ["a", "b"],
        "trials": {"by": "attribute", "attribute": "group", "labels": {"control": "a", "patient": "b"}},
    }
    found = inspect(describe(by_group, subjects=table, anonymous_subjects=True), source, workers=0)
    assert [(m.what, m.fails) for m in found.unmatched] == [
        ("no recording has group patient; there are control (1), and 1 recordings without", True),
        ("1 of 2 subjects have no trial: s2", False),
    ]
    (source / "people.csv").write_text("id,Group\nx1,control\nx2,patient\n", encoding="utf-8")
    found = inspect(describe(by_group, subjects=table), source, workers=0)
    assert "none of the 2 recordings has group" in found.unmatched[0].what
    assert found.exit_code == 1


def test_intervals_of_an_attribute(lab):
    task = {
        "name": "k",
        "classes": ["a", "b"],
        "trials": {
            "by": "interval",
            "attribute": "run",
            "intervals": {"1": [{"label": "a", "to_s": 5}], "7": [{"label": "b", "to_s": 5}]},
            "length_s": 1,
        },
    }
    (m,) = inspect(describe(task), lab(s1_1=BOTH), workers=0).unmatched
    assert m.what == "no recording has run 7; there are 1 (1)"


def test_values_and_regression(lab, tmp_path):
    """Labels from a table: marks that no file has, and classes that no value leads to."""
    source = lab(s1_1=((1.0, "go"), (3.0, "go")))
    (source / "ratings.csv").write_text("n,Valence\n1,2\n2,3\n", encoding="utf-8")
    values = {"table": {"file": "ratings.csv", "trial": "n", "columns": {"valence": "Valence"}}}

    def task(mark: str, kind: str, **more: object) -> dict[str, object]:
        rule = {"by": "event", "events": [mark], "values": ["valence"], "length_s": 0.5}
        classes = {} if kind == "regression" else {"classes": ["low", "high"]}
        return {"name": "k", "kind": kind, **classes, "trials": rule | more}

    def told(one: dict[str, object]) -> list[str]:
        return [m.what for m in inspect(describe(one, trial_values=values), source, workers=0).unmatched]

    assert told(task("go", "regression")) == []
    assert told(task("Go", "regression"))[0] == "no event has the label Go"
    levels = {"levels": {"valence": {"at": [5], "words": ["low", "high"]}}}
    assert told(task("go", "classification", **levels)) == ["no trial has the class high"]
    (source / "ratings.csv").write_text("n,Valence\n1,\n2,\n", encoding="utf-8")
    assert told(task("go", "regression")) == ["no trial was found; left out: no value 2"]


def test_inspect_counts_events_by_recording(lab, tmp_path):
    source = lab(s1_1=BOTH, s2_1=((1.0, "left"), (2.0, "Mr. Smith coughs")))
    result = run(inspect_command, "inspect", source, "--json", "--workers", 0)
    found = json.loads(result.stdout)
    assert {r["file"]: r["events"] for r in found["recordings"]} == {
        "s1_1.edf": {"left": 2, "right": 1},
        "s2_1.edf": {"left": 1, "Mr. Smith coughs": 1},
    }
    assert found["totals"]["events"] == {"left": 3, "Mr. Smith coughs": 1, "right": 1}
    text = run(inspect_command, "inspect", source, "--workers", 0).stdout
    assert "Mr. Smith coughs" in text
    assert "2 of 2" in text
    for n in range(3, 6):
        shutil.copy(source / "s1_1.edf", source / f"s{n}_1.edf")
    many = run(inspect_command, "inspect", source, "--workers", 0).stdout
    assert re.search(r"events: s\d_1.edf and 3 more: left 2, right 1", many)


def test_free_text_remarks_stay_here(lab, tmp_path):
    """Texts that may be remarks are counted at ingest and never stored; `inspect` shows them to their owner."""
    marks = (*((float(i), "T1") for i in range(1, 6)), (7.0, "Mr. Smith coughs"), (8.0, "SMITHSON"))
    source = lab(s1_1=marks)
    path = saved(describe(hand({"L": "left", "R": "right"})), tmp_path / "m.yaml")
    store = tmp_path / "store"
    result = run(ingest_command, "ingest", path, "--source", source, "--out", store, "--workers", 0)
    assert "the files have T1 (5) and 2 more (`eegprep inspect` lists them)" in result.stderr
    build_shard_set([store], tmp_path / "shards")
    everything = b"".join(p.read_bytes() for p in [*store.rglob("*"), *(tmp_path / "shards").rglob("*")] if p.is_file())
    assert b"mith" not in everything
    assert b"SMITHSON" not in everything
    plain = run(ingest_command, "ingest", path, "--source", source, "--out", store, "--workers", 0, "--json")
    assert "mith" not in plain.stdout
    assert "Mr. Smith coughs" in run(inspect_command, "inspect", path, "--source", source, "--workers", 0).stdout


def test_validate_against_the_files(lab, tmp_path):
    """Exit code 2 where the manifest is wrong, 1 where a file cannot be used, else 0."""
    source = lab(s1_1=BOTH, s2_1=BOTH)

    def validate(manifest: Manifest, *more: object) -> tuple[int, str]:
        path = saved(manifest, tmp_path / "m.yaml")
        result = run(manifest_command, "manifest", "validate", path, "--source", source, "--workers", 0, *more)
        return result.exit_code, result.stderr + result.stdout

    right = hand({"left": "left", "right": "right"})
    assert validate(describe(right))[0] == 0
    code, text = validate(describe(hand({"769": "left", "770": "right"})))
    assert code == 2
    assert "task hand: no event has the label 769 or 770; the files have left (4), right (2)" in text
    code, text = validate(describe(right, split={"test": ["s3"]}))
    assert code == 2
    assert "unknown subject 's3'" in text
    assert validate(describe(right, split={"test": ["s3"]}), "--partial")[0] == 0
    code, text = validate(describe(right, expect={"recordings": 1}))
    assert code == 2
    assert "correct `expect: recordings: 1`" in text
    (source / "s2_1.edf").write_bytes((source / "s2_1.edf").read_bytes()[:300])
    code, text = validate(describe(right))
    assert code == 1
    assert "s2_1.edf" in text
    two = run(manifest_command, "manifest", "validate", tmp_path / "m.yaml", tmp_path / "m.yaml", "--source", source)
    assert two.exit_code == 2


def test_a_split_by_the_names_of_files(lab, tmp_path):
    """The whole way: the subject that the manifest tests is the one whose signal is in the test split."""
    source = lab(subj1_1=BOTH, subj2_1=BOTH, subj3_1=BOTH, subj4_1=BOTH)
    manifest = describe(None, split={"test": ["subj3"], "validation": ["subj1"]})
    ingest(manifest, source, tmp_path / "store", workers=0)
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(source / "subj3_1.edf", alone)
    ingest(describe(None), alone, tmp_path / "one", workers=0)
    (tested,) = Store(tmp_path / "one").infos()
    build_shard_set([tmp_path / "store"], tmp_path / "shards")
    import pyarrow.parquet as pq

    rows = pq.read_table(tmp_path / "shards" / "recordings.parquet").to_pylist()
    assert [r["signal_sha256"] for r in rows if r["split"] == "test"] == [tested.signal_sha256]
    assert sorted(r["split"] for r in rows) == ["test", "train", "train", "validation"]
    for stored in (tmp_path / "store" / "manifest.yaml", tmp_path / "shards" / "manifest.yaml"):
        assert "subj3" not in stored.read_text("utf-8")
    with pytest.raises(UsageError, match="unknown subject 'subj5'"):
        ingest(describe(None, split={"test": ["subj5"]}), source, tmp_path / "other", workers=0)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("written", ["01", "sub-01", "1"])
@pytest.mark.parametrize("anonymous", [True, False])
def test_a_split_of_a_bids_tree(lab, tmp_path, written, anonymous):
    source = lab(one=BOTH, two=BOTH, three=BOTH)
    (source / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}', encoding="utf-8")
    for number, name in enumerate(("one", "two", "three"), start=1):
        (source / f"sub-{number:02d}" / "eeg").mkdir(parents=True)
        (source / f"{name}.edf").rename(source / f"sub-{number:02d}" / "eeg" / f"sub-{number:02d}_task-x_eeg.edf")
    said = {"source": {"kind": "bids"}, "anonymous_subjects": anonymous, "split": {"test": [written]}}
    ingest(describe(None, **said), source, tmp_path / "store", workers=0)
    summary = build_shard_set([tmp_path / "store"], tmp_path / "shards")
    assert summary.splits["test"] == 1
    only = {**said, "source": {"kind": "bids", "only_subjects": [written, "sub-03"]}}
    assert ingest(describe(None, **only), source, tmp_path / "some", workers=0).subjects == 2


def recording(subject: str = "s", **trials: int) -> Counted:
    return Counted(subject=subject, tasks={"hand": {"label": trials, "word": trials}})


def test_hints_for_words_that_nearly_match():
    """Case, blanks, zeros, and what BrainVision puts first."""
    manifest = describe(hand({"S 1": "left", "Stimulus/S  2": "right"}))
    found = mismatches(manifest, [recording()])
    told = hinted(found, {"events": {"Stimulus/S  1": 3, "s02": 4}}, owner=False)[0].hint
    assert "'Stimulus/S  1' for 'S 1'" in told
    assert "'s02' for 'Stimulus/S  2'" in told
    assert hinted(found, {"events": {}}, owner=False)[0].hint == "; the files have no events"
    assert "inspect" in hinted(found, {}, owner=False)[0].hint


@pytest.mark.parametrize("event", ["1", "1.0"])
@pytest.mark.parametrize("label", ["1", "1.0"])
def test_a_code_is_one_word_however_written(event, label):
    """Whether trials were cut is told by the trials, not by how a format writes a number."""
    manifest = describe(hand({label: "left", "2": "right"}))
    cut = Counted(subject="s", tasks={"hand": {"label": {"left": 3, "right": 1}, "word": {event: 3, "2": 1}}})
    assert mismatches(manifest, [cut]) == ()


def test_epochs_with_other_labels(tmp_path, eeg_signal):
    """An epoched file whose labels the task does not know: the labels that it has are told."""
    import mne

    (tmp_path / "data").mkdir()
    raw = mne.io.RawArray(eeg_signal(1)[:3] * 1e-6, mne.create_info(["C3", "Cz", "C4"], 200.0, "eeg"), verbose="ERROR")
    events = np.array([[200 * k, 0, 1 + k % 2] for k in range(1, 9)])
    epochs = mne.Epochs(raw, events, {"go": 1, "stop": 2}, 0, 0.9, baseline=None, verbose="ERROR")
    epochs.save(tmp_path / "data" / "s1_1-epo.fif", verbose="ERROR")

    def told(*classes: str) -> tuple[int, list[str]]:
        task = {"name": "k", "classes": list(classes), "trials": {"by": "trial"}}
        found = inspect(
            describe(task, source={"kind": "files", "files": ["{subject}_{run}-epo.fif"]}, recipe="epochs"),
            tmp_path / "data",
            workers=0,
        )
        return found.exit_code, [f"{m}{m.hint}" for m in found.unmatched]

    assert told("go", "stop") == (0, [])
    had = "the files have go (4), stop (4)"
    meant = "did you mean 'go' for 'Go', 'stop' for 'Stop'?"
    assert told("Go", "Stop") == (1, [f"task k: no trial was found; left out: unknown label 8; {had}; {meant}"])
    code, (text,) = told("go", "halt")
    assert code == 1
    assert text == f"task k: no trial has the class halt; left out: unknown label 4; {had}"


def test_missing_events_file_is_reported(lab):
    """Where the events stand in a second file, a recording without one says so."""
    files = {"kind": "files", "files": ["{subject}_{run}.edf"], "events_file": "{subject}_{run}-hypnogram.edf"}
    found = inspect(describe(hand({"W": "left", "R": "right"}), source=files), lab(s1_1=()), workers=0)
    assert "no file beside it matches '{subject}_{run}-hypnogram.edf'" in found.recordings[0].notes
    assert [f"{m}{m.hint}" for m in found.unmatched] == [
        "task hand: no event has the label W or R; the files have no events"
    ]
