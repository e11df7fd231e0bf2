"""The commands forecast, scaling and ablation on a small shard set: what they write, and that they go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from support import synthetic
from typer.testing import CliRunner

from _eegpt_cli import train as command
from eegprep.errors import UsageError
from eegprep.shards import build_shard_set
from eegpt.pretraining.config import PretrainConfig
from eegpt.runs.settings import changed, differences
from eegpt.studies import ablation as study

SETTINGS = (
    "encoder.token_samples=32", "encoder.token_stride=16", "schedule.batch_size=32", "schedule.micro_batch=32",
    "schedule.steps=3", "schedule.min_steps=1",
    "held_out.every=0", "run.checkpoint_every=0", "compute.precision=float32", "run.tensorboard=false",
    "held_out.linear_windows=40",
    "held_out.final_windows=20", "data.window_samples=[256]",
)  # fmt: skip
TINY = ("encoder.n_layers=1", "encoder.width=16", "encoder.n_heads=2")


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "set"
    build_shard_set([synthetic.small_store()], folder, sync=False)
    return folder


def run(*words: object, settings: tuple[str, ...] = ()) -> str:
    app = typer.Typer()
    command.register(app)
    sets = [word for text in settings for word in ("--set", text)]
    result = CliRunner().invoke(app, [*map(str, words), *sets], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_forecast_writes_errors_and_page(shards, tmp_path):
    """Forecast writes errors by distance and a page."""
    run("train", "--shards", shards, "--out", tmp_path / "run", settings=(*SETTINGS, *TINY))
    options = ("--split", "validation", "--window-samples", 256, "--windows", 6, "--seconds", 0.25, "--json")
    result = json.loads(run("forecast", tmp_path / "run", "--shards", shards, *options))
    assert result["n_windows"] == 6
    assert result["n_known"] == 192
    assert [len(result["errors"][k]) for k in ("model", "persistence", "zero")] == [64, 64, 64]
    assert (tmp_path / "run" / "forecast.html").is_file()


def test_scaling_crosses_and_resumes(shards, tmp_path):
    """Scaling crosses sizes and fractions fits and resumes."""
    words = ("scaling", "--shards", shards, "--out", tmp_path, "--sizes", "1x8x2,1x16x2,2x16x2", "--fractions", "0.5,1")
    result = json.loads(run(*words, "--json", settings=SETTINGS))
    assert [r["name"] for r in result["rows"]] == [
        f"{s}-{f}" for s in ("1x8x2", "1x16x2", "2x16x2") for f in ("0.5", "1")
    ]
    assert len({r["parameters"] for r in result["rows"]}) == 3
    half, whole = result["rows"][0]["windows"], result["rows"][1]["windows"]
    assert half < whole
    assert set(result["by_parameters"]) == {"floor", "factor", "exponent", "residual"}
    assert result["by_windows"] is None  # two amounts of data determine no law
    weights = tmp_path / "runs" / "1x8x2-1" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert json.loads(run(*words, "--json", settings=SETTINGS)) == result
    assert weights.stat().st_mtime_ns == before


def test_ablation_changes_one_setting(shards, tmp_path):
    """Ablation changes one setting at a time."""
    words = ("ablation", "--shards", shards, "--out", tmp_path, "--questions", "norm,skip", "--json")
    rows = json.loads(run(*words, settings=(*SETTINGS, *TINY)))
    assert [r["name"] for r in rows] == ["common", "norm=pre", "skip=none", "skip=linear"]
    common, *others = (
        json.loads((tmp_path / "runs" / r["name"].replace("=", "-") / "config.json").read_text())["settings"]
        for r in rows
    )
    for other in others:
        assert len(differences(common, other)) == 1


def test_unknown_question_names_nearest(shards, tmp_path):
    """An unknown question names the nearest."""
    with pytest.raises(UsageError, match="unknown question 'nrom'") as caught:
        run("ablation", "--shards", shards, "--out", tmp_path, "--questions", "nrom", settings=(*SETTINGS, *TINY))
    assert "norm" in str(caught.value.todo)


def test_ablation_compares_with_what_is_set(monkeypatch, tmp_path):
    """Every value that the common settings lack, once, whatever the defaults are."""
    seen = {}
    monkeypatch.setattr(study, "run_study", lambda variants, **_: seen.update(variants) or [])
    study.ablation(PretrainConfig(), shards=[], out=tmp_path)
    for question, (path, values) in study.ABLATIONS.items():
        own = [name for name in seen if name.startswith(f"{question}=")]
        assert len(own) == len(values) - 1, f"{path}: {own}"
    assert len({config.model_dump_json() for config in seen.values()}) == len(seen)
    seen.clear()
    study.ablation(changed(PretrainConfig(), {"encoder.norm": "pre"}), shards=[], out=tmp_path, questions=["norm"])
    assert list(seen) == ["common", "norm=output"]
