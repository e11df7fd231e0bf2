"""Two gloo processes on a CPU against one: the same samples, the same losses, the same run after a stop."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eegpt.runs.checkpoint import load_encoder
from eegpt.runs.log import read_log

SCRIPT = Path(__file__).parents[1] / "support" / "distributed_run.py"


def start(out: Path, parallel: str, *, processes: int, stop: int = 0) -> None:
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*launcher, str(SCRIPT), str(out), parallel, str(stop)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def losses(run: Path) -> np.ndarray:
    return np.array([(r["step"], r["loss"], r["grad_norm"]) for r in read_log(run) if "loss" in r])


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("alone") / "run"
    start(run, "ddp", processes=1)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_equal_one(parallel, alone, tmp_path):
    """Two processes give the losses of one."""
    run = tmp_path / "run"
    start(run, parallel, processes=2)
    np.testing.assert_allclose(losses(run), losses(alone), rtol=1e-4)
    for name, weight in load_encoder(run).model.state_dict().items():
        np.testing.assert_allclose(weight, load_encoder(alone).model.state_dict()[name], rtol=0, atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_stopped_two_processes_resume(parallel, alone, tmp_path):
    """A run of two processes that one of them stopped resumes."""
    run = tmp_path / "run"
    start(run, parallel, processes=2, stop=6)
    assert 0 < len(losses(run)) < 12
    start(run, parallel, processes=2)
    np.testing.assert_allclose(losses(run), losses(alone), rtol=1e-4)


@pytest.mark.slow
def test_resume_with_fewer_processes(alone, tmp_path):
    """A run resumes with another number of processes."""
    run = tmp_path / "run"
    start(run, "ddp", processes=2, stop=6)
    start(run, "ddp", processes=1)
    np.testing.assert_allclose(losses(run), losses(alone), rtol=1e-4)
