"""`eegpt transfer`, `evaluate`, `baselines` and `compare` as commands: what they print, write and refuse."""

from __future__ import annotations

import json
import re

import pytest
import typer
from typer.testing import CliRunner

from _eegpt_cli import transfer as commands
from eegprep.errors import RefusedError, UsageError
from eegprep.shards import ShardSet
from eegprep.splits import Seen


@pytest.fixture(scope="module")
def app():
    made = typer.Typer()
    commands.register(made)
    return made


def call(app, *arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def run(app, shards, encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    text = call(
        app,
        "transfer",
        "--shards",
        shards,
        "--encoder",
        encoder,
        "--out",
        folder,
        "--set",
        "schedule.steps=8",
        "--json",
    )
    assert set(json.loads(text)["tasks"]) == {"alpha/hand", "alpha/load"}
    return folder


def test_evaluate_prints_and_writes_results(app, run, shards):
    """A table is printed; JSON, CSV and predictions are written."""
    text = call(app, "evaluate", run, "--shards", shards, "--baselines", "band_power")
    assert re.search(r"^band power +\d+\.\d", text, re.MULTILINE)
    assert "alpha/hand" in text
    for name in ("results.json", "results.csv", "predictions.parquet"):
        assert (run / name).is_file()
    assert "band_power" in json.loads((run / "results.json").read_text())["tasks"]["alpha/hand"]["baselines"]


def test_options_become_settings(app, shards, tmp_path):
    call(
        app, "transfer", "--shards", shards, "--out", tmp_path / "run", "--mode", "scratch", "--tasks", "hand",
        "--seeds", 2, "--separate", "--set", "schedule.steps=2", "--set", "encoder.token_samples=64",
    )  # fmt: skip
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert settings["mode"] == "scratch"
    assert settings["data"]["tasks"] == ["hand"]
    assert settings["seeds"] == [0, 1]
    assert settings["joint"] is False


def test_baselines_and_compare_share_trials(app, run, shards, tmp_path):
    out = tmp_path / "baselines"
    call(app, "baselines", "--shards", shards, "--baselines", "majority,band_power", "--out", out)
    rows = json.loads(call(app, "compare", run, run, "--json", "--csv", tmp_path / "rows.csv"))
    assert {r["difference"] for r in rows} == {0.0}
    assert (tmp_path / "rows.csv").read_text().startswith("task,")
    with pytest.raises(UsageError, match="no predictions of 'model'"):
        call(app, "compare", run, out)


def test_refused_commands_write_nothing(app, shards, make_encoder, tmp_path):
    """Unknown settings, unknown baselines and leakage."""
    out = tmp_path / "run"
    with pytest.raises(UsageError, match="no setting 'stepps'"):
        call(app, "transfer", "--shards", shards, "--out", out, "--mode", "scratch", "--set", "stepps=3")
    for flat, path in (("steps", "schedule.steps"), ("lr", "optimiser.learning_rate"), ("graph", "model.graph")):
        with pytest.raises(UsageError, match=f"{flat} is now {path}"):
            call(app, "transfer", "--shards", shards, "--out", out, "--mode", "scratch", "--set", f"{flat}=1")
    with pytest.raises(UsageError, match="unknown baseline"):
        call(app, "baselines", "--shards", shards, "--baselines", "bandpower")
    everything = Seen.of(ShardSet.open(shards).recordings.seen())
    seen_all = make_encoder(tmp_path / "encoder", everything)
    with pytest.raises(RefusedError) as caught:
        call(app, "transfer", "--shards", shards, "--encoder", seen_all, "--out", out)
    assert caught.value.exit_code == 3
    assert not out.exists()
