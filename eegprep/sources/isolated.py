"""Reading in a process of its own: a reader that crashes, hangs or eats all memory costs one file, not the run.

What enters: a manifest, its folder and planned recordings. What leaves: the same `SourceRecording`s that the source
itself gives. One worker process serves many recordings and is started anew after a crash. Signals of up to 64 MiB
come whole; longer ones are fetched from the worker as they are indexed, until the next recording is read.

    with isolated_reader(manifest, folder) as reader:
        for planned in source.plan():
            recording = reader.read(planned)
"""

from __future__ import annotations

import contextlib
import os
import signal as signals
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from eegprep import errors
from eegprep.errors import EEGPTError, InputError
from eegprep.manifest.schema import Manifest
from eegprep.sources.base import LazySignal, PlannedRecording, SignalLike, SourceRecording
from eegprep.sources.shared import SharedBlock
from eegprep.sources.wire import from_plain, receive, send

__all__ = ["IsolatedReader", "isolated_reader"]

#: A signal of up to this size is fetched at once.
WHOLE_BYTES = 64 << 20
#: Longer ones pass in parts of this size.
PART_BYTES = 16 << 20


def isolated_reader(manifest: Manifest, folder: Path, *, timeout_s: float = 900.0) -> IsolatedReader:
    """A reader for one data set; use it as a context manager, one thread at a time.

    `timeout_s` bounds every single answer of the worker (opening a file, a part of its signal).
    """
    return IsolatedReader(manifest, folder, timeout_s=timeout_s)


class IsolatedReader:
    """See `isolated_reader`."""

    def __init__(self, manifest: Manifest, folder: Path, *, timeout_s: float) -> None:
        self._opening = {"op": "open", "manifest": manifest.model_dump_json(), "folder": str(Path(folder).absolute())}
        self._folder = Path(folder)
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
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
        self._generation += 1
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # a request that a dead worker did not take
                    stream.close()
        process.wait()
        self._shared.close()

    def read(self, planned: PlannedRecording) -> SourceRecording:
        """Read one recording in the worker.

        Raises
        ------
        InputError
            What the source itself raises, and where the worker crashed, hung or failed on this file.
        """
        self._generation += 1
        what = planned.files[0] if planned.files else planned.key
        if self._process is None:
            self._shared = SharedBlock()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "eegprep.sources.worker", str(self._shared.descriptor), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(self._shared.descriptor,),
            )
            self._ask(self._opening, what)
        head = self._ask({"op": "read", "key": planned.key}, what)
        shape = (int(head["recording"]["shape"][0]), int(head["recording"]["shape"][1]))
        generation = self._generation

        def fetch(start: int, stop: int) -> np.ndarray:
            if generation != self._generation:
                raise RuntimeError("the signal of an earlier recording is gone: read it before the next recording")
            block = np.empty((shape[0], stop - start))
            step = max(1, PART_BYTES // (8 * shape[0]))
            for a in range(start, stop, step):
                b = min(a + step, stop)
                self._ask({"op": "samples", "start": a, "stop": b}, what)
                self._shared.take(block[:, a - start : b - start])
            return block

        whole: SignalLike = LazySignal(shape[0], shape[1], fetch)
        if shape[0] * shape[1] * 8 <= WHOLE_BYTES:
            whole = np.array(whole)
        return from_plain(head["recording"], whole)

    def _ask(self, request: dict[str, Any], what: str) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("the worker is closed")
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._timeout_s, end)
        timer.daemon = True
        timer.start()
        try:
            try:
                send(process.stdin, request)
                answer = receive(process.stdout)
            except BrokenPipeError:
                answer = None
        finally:
            timer.cancel()
        if answer is None:
            raise self._lost(process, what, late.is_set())
        if "error" in answer:
            raise _rebuilt(answer["error"])
        return answer

    def _lost(self, process: subprocess.Popen[bytes], what: str, late: bool) -> InputError:
        self.close()
        code = process.returncode
        if late:
            found = f"no answer within {self._timeout_s:g} s"
        elif code < 0:
            found = f"the process was ended by {_signal_name(-code)}"
        else:
            found = f"the process ended with code {code}"
        return InputError(
            f"reading {what} crashed the reader",
            where=self._folder / what,
            found=found,
            expected="a file that the reader of its format can take",
            todo="the file is damaged or of another format than it says; leave it out",
        )


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _rebuilt(data: dict[str, Any]) -> EEGPTError:
    """The error that the worker sent, as its own class."""
    kind = {c.__name__: c for c in (errors.InputError, errors.UsageError, errors.RefusedError)}.get(
        str(data["error"]), InputError
    )
    return kind(data["what"], where=data["where"], found=data["found"], expected=data["expected"], todo=data["todo"])
