"""Arguments that no command can use: empty ones, names that are too long, options that would be ignored."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import typer

from _eegpt_cli import datasets, errors, export, predict, report, shards, stream


def ended(module, capsys, monkeypatch, *words: object) -> tuple[int, str]:
    """Exit code and errors of a command, run as on a command line."""
    app = typer.Typer()
    app.callback()(lambda: None)
    module.register(app)
    monkeypatch.setattr(sys, "argv", ["eegpt", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        errors.run(app)
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["report", ""], "'' after report"),
        (["report", "store", "--out", ""], "'' after --out"),
        (["report", "store", "--out", " "], "' ' after --out"),
        (["report", "store", "--out="], "'--out='"),
    ],
)
def test_empty_argument_is_refused(words, named, capsys, monkeypatch, tmp_path) -> None:
    """An unset variable of the shell would otherwise be the working folder."""
    monkeypatch.chdir(tmp_path)
    code, text = ended(report, capsys, monkeypatch, *words)
    assert (code, "an empty argument" in text, named in text) == (2, True, True)
    assert not list(tmp_path.parent.glob(f"{tmp_path.name}.*"))


@pytest.mark.skipif(os.name == "nt", reason="another limit")
@pytest.mark.parametrize(
    ("module", "words"),
    [
        (report, ["report", "NAME"]),
        (report, ["report", "STORE", "--out", "NAME"]),
        (shards, ["verify", "NAME"]),
        (shards, ["shard", "NAME", "--out", "out"]),
        (datasets, ["fetch", "NAME"]),
    ],
)
def test_too_long_a_name_is_wrong_usage(module, words, capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = ended(module, capsys, monkeypatch, *({"NAME": "x" * 300}.get(w, w) for w in words))
    assert code == 2
    assert "too long" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("module", "words", "message"),
    [
        (shards, ["verify", "https://host/set", "--rebuild", "store"], "--rebuild compares a set on this machine"),
        (shards, ["shard", "store", "--out", "shards", "--private"], "--private is about an address"),
        (stream, ["stream", "base", "--file", "a.fif", "--unit", "mV"], "--unit is for --lsl"),
        (stream, ["stream", "base", "--lsl", "EEG", "--speed", "2"], "--speed is for --file"),
        (stream, ["stream", "base", "--file", "a.fif", "--speed", "nan"], "invalid --speed"),
        (stream, ["stream", "base", "--file", "a.fif", "--seconds", "-3"], "invalid --seconds"),
    ],
)
def test_no_option_is_ignored(module, words, message, capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = ended(module, capsys, monkeypatch, *words)
    assert code == 2
    assert message in text


@pytest.mark.parametrize(
    ("module", "words", "message"),
    [
        (predict, ["predict", "a.edf", "--model", "nothing", "--out", "x.txt"], "unknown format"),
        (predict, ["predict", "a.edf", "--model", "nothing", "--out", "there.csv"], "already exists"),
        (predict, ["predict", "a.edf", "--model", "nothing", "--out", "folder"], "is a folder"),
        (export, ["export", "nothing", "--out", "there.csv/x.onnx"], "is a file"),
    ],
)
def test_wrong_output_is_found_before_the_work(module, words, message, capsys, monkeypatch, tmp_path: Path) -> None:
    """Here before the missing model."""
    monkeypatch.chdir(tmp_path)
    Path("there.csv").touch()
    Path("folder").mkdir()
    code, text = ended(module, capsys, monkeypatch, *words)
    assert code == 2
    assert message in text
