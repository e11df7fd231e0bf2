"""Callbacks and loggers follow a run; settings are written as YAML that `--config` reads."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

import pytest
import yaml

from eegprep.errors import MissingExtraError, UsageError
from eegpt.callbacks import Callback, make_logger
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.loop import pretrain_on
from eegpt.runs.log import read_log
from eegpt.runs.settings import changed, read_settings, write_settings
from eegpt.transfer.config import TransferConfig


class Watch(Callback):
    """Notes every call; ends after `last` steps."""

    def __init__(self, last: int = 0) -> None:
        self.last, self.calls, self.steps = last, [], []

    def on_start(self, run, settings, *, step, steps):
        self.calls.append(("start", run.name, step, steps, settings["schedule"]["steps"]))

    def on_step(self, step, record):
        self.steps.append(step)
        assert {"loss", "grad_norm", "lr", "tokens_per_s"} <= record.keys()
        return step == self.last

    def on_held_out(self, step, split, errors):
        self.calls.append(("held out", step, split, errors.model.new > 0))

    def on_end(self, run, results):
        self.calls.append(("end", results.steps))


class Kept:
    def __init__(self) -> None:
        self.records, self.closed = [], False

    def write(self, record):
        self.records.append(record)

    def close(self):
        self.closed = True


def test_callbacks_see_every_step(data, small, tmp_path: Path):
    watch, kept = Watch(), Kept()
    config = small({"held_out.every": 5, "run.log_every": 4})
    pretrain_on(data, config, out=tmp_path / "run", show_progress=False, callbacks=[watch], loggers=[kept])
    assert watch.steps == list(range(1, 13))
    assert watch.calls == [
        ("start", "run", 0, 12, 12), ("held out", 5, "validation", True), ("held out", 10, "validation", True),
        ("end", 12),
    ]  # fmt: skip
    assert kept.records == read_log(tmp_path / "run")
    assert kept.closed


def test_a_callback_ends_the_training(data, small, tmp_path: Path):
    """The run is finished with the steps it has, and the same command does nothing more."""
    done = pretrain_on(data, small(), out=tmp_path / "run", show_progress=False, callbacks=[Watch(last=7)])
    assert (done.finished, done.steps, done.results.steps) == (True, 7, 7)
    again = pretrain_on(data, small(), out=tmp_path / "run", show_progress=False)
    assert again.steps == 7


def test_callbacks_change_nothing(data, small, tmp_path: Path):
    """Equal weights with and without them."""
    for name, more in (("with", {"callbacks": [Watch()], "loggers": [Kept()]}), ("without", {})):
        pretrain_on(data, small(), out=tmp_path / name, show_progress=False, **more)
    weights = [(tmp_path / n / "model.safetensors").read_bytes() for n in ("with", "without")]
    assert weights[0] == weights[1]


def test_a_newer_setting_resumes_older_runs(data, small, tmp_path: Path):
    """A run whose config.json lacks a setting has its default."""
    import json

    pretrain_on(data, small(), out=tmp_path / "run", show_progress=False, callbacks=[Watch(last=3)])
    path = tmp_path / "run" / "config.json"
    plain = json.loads(path.read_text())
    del plain["settings"]["run"]["wandb"]
    path.write_text(json.dumps(plain))
    assert pretrain_on(data, small(), out=tmp_path / "run", show_progress=False).steps == 3
    with pytest.raises(UsageError, match="other settings"):
        pretrain_on(data, small({"run.wandb": True}), out=tmp_path / "run", show_progress=False)


# ---- Weights & Biases and MLflow


def fake_wandb(calls: list) -> types.ModuleType:
    module = types.ModuleType("wandb")

    class Run:
        def __init__(self, id):
            self.id = id

        def log(self, values, step):
            calls.append(("log", step, values["loss"]))

        def finish(self):
            calls.append(("finish",))

    def init(**options):
        calls.append(("init", options["name"], options["id"], options["resume"], options["project"]))
        return Run(options["id"])

    module.init, module.Settings = init, lambda **options: options
    return module


def test_wandb_gets_the_records(data, small, tmp_path: Path, monkeypatch):
    """A resumed run goes on in the same run of Weights & Biases."""
    calls: list = []
    monkeypatch.setitem(sys.modules, "wandb", fake_wandb(calls))
    monkeypatch.setenv("WANDB_PROJECT", "lab")
    config = small({"run.wandb": True, "run.log_every": 6})
    pretrain_on(data, config, out=tmp_path / "run", show_progress=False)
    own = (tmp_path / "run" / "wandb-id").read_text()
    assert calls[0] == ("init", "run", own, None, "lab")
    assert [c[1] for c in calls if c[0] == "log"] == [1, 6, 12]
    assert calls[-1] == ("finish",)
    make_logger("wandb", tmp_path / "run", {}, step=12)
    assert calls[-1] == ("init", "run", own, "allow", "lab")


@pytest.mark.slow
def test_wandb_runs_offline(tmp_path: Path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = make_logger("wandb", tmp_path, {"a": {"b": 1}}, step=0)
    logger.write({"step": 1, "loss": 0.5, "heldout": {"split": "test", "n": 3}})
    logger.close()
    assert (tmp_path / "wandb-id").is_file()
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


@pytest.mark.slow
def test_mlflow_writes_files(tmp_path: Path, monkeypatch):
    """Numbers by step and settings; the id is kept, so that a resumed run goes on in the same one."""
    pytest.importorskip("mlflow")
    import warnings

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in (1, 2):
            logger = make_logger("mlflow", tmp_path, {"schedule": {"steps": 2}}, step=step - 1)
            logger.write({"step": step, "loss": 1.0 / step, "heldout": {"new": 0.5}})
            logger.close()
        client = importlib.import_module("mlflow").MlflowClient()
        known = (tmp_path / "mlflow-id").read_text()
        history = [(m.step, m.value) for m in client.get_metric_history(known, "loss")]
        assert history == [(1, 1.0), (2, 0.5)]
        assert client.get_run(known).data.params == {"schedule.steps": "2"}
        assert client.get_run(known).info.status == "FINISHED"


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_logger_says_what_to_do(name, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=f"pip install {name}"):
        make_logger(name, tmp_path, {}, step=0)


# ---- settings as YAML


@pytest.mark.parametrize(
    "config",
    [
        PretrainConfig(),
        changed(PretrainConfig(), {"optimiser.learning_rate": 1e-5, "data.window_samples": [1024, 512], "seed": 3}),
        TransferConfig(),
        changed(TransferConfig(), {"seeds": [0, 1], "data.scheme": "kfold:5", "model.views": []}),
    ],
)
def test_written_settings_are_read_again(config, tmp_path: Path):
    path = tmp_path / "settings.yaml"
    write_settings(config, path)
    assert read_settings(type(config), path) == config
    assert yaml.safe_load(path.read_text())


def test_a_run_is_a_settings_file(data, small, tmp_path: Path):
    """`--config RUN` and `--config RUN/config.json` take the settings of that run."""
    config = small({"seed": 9})
    pretrain_on(data, config, out=tmp_path / "run", show_progress=False)
    for path in (tmp_path / "run", tmp_path / "run" / "config.json"):
        assert read_settings(PretrainConfig, path) == config


def test_train_saves_its_settings(tmp_path: Path):
    import typer
    from typer.testing import CliRunner

    from _eegpt_cli import train

    app = typer.Typer()
    train.register(app)
    path = tmp_path / "large.yaml"
    words = ["train", "--size", "large", "--set", "schedule.steps=7", "--save-config", str(path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    again = read_settings(PretrainConfig, path)
    assert (again.encoder.size, again.schedule.steps) == ("large", 7)
