"""Commands run in this process: a process of their own costs a second or more of imports, and checks no more."""

from __future__ import annotations

import contextlib
import functools
import io
import subprocess
import sys
from pathlib import Path
from unittest import mock

import typer

from _eegpt_cli import errors, model, prep

MODULES = {"eegprep": prep, "eegpt": model}


@functools.cache
def app_of(command: str) -> typer.Typer:
    """The app of `eegprep` or `eegpt`, with every command."""
    return MODULES[command].build()


def run_command(command: str, *words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `eegprep` or `eegpt` as typed: its exit code and what it printed. An unexpected error is raised."""
    arguments = [command, *map(str, words)]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, "argv", arguments))
        stack.enter_context(contextlib.chdir(cwd or Path.cwd()))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        try:
            errors.run(app_of(command))
        except SystemExit as ended:
            code = ended.code
    printed, told = (stream.buffer.getvalue().decode("utf-8") for stream in (out, err))
    return subprocess.CompletedProcess(arguments, int(code or 0), printed, told)
