"""The store: what goes in comes out, keys are reversible, and nothing half-written is ever taken for whole."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegprep.errors import InputError, UsageError
from eegprep.recording import LeftOut, RecordingInfo, Stretch, Trial
from eegprep.store import CHUNK_SAMPLES, Store, id_of_key, key_of_id
from eegprep.store.keys import MAX_KEY_BYTES

ELECTRODES = ("C3", "Cz", "C4")


def an_info(n_samples: int, **changes: object) -> RecordingInfo:
    info = RecordingInfo(
        dataset="toy",
        subject="010",
        run="1",
        n_samples=n_samples,
        electrodes=ELECTRODES,
        references=("A1", "A1", "A1"),
        stretches=(Stretch(start_sample=0, n_samples=n_samples),),
        rejected={"Cz": (Stretch(start_sample=5, n_samples=10),)},
        trials=(Trial(start_sample=0, n_samples=20, task="t", label="a", event="T1"),),
        sigma_uv=(1.0, 2.0, 3.0),
        quality={"line_noise_ratio": (0.1, None, 0.3)},
        attributes={"group": "x"},
        left_out=(LeftOut(kind="channel", name="ECG", code="ecg", reason="not on the scalp"),),
    )
    return dataclasses.replace(info, **changes)


def a_store(folder: Path) -> Store:
    (folder / "recordings").mkdir(parents=True)
    (folder / "manifest.yaml").write_text("", encoding="utf-8")
    return Store.open(folder)


def a_signal(n_samples: int) -> np.ndarray:
    return np.random.default_rng(7).normal(0, 20, (3, n_samples)).astype(np.float32)


@pytest.mark.parametrize("n_samples", [1, 1000, CHUNK_SAMPLES, 2 * CHUNK_SAMPLES + 17])
def test_every_sample_and_fact_comes_back(tmp_path: Path, n_samples: int) -> None:
    store, signal, info = a_store(tmp_path), a_signal(n_samples), an_info(n_samples)
    with store.writer(info.id, ELECTRODES) as writer:
        writer.append(signal)
        writer.finish(info)
    assert store.infos() == [info]
    for row, electrode in enumerate(ELECTRODES):
        np.testing.assert_array_equal(store.electrode_uv(info, electrode), signal[row])
    stretch = Stretch(start_sample=n_samples // 3, n_samples=n_samples - n_samples // 3)
    np.testing.assert_array_equal(store.electrode_uv(info, "Cz", stretch), signal[1, n_samples // 3 :])


def test_bytes_do_not_depend_on_the_chunks(tmp_path: Path) -> None:
    """Bytes do not depend on how the signal was delivered."""
    n = CHUNK_SAMPLES + 5000
    signal, info = a_signal(n), an_info(n)
    written = []
    for name, size in (("whole", n), ("pieces", 7777)):
        store = a_store(tmp_path / name)
        with store.writer(info.id, ELECTRODES) as writer:
            for start in range(0, n, size):
                writer.append(signal[:, start : start + size])
            writer.finish(info)
        written.append([p.read_bytes() for p in sorted((tmp_path / name / "recordings").iterdir())])
    assert written[0] == written[1]


def test_buffer_may_be_reused_after_append(tmp_path: Path) -> None:
    """The caller may reuse its buffer after `append`."""
    store, signal, info = a_store(tmp_path), a_signal(100), an_info(100)
    buffer = np.empty((3, 50), np.float32)
    with store.writer(info.id, ELECTRODES) as writer:
        for start in (0, 50):
            buffer[:] = signal[:, start : start + 50]
            writer.append(buffer)
        writer.finish(info)
    np.testing.assert_array_equal(store.signal(info).values, signal)


def test_signal_is_lazy_and_array_like(tmp_path: Path) -> None:
    """The signal is lazy and indexes like an array."""
    n = CHUNK_SAMPLES + 300
    store, signal, info = a_store(tmp_path), a_signal(n), an_info(n)
    with store.writer(info.id, ELECTRODES) as writer:
        writer.append(signal)
        writer.finish(info)
    array = store.signal(info)
    assert array.dims == ("electrode", "time")
    assert array.attrs["sfreq_hz"] == 256.0
    assert not array.variable._in_memory
    cut = slice(CHUNK_SAMPLES - 10, CHUNK_SAMPLES + 10)
    np.testing.assert_array_equal(array.sel(electrode="C4")[cut].values, signal[2, cut])
    np.testing.assert_array_equal(array[1:, 5:500:7].values, signal[1:, 5:500:7])
    np.testing.assert_array_equal(array[:, ::-3].values, signal[:, ::-3])
    np.testing.assert_array_equal(array[[2, 0], 17].values, signal[[2, 0], 17])
    assert float(array[0, -1]) == signal[0, -1]
    assert array[:, 4:4].shape == (3, 0)


def test_an_abandoned_writer_leaves_nothing(tmp_path: Path) -> None:
    store, info = a_store(tmp_path), an_info(100)

    def breaks() -> None:
        with store.writer(info.id, ELECTRODES) as writer:
            writer.append(a_signal(100))
            raise RuntimeError("the step failed")

    with pytest.raises(RuntimeError, match="the step failed"):
        breaks()
    assert list(store.recordings.iterdir()) == []


@pytest.mark.parametrize("moment", ["append", "fsync", "replace", "sidecar"])
def test_kill_leaves_no_half_recording(tmp_path: Path, moment: str) -> None:
    """A kill at any instant leaves no half recording, and the next try succeeds."""
    store = a_store(tmp_path)
    script = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        import numpy as np
        from eegprep.recording import RecordingInfo, Stretch
        from eegprep.store import Store, writer as module

        moment = sys.argv[2]
        def die(*a, **k):
            os.kill(os.getpid(), signal.SIGKILL)
        store = Store(Path(sys.argv[1]))
        info = RecordingInfo(dataset="toy", subject="s", n_samples=100, electrodes=("C3",), references=("",),
                             stretches=(Stretch(start_sample=0, n_samples=100),))
        w = store.writer(info.id, info.electrodes)
        w.append(np.zeros((1, 100), np.float32))
        if moment == "append":
            die()
        if moment == "fsync":
            os.fsync = die
        if moment == "replace":
            Path.replace = die
        if moment == "sidecar":
            module.write_json = die
        w.finish(info)
    """)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path), moment], check=False)
    assert done.returncode == -9
    assert store.ids() == []
    info = an_info(100)
    with store.writer(info.id, ELECTRODES) as writer:
        writer.append(a_signal(100))
        writer.finish(info)
    assert store.ids() == [info.id]


