"""`eegpt embed|export|stream`: files come out whole, errors are one message, help imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from _eegpt_cli import model as command
from eegprep.errors import EEGPTError

APP = command.build()


def run(*arguments: str):
    """The command in this process: (exit code, standard output, error)."""
    done = CliRunner().invoke(APP, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        if not isinstance(done.exception, EEGPTError):
            raise done.exception
        return done.exception.exit_code, done.stdout, done.exception
    return done.exit_code, done.stdout, None


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_files_become_features_on_disk(recorded, encoder, tmp_path, ending):
    out = tmp_path / f"features{ending}"
    code, text, _ = run("embed", recorded.files / "s0.fif", "--model", encoder, "--out", out, "--json")
    assert code == 0
    told = json.loads(text)
    assert told["recordings"][0]["windows"] == 30
    opened = xr.open_dataset(out, engine="h5netcdf") if ending == ".nc" else xr.open_zarr(out)
    with opened:
        assert opened.features.shape == (30, 5, 32)
        assert opened.electrode.values.tolist() == ["Fp1", "C3", "Cz", "C4", "O2"]
        assert len(opened.attrs["model_sha256"]) == 64
        assert np.isfinite(opened.features.values).all()
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_broken_files_are_listed(recorded, encoder, tmp_path):
    """The others are written."""
    broken = tmp_path / "broken.fif"
    broken.write_bytes((recorded.files / "s0.fif").read_bytes()[:3000])
    out = tmp_path / "features.nc"
    files = [recorded.files / "s1.fif", broken, recorded.files / "s2.fif"]
    code, text, _ = run("embed", *files, "--model", encoder, "--out", out, "--json")
    assert code == 1
    assert list(json.loads(text)["failed"]) == ["broken.fif"]
    with xr.open_datatree(out, engine="h5netcdf") as tree:
        assert sorted(tree.children) == ["s1.fif", "s2.fif"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["embed", "FILE", "--model", "RUN", "--out", "x.csv"], 2, "unknown format"),
        (["embed", "nothing.fif", "--model", "RUN", "--out", "x.nc"], 2, "file or folder not found"),
        (["embed", "FILE", "--model", "nothing", "--out", "x.nc"], 2, "is not a run"),
        (["embed", "FILE", "--model", "RUN", "--out", "x.nc", "--recipe", "defualt"], 2, "unknown recipe"),
        (["embed", "FILE", "--model", "RUN", "--out", "x.nc", "--unknown-electrodes", "x"], 2, "--unknown-electrodes"),
        (["export", "RUN", "--out", "model.bin"], 2, "unknown format"),
        (["stream", "RUN"], 2, "one source"),
        (["stream", "RUN", "--file", "nothing.fif"], 2, "file not found"),
        (["stream", "RUN", "--file", "FILE", "--phase", "odd", "--speed", "0"], 2, "invalid phase"),
    ],
)
def test_mistakes_are_one_message(recorded, encoder, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    swaps = {"FILE": recorded.files / "s0.fif", "RUN": encoder}
    found, _, error = run(*(swaps.get(a, a) for a in arguments))
    assert found == code
    assert message in str(error)
    assert list(tmp_path.iterdir()) == []


def test_stream_prints_a_line_per_token(recorded, encoder):
    code, text, _ = run(
        "stream", encoder, "--file", recorded.files / "s0.fif", "--speed", "0", "--seconds", "6",
        "--line-freq-hz", "50", "--features",
    )  # fmt: skip
    assert code == 0
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert len(lines) > 30
    np.testing.assert_allclose(np.diff([x["time_s"] for x in lines]), 0.125, atol=1e-3)
    assert list(lines[0]["features"]) == ["Fp1", "C3", "Cz", "C4", "O2"]


def test_help_imports_nothing_heavy():
    code = (
        "import sys, eegpt\n"
        "from _eegpt_cli import model\n"
        "from typer.testing import CliRunner\n"
        "app = model.build()\n"
        "for c in ('embed', 'export', 'push', 'pull', 'stream'):\n"
        "    done = CliRunner().invoke(app, [c, '--help'])\n"
        "    assert done.exit_code == 0 and 'Example' in done.stdout, c\n"
        "heavy = {'torch', 'mne', 'sklearn', 'xarray', 'huggingface_hub', 'numpy', 'pylsl'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
