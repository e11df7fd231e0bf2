"""A reader that crashes or hangs costs one file; what the worker sends is what the source gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.processes import isolated_reader
from eegprep.processes import reader as isolated
from eegprep.sources import manifest_for_path, open_source


@pytest.fixture
def three(made, tmp_path: Path) -> Path:
    for i in range(3):
        made["edf"](tmp_path / f"{i}.edf", made["eeg_uv"](6, 1600, seed=i))
    return tmp_path


def test_a_crash_costs_one_recording(three: Path) -> None:
    """A crash costs one recording, and the next one is read."""
    manifest = manifest_for_path(three)
    plan = open_source(manifest, three).plan()
    with isolated_reader(manifest, three) as reader:
        reader.read(plan[0])
        os.kill(reader._worker.pid, signal.SIGSEGV)
        with pytest.raises(InputError, match="crashed the reader") as caught:
            reader.read(plan[1])
        assert "SIGSEGV" in str(caught.value)
        assert reader.read(plan[2]).signal.shape == (6, 1600)


def test_hanging_reader_is_ended_in_time(three: Path) -> None:
    """A reader that hangs is ended after its time."""
    manifest = manifest_for_path(three)
    plan = open_source(manifest, three).plan()
    with isolated_reader(manifest, three, timeout_s=0.01) as reader:
        with pytest.raises(InputError, match="crashed the reader") as caught:
            reader.read(plan[0])
        assert "no answer within 0.01 s" in str(caught.value)


def test_long_signals_are_fetched_in_parts(three: Path, monkeypatch) -> None:
    """Long signals are fetched in parts until the next recording."""
    monkeypatch.setattr(isolated, "WHOLE_BYTES", 0)
    manifest = manifest_for_path(three)
    source = open_source(manifest, three)
    plan = source.plan()
    with isolated_reader(manifest, three) as reader:
        first = reader.read(plan[0])
        whole = np.asarray(source.read(plan[0]).signal)
        np.testing.assert_array_equal(first.signal[:, 301:900], whole[:, 301:900])
        np.testing.assert_array_equal(first.signal[[4, 1], 0:5], whole[[4, 1], 0:5])
        reader.read(plan[1])
        with pytest.raises(RuntimeError, match="an earlier recording is no longer available"):
            first.signal[:, 0:5]


def test_errors_keep_class_and_parts(three: Path) -> None:
    """Errors keep their class and parts across the process."""
    (three / "bad.edf").write_bytes(b"")
    manifest = manifest_for_path(three)
    source = open_source(manifest, three)
    bad = next(p for p in source.plan() if p.files == ("bad.edf",))
    with pytest.raises(InputError) as here:
        source.read(bad)
    with isolated_reader(manifest, three) as reader, pytest.raises(InputError) as there:
        reader.read(bad)
    assert there.value.as_dict() == here.value.as_dict() | {"where": str(three / "bad.edf")}


def test_no_worker_is_left_behind(three: Path) -> None:
    manifest = manifest_for_path(three)
    with isolated_reader(manifest, three) as reader:
        reader.read(open_source(manifest, three).plan()[0])
        pid = reader._worker.pid
    assert not Path(f"/proc/{pid}").exists()


def test_importing_sources_loads_no_reader() -> None:
    """Importing the sources loads no reader."""
    code = (
        "import sys, eegprep.sources, eegprep.processes.reader;"
        "print([m for m in ('mne', 'pyarrow', 'scipy', 'torch') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_file_beyond_memory_costs_itself(made, names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that unpacks beyond the memory of a reader costs itself alone."""
    from eegprep.processes.limits import MEMORY_VARIABLE

    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((6, 20_000_000)))
    np.savez_compressed(tmp_path / "good.npz", x=made["eeg_uv"](6, 1600))
    assert (tmp_path / "bomb.npz").stat().st_size < 2_000_000
    monkeypatch.setenv(MEMORY_VARIABLE, str(600 << 20))
    source = {"kind": "numpy", "files": ["{subject}.npz"], "sfreq_hz": 200, "unit": "uV", "channels": list(names)}
    manifest = made["manifest"](source={**source, "orientation": "row_per_channel"})
    bomb, good = open_source(manifest, tmp_path).plan()
    with isolated_reader(manifest, tmp_path) as reader:
        with pytest.raises(InputError, match="exceeds the memory limit") as caught:
            reader.read(bomb)
        assert MEMORY_VARIABLE in str(caught.value)
        assert reader.read(good).signal.shape == (6, 1600)


@pytest.mark.parametrize("text", ["much", "-1", "1000"])
def test_memory_limit_must_be_a_size(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A limit that is no number of bytes is wrong usage."""
    from eegprep.errors import UsageError
    from eegprep.processes.limits import MEMORY_VARIABLE, memory_bytes

    monkeypatch.setenv(MEMORY_VARIABLE, text)
    with pytest.raises(UsageError, match="not a valid number of bytes"):
        memory_bytes()


def test_endless_reader_ends_with_its_parent(tmp_path: Path) -> None:
    """A reader in an endless loop ends with a parent that was killed."""
    child = "from eegprep.processes.limits import stop_with_parent; import os; stop_with_parent(os.getppid());"
    child += "print(os.getpid(), flush=True)\nwhile True: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[-1]:
        assert time.monotonic() < deadline, "the orphan goes on"
        time.sleep(0.05)
