"""Ingest on a Dask cluster: few jobs at the scheduler, one reading process per worker, and workers that die."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from eegprep.ingest import cluster as on_cluster
from eegprep.ingest import ingest
from eegprep.ingest.outcome import Job
from eegprep.manifest.schema import Manifest
from eegprep.store import Store

distributed = pytest.importorskip("distributed")
TreeBytes = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def threads(monkeypatch):
    """A cluster of two threads in this process."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        yield cluster
    assert not on_cluster._idle


def test_scheduler_holds_a_window_of_jobs(threads, manifest: Manifest, folder: Path, tmp_path, monkeypatch):
    """Jobs are sent while others end, and the settings once."""
    monkeypatch.setattr(on_cluster, "_WINDOW", 1)
    held = []
    ingest(
        manifest, folder, tmp_path / "store", cluster=threads.scheduler_address, workers=2,
        progress=lambda *_: held.append(len(threads.scheduler.tasks)),
    )  # fmt: skip
    assert max(held) < 6  # two jobs and the settings, and what has ended but is not forgotten
    assert len(held) == 7


def test_small_recordings_are_sent_together():
    """In order, none lost, at most so many at once; a large one goes alone."""
    sizes = [10, 10, 10, 1 << 30, 10, 10, 1 << 30, 1 << 30, 10]
    work = [(Job(key=str(i), recording_id=str(i), made_from="", n_bytes=n), None) for i, n in enumerate(sizes)]
    bundles = [[int(job.key) for job, _ in bundle] for bundle in on_cluster._bundles(work, 2)]
    assert bundles == [[0, 1], [2], [3], [4, 5], [6], [7], [8]]
    assert [len(bundle) for bundle in on_cluster._bundles(work, 1)] == [1] * 9


def test_worker_keeps_its_reading_process(threads, manifest: Manifest, folder: Path, tmp_path, monkeypatch):
    """One process per thread reads all recordings, and ends with the run."""
    started = []

    def counted(setting):
        started.append(begin(setting))
        return started[-1]

    begin = on_cluster.start
    monkeypatch.setattr(on_cluster, "start", counted)
    assert ingest(manifest, folder, tmp_path / "store", cluster=threads.scheduler_address).recordings == 6
    assert 1 <= len(started) <= 2
    assert all(worker._process.returncode is not None for worker in started)


def test_crashing_reader_costs_its_recording(threads, manifest: Manifest, folder: Path, tmp_path, monkeypatch):
    """A reading process that dies costs one recording; the worker starts another."""
    ran = on_cluster.run_in

    def deadly(worker, one):
        if one[0].key == "s1/-/2":
            while not worker.ready:  # if it never is, no file is at fault
                worker.poll()
            worker.kill()
        return ran(worker, one)

    monkeypatch.setattr(on_cluster, "run_in", deadly)
    first = ingest(manifest, folder, tmp_path / "store", cluster=threads.scheduler_address)
    assert list(first.failed) == ["toy/s1/-/2"]
    assert "SIGKILL" in str(first.failed["toy/s1/-/2"]["found"])
    assert first.recordings == 5


@pytest.mark.slow
def test_dying_worker_loses_no_recording(manifest: Manifest, folder: Path, tmp_path: Path, tree_bytes: TreeBytes):
    """A worker that is killed costs a retry: the bytes are those of an undisturbed run."""
    ingest(manifest, folder, tmp_path / "whole", workers=0)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        killed = []

        def kill(done: int, *_: object) -> None:
            if done == 2:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        summary = ingest(
            manifest, folder, tmp_path / "store", cluster=cluster.scheduler_address, workers=2, progress=kill
        )
    assert killed
    assert not summary.failed
    assert tree_bytes(tmp_path / "store") == tree_bytes(tmp_path / "whole")


def test_recording_that_vanishes_is_reported(threads, manifest: Manifest, folder: Path, tmp_path):
    """A recording that was stored and removed since is an error, not a smaller store."""

    def remove(done: int, total: int, *rest: object) -> None:
        if done == total:
            Store(tmp_path / "store").remove("toy/s1/-/1")

    summary = ingest(manifest, folder, tmp_path / "store", cluster=threads.scheduler_address, progress=remove)
    assert list(summary.failed) == ["toy/s1/-/1"]
    assert summary.exit_code == 1
