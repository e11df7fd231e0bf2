"""Read recordings in a separate process: a crash, a hang or running out of memory costs one file, not the run.

The `SourceRecording`s are those that the source itself returns. One worker reads many recordings and is restarted
after a crash. Signals of up to 64 MiB are transferred at once; longer ones are fetched from the worker when they
are indexed, until the next recording is read.

    with isolated_reader(manifest, folder) as reader:
        for planned in source.plan():
            recording = reader.read(planned)
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from eegprep import errors
from eegprep.errors import EEGPTError, InputError
from eegprep.formats.decoded import LazySignal, SignalLike
from eegprep.manifest.schema import Manifest
from eegprep.processes.messages import from_plain, planned_from_plain, planned_to_plain, to_plain
from eegprep.processes.process import Late, WorkerProcess
from eegprep.processes.shared import SharedBlock
from eegprep.processes.worker import Handler
from eegprep.sources.base import PlannedRecording, Source, SourceRecording

# Signals up to this size are fetched at once; longer ones in parts.
WHOLE_BYTES = 64 << 20
PART_BYTES = 16 << 20


def isolated_reader(manifest: Manifest, folder: Path, *, timeout_s: float = 900.0) -> IsolatedReader:
    """A reader for one data set; use it as a context manager, one thread at a time.

    `timeout_s` limits each answer of the worker (opening a file, a part of its signal).
    """
    return IsolatedReader(manifest, folder, timeout_s=timeout_s)


class IsolatedReader:
    """See `isolated_reader`."""

    def __init__(self, manifest: Manifest, folder: Path, *, timeout_s: float) -> None:
        self._opening = {"op": "open", "manifest": manifest.model_dump_json(), "folder": str(Path(folder).absolute())}
        self._folder = Path(folder)
        self._timeout_s = timeout_s
        self._worker: WorkerProcess | None = None
        self._shared: SharedBlock
        self._generation = 0

    def __enter__(self) -> IsolatedReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        self._end()

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Read one recording in the worker.

        Raises
        ------
        InputError
            The source's own error, or the worker crashed, hung or failed on this file.
        """
        self._generation += 1
        what = planned.files[0] if planned.files else planned.key
        if self._worker is None:
            self._shared = SharedBlock()
            self._worker = WorkerProcess("eegprep.processes.reader:handler", shared=self._shared)
            self._ask(self._opening, what)
        head = self._ask({"op": "read", "planned": planned_to_plain(planned)}, what)
        n_rows, n_samples = (int(n) for n in head["recording"]["shape"])
        generation = self._generation

        def fetch(start: int, stop: int) -> np.ndarray:
            if generation != self._generation:
                raise RuntimeError(
                    "the signal of an earlier recording is no longer available: read it before the next recording"
                )
            block = np.empty((n_rows, stop - start))
            step = max(1, PART_BYTES // (8 * n_rows))
            for a in range(start, stop, step):
                b = min(a + step, stop)
                self._ask({"op": "samples", "start": a, "stop": b}, what)
                self._shared.take(block[:, a - start : b - start])
            return block

        whole: SignalLike = LazySignal(n_rows, n_samples, fetch)
        if n_rows * n_samples * 8 <= WHOLE_BYTES:
            whole = np.array(whole)
        return from_plain(head["recording"], whole)

    def _end(self) -> str:
        self._generation += 1
        worker, self._worker = self._worker, None
        if worker is None:
            return ""
        how = worker.close()
        self._shared.close()
        return how

    def _ask(self, request: dict[str, Any], what: str) -> dict[str, Any]:
        if self._worker is None:
            raise RuntimeError("the worker is closed")
        try:
            answer = self._worker.ask(request, self._timeout_s)
        except Late:
            self._end()
            raise self._lost(what, f"no answer within {self._timeout_s:g} s") from None
        if answer is None:
            raise self._lost(what, self._end())
        if "error" in answer:
            raise as_error(answer["error"])
        return answer

    def _lost(self, what: str, found: str) -> InputError:
        return InputError(
            f"reading {what} crashed the reader",
            where=self._folder / what,
            found=found,
            expected="a valid file",
            todo="the file is damaged or in another format than it claims; leave it out",
        )


def as_error(data: dict[str, str | None]) -> EEGPTError:
    """The inverse of `EEGPTError.as_dict`, with the original class."""
    kind = {c.__name__: c for c in (errors.InputError, errors.UsageError, errors.RefusedError)}.get(
        str(data["error"]), InputError
    )
    return kind(
        data["what"] or "a recording failed",
        where=data["where"],
        found=data["found"],
        expected=data["expected"],
        todo=data["todo"],
    )


def handler(shared: SharedBlock | None) -> Handler:
    """Request handler of the worker: `open` a source, `read` a planned recording, return `samples` of it."""
    source: Source | None = None
    recording: SourceRecording | None = None

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal source, recording
        if request["op"] == "open":
            from eegprep.sources.registry import open_source

            source = open_source(Manifest.model_validate_json(request["manifest"]), Path(request["folder"]))
            return {}
        if request["op"] == "read":
            recording = None
            if source is None:
                raise InputError("no source has been opened")
            recording = source.read(planned_from_plain(request["planned"]))
            return {"recording": to_plain(recording)}
        if recording is None or shared is None:
            raise InputError("no recording has been opened")
        shared.put(np.asarray(recording.signal[:, request["start"] : request["stop"]], dtype=np.float64))
        return {}

    return answer
