"""A step under torch.compile, in a process of its own: what it brings in clashes with the test runner's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# inductor traces as aot_eager does, then builds the kernels
BACKEND = "aot_eager" if shutil.which("g++") is None else "inductor"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_compiled_step_is_one_graph():
    """A step that writes into views, which no graph holds, would cut each layer into pieces that nobody fuses."""
    script = Path(__file__).parents[1] / "support" / "compiled_step.py"
    done = subprocess.run(
        [sys.executable, "-B", str(script), BACKEND], capture_output=True, text=True, timeout=800, check=False,
        env={**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1"},  # more are processes that import torch themselves
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.strip() == "equal"
