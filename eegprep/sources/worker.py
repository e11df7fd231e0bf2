"""The process behind `eegprep.sources.isolated`: reads recordings and answers over its standard streams.

Samples go through shared memory, whose descriptor is the first argument; the parent's id is the second.
Standard output belongs to the protocol alone: what readers print, in Python or below, goes nowhere.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from eegprep.errors import EEGPTError, InputError
from eegprep.sources.base import PlannedRecording, Source, SourceRecording
from eegprep.sources.limits import MEMORY_VARIABLE, limit_memory, memory_bytes, stop_with_parent
from eegprep.sources.privacy import clean_message
from eegprep.sources.shared import SharedBlock
from eegprep.sources.wire import receive, send, to_plain

__all__ = ["serve"]


class _Worker:
    """One source, and the recording that was read last."""

    def __init__(self, shared: SharedBlock) -> None:
        self.shared = shared
        self.source: Source | None = None
        self.planned: dict[str, PlannedRecording] = {}
        self.recording: SourceRecording | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "open":
            from eegprep.manifest.schema import Manifest
            from eegprep.sources.registry import open_source

            self.source = open_source(Manifest.model_validate_json(request["manifest"]), Path(request["folder"]))
            self.planned = {p.key: p for p in self.source.plan()}
            return {}
        if request["op"] == "read":
            self.recording = None
            if self.source is None or request["key"] not in self.planned:
                raise InputError(f"{request['key']} is no longer in the folder", todo="run the command again")
            self.recording = self.source.read(self.planned[request["key"]])
            return {"recording": to_plain(self.recording)}
        if self.recording is None:
            raise InputError("no recording is open")
        self.shared.put(np.asarray(self.recording.signal[:, request["start"] : request["stop"]], dtype=np.float64))
        return {}


def serve(requests: BinaryIO, answers: BinaryIO, shared: SharedBlock) -> None:
    """Answer requests until the other side is gone."""
    worker = _Worker(shared)
    while (request := receive(requests)) is not None:
        try:
            head = worker.answer(request)
        except EEGPTError as error:
            head = {"error": error.as_dict()}
        except MemoryError:
            worker.recording = None
            bound = InputError(
                "reading the file takes more memory than a reader may have",
                found=f"more than {memory_bytes() >> 20} MiB",
                todo=f"leave the file out; where it is honest and the machine is larger, set {MEMORY_VARIABLE} (bytes)",
            )
            head = {"error": bound.as_dict()}
        except Exception as error:  # a reader's surprise costs one file; where it happened is kept
            frames = [f for f in traceback.extract_tb(error.__traceback__) if "eegprep" in f.filename]
            place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
            surprise = InputError(
                "the reader failed in a way that it should not",
                found=f"{clean_message(error)} at {place}",
                todo="report it, with the kind of file but not the file",
            )
            head = {"error": surprise.as_dict()}
        send(answers, head)


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  (lives as long as the process)
    stop_with_parent(int(sys.argv[2]))
    limit_memory()
    serve(sys.stdin.buffer, answers, SharedBlock(int(sys.argv[1])))
