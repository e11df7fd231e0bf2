"""The README's table of the demo is what the demo prints: the same columns, the same names, one script."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from eegpt.evaluation.baselines import chosen
from eegpt.evaluation.tables import name_of

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("demo_table", DOCS / "demo_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_table_has_all_baselines(script):
    """A row for chance, each baseline of the demo, and our model."""
    table = script.README.read_text("utf-8").split(script.BEGIN)[1].split(script.END)[0]
    shown = {line.split("|")[1].strip().strip("*") for line in table.splitlines() if line.startswith("| ")}
    wanted = {name_of(m) for m in chosen("all") if m != "majority"}
    assert wanted | {"chance", "our model"} <= shown


def test_the_script_replaces_the_table_only(script):
    text = f"before\n{script.BEGIN}old\n{script.END}after\n"
    once = script.with_table(text, "| new |\n")
    assert once == f"before\n{script.BEGIN}\n| new |\n\n{script.END}after\n"
    assert script.with_table(once, "| new |\n") == once
