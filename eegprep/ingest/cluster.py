"""Run jobs on a Dask cluster: a running scheduler's address, or Slurm through dask-jobqueue.

Workers must see the source's folder and the store under the same paths (a shared file system). Each job reads its file
in a separate process, so a crashing reader does not end the worker.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from eegprep.errors import InputError, UsageError, install
from eegprep.ingest.job import Setting, run_job
from eegprep.ingest.outcome import Job, Outcome
from eegprep.sources.base import PlannedRecording

_MISSING = install("cluster")


def run_on_cluster(
    work: Sequence[tuple[Job, PlannedRecording]], setting: Setting, address: str, n_workers: int
) -> Iterator[Outcome]:
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

    try:
        futures = {
            client.submit(_remote, job, planned, setting, pure=False, retries=0): (job, planned)
            for job, planned in work
        }
        for future in as_completed(list(futures)):
            job, planned = futures[future]
            error = future.exception()
            if error is None:
                yield future.result()
            else:
                lost = InputError(
                    f"the cluster lost {planned.files[0] if planned.files else job.key}",
                    found=type(error).__name__,
                    todo="see the worker's log; run the same command to try this recording again",
                )
                yield Outcome(key=job.key, recording_id=job.recording_id, error=lost.as_dict())
            future.release()
    finally:
        client.close()
        if cluster is not None:
            # All outcomes have arrived, so a slow shutdown of the scheduler does not matter.
            with contextlib.suppress(TimeoutError):
                cluster.close()


def _remote(job: Job, planned: PlannedRecording, setting: Setting) -> Outcome:
    from pathlib import Path

    from eegprep.processes import isolated_reader

    with isolated_reader(setting.manifest(), Path(setting.folder)) as reader:
        return run_job(job, planned, reader, setting)


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
    elif "://" not in address:
        raise UsageError(
            "--cluster must be the address of a Dask scheduler, or slurm", found=address, expected="tcp://host:port"
        )
    try:
        return Client(address if cluster is None else cluster.scheduler_address, timeout=30), cluster
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler responds at {address}", found=str(error)) from None
