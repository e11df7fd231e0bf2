"""Ingest as a whole: what goes in is accounted for, what fails is set aside, equal inputs give equal bytes."""

from __future__ import annotations

import dataclasses
import errno
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
from eegprep.ingest import ingest
from eegprep.ingest.workers import run_in_processes
from eegprep.manifest import load_recipe
from eegprep.manifest.schema import Manifest
from eegprep.store import Store, StoredRecordingWriter

TreeBytes = Callable[[Path], dict[str, bytes]]
EegSignal = Callable[[int], np.ndarray]
WriteEdf = Callable[[Path, np.ndarray], None]
SECONDS = 24


def test_every_channel_second_and_trial_is_accounted_for(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    summary = ingest(manifest, folder, tmp_path / "store", workers=0)
    assert summary.exit_code == 0
    assert (summary.recordings, summary.subjects, summary.electrodes) == (6, 3, 3)
    assert summary.trials == {"hand": 12, "state": 30, "who": 6}
    store = Store.open(tmp_path / "store")
    info = store.info("toy/s1/-/2")
    assert info.electrodes == ("C3", "Cz", "C4")
    assert info.references == ("M1", "M1", "M1") or info.references == ("A1", "A1", "A1")
    assert info.n_samples == SECONDS * 256
    assert info.line_freq_hz == 50
    assert info.attributes["group"] == "b"
    assert {x.name: x.code for x in info.left_out if x.kind == "channel"} == {
        "ECG": "ecg",
        "Foo9": "manifest_left_out",
    }
    hand = [t for t in info.trials if t.task == "hand"]
    assert [(t.start_sample, t.n_samples, t.label, t.event) for t in hand] == [
        (int(3.5 * 256), 512, "left", "T1"),
        (int(9.5 * 256), 512, "right", "T2"),
    ]
    assert [x.code for x in info.left_out if x.kind == "trial"] == ["outside_stretch"]
    assert {t.label for t in info.trials if t.task == "who"} == {"b"}
    assert len(info.sigma_uv) == 3
    assert min(info.sigma_uv) > 1
    for row, electrode in enumerate(info.electrodes):
        found = store.electrode_uv(info, electrode)
        assert np.isfinite(found).all()
        assert info.sigma_uv[row] == pytest.approx(1.4826 * np.median(np.abs(found - np.median(found))), rel=1e-3)


def test_bytes_depend_neither_on_workers_nor_on_interruptions(
    manifest: Manifest, folder: Path, tmp_path: Path, tree_bytes: TreeBytes
) -> None:
    ingest(manifest, folder, tmp_path / "a", workers=0)
    ingest(manifest, folder, tmp_path / "b", workers=2)
    expected = tree_bytes(tmp_path / "a")
    assert set(expected) > {"manifest.yaml", "lock.yaml", "report.json", "recordings/toy+s0+-+1.arrow"}
    assert tree_bytes(tmp_path / "b") == expected
    Store(tmp_path / "b").remove("toy/s1/-/1")
    (tmp_path / "b" / "recordings" / "toy+s1+-+1.arrow.0.part").write_bytes(b"half")
    (tmp_path / "b" / "recordings" / "toy+s2+-+1.json").unlink()
    assert ingest(manifest, folder, tmp_path / "b", workers=1).done_before == 4
    assert tree_bytes(tmp_path / "b") == expected
    assert str(folder) not in "".join(b.decode("latin-1") for b in expected.values())


def test_workers_without_a_recording_help_with_the_one_there_is(
    manifest: Manifest, folder: Path, tmp_path: Path, tree_bytes: TreeBytes
) -> None:
    for path in folder.glob("s*_*.edf"):
        if path.name != "s1_1.edf":
            path.unlink()
    ingest(manifest, folder, tmp_path / "alone", workers=1)
    ingest(manifest, folder, tmp_path / "helped", workers=3)
    assert tree_bytes(tmp_path / "alone") == tree_bytes(tmp_path / "helped")


def test_finished_recordings_are_not_made_again(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    ingest(manifest, folder, tmp_path / "store", workers=0)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "store" / "recordings").iterdir()}
    assert ingest(manifest, folder, tmp_path / "store", workers=0).done_before == 6
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "store" / "recordings").iterdir()} == before


@pytest.mark.parametrize("change", ["file", "recipe", "manifest"])
def test_what_has_changed_is_made_again(
    manifest: Manifest, folder: Path, tmp_path: Path, change: str, write_edf: WriteEdf, eeg_signal: EegSignal
) -> None:
    ingest(manifest, folder, tmp_path / "store", workers=0)
    recipe = None
    expected = 0
    if change == "file":
        write_edf(folder / "s0_1.edf", eeg_signal(99))
        expected = 5
    elif change == "recipe":
        recipe = load_recipe("as_recorded")
    else:
        manifest = manifest.model_copy(update={"line_freq_hz": 60})
    assert ingest(manifest, folder, tmp_path / "store", recipe=recipe, workers=0).done_before == expected


