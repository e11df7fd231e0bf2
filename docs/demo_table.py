"""Bring the demo's table in the README up to date: `python docs/demo_table.py demo/sample`."""

from __future__ import annotations

import sys
from pathlib import Path

from eegprep.files import write_atomic
from eegpt.evaluation.results import read_results
from eegpt.evaluation.tables import results_markdown

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- demo table: begin -->\n", "<!-- demo table: end -->\n"


def with_table(text: str, table: str) -> str:
    """The page with the table between its two marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n" + table + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    results = read_results(Path(sys.argv[1]) / "model")
    write_atomic(README, with_table(README.read_text("utf-8"), results_markdown(results)))
