"""Tables on a terminal of 80 columns: no line is longer, and no word is broken."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from _eegpt_cli import progress, tables


def printed(table, width=80):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(tables.fitted(table, width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def table_of(rows, *names, title=None):
    table = tables.plain_table(title)
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


@pytest.mark.parametrize("n_columns", [2, 5, 9, 14])
def test_no_word_is_broken(n_columns):
    """Columns fold at spaces; where they can't, the row's cells stand below each other."""
    words = [f"word{'x' * (3 * i % 17)}{i}" for i in range(n_columns)]
    rows = [[f"{w} and {w}" for w in words] for _ in range(3)]
    lines = printed(table_of(rows, *(f"title{i}" for i in range(n_columns))))
    assert max(map(len, lines)) <= 80
    text = " ".join(lines).replace(",", " ").split()
    for word in words:
        assert word in text


def test_tables_that_fit_stay_tables():
    lines = printed(table_of([["a", "b"], ["c", "d"]], "one", "two"))
    assert [line.split() for line in lines] == [["one", "two"], ["a", "b"], ["c", "d"]]


def test_stacked_rows_name_their_cells():
    """Below each other, each cell has its column's title, and empty cells are left out."""
    rows = [["x" * 60, "y" * 30, ""]]
    lines = printed(table_of(rows, "file", "what", "why"))
    assert lines == ["x" * 60, f"  what: {'y' * 30}"]


@pytest.mark.parametrize("name", ["log_spectrum_by_subject", "teg_band_power", "eegpt_wang", "slow_potentials"])
def test_method_names_leave_room(name):
    """A method's name leaves room for its score, interval and p in 80 columns."""
    from eegpt.evaluation.tables import name_of, plain_table

    cells = ["100.0 ± 10.0", "100.0 to 100.0", "0.000"]
    table = plain_table(["method", "balanced accuracy", "95 % interval", "p"], [[name_of(name), *cells]])
    assert max(map(len, table.splitlines())) <= 80


def test_a_log_gets_a_line_a_minute(monkeypatch, capsys):
    """Without a terminal, progress is one line a minute, and none in the first one."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.bar("ingest") as report:
        for second in range(200):
            now[0] = float(second)
            report(second, 200, second * 1_000_000, 200_000_000, "a" if second else "")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"0:0{m}:00 ingest: {60 * m} of 200 recordings, {60 * m}.0 of 200.0 MB" for m in (1, 2, 3)]


def test_training_tells_a_log_its_step(monkeypatch, capsys, tmp_path):
    """`eegpt train` without a terminal: step, steps and loss, once a minute."""
    from _eegpt_cli import train

    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = train.line_a_minute()
    lines.on_start(tmp_path, {}, step=0, steps=400)
    for step in range(1, 131):
        now[0] = float(step)
        lines.on_step(step, {"loss": 1.5})
    assert capsys.readouterr().err.splitlines() == [
        "0:01:00 train: step 60 of 400, loss 1.5000",
        "0:02:00 train: step 120 of 400, loss 1.5000",
    ]
