"""Shard sets as pre-training reads them, and the command that does so, killed and begun again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import synthetic
from support.commands import run_command

from eegprep.errors import UsageError
from eegprep.recording import spread
from eegprep.shards import build_shard_set
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.data import open_windows
from eegpt.runs.log import read_log
from eegpt.runs.settings import changed

TOKENS = {"encoder.token_samples": 32, "encoder.token_stride": 16}
SHAPE = (
    "encoder.n_layers=1",
    "encoder.width=16",
    "encoder.n_heads=2",
    "encoder.token_samples=32",
    "encoder.token_stride=16",
    "schedule.micro_batch=64",
)
RUN = (
    "schedule.batch_size=64",
    "schedule.steps=40",
    "run.log_every=1",
    "held_out.every=0",
    "run.checkpoint_every=5",
    "compute.precision=float32",
    "data.window_samples=[256]",  # the linear predictor of longer ones takes longer than the training
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "set"
    build_shard_set([synthetic.small_store()], folder, sync=False)
    return folder


def words(shards: Path, out: Path) -> list[str]:
    settings = [word for text in (*SHAPE, *RUN, "run.tensorboard=false") for word in ("--set", text)]
    return ["train", "--shards", str(shards), "--out", str(out), *settings, "--json"]


def test_windows_of_the_asked_splits(shards):
    """Windows of the usual length come from the splits asked for."""
    data = open_windows([shards], changed(PretrainConfig(), TOKENS))
    (index, order), *rest = data.train
    assert not rest
    assert index.n_samples == 1024
    assert len(order) == len(index) > 0
    assert {i.n_samples for i in data.heldout.values()} == {1024}
    trained = {data.recordings[r] for r in index.gather(spread(len(index), 1000)).recording}
    for held in data.heldout.values():
        assert not trained & {data.recordings[r] for r in held.gather(spread(len(held), 1000)).recording}


def test_too_long_windows_are_refused(shards):
    """Lengths that no stretch has are refused with what to do."""
    with pytest.raises(UsageError, match="no windows to train on") as caught:
        open_windows([shards], changed(PretrainConfig(), {**TOKENS, "data.window_samples": [8192]}))
    assert "window_samples" in caught.value.todo


def test_unknown_split_is_refused():
    """A split that no set can have is refused with the settings."""
    with pytest.raises(UsageError, match="cannot be 'training'") as caught:
        changed(PretrainConfig(), {**TOKENS, "data.splits": ["training"]})
    assert "'train'" in caught.value.todo


@pytest.mark.slow
def test_killed_command_resumes_exactly(shards, tmp_path):
    """The command killed at any instant resumes to the same run, in another process."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = run_command("eegpt", *words(shards, whole))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["steps"], summary["finished"]) == (40, True)

    command = [sys.executable, "-m", "_eegpt_cli.model", *words(shards, killed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list((killed / "checkpoints").glob("step-*/progress.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "results.json").exists()

    again = run_command("eegpt", *words(shards, killed))
    assert again.returncode == 0, again.stderr
    records = [[(r["step"], r["loss"], r["grad_norm"]) for r in read_log(run)] for run in (whole, killed)]
    assert records[0] == records[1]
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--set", "token_strid=8"], "did you mean 'encoder.token_stride'?"),
        (["--set", "steps=8"], "steps is now schedule.steps"),
        (["--set", "lr=1e-3"], "lr is now optimiser.learning_rate"),
        (["--size", "basic"], "did you mean 'base'?"),
        (["--set", "optimiser.learning_rate=fast"], "optimiser.learning_rate cannot be 'fast'"),
    ],
)
def test_wrong_setting_is_named(wrong, message, shards, tmp_path):
    """A setting that is wrong is named and nothing begun."""
    done = run_command("eegpt", "train", "--shards", shards, "--out", tmp_path / "run", *wrong)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


def test_spread_has_both_ends():
    """An evenly spread choice has both ends."""
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(3, 10) == [0, 1, 2]
