"""The table of sizes against the paper's published parameter counts."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from eegprep.errors import UsageError
from eegpt.model.sizes import SIZES, parameters, size


@pytest.mark.parametrize("name", ["base", "large", "huge", "giant"])
def test_parameters_match_published(name):
    """Parameters are within one percent of the published."""
    published = {"base": 1.46e6, "large": 11.29e6, "huge": 183.8e6, "giant": 1.09e9}[name]
    counts = parameters(name)
    assert counts["total"] == counts["ete"] + counts["teg"] + counts["heads"]
    assert abs(counts["total"] / published - 1) < 0.01


def test_an_unknown_size_names_the_nearest():
    with pytest.raises(UsageError, match="unknown size 'bsae'") as caught:
        size("bsae")
    assert "base" in str(caught.value.todo)


def test_sizes_command_prints_json():
    """Sizes command prints the same numbers as JSON."""
    import typer

    from _eegpt_cli import sizes as command

    app = typer.Typer()
    command.register(app)
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [r["size"] for r in rows] == list(SIZES)
    assert rows[0]["parameters_total"] == parameters("base")["total"]