def test_old_sidecar_vouches_for_no_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older sidecar never vouches for a newer signal."""
    store = a_store(tmp_path)
    with store.writer(an_info(100).id, ELECTRODES) as writer:
        writer.append(a_signal(100))
        writer.finish(an_info(100))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eegprep.store.writer.write_json", full)
    writer = store.writer(an_info(50).id, ELECTRODES)
    writer.append(a_signal(50))
    with pytest.raises(OSError, match="No space"):
        writer.finish(an_info(50))
    assert store.ids() == []


def test_description_must_fit_the_signal(tmp_path: Path) -> None:
    """A description that does not fit the signal is refused."""
    store = a_store(tmp_path)
    with store.writer(an_info(100).id, ELECTRODES) as writer:
        writer.append(a_signal(90))
        with pytest.raises(InputError, match="does not match the signal"):
            writer.finish(an_info(100))
        with pytest.raises(InputError, match="a chunk has the wrong shape"):
            writer.append(np.zeros((3, 4)))
    assert store.ids() == []


@pytest.mark.parametrize("damage", ["cut", "swapped"])
def test_damaged_file_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    """A damaged file is refused with its name."""
    store = a_store(tmp_path)
    for info in (an_info(100), an_info(80, subject="other")):
        with store.writer(info.id, ELECTRODES) as writer:
            writer.append(a_signal(info.n_samples))
            writer.finish(info)
    victim = store.recordings / f"{key_of_id(an_info(100).id)}.arrow"
    other = store.recordings / f"{key_of_id(an_info(80, subject='other').id)}.arrow"
    data = victim.read_bytes()[:-9] if damage == "cut" else other.read_bytes()
    victim.write_bytes(data)
    with pytest.raises(InputError) as caught:
        Store.open(tmp_path).electrode_uv(an_info(100), "C3")
    assert str(victim) in str(caught.value)


def test_samples_outside_are_refused(tmp_path: Path) -> None:
    """Samples outside the recording are refused."""
    store, info = a_store(tmp_path), an_info(100)
    with store.writer(info.id, ELECTRODES) as writer:
        writer.append(a_signal(100))
        writer.finish(info)
    with pytest.raises(InputError, match="outside a recording"):
        store.electrode_uv(info, "C3", Stretch(start_sample=90, n_samples=11))
    with pytest.raises(InputError, match="no electrode 'C5'"):
        store.electrode_uv(info, "C5")


def test_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    """A folder that is no store is refused."""
    with pytest.raises(UsageError, match="not a store"):
        Store.open(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        Store.open(tmp_path / "nowhere")


def test_store_survives_pickling(tmp_path: Path) -> None:
    """A store survives pickling into a worker."""
    store, info = a_store(tmp_path), an_info(100)
    with store.writer(info.id, ELECTRODES) as writer:
        writer.append(a_signal(100))
        writer.finish(info)
    store.electrode_uv(info, "C3")
    assert pickle.loads(pickle.dumps(store)).infos() == [info]


@given(st.text(min_size=1, max_size=40))
def test_keys_are_reversible_and_safe(recording_id: str) -> None:
    """Keys are reversible and safe as file names."""
    try:
        recording_id.encode("utf-8")
    except UnicodeEncodeError:
        return
    if 3 * len(recording_id.encode("utf-8")) > MAX_KEY_BYTES:
        return
    key = key_of_id(recording_id)
    assert id_of_key(key) == recording_id
    assert not set(key) & set('./\\:*?"<>| ')


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "%41", "%C3", "a%2f", "../x"])
def test_file_name_must_be_a_key(key: str) -> None:
    """A file name that is no key is refused."""
    with pytest.raises(InputError, match="not the file name of a recording"):
        id_of_key(key)


def test_id_beyond_a_file_name_is_refused() -> None:
    """An id that is too long for a file name is refused."""
    with pytest.raises(InputError, match="cannot be a file name"):
        key_of_id("x" * (MAX_KEY_BYTES + 1))


def test_store_import_is_light() -> None:
    """Importing the store brings in neither MNE nor xarray."""
    script = "import sys, eegprep.store; print(sorted({'mne', 'xarray', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pre_release_store_is_refused(tmp_path: Path) -> None:
    """Steps as text are from before the first release: the error says to rebuild."""
    store, info = a_store(tmp_path), an_info(100)
    with store.writer(info.id, ELECTRODES) as writer:
        writer.append(a_signal(100))
        writer.finish(info)
    sidecar = next(store.recordings.glob("*.json"))
    sidecar.write_text(sidecar.read_text().replace('"steps": []', '"steps": ["notch: 50 Hz"]'))
    with pytest.raises(UsageError, match="made by a pre-release version"):
        store.infos()
