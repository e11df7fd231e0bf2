"""Names and titles are strangers' text: a terminal shows them and obeys none."""

from __future__ import annotations

import io
import json
import sys

import pytest
from rich.table import Table
from support.commands import run_command

from _eegpt_cli import errors, tables

HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x9b2J\x7f\u202egnp"


def obeyed(text: str) -> list[str]:
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
    assert obeyed(written.getvalue()) == []
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
    assert obeyed(written.getvalue()) == []


@pytest.mark.parametrize("name", ["a\x1b[31mb.edf", "a\tb.edf", "a\nb.edf", "a\\b.edf", b"a\xffb.edf", "a\u202eb.edf"])
def test_strange_names_are_no_tracebacks(name, tmp_path):
    """Of files that are no recordings, in a folder and on their own, read here and in a worker."""
    path = tmp_path / "data" / (name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name)
    path.parent.mkdir()
    path.write_bytes(b"0       " + bytes(300))
    for words in (
        ["inspect", path, "--workers", "0"],
        ["inspect", "data"],
        ["inspect", "data", "--json", "--workers", "0"],
        ["ingest", "data", "--out", "store", "--workers", "0"],
    ):
        done = run_command("eegprep", *words, cwd=tmp_path)
        assert done.returncode in (1, 2), done.stderr
        assert "Traceback" not in done.stderr
        assert obeyed(done.stdout + done.stderr) == []
