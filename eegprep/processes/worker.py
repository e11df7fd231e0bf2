"""A worker process: `python -m eegprep.processes.worker MODULE:FUNCTION PARENT [ADDRESS]`.

FUNCTION takes the `SharedBlock` at ADDRESS (or None) and returns the request handler, from dict to dict. The
worker sends READY and answers until its parent exits. Standard output is reserved for the protocol: anything that
readers print, in Python or below, is discarded.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from eegprep.errors import EEGPTError, InputError
from eegprep.privacy import clean_message
from eegprep.processes.limits import MEMORY_VARIABLE, limit_memory, memory_bytes, stop_with_parent
from eegprep.processes.messages import READY, receive, send
from eegprep.processes.shared import SharedBlock

Handler = Callable[[dict[str, Any]], dict[str, Any]]


def as_input_error(error: Exception) -> EEGPTError:
    """An error that may be shown and stored: ours unchanged, of an unexpected one only its class and location."""
    if isinstance(error, EEGPTError):
        return error
    if isinstance(error, MemoryError):
        return InputError(
            "reading the file exceeds the memory limit",
            found=f"more than {memory_bytes() >> 20} MiB",
            todo=f"leave the file out; if it is valid and the machine is larger, set {MEMORY_VARIABLE} (bytes)",
        )
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "eegprep" in f.filename]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return InputError(
        "the reader failed unexpectedly",
        found=f"{clean_message(error)} at {place}",
        todo="report this with the format of the file, but without the file",
    )


def serve(requests: BinaryIO, answers: BinaryIO, handler: Handler) -> None:
    """Answer requests until the other side exits; errors are sent as answers."""
    send(answers, READY)
    while (request := receive(requests)) is not None:
        try:
            answer = handler(request)
        except Exception as error:  # an unexpected error costs one file, not the run
            answer = {"error": as_input_error(error).as_dict()}
        send(answers, answer)


def main() -> None:
    """Set up the process, then serve."""
    target, parent, *rest = sys.argv[1:]
    # Ctrl-C reaches the whole group; the parent decides what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  (stays open until the process exits)
    stop_with_parent(int(parent))
    limit_memory()
    module, _, name = target.partition(":")
    make: Callable[[SharedBlock | None], Handler] = getattr(importlib.import_module(module), name)
    serve(sys.stdin.buffer, answers, make(SharedBlock(rest[0]) if rest else None))


if __name__ == "__main__":
    main()
