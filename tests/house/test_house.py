"""The house rules that no linter knows: what an import brings in, and whose `eegprep` is installed."""

from __future__ import annotations

import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import eegprep


def run_python(code: str, *, extra_path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment_line = f"import sys; sys.path.insert(0, {str(extra_path)!r})\n" if extra_path else ""
    return subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", environment_line + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def modules_of_the_data_side() -> list[str]:
    return sorted(m.name for m in pkgutil.walk_packages(eegprep.__path__, "eegprep.") if "__main__" not in m.name)


def test_data_side_imports_no_model() -> None:
    """No module of the data side imports torch, webdataset or the model side."""
    names = modules_of_the_data_side()
    assert len(names) > 20
    code = "\n".join(
        [
            "import importlib, sys",
            f"for name in {names!r}: importlib.import_module(name)",
            "found = {m.partition('.')[0] for m in sys.modules}",
            "bad = sorted(found & {'torch', 'webdataset', 'eegpt', 'safetensors'})",
            "sys.exit(f'imported: {bad}' if bad else 0)",
        ]
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_the_shard_reader_does_not_need_mne() -> None:
    result = run_python("import sys, eegprep.shards, eegprep.electrodes; sys.exit('mne' in sys.modules)")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", ["prep", "model"])
def test_another_eegprep_stops_commands(command: str, tmp_path: Path) -> None:
    """Another distribution called eegprep stops every command."""
    info = tmp_path / "eegprep-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: eegprep\nVersion: 9.9\n")
    result = run_python(
        f"from _eegpt_cli.{command} import main\nsys.argv = ['x', '--help']\nmain()", extra_path=tmp_path
    )
    assert result.returncode == 2
    assert "another distribution called 'eegprep' (version 9.9)" in result.stderr
    assert "to do:" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["prep", "model"])
def test_help_brings_in_nothing_heavy(command: str) -> None:
    code = "\n".join(
        [
            "import sys",
            f"from _eegpt_cli.{command} import build, app",
            "build()",
            "heavy = {'mne', 'torch', 'numpy', 'scipy', 'pyarrow', 'xarray', 'pydantic', 'matplotlib'}",
            "bad = sorted({m.partition('.')[0] for m in sys.modules} & heavy)",
            "sys.exit(f'imported: {bad}' if bad else 0)",
        ]
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr


def test_no_module_is_installed_as_cli() -> None:
    """No module is installed under the name cli."""
    result = run_python(
        "import importlib.util, sys, os; os.chdir('/'); sys.path[:] = [p for p in sys.path if p]\n"
        "sys.exit(importlib.util.find_spec('cli') is not None)"
    )
    assert result.returncode == 0, result.stderr


def test_command_names_its_missing_extra() -> None:
    """A command that needs an extra names it."""
    code = "\n".join(
        [
            "import sys",
            "sys.modules['torch'] = None",
            "from _eegpt_cli.model import main",
            "sys.argv = ['eegpt', 'sizes']",
            "main()",
        ]
    )
    result = run_python(code)
    assert result.returncode == 2, result.stderr
    assert 'pip install ".[model]"' in result.stderr
    assert "Traceback" not in result.stderr


def test_foreign_venv_is_refused(tmp_path: Path) -> None:
    """`make` in a second clone must not use or change the environment of another checkout."""
    if shutil.which("make") is None:
        pytest.skip("needs make")
    root = Path(__file__).parents[2]
    for name in ("Makefile", "pyproject.toml", "constraints-cpu.txt", "constraints-dev.txt"):
        shutil.copy(root / name, tmp_path)
    site = tmp_path / "other" / "site"
    (site / "eegpt-0.dist-info").mkdir(parents=True)
    (site / "eegpt-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: eegpt\nVersion: 0\n")
    (site / "eegpt-0.dist-info" / "direct_url.json").write_text('{"url": "file:///elsewhere", "dir_info": {}}')
    (tmp_path / "other" / "bin").mkdir()
    python = tmp_path / "other" / "bin" / "python"
    run = f"import sys; sys.path.insert(0, '{site}'); exec(sys.argv[1])"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{run}" "$2"\n')
    python.chmod(0o755)
    done = subprocess.run(["make", "lint", "VENV=other"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "belongs to another checkout: file:///elsewhere" in done.stderr
