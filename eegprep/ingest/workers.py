"""Jobs on this machine: N processes, each with one job at a time. A process that dies costs its file, not the run.

Processes are started anew, not forked (readers start threads), and speak in lines of JSON over their standard streams.
A job that gives no answer for far longer than its size can explain is ended. They watch their parent: when it is
killed they stop, so that no orphan goes on writing into a store that the next run has taken over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

from eegprep.errors import InputError
from eegprep.ingest.job import Setting, run_job
from eegprep.ingest.lines import READY, receive, send
from eegprep.ingest.outcome import Job, Outcome
from eegprep.sources.base import PlannedRecording

__all__ = ["run_here", "run_in_processes"]

Work = tuple[Job, PlannedRecording]

# A reader that hangs must not hold up the run: so long, or so many seconds a megabyte, whatever is more.
TIMEOUT_S = 900.0
TIMEOUT_S_PER_MB = 5.0


def run_here(work: Sequence[Work], setting: Setting) -> Iterator[Outcome]:
    """All jobs in this process, one after another: for tests and for debugging a reader."""
    from eegprep.sources import open_source

    source = open_source(setting.manifest(), Path(setting.folder))
    source.plan()  # some readers learn here which files belong together
    for job, planned in work:
        yield run_job(job, planned, source, setting)


def run_in_processes(work: Sequence[Work], setting: Setting, n_workers: int) -> Iterator[Outcome]:
    """Outcomes as they come, from `n_workers` processes. Closing the iterator ends the processes."""
    waiting = list(reversed(work))
    busy: dict[subprocess.Popen[bytes], Work] = {}
    begun: dict[subprocess.Popen[bytes], float] = {}
    able: set[subprocess.Popen[bytes]] = set()
    idle: list[subprocess.Popen[bytes]] = []
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or busy:
                while waiting and len(busy) < n_workers:
                    process = idle.pop() if idle else _start(setting)
                    one = waiting.pop()
                    busy[process] = one
                    selector.register(_streams(process)[1], selectors.EVENT_READ, process)
                    begun[process] = time.monotonic()
                    _ask(process, dataclasses.asdict(one[0]))
                late = {p for p, w in busy.items() if time.monotonic() - begun[p] > _patience_s(w)}
                for process in late:
                    process.kill()
                for ready, _ in selector.select(timeout=1.0):
                    process = ready.data
                    answer = receive(_streams(process)[1])
                    if answer == READY:
                        able.add(process)
                        begun[process] = time.monotonic()
                        continue  # its first outcome comes later; nobody waits for it alone
                    selector.unregister(ready.fileobj)
                    one = busy.pop(process)
                    if answer is not None:
                        idle.append(process)
                        yield Outcome(**answer)
                    elif process in able or process in late:
                        yield _crashed(one, process, late=process in late)
                    else:
                        raise _unable(process)
        finally:
            for process in (*idle, *busy):
                _end(process)


def _start(setting: Setting) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "eegprep.ingest.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        close_fds=False,  # the store's lock (`guard.alone`) is theirs too
    )
    _ask(process, {"setting": dataclasses.asdict(setting), "parent": os.getpid()})
    return process


def _streams(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """What the process reads from and what it writes to; the latter without a buffer of ours.

    Two lines can come at once. One that waited in a buffer would not make the pipe ready, and nobody would fetch it.
    """
    return cast("IO[bytes]", process.stdin), cast("IO[bytes]", cast("io.BufferedReader", process.stdout).raw)


def _ask(process: subprocess.Popen[bytes], request: dict[str, object]) -> None:
    try:
        send(_streams(process)[0], request)
    except BrokenPipeError:
        return  # it died: its answer, which never comes, says so


def _end(process: subprocess.Popen[bytes]) -> int:
    process.kill()
    code = process.wait()
    for stream in _streams(process):
        with contextlib.suppress(BrokenPipeError):  # what was still to be sent has no reader any more
            stream.close()
    return code


def _unable(process: subprocess.Popen[bytes]) -> RuntimeError:
    """No file is to blame for a worker that never got ready: say so instead of setting all files aside."""
    code = _end(process)
    return RuntimeError(
        f"a worker process ended before its first recording (code {code}); to see why: "
        f"{sys.executable} -c 'import eegprep.ingest.worker', or --workers 0"
    )


def _patience_s(work: Work) -> float:
    return max(TIMEOUT_S, TIMEOUT_S_PER_MB * work[0].n_bytes / 1e6)


def _crashed(work: Work, process: subprocess.Popen[bytes], *, late: bool) -> Outcome:
    job, planned = work
    try:
        code = process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        code = 0
    _end(process)
    found = f"the process ended with code {code}"
    if late:
        found = f"no answer within {_patience_s(work):.0f} s"
    elif code < 0:
        found = f"the process was ended by {signal.Signals(-code).name}"
    error = InputError(
        f"reading or standardising {planned.files[0] if planned.files else job.key} ended its process",
        found=found,
        expected="a file that the reader of its format can take, and memory enough for it",
        todo="leave the file out, or try it alone: eegprep inspect",
    )
    return Outcome(key=job.key, recording_id=job.recording_id, error=error.as_dict())
