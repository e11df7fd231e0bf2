"""Drawing and counting are common ground of both sides, and have to stay light."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        (
            "eegprep.report.figures",
            ("torch", "mne", "matplotlib", "pyarrow", "jinja2", "eegprep.store", "eegprep.shards"),
        ),
        ("eegprep.report.contents.from_shards", ("torch", "mne", "matplotlib", "xarray", "eegprep.sources")),
        ("eegprep.report", ("torch", "mne", "matplotlib", "eegpt")),
        ("_eegpt_cli.report", ("numpy", "pyarrow", "jinja2", "eegprep.report")),
    ],
)
def test_report_import_is_light(module: str, absent: tuple[str, ...]) -> None:
    """Importing the report brings in nothing heavy."""
    code = f"import sys, {module}; print([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