def test_a_recording_that_the_source_no_longer_has_is_taken_out_only_on_request(
    manifest: Manifest, folder: Path, tmp_path: Path
) -> None:
    ingest(manifest, folder, tmp_path / "store", workers=0)
    (folder / "s2_2.edf").unlink()
    with pytest.raises(UsageError, match="1 recordings that this source does not have"):
        ingest(manifest, folder, tmp_path / "store", workers=0)
    assert len(Store(tmp_path / "store").ids()) == 6
    assert ingest(manifest, folder, tmp_path / "store", workers=0, prune=True).recordings == 5


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_file_is_set_aside_with_its_error(
    manifest: Manifest, folder: Path, tmp_path: Path, workers: int, write_edf: WriteEdf, eeg_signal: EegSignal
) -> None:
    broken = folder / "s1_1.edf"
    broken.write_bytes(broken.read_bytes()[:700])
    summary = ingest(manifest, folder, tmp_path / "store", workers=workers)
    assert summary.exit_code == 1
    assert list(summary.failed) == ["toy/s1/-/1"]
    assert summary.recordings == 5
    kept = json.loads((tmp_path / "store" / "quarantine" / "toy+s1+-+1.json").read_text(encoding="utf-8"))
    assert kept["recording"] == "toy/s1/-/1"
    assert kept["error"]["what"]
    assert str(tmp_path) not in json.dumps(kept)
    write_edf(broken, eeg_signal(11))
    assert ingest(manifest, folder, tmp_path / "store", workers=workers).exit_code == 0
    assert not list((tmp_path / "store" / "quarantine").iterdir())


