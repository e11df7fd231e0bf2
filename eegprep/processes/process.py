"""The parent's side of a worker: start it, send requests, kill it on timeout, report how it ended.

A thread per worker receives its answers, since no system but POSIX can wait for several pipes at once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from typing import Any, cast

from eegprep.platform import end_tree
from eegprep.processes.messages import READY, receive, send
from eegprep.processes.shared import SharedBlock

#: How long a worker that ended by itself may take to exit: the system frees its memory first, or writes a core file.
_EXIT_S = 60.0


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
    arrived : queue.SimpleQueue, optional
        Receives this object whenever the worker becomes ready, answers or ends.
    """

    def __init__(
        self,
        target: str,
        *,
        shared: SharedBlock | None = None,
        inherit: bool = False,
        arrived: queue.SimpleQueue[WorkerProcess] | None = None,
    ) -> None:
        arguments = [sys.executable, "-P", "-m", "eegprep.processes.worker", target, str(os.getpid())]
        self._process = subprocess.Popen(
            [*arguments, shared.address] if shared is not None else arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            close_fds=not inherit,
            pass_fds=() if shared is None else shared.inherited,
        )
        #: When the worker became ready for requests; if it never did, its exit is not the fault of a file.
        self.ready_at: float | None = None
        self._ended = False
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._arrived = arrived
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it has become ready for requests."""
        return self.ready_at is not None

    def _listen(self) -> None:
        answers = cast("Any", self._process.stdout)
        while True:
            try:
                message = receive(answers)
            except (OSError, ValueError):  # closed, or not a message
                message = None
            self._ended = message is None
            if message == READY:
                self.ready_at = time.monotonic()
            else:
                self._answers.put(message)
            if self._arrived is not None:
                self._arrived.put(self)
            if message is None:
                return

    def send(self, request: dict[str, Any]) -> None:
        """Send a request. If the worker has exited, this does nothing and `receive` returns None."""
        with contextlib.suppress(OSError):
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
        try:
            answer = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self.kill()
            raise Late from None
        if answer is None:
            self._answers.put(None)  # it stays ended
        return answer

    def poll(self) -> tuple[bool, dict[str, Any] | None]:
        """What has arrived: (False, None) for nothing yet, (True, answer), or (True, None) if the worker has exited."""
        if self._answers.empty():
            return False, None
        return True, self.receive()

    def ask(self, request: dict[str, Any], timeout_s: float | None = None) -> dict[str, Any] | None:
        """`send`, then `receive`."""
        self.send(request)
        return self.receive(timeout_s)

    def kill(self) -> None:
        """Kill it and what it started now; `close` must still be called."""
        end_tree(self._process.pid)

    def close(self) -> str:
        """End it, close its streams, and return how it ended."""
        if self._ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_EXIT_S)  # its own exit code, not that of a kill
        exited = self._process.poll() is not None
        self._process.kill()
        code = self._process.wait()
        self._listener.join(timeout=5)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not (stream is self._process.stdout and self._listener.is_alive()):
                with contextlib.suppress(OSError):  # a request that a dead worker did not read
                    stream.close()
        if self._ended and not exited:
            return f"the process ended its answers, but did not exit within {_EXIT_S:g} s"
        return (
            f"the process was killed by {_signal_name(-code)}" if code < 0 else f"the process exited with code {code}"
        )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
