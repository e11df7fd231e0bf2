"""A store as a mapping of recordings: xarray, MNE, trials; and `eegprep.datasets.load` on top of it."""

from __future__ import annotations

import tracemalloc

import mne
import numpy as np
import pytest
from support.recordings import eeg_uv, write_edf

from eegprep import datasets
from eegprep.errors import InputError, UsageError
from eegprep.recording import RecordingInfo, Stretch, Trial
from eegprep.store import Recordings, Store
from eegprep.store.lazy import lazy_variable

MANIFEST = """\
manifest: 1
name: hands
version: "1"
title: Hands
citation: made for a test
licence: {id: CC0-1.0, share_shards: true}
anonymous_subjects: true
line_freq_hz: 50
reference: M1
source: {kind: files, files: ["{subject}_{run}.edf"]}
tasks:
  - name: hand
    classes: [left, right]
    trials: {by: event, labels: {L: left, R: right}, length_s: 2}
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two subjects with two trials each, and a cache of the test's own."""
    monkeypatch.setenv("EEGPT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "hands"
    folder.mkdir()
    for seed, subject in enumerate(("a1", "b2")):
        write_edf(folder / f"{subject}_1.edf", eeg_uv(6, 6000, seed=seed), annotations=[(5, 2, "L"), (12, 2, "R")])
    (tmp_path / "hands.yaml").write_text(MANIFEST)
    return tmp_path / "hands.yaml", folder


@pytest.fixture
def gaps(tmp_path):
    """A store with a recording of two electrodes that has a gap, and a rejected part of one of them."""
    from eegprep.manifest import parse_manifest

    store = Store.create(tmp_path / "store", parse_manifest(MANIFEST))
    info = RecordingInfo(
        dataset="hands", subject="s", run="1", n_samples=1000, electrodes=("Fp1", "Cz"), references=("M1", "M1"),
        stretches=(Stretch(start_sample=0, n_samples=400), Stretch(start_sample=500, n_samples=500)),
        rejected={"Cz": (Stretch(start_sample=600, n_samples=50),)}, sigma_uv=(1.0, 1.0),
        trials=(Trial(start_sample=100, n_samples=200, task="hand", label="left"),), signal_sha256="1" * 64,
    )  # fmt: skip
    with store.writer(info.id, info.electrodes) as writer:
        writer.append(np.arange(2000, dtype=np.float32).reshape(2, 1000))
        writer.finish(info)
    return Recordings(store), info.id


def test_gaps_are_nan_and_samples_equal(gaps):
    recordings, name = gaps
    signal = recordings[name].signal_uv.values
    expected = np.arange(2000, dtype=np.float32).reshape(2, 1000)
    expected[:, 400:500] = np.nan
    expected[1, 600:650] = np.nan
    np.testing.assert_array_equal(signal, expected)


@pytest.mark.parametrize(
    "key", [(slice(None), slice(390, 510, 3)), (1, slice(700, 580, -2)), ([1, 0], 7), (slice(None, None, -1), 450)]
)
def test_indexing_a_store_equals_numpy(gaps, key):
    recordings, name = gaps
    signal = recordings[name].signal_uv
    np.testing.assert_array_equal(signal[key].values, signal.values[key])


def test_gaps_become_annotations_in_mne(gaps):
    recordings, name = gaps
    raw = recordings.raw(name)
    told = {(a["description"], round(a["onset"] * 256), a["ch_names"]) for a in raw.annotations}
    assert told == {("BAD_gap", 400, ()), ("BAD_gap", 600, ("Cz",)), ("hand/left", 100, ())}


def test_unknown_recording_is_a_key_error(gaps):
    recordings, name = gaps
    assert name in recordings
    assert "hands/t/-/1" not in recordings
    with pytest.raises(KeyError, match="no recording 'hands/x'"):
        recordings["hands/x"]
    with pytest.raises(UsageError, match="has no task 'foot'"):
        recordings.trials("foot")


def test_load_gives_signals_and_trials(files):
    """A manifest in one line: recordings as xarray and MNE, trials with labels; the second call reads nothing again."""
    manifest, folder = files
    recordings = datasets.load(str(manifest), source=folder, workers=0)
    assert list(recordings) == ["hands/a1/-/1", "hands/b2/-/1"]
    assert [(t.subject, t.label) for t in recordings.trials("hand")] == [
        ("a1", "left"), ("a1", "right"), ("b2", "left"), ("b2", "right"),
    ]  # fmt: skip
    window, trial = next(iter(recordings.windows()))
    assert window.shape == (6, 512)
    assert trial.label == "left"
    raw = recordings.raw("hands/b2/-/1")
    assert isinstance(raw, mne.io.BaseRaw)
    assert raw.info["sfreq"] == 256
    np.testing.assert_allclose(raw.get_data() * 1e6, recordings["hands/b2/-/1"].signal_uv.values, rtol=1e-5, atol=1e-4)
    stamp = {p: p.stat().st_mtime_ns for p in recordings.store.recordings.iterdir()}
    again = datasets.load(str(manifest), source=folder, workers=0)
    assert {p: p.stat().st_mtime_ns for p in again.store.recordings.iterdir()} == stamp


def test_broken_file_is_a_warning_by_name(files):
    manifest, folder = files
    (folder / "c3_1.edf").write_bytes(b"0       not an EDF header")
    with pytest.warns(UserWarning, match=r"not everything could be used:\n  .*c3_1\.edf"):
        recordings = datasets.load(str(manifest), source=folder, workers=0)
    assert len(recordings) == 2


@pytest.mark.parametrize("days", [1, 365])
def test_time_of_a_claimed_year_is_not_stored(days):
    """The index of a shard set may claim any length: the time axis of a long recording takes no memory."""
    from eegprep.store.dataset import MAX_TIMES, recording_dataset

    n = days * 86400 * 256
    tracemalloc.start()
    dataset = recording_dataset(
        lambda row, start, stop: np.arange(start, stop, dtype=np.float32),
        electrodes=["Cz"], kinds=["eeg"], sigma_uv=[1.0], references=["M1"], n_samples=n, sfreq_hz=256.0, trials=(),
        steps=(), source_sfreq_hz=256.0, line_freq_hz=None, attributes={},
    )  # fmt: skip
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (1 << 20 if n > MAX_TIMES else 3 * 8 * n)
    part = dataset.isel(time=slice(n - 512, n - 500))
    np.testing.assert_array_equal(part.time.values, np.arange(n - 512, n - 500) / 256)
    np.testing.assert_array_equal(part.signal_uv.values[0], np.arange(n - 512, n - 500, dtype=np.float32))
    assert float(dataset.sel(time=2.5, method="nearest").time) == 2.5
    assert dataset.time.attrs == {"units": "s"}
    assert next(iter(dataset.coords)) == "electrode"


def test_signal_beyond_memory_is_one_error():
    """Loading what no memory holds says how to take a part."""
    variable = lazy_variable((4, 1 << 50), lambda row, start, stop: np.zeros(stop - start, np.float32))
    assert variable[:, 7:9].values.shape == (4, 2)
    with pytest.raises(InputError, match="does not fit in memory"):
        variable.load()
