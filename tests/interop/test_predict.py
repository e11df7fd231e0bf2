"""`eegpt.predict` and `eegpt predict`: a table of trials, tasks, classes and probabilities."""

from __future__ import annotations

import json
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import typer
from support.transfer_runs import build, settings, write_encoder
from typer.testing import CliRunner

import eegpt
from _eegpt_cli import predict as command
from eegprep.errors import InputError, UsageError
from eegprep.splits import Seen, SeenRecording
from eegpt.transfer.run import transfer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a task of two classes and on a regression (amplitudes of 0 to 18)."""
    folder = tmp_path_factory.mktemp("predict")
    shards = build(folder / "alpha", "alpha", ("C3", "Cz", "C4"))
    encoder = write_encoder(folder / "encoder", Seen.of([SeenRecording(id="a/b/-/-")]))
    transfer(settings(steps=6, precision="float32", teg_layers=1), shards=[shards], out=folder / "run", encoder=encoder)
    return folder / "run"


def test_a_recording_gives_a_table(model, toy):
    raw = toy.raw(1)
    table = eegpt.predict(raw, model, window_s=2.0, recipe="default")
    hand, load = (table[table.task == task] for task in ("hand", "load"))
    assert list(table.columns) == ["trial", "time_s", "task", "class", "probability", "value"]
    assert sorted(hand["class"].unique()) == ["left", "right"]
    np.testing.assert_allclose(hand.groupby("trial").probability.sum(), 1, atol=1e-5)
    ds = eegpt.embed(raw, model, window_s=2.0, recipe="default")
    assert hand.trial.nunique() == ds.sizes["window"] == 15
    np.testing.assert_allclose(hand[hand["class"] == "right"].probability, ds.probability_hand.values[:, 1])
    assert hand.time_s.tolist()[:4] == [0.0, 0.0, 2.0, 2.0]
    np.testing.assert_allclose(load.value, ds.value_load.values)


def test_windows_are_as_long_as_trials(model, toy):
    """Not as the encoder's windows: a stage of sleep is learned from half a minute, and asked of half a minute."""
    table = eegpt.predict(toy.raw(1), model, task="hand", recipe="default")
    assert eegpt.load(model).trial_samples == 192
    assert np.diff(np.unique(table.time_s)) == pytest.approx(0.75)


def test_numbers_have_the_unit_of_the_labels(model, toy):
    """Not SDs of the training trials: amplitudes were 0 to 18, 9 on average."""
    values = eegpt.predict(toy.raw(2), model, task="load", window_s=0.75, recipe="default").value
    opened = eegpt.load(model)
    (answer,) = [a for a in opened.answers if a.task == "load"]
    assert answer.mean == pytest.approx(9, abs=1)
    assert answer.sd > 5
    assert values.mean() == pytest.approx(answer.mean, abs=4 * answer.sd)


def test_epochs_keep_their_labels(model, toy):
    x = np.stack([toy.eeg(i, 3, 200, 200.0) for i in range(3)]) * 1e-6
    events = np.array([[0, 0, 1], [300, 0, 2], [600, 0, 1]])
    info = mne.create_info(["C3", "Cz", "C4"], 200.0, "eeg")
    epochs = mne.EpochsArray(x, info, events, event_id={"left": 1, "right": 2}, verbose="ERROR")
    table = eegpt.predict(epochs, model, task="hand", recipe="epochs")
    assert table.label.tolist() == ["left", "left", "right", "right", "left", "left"]


def test_files_have_their_names(model, toy, tmp_path: Path):
    """The command prints what the function returns, and lists what failed."""
    for s in range(2):
        toy.raw(s).save(tmp_path / f"s{s}.fif", verbose="ERROR")
    table = eegpt.predict([tmp_path / "s0.fif", tmp_path / "s1.fif"], model, recipe="default")
    assert table.recording.unique().tolist() == ["s0.fif", "s1.fif"]
    app = typer.Typer()
    command.register(app)
    (tmp_path / "broken.edf").write_bytes(b"0       " + b"x" * 300)
    words = [str(tmp_path / "s0.fif"), str(tmp_path / "broken.edf"), "--model", str(model), "--recipe", "default"]
    done = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "table.csv")])
    assert done.exit_code == 1
    assert "failed: " in done.stderr
    assert "broken.edf" in done.stderr
    written = pd.read_csv(tmp_path / "table.csv")
    np.testing.assert_allclose(written.probability, table[table.recording == "s0.fif"].probability, atol=1e-6)
    told = CliRunner().invoke(app, [words[0], *words[2:], "--json"])
    assert len(json.loads(told.stdout)) == len(written)
    with pytest.raises((InputError, UsageError)):
        eegpt.predict(tmp_path / "broken.edf", model, recipe="default")


def test_models_without_tasks_are_refused(encoder, model, toy, tmp_path: Path):
    with pytest.raises(UsageError, match="no tasks to predict"):
        eegpt.predict(toy.raw(1), encoder)
    with pytest.raises(UsageError, match="no task 'foot'"):
        eegpt.predict(toy.raw(1), model, task="foot")


def test_paths_can_be_embedded(encoder, toy, tmp_path: Path):
    toy.raw(1).save(tmp_path / "one.fif", verbose="ERROR")
    here, there = eegpt.embed(tmp_path / "one.fif", encoder), eegpt.embed(toy.raw(1), encoder)
    np.testing.assert_allclose(here.features.values, there.features.values, atol=1e-3)
    toy.raw(2).save(tmp_path / "two.fif", verbose="ERROR")
    with pytest.raises(UsageError, match="not a single recording"):
        eegpt.embed(tmp_path, encoder)
    found, failed = eegpt.embed_files(tmp_path, encoder)
    assert (sorted(found), failed) == (["one.fif", "two.fif"], {})


def test_models_and_runs_show_what_they_are(encoder, model, recorded):
    """In a notebook and as text, with every text escaped."""
    import eegprep

    assert "encoder" in repr(eegpt.load(encoder))
    assert "hand" in repr(eegpt.load(model))
    assert "left, right" in eegpt.load(model)._repr_html_()
    for opened in (eegprep.open_store(recorded.store), eegprep.open_shards(recorded.shards)):
        shown = opened._repr_html_()
        assert "toy/s0/-/-" in shown
        assert "6 recordings" in repr(opened)
        assert sorted(opened.raw("toy/s1/-/-").ch_names) == ["C3", "C4", "Cz", "Fp1", "O2"]
    found = eegprep.inspect(recorded.files, workers=0)
    assert "6 recordings" in repr(found)
    assert "s3.fif" in found._repr_html_()
    from eegprep.display import html_table
    from eegpt.evaluation.evaluate import evaluate
    from eegpt.pretraining.loop import PretrainResult

    _, results = evaluate(model, [model.parent / "alpha"])
    assert "hand" in repr(results)
    assert "balanced" in results._repr_html_() or "accuracy" in results._repr_html_()
    assert "hand" in str(results)
    run = PretrainResult(run=model, steps=5, results=None)
    assert "unfinished" in repr(run)
    assert "resumable" in run._repr_html_()
    assert "<script" not in html_table("<script>", {"<script>": "<script>"}, [{"<script>": "<script>"}])


def test_no_table_is_left_where_all_files_failed(model, tmp_path: Path):
    """An empty one would be in the way of the next try."""
    (tmp_path / "broken.edf").write_bytes(b"0       " + b"x" * 300)
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    words = ["predict", tmp_path / "broken.edf", "--model", model, "--out", tmp_path / "table.csv"]
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 1
    assert "failed: broken.edf" in done.output
    assert not (tmp_path / "table.csv").exists()
