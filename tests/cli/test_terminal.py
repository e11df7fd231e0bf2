"""Names and titles are strangers' text: a terminal shows them and obeys none."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from _eegpt_cli import errors, tables

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x9b2J\x7f\u202egnp"


def command(*words: object, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    code = "from _eegpt_cli.prep import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, check=False, cwd=cwd)


def obeyed(output: bytes) -> list[str]:
    text = output.decode("utf-8", "replace")
    return [repr(c) for c in text if (not c.isprintable() and c not in "\n\u00a0") or c == "\u202e"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_printed_text_is_escaped(stream, monkeypatch):
    """Whatever a command prints, also in JSON, which stays JSON; afterwards the streams are as before."""
    written = io.StringIO()
    monkeypatch.setattr(sys, stream, written)

    def app() -> None:
        print(f"name: {HOSTILE}", file=getattr(sys, stream))
        print(json.dumps({"name": HOSTILE}, ensure_ascii=False), file=getattr(sys, stream))

    errors.run(app)
    assert getattr(sys, stream) is written
    assert obeyed(written.getvalue().encode()) == []
    assert json.loads(written.getvalue().splitlines()[1])["name"] == HOSTILE


def test_tables_are_escaped(monkeypatch):
    """Rich draws with escapes of its own, so its texts are cleaned before."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", errors.Escaping(written))
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    tables.console().print(table)
    assert "\\x1b[31mred" in written.getvalue()
    assert obeyed(written.getvalue().encode()) == []


@pytest.mark.parametrize("name", ["a\x1b[31mb.edf", "a\tb.edf", "a\nb.edf", "a\\b.edf", b"a\xffb.edf", "a\u202eb.edf"])
def test_strange_names_are_no_tracebacks(name, tmp_path):
    """Of files that are no recordings, in a folder and on their own."""
    path = tmp_path / "data" / (name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name)
    path.parent.mkdir()
    path.write_bytes(b"0       " + bytes(300))
    for words in (
        ["inspect", path],
        ["inspect", "data"],
        ["inspect", "data", "--json"],
        ["ingest", "data", "--out", "store", "--workers", "0"],
    ):
        done = command(*words, cwd=tmp_path)
        assert done.returncode in (1, 2), done.stderr
        assert b"Traceback" not in done.stderr
        assert obeyed(done.stdout + done.stderr) == []
