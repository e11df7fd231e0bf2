"""The table of OpenNeuro's data sets in the package: no network, no row twice, nothing empty."""

from __future__ import annotations

import json
import re

from typer.testing import CliRunner

from _eegpt_cli.prep import build
from eegprep.remote.openneuro import known_datasets


def test_rows_are_complete_and_unique():
    rows = known_datasets()
    assert len(rows) >= 80
    assert len({r.id for r in rows}) == len(rows)
    for row in rows:
        assert re.fullmatch(r"ds\d{6}", row.id)
        assert row.title == row.title.strip() != ""
        assert row.subjects > 0
        assert row.licence in ("CC0", "unknown")


def test_the_command_filters_by_word():
    printed = CliRunner().invoke(build(), ["datasets", "--openneuro", "face processing", "--json"])
    assert [d["id"] for d in json.loads(printed.output)] == ["ds002718"]
