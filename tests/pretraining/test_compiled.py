"""A step under torch.compile, in a process of its own: what it brings in clashes with the test runner's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NO_COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++, which builds the kernels")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=NO_COMPILER)])
def test_compiled_step_is_one_graph(backend):
    """A step that writes into views, which no graph holds, would cut each layer into pieces that nobody fuses."""
    script = Path(__file__).parents[1] / "support" / "compiled_step.py"
    done = subprocess.run(
        [sys.executable, "-B", str(script), backend], capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.strip() == "equal"
