"""How a worker ended is told as it was: its own exit code or signal, not that of the kill that makes sure."""

from __future__ import annotations

import queue
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from eegprep.processes.process import WorkerProcess

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers can import the tests' own handlers."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"code": 7, "takes_s": 0}, "the process exited with code 7"),
        ({"code": 7, "takes_s": 6}, "the process exited with code 7"),
        ({"signal": signal.SIGSEGV}, "the process was killed by SIGSEGV"),
        ({"signal": signal.SIGKILL}, "the process was killed by SIGKILL"),
    ],
)
def test_own_exit_code_is_reported(request_: dict[str, Any], expected: str) -> None:
    """Also if it exits slowly, and although its listener may still run when the end is noticed."""
    arrived: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()
    worker = WorkerProcess("support.exits:exiting", arrived=arrived)
    worker.send(request_)
    assert worker.receive(60) is None
    assert worker.close() == expected


def test_listener_does_not_hide_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that received the end may still be alive when the end is acted on."""
    arrived: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()

    class Slow:
        def put(self, worker: WorkerProcess) -> None:
            arrived.put(worker)
            time.sleep(0.5 if worker._ended else 0)

    worker = WorkerProcess("support.exits:exiting", arrived=Slow())  # type: ignore[arg-type]
    worker.send({"code": 7, "takes_s": 0.2})
    while not worker.poll()[0]:
        arrived.get(timeout=60)
    assert worker.close() == "the process exited with code 7"