@pytest.mark.slow
def test_a_process_that_dies_or_hangs_costs_one_recording(
    manifest: Manifest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'eegprep.ingest.worker' in ' '.join(sys.orig_argv):\n"
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


def test_a_kill_before_any_step_that_touches_the_disk_loses_nothing(
    manifest: Manifest, folder: Path, tmp_path: Path, write_edf: WriteEdf, eeg_signal: EegSignal
) -> None:
    """Also between the parts of taking a copy out, of replacing an older store, and of writing the report."""
    for path in (*folder.glob("s1_*.edf"), *folder.glob("s2_2.edf")):
        path.unlink()
    write_edf(folder / "s2_1.edf", eeg_signal(1))  # a copy of s0_1
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json(), encoding="utf-8")
    script = Path(__file__).with_name("kill_points.py")
    arguments = [tmp_path / "manifest.json", folder, tmp_path, "2"]
    done = subprocess.run([sys.executable, script, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["kills"] > 20


def test_the_same_signal_under_two_subjects_is_taken_once(
    manifest: Manifest, folder: Path, tmp_path: Path, tree_bytes: TreeBytes, write_edf: WriteEdf, eeg_signal: EegSignal
) -> None:
    write_edf(folder / "s2_2.edf", eeg_signal(1))
    summary = ingest(manifest, folder, tmp_path / "store", workers=0)
    assert summary.duplicates == {"toy/s2/-/2": "toy/s0/-/1"}
    assert summary.recordings == 5
    before = tree_bytes(tmp_path / "store")
    again = ingest(manifest, folder, tmp_path / "store", workers=0)
    assert again.done_before == 6
    assert again.duplicates == summary.duplicates
    assert tree_bytes(tmp_path / "store") == before
    assert ingest(manifest, folder, tmp_path / "all", workers=0, keep_duplicates=True).recordings == 6
    (folder / "s0_1.edf").unlink()
    assert "toy/s2/-/2" in [
        i.id for i in Store(ingest(manifest, folder, tmp_path / "store", workers=0, prune=True).out).infos()
    ]


def test_a_full_disk_stops_the_run_and_leaves_the_store_as_it_was(
    manifest: Manifest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_full_disk_is_told_by_the_writer_as_such(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    import pyarrow as pa

    with pytest.raises(OSError, match="No space") as caught:
        pa.OSFile("/dev/full", "wb").write(b"x" * (1 << 20))
    assert caught.value.errno == errno.ENOSPC


def test_two_ingests_never_write_into_one_store(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    seen = []

    def intrude(*_: object) -> None:
        if not seen:
            with pytest.raises(UsageError, match="another ingest"):
                ingest(manifest, folder, tmp_path / "store", workers=0)
            seen.append(True)

    ingest(manifest, folder, tmp_path / "store", workers=0, progress=intrude)
    assert seen


@pytest.mark.parametrize(
    ("expect", "match"),
    [
        ({"subjects": 4}, "number of subjects"),
        ({"recordings": 5}, "number of recordings"),
        ({"channels": 4}, "number of electrodes"),
        ({"sfreq_hz": 256}, "another rate"),
    ],
)
def test_what_the_manifest_expects_is_held_against_what_is_there(
    manifest: Manifest, folder: Path, tmp_path: Path, expect: dict[str, float], match: str
) -> None:
    data = manifest.model_dump()
    wrong = Manifest.model_validate({**data, "expect": expect})
    with pytest.raises(InputError, match=match):
        ingest(wrong, folder, tmp_path / "store", workers=0)
    assert not (tmp_path / "store").exists()


def test_unmet_counts_of_trials_and_hours_end_with_exit_code_1(
    manifest: Manifest, folder: Path, tmp_path: Path
) -> None:
    data = manifest.model_dump()
    wrong = Manifest.model_validate({**data, "expect": {"hours": 2.0, "trials": {"hand": 13}}})
    summary = ingest(wrong, folder, tmp_path / "store", workers=0)
    assert summary.exit_code == 1
    assert summary.unmet == ("0.04 hours where 2 are expected", "12 trials of hand where 13 are expected")
    assert ingest(wrong, folder, tmp_path / "store", workers=0, partial=True).exit_code == 0


def test_bad_channels_and_missing_samples_are_rejected_with_their_reason(
    manifest: Manifest, folder: Path, tmp_path: Path, write_edf: WriteEdf, eeg_signal: EegSignal
) -> None:
    for subject in (0, 1, 2):
        for run in (1, 2):
            (folder / f"s{subject}_{run}.edf").unlink()
    values = eeg_signal(5)
    values[0] = 7.0
    values[1, 2000:2600] = values[1, 2000]
    values[2, 3000:3030] = 450.0
    write_edf(folder / "s0_1.edf", values)
    ingest(manifest, folder, tmp_path / "store", workers=0)
    info = Store(tmp_path / "store").infos()[0]
    assert info.electrodes == ("Cz", "C4")
    codes = {(x.name, x.code) for x in info.left_out if x.kind != "trial"}
    assert ("EEG C3-A1", "flat") in codes
    assert ("EEG Cz-A1", "flat") in codes
    assert ("EEG C4-A1", "clipped") in codes
    (flat,) = info.rejected["Cz"]
    assert abs(flat.start_sample - 2000 * 1.28) <= 2
    assert abs(flat.n_samples - 600 * 1.28) <= 4


def test_nothing_usable_leaves_no_store(manifest: Manifest, tmp_path: Path) -> None:
    data = tmp_path / "bad"
    data.mkdir()
    (data / "s0_1.edf").write_bytes(b"this is no EDF file")
    (data / "people.csv").write_text("id,Group\ns0,a\n", encoding="utf-8")
    with pytest.raises(InputError):
        ingest(manifest, data, tmp_path / "store", workers=0)
    assert not (tmp_path / "store").exists()


def test_a_store_of_another_data_set_or_a_full_folder_is_not_touched(
    manifest: Manifest, folder: Path, tmp_path: Path
) -> None:
    ingest(manifest, folder, tmp_path / "store", workers=0)
    other = manifest.model_copy(update={"name": "other"})
    with pytest.raises(UsageError, match="another data set"):
        ingest(other, folder, tmp_path / "store", workers=0)
    with pytest.raises(UsageError, match="not empty"):
        ingest(manifest, folder, folder, workers=0)


def test_ending_the_iterator_ends_the_processes(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
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
    assert "eegprep.ingest.worker" not in children


def test_a_worker_that_cannot_start_blames_no_file(
    manifest: Manifest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\nif 'eegprep.ingest.worker' in ' '.join(sys.orig_argv):\n    import os\n    os._exit(7)\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    with pytest.raises(RuntimeError, match="before its first recording \\(code 7\\)"):
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


def test_slurm_asks_for_as_many_jobs_as_workers(
    manifest: Manifest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_the_summary_is_plain_data(manifest: Manifest, folder: Path, tmp_path: Path) -> None:
    summary = ingest(manifest, folder, tmp_path / "store", workers=0)
    json.dumps(dataclasses.asdict(summary), default=str)
    report = json.loads((tmp_path / "store" / "report.json").read_text(encoding="utf-8"))
    assert report["recordings"] == 6
    assert report["left_out"]["channel"] == {"ecg": 6, "manifest_left_out": 6}
