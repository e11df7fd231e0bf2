"""Run Python text as `python -W error -c` would, in a process forked from one that has imported the large packages.

Importing torch, MNE and scikit-learn takes seconds, and every block of the documentation does. Our own packages are
not among what is imported before: each block imports them anew.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import types
import warnings
from pathlib import Path

IMPORTED = [
    "torch", "torch._dynamo", "mne.io", "mne.epochs", "pandas", "pyarrow.parquet", "scipy.signal", "sklearn.pipeline",
    "xarray",
]  # fmt: skip


def run_python(text: str, folder: Path, environment: dict[str, str], printed: Path) -> subprocess.CompletedProcess[str]:
    """Run `text` in `folder`; what it prints is in the file `printed` and in the answer."""
    there_is = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in there_is else "spawn")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=_run, args=(text, folder, environment, printed))
    process.start()
    process.join()
    assert process.exitcode is not None
    return subprocess.CompletedProcess("python", process.exitcode, printed.read_text(encoding="utf-8"), "")


def _run(text: str, folder: Path, environment: dict[str, str], printed: Path) -> None:
    file = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path = ["-c"], ["", *sys.path]
    warnings.simplefilter("error")
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(text, "block", "exec"), main.__dict__)
