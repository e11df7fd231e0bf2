"""How an ingest runs: processes that die, kills, full disks, clusters. The bytes never depend on any of it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eegprep.electrodes import Vocabulary, dump_vocabulary
from eegprep.errors import InputError, UsageError
from eegprep.files import alone
from eegprep.ingest import ingest
from eegprep.ingest.workers import run_in_processes
from eegprep.manifest.schema import Manifest
from eegprep.store import Store, StoredRecordingWriter

TreeBytes = Callable[[Path], dict[str, bytes]]
EegSignal = Callable[[int], np.ndarray]
WriteEdf = Callable[[Path, np.ndarray], None]


@pytest.mark.slow
def test_dead_process_costs_one_recording(
    manifest: Manifest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies or hangs costs one recording."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'eegprep.ingest.job:handler' in ' '.join(sys.orig_argv):\n"
        "    import os, signal, time\n"
        "    import eegprep.ingest.job as job\n"
        "    run = job.run_job\n"
        "    def deadly(one, *rest):\n"
        "        if one.key.startswith('s1/-/1'):\n"
        "            os.kill(os.getpid(), signal.SIGSEGV)\n"
        "        if one.key.startswith('s1/-/2'):\n"
        "            time.sleep(1000)\n"
        "        return run(one, *rest)\n"
        "    job.run_job = deadly\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setattr(
        "eegprep.ingest.workers._patience_s", lambda work: 2.0 if work[0].key.startswith("s1/-/2") else 300.0
    )
    summary = ingest(manifest, folder, tmp_path / "store", workers=2)
    assert list(summary.failed) == ["toy/s1/-/1", "toy/s1/-/2"]
    assert "SIGSEGV" in str(summary.failed["toy/s1/-/1"]["found"])
    assert summary.failed["toy/s1/-/2"]["found"] == "no answer within 2 s"
    assert summary.recordings == 4


@pytest.mark.parametrize("wait_s", [0.9, 1.3, 1.7])
def test_a_kill_at_any_instant_loses_nothing(
    manifest: Manifest, folder: Path, tmp_path: Path, tree_bytes: TreeBytes, wait_s: float
) -> None:
    ingest(manifest, folder, tmp_path / "whole", workers=0)
    script = (
        "import sys; from pathlib import Path; from eegprep.ingest import ingest;"
        "from eegprep.manifest.schema import Manifest;"
        "m = Manifest.model_validate_json(Path(sys.argv[1]).read_text());"
        "ingest(m, Path(sys.argv[2]), Path(sys.argv[3]), workers=2)"
    )
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", script, tmp_path / "manifest.json", folder, out])
    time.sleep(wait_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while True:
        finished = Store(out).ids() if out.exists() else []
        for identity in finished:
            assert Store(out).made_from(identity)
        try:
            summary = ingest(manifest, folder, out, workers=0)
            break
        except UsageError:
            assert time.monotonic() < deadline
    assert summary.done_before >= len(finished)
    assert tree_bytes(out) == tree_bytes(tmp_path / "whole")


def test_workers_hold_the_lock_to_the_last(tmp_path: Path) -> None:
    """Else an orphan of a killed run could begin a file in a store that the next run has tidied."""
    lock = tmp_path / ".lock"
    code = """if True:
        import os, subprocess, sys
        from pathlib import Path
        from eegprep.files import alone
        with alone(Path(sys.argv[1])):
            subprocess.Popen(["sleep", "1"], close_fds=False)
            os.kill(os.getpid(), 9)
        """
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    began = time.monotonic()
    with alone(tmp_path):
        assert 0.5 < time.monotonic() - began < 2
    with alone(tmp_path):  # and nothing but the workers takes it along
        other = lock.open("rb")
        stranger = subprocess.Popen(["sleep", "5"])
    with other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    stranger.kill()
    stranger.wait()


def test_kill_before_any_disk_step_is_safe(
    manifest: Manifest, folder: Path, tmp_path: Path, write_edf: WriteEdf, eeg_signal: EegSignal
) -> None:
    """Also between the parts of taking a copy out, of replacing an older store, and of writing the report."""
    for path in (*folder.glob("s1_*.edf"), *folder.glob("s2_2.edf")):
        path.unlink()
    write_edf(folder / "s2_1.edf", eeg_signal(1))  # a copy of s0_1
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    script = Path(__file__).parents[1] / "support" / "kill_points.py"
    arguments = [tmp_path / "manifest.json", folder, tmp_path, "2"]
    done = subprocess.run([sys.executable, script, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["kills"] > 20


def test_full_disk_leaves_the_old_store(
    manifest: Manifest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk stops the run and leaves the store as it was."""
    append, calls = StoredRecordingWriter.append, 0

    def full(self: StoredRecordingWriter, signal_uv: np.ndarray) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(self, signal_uv)

    monkeypatch.setattr(StoredRecordingWriter, "append", full)
    with pytest.raises(InputError, match="the disk is full"):
        ingest(manifest, folder, tmp_path / "store", workers=0)
    store = Store(tmp_path / "store")
    assert len(store.ids()) == 2
    assert len(list(store.recordings.iterdir())) == 4
    monkeypatch.undo()
    assert ingest(manifest, folder, tmp_path / "store", workers=0).done_before == 2


