"""Two gloo processes on a CPU against one: the same samples, the same losses, the same run after a stop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eegpt.runs.checkpoint import load_encoder
from eegpt.runs.log import read_log

SCRIPT = Path(__file__).parents[1] / "support" / "distributed_run.py"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def make(*runs: dict[str, object], launcher: tuple[str, ...] = ()) -> None:
    """Make runs in the order given, in one call of `distributed_run.py`."""
    usual = {"parallel": "ddp", "processes": 2, "stop": 0, "resumes": ""}
    told = json.dumps([{**usual, **one} for one in runs], default=str)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), told],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def losses(run: Path) -> np.ndarray:
    return np.array([(r["step"], r["loss"], r["grad_norm"]) for r in read_log(run) if "loss" in r])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: by one process, by two, stopped and resumed."""
    folder = tmp_path_factory.mktemp("distributed")
    made: list[dict[str, object]] = [{"out": folder / "alone", "processes": 1}]
    for parallel in ("ddp", "fsdp"):
        stopped, of = folder / f"stopped-{parallel}", {"parallel": parallel}
        made += [
            {**of, "out": folder / parallel},
            {**of, "out": stopped, "stop": 6},
            {**of, "out": folder / f"resumed-{parallel}", "resumes": stopped},
        ]
    made.append({"out": folder / "resumed-alone", "resumes": folder / "stopped-ddp", "processes": 1})
    make(*made)
    return folder


def same_run(run: Path, alone: Path) -> None:
    np.testing.assert_allclose(losses(run), losses(alone), rtol=1e-4)
    for name, weight in load_encoder(run).model.state_dict().items():
        np.testing.assert_allclose(weight, load_encoder(alone).model.state_dict()[name], rtol=0, atol=2e-4)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_equal_one(parallel, runs):
    """Two processes give the losses of one."""
    same_run(runs / parallel, runs / "alone")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_torchrun_starts_two_processes(runs, tmp_path):
    make({"out": tmp_path / "run"}, launcher=TORCHRUN)
    same_run(tmp_path / "run", runs / "alone")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_stopped_two_processes_resume(parallel, runs):
    """A run of two processes that one of them stopped resumes."""
    assert 0 < len(losses(runs / f"stopped-{parallel}")) < 12
    np.testing.assert_allclose(losses(runs / f"resumed-{parallel}"), losses(runs / "alone"), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_resume_with_fewer_processes(runs):
    """A run resumes with another number of processes."""
    np.testing.assert_allclose(losses(runs / "resumed-alone"), losses(runs / "alone"), rtol=1e-4)
