"""The parent's side of a worker: start it, send requests, kill it on timeout, report how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any, cast

from eegprep.processes.messages import READY, send
from eegprep.processes.shared import SharedBlock

_CHUNK = 1 << 16


class Late(Exception):
    """A worker did not answer in time and was killed."""


class WorkerProcess:
    """One worker.

    Parameters
    ----------
    target : str
        `module:function`, see `eegprep.processes.worker`.
    shared : SharedBlock, optional
        Memory for samples, shared with the worker.
    inherit : bool
        Whether the worker keeps this process's inheritable files open (the lock of a store).
    """

    def __init__(self, target: str, *, shared: SharedBlock | None = None, inherit: bool = False) -> None:
        arguments = [sys.executable, "-P", "-m", "eegprep.processes.worker", target, str(os.getpid())]
        self._process = subprocess.Popen(
            [*arguments, str(shared.descriptor)] if shared is not None else arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            close_fds=not inherit,
            pass_fds=() if shared is None else (shared.descriptor,),
        )
        self._received = bytearray()
        #: Whether the worker has become ready for requests; if not, its exit is not the fault of a file.
        self.ready = False
        self._ended = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fileno(self) -> int:
        """The descriptor of its answers, for a selector."""
        return cast("Any", self._process.stdout).fileno()  # type: ignore[no-any-return]

    def send(self, request: dict[str, Any]) -> None:
        """Send a request. If the worker has exited, this does nothing and `receive` returns None."""
        with contextlib.suppress(BrokenPipeError):
            send(cast("Any", self._process.stdin), request)

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next answer; None if the worker has exited.

        Parameters
        ----------
        timeout_s : float, optional
            How long to wait; by default without limit.

        Raises
        ------
        Late
            The answer did not arrive in time; the worker was killed.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self.fileno()], [], [], left)[0]:
                self.kill()
                raise Late
            done, answer = self.poll()
            if done:
                return answer

    def poll(self) -> tuple[bool, dict[str, Any] | None]:
        """Read available data: (False, None) while an answer is incomplete, (True, answer), or (True, None) at the end.

        Call it when a selector reports data to read.
        """
        data = os.read(self.fileno(), _CHUNK)
        self._received += data
        while b"\n" in self._received:
            line, _, self._received = self._received.partition(b"\n")
            if (message := json.loads(line)) != READY:
                return True, cast("dict[str, Any]", message)
            self.ready = True
        self._ended = not data
        return self._ended, None

    def ask(self, request: dict[str, Any], timeout_s: float | None = None) -> dict[str, Any] | None:
        """`send`, then `receive`."""
        self.send(request)
        return self.receive(timeout_s)

    def kill(self) -> None:
        """Kill it now; `close` must still be called."""
        self._process.kill()

    def close(self) -> str:
        """End it, close its streams, and return how it ended."""
        if self._ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)  # its own exit code is more informative than that of a kill
        self._process.kill()
        code = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # a request that a dead worker did not read
                    stream.close()
        return (
            f"the process was killed by {_signal_name(-code)}" if code < 0 else f"the process exited with code {code}"
        )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
