"""Run jobs on a Dask cluster: a running scheduler's address, or Slurm through dask-jobqueue.

Workers must see the source's folder and the store under the same paths (a shared file system). The scheduler holds a
few jobs per worker at a time and no data. Each worker runs its jobs in a process that it keeps, so a crashing reader
does not end the worker; the jobs of a worker that dies run again on another.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from eegprep.errors import EEGPTError, InputError, UsageError, install
from eegprep.ingest.job import Setting
from eegprep.ingest.outcome import Outcome
from eegprep.ingest.workers import Work, run_in, start
from eegprep.processes.process import WorkerProcess

#: Bundles of jobs per thread of the cluster that have been sent but have not ended.
_WINDOW = 4
#: Small recordings are sent together, since the cluster spends as much on each bundle as a small recording takes.
_JOBS, _BYTES = 4, 1 << 24
_MISSING = install("cluster")


def run_on_cluster(work: Sequence[Work], setting: Setting, address: str, n_workers: int) -> Iterator[Outcome]:
    """Yield outcomes as they arrive. Closing the iterator cancels the remaining jobs.

    Parameters
    ----------
    address : str
        `tcp://host:port` (or another Dask address), or `slurm`: then `n_workers` jobs are submitted with
        dask-jobqueue's configuration.

    Raises
    ------
    UsageError
        If Dask is not installed or the scheduler cannot be reached.
    """
    client, cluster = _connect(address, n_workers)
    from distributed import as_completed

    run = secrets.token_hex(8)
    threads = max(n_workers, sum(client.nthreads().values()), 1)
    waiting = _bundles(work, min(_JOBS, max(1, len(work) // (threads * _WINDOW))))
    sent = dict[Any, Sequence[Work]]()
    try:
        # A task of its own, so that each worker gets the settings once and a lost copy is made again.
        shared = client.submit(_same, setting, key=f"eegprep-{run}", retries=3)
        arriving = as_completed(with_results=True, raise_errors=False)
        while True:
            room = _WINDOW * max(n_workers, sum(client.nthreads().values())) - len(sent)
            for bundle in itertools.islice(waiting, room):
                future = client.submit(_remote, run, bundle, shared, pure=False)
                sent[future] = bundle
                arriving.add(future)
            if not sent:
                break
            for future, result in arriving.next_batch():
                bundle = sent.pop(future)
                yield from result if isinstance(result, list) else (_lost(one, result) for one in bundle)
    finally:
        with contextlib.suppress(Exception):  # the cluster may be gone
            client.cancel(list(sent))
            client.run(_close, run, on_error="ignore")
        client.close()
        if cluster is not None:
            # All outcomes have arrived, so a slow shutdown of the scheduler does not matter.
            with contextlib.suppress(TimeoutError):
                cluster.close()


def _bundles(work: Sequence[Work], most: int) -> Iterator[Sequence[Work]]:
    """The jobs in order, small ones together, at most `most`."""
    bundle: list[Work] = []
    for one in work:
        if bundle and (len(bundle) == most or sum(job.n_bytes for job, _ in [*bundle, one]) > _BYTES):
            yield bundle
            bundle = []
        bundle.append(one)
    if bundle:
        yield bundle


def _lost(one: Work, error: Any) -> Outcome:
    """The outcome of a job that the cluster could not run; raises what refuses all jobs."""
    error = error[1] if isinstance(error, tuple) else error
    if isinstance(error, EEGPTError):
        raise error
    job, planned = one
    shown = InputError(
        f"the cluster lost {planned.files[0] if planned.files else job.key}",
        found=type(error).__name__,
        todo="see the worker's log; run the same command to try this recording again",
    )
    return Outcome(key=job.key, recording_id=job.recording_id, error=shown.as_dict())


# ---- on the workers

_idle: dict[str, list[WorkerProcess]] = {}
_changing = threading.Lock()


def _same(setting: Setting) -> Setting:
    return setting


def _remote(run: str, bundle: Sequence[Work], setting: Setting) -> list[Outcome]:
    """Run a bundle's jobs one after another in this worker's process for the run."""
    return [_run_one(run, one, setting) for one in bundle]


def _run_one(run: str, one: Work, setting: Setting) -> Outcome:
    with _changing:
        # Processes of a run that could not say goodbye.
        ended = [worker for other in _idle.keys() - {run} for worker in _idle.pop(other)]
        own = _idle.setdefault(run, [])
        worker = own.pop() if own else None
    for other in ended:
        other.close()
    worker = worker or start(setting)
    try:
        outcome, usable = run_in(worker, one)
    except BaseException:
        worker.close()
        raise
    with _changing:
        keep = usable and run in _idle  # the run may have ended meanwhile
        if keep:
            _idle[run].append(worker)
    if usable and not keep:
        worker.close()
    return outcome


def _close(run: str) -> None:
    """End this worker's processes for the run."""
    with _changing:
        ended = _idle.pop(run, [])
    for worker in ended:
        worker.close()


# ---- connection


def _connect(address: str, n_workers: int) -> tuple[Any, Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError("--cluster needs Dask", found=str(error), todo=_MISSING) from None
    cluster = None
    if address == "slurm":
        try:
            from dask_jobqueue import SLURMCluster
        except ImportError as error:
            raise UsageError("--cluster slurm needs dask-jobqueue", found=str(error), todo=_MISSING) from None
        try:
            cluster = SLURMCluster()
        except (ValueError, OSError) as error:
            raise UsageError(
                "Slurm cannot be used",
                found=str(error),
                todo="set cores, memory and queue in ~/.config/dask/jobqueue.yaml (see dask-jobqueue)",
            ) from error
        cluster.scale(n_workers)
    elif "://" not in str(address):
        raise UsageError(
            "--cluster must be the address of a Dask scheduler, or slurm", found=address, expected="tcp://host:port"
        )
    try:
        return Client(address if cluster is None else cluster.scheduler_address, timeout=30), cluster
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler responds at {address}", found=str(error)) from None
