"""Labels from tables, listed values, variables and thresholds: found by the trial's number, never guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from eegprep.errors import EEGPTError, InputError, UsageError
from eegprep.ingest import ingest
from eegprep.manifest import parse_manifest
from eegprep.sources import open_source
from eegprep.store import Store

HEAD = """\
manifest: 1
name: made
version: "1"
title: t
citation: c
licence: {id: CC0-1.0, share_shards: yes}
anonymous_subjects: yes
line_freq_hz: 50
recipe: epochs
"""
ARRAY = """\
source:
  kind: matlab
  files: ["s{subject}.mat"]
  variable: data
  sfreq_hz: 128
  unit: uV
  channels: [C3, Cz, C4]
  orientation: row_per_channel
"""
QUADRANT = """\
tasks:
  - name: mood
    classes: [calm, tense, sad, glad]
    trials:
      by: trial
      values: [valence, arousal]
      levels:
        valence: {at: [5], words: [low, high]}
        arousal: {at: [5], words: [low, high]}
      labels: {low low: sad, low high: tense, high low: calm, high high: glad}
"""
TABLE = """\
trial_values:
  table:
    file: "meta/ratings.csv"
    trial: Trial
    match: {subject: Who}
    columns: {valence: V, arousal: A}
"""


def epochs(path: Path, n_trials: int = 4, **more: object) -> None:
    signal = np.random.default_rng(list(str(path.relative_to(path.parents[1])).encode())).normal(
        0, 20, (n_trials, 3, 256)
    )
    savemat(path, {"data": signal, **more})


def labels(manifest_text: str, folder: Path, store: Path, **options: object) -> dict[str, list[str]]:
    ingest(parse_manifest(HEAD + manifest_text), folder, store, workers=0, **options)  # type: ignore[arg-type]
    return {i.subject: [t.label for t in i.trials] for i in Store.open(store).infos()}


def ratings(folder: Path, rows: str) -> None:
    (folder / "meta").mkdir(exist_ok=True)
    (folder / "meta" / "ratings.csv").write_text("Who,Trial,V,A,Name\n" + rows)


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def test_table_labels_by_subject_and_trial(raw, tmp_path):
    """A table gives labels by subject and trial, whatever the order of rows."""
    for number in ("01", "02"):
        epochs(raw / f"s{number}.mat")
    rows = ["1,2,6,1,secret", "1,1,1,1,secret", "2,1,9,9,secret", "1,3,4.9,5,secret", "2,2,5,4,secret"]
    ratings(raw, "\n".join([*rows, "1,4,9,9,secret"]) + "\n")
    found = labels(ARRAY + TABLE + QUADRANT, raw, tmp_path / "store")
    assert found == {"01": ["sad", "calm", "tense", "glad"], "02": ["glad", "calm"]}
    report = (tmp_path / "store" / "report.json").read_text()
    assert '"no_value":2' in report.replace(" ", "")
    every = b"".join(p.read_bytes() for p in (tmp_path / "store").rglob("*") if p.is_file())
    assert b"secret" not in every


def test_changed_table_remakes_the_recording(raw, tmp_path):
    """A changed table makes the recording again and is hashed with it."""
    epochs(raw / "s1.mat")
    ratings(raw, "1,1,1,1,x\n1,2,1,1,x\n1,3,1,1,x\n1,4,1,1,x\n")
    text = ARRAY + TABLE + QUADRANT
    assert labels(text, raw, tmp_path / "store") == {"1": ["sad"] * 4}
    before = Store.open(tmp_path / "store").infos()[0]
    ratings(raw, "1,1,1,1,x\n1,2,1,1,x\n1,3,1,1,x\n1,4,9,1,x\n")
    assert labels(text, raw, tmp_path / "store") == {"1": ["sad", "sad", "sad", "calm"]}
    after = Store.open(tmp_path / "store").infos()[0]
    assert before.source_sha256 != after.source_sha256
    assert after.source_files == ("s1.mat", "meta/ratings.csv")


@pytest.mark.parametrize(
    ("rows", "words"),
    [("1,1,1,1,x\n1,1,2,2,x\n", "duplicate trial"), (None, "trial table of made is missing")],
)
def test_unusable_table_is_refused(raw, rows, words):
    """A table that is missing or contradicts itself is refused."""
    epochs(raw / "s1.mat")
    if rows is not None:
        ratings(raw, rows)
    with pytest.raises(UsageError, match=words):
        open_source(parse_manifest(HEAD + ARRAY + TABLE + QUADRANT), raw).plan()


def test_a_table_without_a_column_is_refused(raw):
    epochs(raw / "s1.mat")
    (raw / "meta").mkdir()
    (raw / "meta" / "ratings.csv").write_text("Who,Trial,V\n1,1,1\n")
    with pytest.raises(UsageError, match="lacks columns"):
        open_source(parse_manifest(HEAD + ARRAY + TABLE + QUADRANT), raw).plan()


def test_variable_rows_label_by_column(raw, tmp_path):
    """Rows of a variable give labels by column."""
    epochs(raw / "s1.mat", labels=np.array([[1.0, 9, 0], [9, 1, 0], [5, 5, 0], [np.nan, 1, 0]]))
    values = (
        "trial_values: {variables: {valence: {variable: labels, column: 1}, arousal: {variable: labels, column: 2}}}\n"
    )
    assert labels(ARRAY + values + QUADRANT, raw, tmp_path / "store") == {"1": ["tense", "calm", "glad"]}
    values = values.replace("column: 2", "column: 4")
    with pytest.raises(EEGPTError, match="no column 4"):
        ingest(parse_manifest(HEAD + ARRAY + values + QUADRANT), raw, tmp_path / "other", workers=0)


def test_listed_values_go_by_session(raw, tmp_path):
    for session in "12":
        (raw / session).mkdir()
        epochs(raw / session / "s7.mat", 2 + int(session))
    values = """\
