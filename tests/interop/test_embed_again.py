"""`eegpt embed` a second time, beside another one, over somebody else's file, and with absurd weights."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from typer.testing import CliRunner

from _eegpt_cli import model as command
from eegprep.errors import UsageError
from eegprep.files import alone
from eegpt.runs import checkpoint as ck

APP = command.build()


def run(*arguments):
    """The command in this process: standard output, or what it raised."""
    done = CliRunner().invoke(APP, ["embed", *map(str, arguments), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
@pytest.mark.parametrize("names", [("s0.fif",), ("s0.fif", "s1.fif")])
def test_own_output_is_taken_again(recorded, encoder, tmp_path, ending, names):
    """A kill after the last write leaves a whole output: the same command succeeds, another one is refused."""
    out, files = tmp_path / f"features{ending}", [recorded.files / n for n in names]
    first = run(*files, "--model", encoder, "--out", out)
    (tmp_path / f".{out.name}.lock").touch()
    (tmp_path / f"{out.name}.part").mkdir() if ending == ".zarr" else (tmp_path / f"{out.name}.part").touch()
    code, again = run(*files, "--model", encoder, "--out", out)
    assert code == 0
    assert [r["windows"] for r in again["recordings"]] == [r["windows"] for r in first[1]["recordings"]]
    for other in (["--stride-s", "2"], ["--recipe", "as_recorded"]):
        with pytest.raises(UsageError, match="already exists"):
            run(*files, "--model", encoder, "--out", out, *other)
    with pytest.raises(UsageError, match="already exists"):
        run(recorded.files / "s2.fif", "--model", encoder, "--out", out)


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_another_file_is_never_replaced(recorded, encoder, tmp_path, ending):
    out = tmp_path / f"thesis{ending}"
    out.write_bytes(b"years of work")
    with pytest.raises(UsageError, match="already exists"):
        run(recorded.files / "s0.fif", "--model", encoder, "--out", out)
    assert out.read_bytes() == b"years of work"


def test_two_never_write_one_output(recorded, encoder, tmp_path):
    out = tmp_path / "features.nc"
    with alone(out, file=True), pytest.raises(UsageError, match="another process is writing"):
        run(recorded.files / "s0.fif", "--model", encoder, "--out", out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1e38, -3e38, 1e30])
def test_absurd_weights_give_no_features(recorded, encoder, tmp_path, size):
    """Each is finite, what they make of the signal is not."""
    shutil.copytree(encoder, tmp_path / "run")
    tensors = ck.load_tensors(tmp_path / "run" / "model.safetensors")
    absurd = {k: torch.full_like(v, size) if v.is_floating_point() else v for k, v in tensors.items()}
    ck.save_tensors(tmp_path / "run" / "model.safetensors", absurd)
    code, told = run(recorded.files / "s0.fif", "--model", tmp_path / "run", "--out", tmp_path / "features.nc")
    assert code == 1
    assert "not finite" in told["failed"]["s0.fif"]["what"]
    assert not (tmp_path / "features.nc").exists()