def test_writer_reports_a_full_disk(tmp_path: Path) -> None:
    """The writer tells of a full disk as such."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    import pyarrow as pa

    with pytest.raises(OSError, match="No space") as caught:
        pa.OSFile("/dev/full", "wb").write(b"x" * (1 << 20))
    assert caught.value.errno == errno.ENOSPC


def test_closed_iterator_ends_the_processes(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    """Closing the iterator ends the processes."""
    from eegprep.ingest.job import Setting
    from eegprep.ingest.plan import make_plan
    from eegprep.manifest import recipe_of
    from eegprep.sources import open_source

    store = Store.create(tmp_path / "store", manifest)
    plan = make_plan(
        open_source(manifest, folder).plan(),
        manifest=manifest,
        recipe=recipe_of(manifest),
        folder=folder,
        store=store,
        vocabulary_digest="",
    )
    setting = Setting(
        manifest_json=manifest.model_dump_json(),
        recipe_json=recipe_of(manifest).model_dump_json(),
        vocabulary_json=dump_vocabulary(Vocabulary.base()),
        folder=str(folder),
        out=str(store.path),
    )
    outcomes = run_in_processes(plan.todo, setting, 2)
    assert next(outcomes).error is None
    outcomes.close()  # type: ignore[attr-defined]
    children = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True).stdout
    assert "eegprep.processes.worker" not in children


def test_failed_worker_start_blames_no_file(
    manifest: Manifest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that cannot start blames no file."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\nif 'eegprep.ingest.job:handler' in ' '.join(sys.orig_argv):\n    import os\n    os._exit(7)\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    with pytest.raises(InputError, match="before its first recording \\(the process exited with code 7\\)"):
        ingest(manifest, folder, tmp_path / "store", workers=2)
    assert not (tmp_path / "store").exists()


def test_a_dask_cluster_gives_the_same_bytes(
    manifest: Manifest, folder: Path, tmp_path: Path, tree_bytes: TreeBytes
) -> None:
    distributed = pytest.importorskip("distributed")
    ingest(manifest, folder, tmp_path / "here", workers=0)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        ingest(manifest, folder, tmp_path / "there", cluster=cluster.scheduler_address)
    assert tree_bytes(tmp_path / "there") == tree_bytes(tmp_path / "here")


def test_slurm_asks_for_one_job_a_worker(
    manifest: Manifest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm is asked for as many jobs as workers."""
    distributed = pytest.importorskip("distributed")
    asked: list[int | str] = []

    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as local:
        fake = types.SimpleNamespace(
            scheduler_address=local.scheduler_address, scale=asked.append, close=lambda: asked.append("closed")
        )
        monkeypatch.setitem(sys.modules, "dask_jobqueue", types.SimpleNamespace(SLURMCluster=lambda: fake))
        assert ingest(manifest, folder, tmp_path / "store", cluster="slurm", workers=3).recordings == 6
    assert asked == [3, "closed"]


def test_a_wrong_cluster_address_is_refused(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(UsageError, match="address of a Dask scheduler"):
        ingest(manifest, folder, tmp_path / "store", cluster="nonsense")