trial_values: {listed: {mood: {by: session, of: {"1": [a, b, a], "2": [b, b, b, a]}}}}
tasks:
  - name: mood
    classes: [a, b]
    trials: {by: trial, values: [mood]}
"""
    source = ARRAY.replace("s{subject}.mat", "{session}/s{subject}.mat")
    ingest(parse_manifest(HEAD + source + values), raw, tmp_path / "store", workers=0)
    found = {i.session: [t.label for t in i.trials] for i in Store.open(tmp_path / "store").infos()}
    assert found == {"1": ["a", "b", "a"], "2": ["b", "b", "b", "a"]}


def test_clips_are_trials_by_their_number(raw, tmp_path):
    """Clips of any length and number are trials by their number."""
    clips = {f"cz_eeg{k}": np.random.default_rng(k).normal(0, 20, (3, 256 + 10 * k)) for k in (2, 10, 1)}
    savemat(raw / "s1.mat", {**clips, "note": np.zeros(3)})
    source = ARRAY.replace("variable: data", 'variable: "*_eeg{trial}"')
    values = """\
trial_values: {listed: {mood: {of: {"*": [a, b, a, a, a, a, a, a, a, b]}}}}
tasks:
  - name: mood
    classes: [a, b]
    trials: {by: trial, values: [mood]}
"""
    ingest(parse_manifest(HEAD + source + values), raw, tmp_path / "store", workers=0)
    (info,) = Store.open(tmp_path / "store").infos()
    assert [(t.label, t.event, t.n_samples) for t in info.trials] == [
        ("a", "1", 532),
        ("b", "2", 552),
        ("b", "10", 712),
    ]


def test_marks_that_do_not_fit_label_nothing(raw, tmp_path):
    """Marks that do not fit the trials give no label at all."""
    positions = np.array([[1, 300, 600]])
    events = {"pos": positions, "what": np.array([[4, 4, 4]])}
    savemat(raw / "s1.mat", {"data": np.random.default_rng(0).normal(0, 20, (3, 1280)), "mrk": events})
    source = ARRAY + "  event_variables: {position: mrk.pos, text: mrk.what}\n"
    task = """\
tasks:
  - name: mood
    classes: [a, b]
    trials: {by: event, events: ["4"], values: [mood], length_s: 1}
