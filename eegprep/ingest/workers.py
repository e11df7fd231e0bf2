"""Run jobs on this machine in N processes. A crash costs one file, not the run.

A job that takes far too long for its size is killed. Workers exit when their parent dies, so that no orphan writes
into a store that the next run uses.
"""

from __future__ import annotations

import dataclasses
import selectors
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from eegprep.errors import InputError
from eegprep.ingest.job import Setting, run_job
from eegprep.ingest.outcome import Job, Outcome
from eegprep.processes.messages import planned_to_plain
from eegprep.processes.process import WorkerProcess
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
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or busy:
                while waiting and len(busy) < n_workers:
                    worker = idle.pop() if idle else _start(setting)
                    busy[worker] = job, planned = waiting.pop()
                    begun[worker] = time.monotonic()
                    selector.register(worker, selectors.EVENT_READ)
                    worker.send({"job": dataclasses.asdict(job), "planned": planned_to_plain(planned)})
                late = {w for w, one in busy.items() if time.monotonic() - begun[w] > _patience_s(one)}
                for worker in late:
                    worker.kill()
                for key, _ in selector.select(timeout=1.0):
                    worker = key.fileobj  # type: ignore[assignment]
                    was_ready = worker.ready
                    done, answer = worker.poll()
                    if worker.ready and not was_ready:
                        begun[worker] = time.monotonic()
                    if not done:
                        continue
                    selector.unregister(worker)
                    one = busy.pop(worker)
                    if answer is not None:
                        idle.append(worker)
                        if set(answer) == {"error"}:  # an error in the setting, not in a job
                            raise as_error(answer["error"])
                        yield Outcome(**answer)
                        continue
                    how = worker.close()
                    if worker in late:
                        how = f"no answer within {_patience_s(one):.0f} s"
                    elif not worker.ready:
                        raise _unable(how)
                    yield _crashed(one, how)
        finally:
            for worker in (*idle, *busy):
                worker.close()


def _start(setting: Setting) -> WorkerProcess:
    worker = WorkerProcess("eegprep.ingest.job:handler", inherit=True)  # they share the store's lock (`guard.alone`)
    worker.send({"setting": dataclasses.asdict(setting)})
    return worker


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
