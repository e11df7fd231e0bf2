"""Run jobs on this machine in N processes. A crash costs one file, not the run.

A job that takes far too long for its size is killed. Workers exit when their parent dies, so that no orphan writes
into a store that the next run uses.
"""

from __future__ import annotations

import dataclasses
import queue
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from eegprep.errors import InputError
from eegprep.ingest.job import Setting, run_job
from eegprep.ingest.outcome import Job, Outcome
from eegprep.processes.messages import planned_to_plain
from eegprep.processes.process import Late, WorkerProcess
from eegprep.processes.reader import as_error
from eegprep.sources.base import PlannedRecording

Work = tuple[Job, PlannedRecording]

# Timeout for a reader that hangs: the larger of a constant and a time per megabyte.
TIMEOUT_S = 900.0
TIMEOUT_S_PER_MB = 5.0


def run_here(work: Sequence[Work], setting: Setting) -> Iterator[Outcome]:
    """Run all jobs in this process, one after another, for tests and to debug a reader."""
    from eegprep.sources import open_source

    source = open_source(setting.manifest(), Path(setting.folder))
    for job, planned in work:
        yield run_job(job, planned, source, setting)


def run_in_processes(work: Sequence[Work], setting: Setting, n_workers: int) -> Iterator[Outcome]:
    """Yield outcomes from `n_workers` processes as they arrive. Closing the iterator ends the processes."""
    waiting = list(reversed(work))
    busy: dict[WorkerProcess, Work] = {}
    begun: dict[WorkerProcess, float] = {}
    idle: list[WorkerProcess] = []
    late: set[WorkerProcess] = set()
    arrived: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()
    try:
        while waiting or busy:
            while waiting and len(busy) < n_workers:
                worker = idle.pop() if idle else start(setting, inherit=True, arrived=arrived)  # for the store's lock
                busy[worker] = one = waiting.pop()
                begun[worker] = time.monotonic()
                worker.send(_request(one))
            for worker, one in busy.items():
                if time.monotonic() - max(begun[worker], worker.ready_at or 0.0) > _patience_s(one):
                    late.add(worker)
                    worker.kill()
            try:
                worker = arrived.get(timeout=1.0)
            except queue.Empty:
                continue
            done, answer = worker.poll() if worker in busy else (False, None)
            if not done:
                continue
            one = busy.pop(worker)
            if answer is not None:
                idle.append(worker)
                yield _outcome(answer)
            else:
                yield _ended(worker, one, late=worker in late)
    finally:
        for worker in (*idle, *busy):
            worker.close()


def start(
    setting: Setting, *, inherit: bool = False, arrived: queue.SimpleQueue[WorkerProcess] | None = None
) -> WorkerProcess:
    """A process for jobs of this run."""
    worker = WorkerProcess("eegprep.ingest.job:handler", inherit=inherit, arrived=arrived)
    worker.send({"setting": dataclasses.asdict(setting)})
    return worker


def run_in(worker: WorkerProcess, one: Work) -> tuple[Outcome, bool]:
    """Run a job in a process, and tell whether the process can run another."""
    worker.send(_request(one))
    try:
        answer, late = worker.receive(_patience_s(one)), False
    except Late:
        answer, late = None, True
    if answer is None:
        return _ended(worker, one, late=late), False
    return _outcome(answer), True


def _request(one: Work) -> dict[str, Any]:
    return {"job": dataclasses.asdict(one[0]), "planned": planned_to_plain(one[1])}


def _outcome(answer: dict[str, Any]) -> Outcome:
    if set(answer) == {"error"}:  # an error in the setting, not in a job
        raise as_error(answer["error"])
    return Outcome(**answer)


def _ended(worker: WorkerProcess, one: Work, *, late: bool) -> Outcome:
    """The outcome of a job whose process ended or was killed because it was late."""
    how = worker.close()
    if late:
        how = f"no answer within {_patience_s(one):.0f} s"
    elif not worker.ready:
        raise _unable(how)
    return _crashed(one, how)


def _unable(how: str) -> InputError:
    """The error for a worker that never became ready: no file is at fault, so none is quarantined."""
    return InputError(
        f"a worker process ended before its first recording ({how})",
        todo=f"run the same command again; to see why it ended: {sys.executable} -c 'import eegprep.ingest.job', "
        "or --workers 0",
    )


def _patience_s(work: Work) -> float:
    return max(TIMEOUT_S, TIMEOUT_S_PER_MB * work[0].n_bytes / 1e6)


def _crashed(work: Work, found: str) -> Outcome:
    job, planned = work
    error = InputError(
        f"reading or standardising {planned.files[0] if planned.files else job.key} crashed its process",
        found=found,
        expected="a valid file, and enough memory to read it",
        todo="leave the file out, or try it alone: eegprep inspect",
    )
    return Outcome(key=job.key, recording_id=job.recording_id, error=error.as_dict())
