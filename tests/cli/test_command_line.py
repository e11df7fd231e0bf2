"""The command line as a person meets it: help with examples, near misses, versions, JSON wherever a table is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from support.commands import run_command

from _eegpt_cli import model, prep

APPS = {"eegprep": prep, "eegpt": model}
# A chain of commands that print their own tables, and two that write one document.
NO_TABLE = {"eegprep manifest new", "eegpt demo", "eegprep manifest subset", "eegprep manifest export-croissant"}


def run(command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"_eegpt_cli.{APPS[command].__name__.rpartition('.')[2]}", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )


def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from commands(command, f"{name} {word}")
        elif not command.hidden:
            yield f"{name} {word}", command


ALL = [pair for name, module in APPS.items() for pair in commands(typer.main.get_group(module.build()), name)]


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_every_command_shows_an_example(name: str, command: Any) -> None:
    """Every command shows an example of itself."""
    assert "Example" in command.help
    assert name in command.help.partition("Example")[2]


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_every_table_comes_as_json_too(name: str, command: Any) -> None:
    """Every command that prints a table prints JSON on request."""
    options = {option for parameter in command.params for option in parameter.opts}
    assert ("--json" in options) != (name in NO_TABLE)


@pytest.mark.parametrize("app", APPS)
def test_help_is_light_and_complete(app: str) -> None:
    """What makes `--help` slow is what it imports; benchmarks/startup.py has the seconds."""
    module = APPS[app].__name__
    code = (
        f"import sys; sys.argv = ['{app}', '--help']\n"
        f"from {module} import main\n"
        "try: main()\n"
        "except SystemExit: print('LOADED', *sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    text, _, modules = result.stdout.partition("LOADED")
    assert not {"rich", "importlib.metadata", "numpy", "torch", "mne", "pyarrow", "pydantic"} & set(modules.split())
    assert f"{app} " in text.partition("Examples:")[2]
    assert "..." not in text.partition("Commands:")[2]
    assert "\x1b[" not in text


@pytest.mark.parametrize("app", APPS)
def test_the_version_is_printed_alone(app: str) -> None:
    from eegprep import __version__

    result = run(app, "--version")
    assert (result.returncode, result.stdout) == (0, f"{__version__}\n")


@pytest.mark.parametrize(("app", "wrong", "meant"), [("eegprep", "ingst", "ingest"), ("eegpt", "trian", "train")])
def test_a_misspelt_command_gets_a_near_miss(app: str, wrong: str, meant: str) -> None:
    result = run(app, wrong)
    assert result.returncode == 2
    assert f"'{meant}'" in result.stderr


@pytest.mark.parametrize(("app", "arguments"), [("eegprep", ["datasets"]), ("eegprep", ["electrodes", "list"])])
def test_a_pipe_gets_no_colour(app: str, arguments: list[str]) -> None:
    result = run(app, *arguments, TERM="xterm-256color")
    assert result.returncode == 0
    assert result.stdout
    assert "\x1b[" not in result.stdout + result.stderr


def test_completion_can_be_shown_for_a_shell() -> None:
    result = run("eegpt", "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert result.returncode == 0, result.stderr
    assert "complete" in result.stdout


def test_doctor_lists_versions_and_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` tells versions, devices, disk space and data."""
    (tmp_path / "eegmat").mkdir()
    monkeypatch.setenv("EEGPT_DATA", str(tmp_path))
    monkeypatch.setenv("EEGPT_CACHE", str(tmp_path / "cache"))
    result = run_command("eegpt", "doctor", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    found = {(f["group"], f["name"]): f for f in json.loads(result.stdout)}
    assert found["installation", "mne"]["value"][0].isdigit()
    assert "torch" in found["installation", "extra [model]"]["value"]
    assert found["machine", "cpu"]["value"]
    assert str(tmp_path / "cache") in found["free disk", "cache"]["value"]
    assert found["available data", "eegmat"]["value"] == str(tmp_path / "eegmat")


def test_doctor_fails_where_data_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` exits with 1 and says what to do where data are promised and missing."""
    monkeypatch.setenv("EEGPT_DATA", str(tmp_path / "nowhere"))
    result = run_command("eegpt", "doctor")
    assert result.returncode == 1
    assert "EEGPT_DATA" in result.stdout
    assert "to do:" in result.stdout


def test_doctor_reports_the_other_eegprep(tmp_path: Path) -> None:
    """`doctor` reports another distribution called eegprep, where every other command stops."""
    info = tmp_path / "eegprep-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: eegprep\nVersion: 9.9\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    stopped = run("eegpt", "sizes", PYTHONPATH=path)
    assert stopped.returncode == 2
    assert "another distribution" in stopped.stderr
    result = run("eegpt", "doctor", "--json", PYTHONPATH=path)
    assert result.returncode == 1, result.stderr
    (other,) = [f for f in json.loads(result.stdout) if f["name"] == "the other eegprep"]
    assert (other["value"], other["state"]) == ("9.9", "problem")
    assert "pip uninstall eegprep" in other["todo"]


def test_doctor_runs_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv[1:] = ['doctor']; from _eegpt_cli.model import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in result.stderr
    assert "mne" in result.stdout