"""
    for listed, expected in (("[a, b, b]", ["a", "b", "b"]), ("[a, b]", []), ("[a, b, b, a]", [])):
        values = 'trial_values: {listed: {mood: {of: {"*": LIST}}}}\n'.replace("LIST", listed)
        store = tmp_path / f"store{len(expected)}{len(listed)}"
        assert labels(source + values + task, raw, store)["1"] == expected
        assert ("not_numbered" in (store / "report.json").read_text()) == (not expected)


def test_events_outside_the_file_fail_it(raw, tmp_path):
    """Events outside the recording fail that file."""
    savemat(raw / "s1.mat", {"data": np.ones((3, 1280)), "pos": np.array([[5, 9999]]), "y": np.array([[1, 2]])})
    source = ARRAY + "  event_variables: {position: pos, text: y}\n"
    source_of = open_source(parse_manifest(HEAD + source), raw)
    with pytest.raises(InputError, match="events outside the recording"):
        source_of.read(source_of.plan()[0])


def people(path: Path, n: int) -> None:
    held = np.empty((1, n), dtype=object)
    for k in range(n):
        clips = np.empty((2, 1), dtype=object)
        clips[:, 0] = [np.random.default_rng([k, c]).normal(0, 20, (300 + c, 3)) for c in range(2)]
        held[0, k] = {"EEG": {"stimuli": clips}, "Score": np.array([[k % 2], [1 - k % 2]])}
    savemat(path, {"SET": {"Data": held}})


PARTS = """\
source:
  kind: matlab
  files: ["set.mat"]
  variable: "SET.Data.{subject}.EEG.stimuli.{trial}"
  parts: 3
  sfreq_hz: 128
  unit: uV
  channels: [C3, Cz, C4]
trial_values: {variables: {score: {variable: "SET.Data.{subject}.Score"}}}
tasks:
  - name: mood
    classes: [a, b]
    trials: {by: trial, values: [score], labels: {"0": a, "1": b}}
"""


def test_subjects_of_one_file_are_recordings(raw, tmp_path):
    """Subjects of one file are recordings of their own, also with workers."""
    people(raw / "set.mat", 3)
    ingest(parse_manifest(HEAD + PARTS), raw, tmp_path / "store", workers=2)
    found = {i.subject: [t.label for t in i.trials] for i in Store.open(tmp_path / "store").infos()}
    assert found == {"1": ["a", "b"], "2": ["b", "a"], "3": ["a", "b"]}
    chosen = PARTS.replace("  parts: 3", '  parts: 3\n  only_subjects: ["2"]')
    assert labels(chosen, raw, tmp_path / "one") == {"2": ["b", "a"]}


def test_wrong_subject_count_is_an_error(raw):
    """Another number of subjects than stated is an error."""
    people(raw / "set.mat", 4)
    source = open_source(parse_manifest(HEAD + PARTS), raw)
    with pytest.raises(InputError, match="number of subjects") as caught:
        source.read(source.plan()[0])
    assert caught.value.found == "4"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("columns: {valence: V, arousal: A}", "columns: {valence: V}"), "missing in `trial_values`"),
        (("at: [5], words: [low, high]", "at: [5], words: [low]"), "1 borders need 2"),
        (("at: [5], words: [low, high]", "at: [5, 4], words: [a, b, c]"), "ascending"),
        (("by: trial", "by: run"), "`values` requires"),
        (("kind: matlab", "kind: bids"), "cannot be used with `kind: bids`"),
        (("variable: data", 'variable: "d*"'), r"requires \{trial\}"),
        (("variable: data", 'variable: "a.{subject}"'), "`parts` is the number"),
        (("variable: data", "variable: ../data"), "must be names of variables|must begin"),
        (("  unit: uV", "  scale: 0.1"), "`scale` requires `unit`"),
    ],
)
def test_contradiction_is_refused_with_line(change, words):
    """What contradicts itself is refused with its line."""
    text = HEAD + ARRAY + TABLE + QUADRANT
    assert change[0] in text
    with pytest.raises(UsageError, match=words):
        parse_manifest(text.replace(*change, 1))
