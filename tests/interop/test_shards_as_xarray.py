"""A shard set opens as xarray without reading its signal, and goes back to MNE."""

from __future__ import annotations

import mne
import numpy as np
import pytest

from eegprep import open_shards, to_raw
from eegprep.errors import UsageError
from eegprep.shards import ShardSet
from eegprep.store import Store


def test_recordings_equal_the_shards(recorded):
    recordings = open_shards(recorded.shards)
    assert list(recordings) == list(ShardSet.open(recorded.shards).recordings.id)
    ds = recordings["toy/s2/-/-"]
    assert ds.signal_uv.dims == ("electrode", "time")
    assert "toy/s9/-/-" not in recordings
    store = Store.open(recorded.store)
    info = next(i for i in store.infos() if i.id == "toy/s2/-/-")
    for row, electrode in enumerate(info.electrodes):
        expected = store.read(info.id, row, 0, info.n_samples) if hasattr(store, "read") else None
        found = ds.signal_uv.sel(electrode=electrode).values
        assert np.isfinite(found).all()
        if expected is not None:
            np.testing.assert_allclose(found, expected, atol=0.01)
    assert ds.trial_label.values.tolist() == ["left", "right"] * 6
    assert ds.attrs["steps"][1] == "band_pass: 0.5 to 75 Hz"


def test_signals_are_read_lazily(recorded, monkeypatch):
    read = []
    original = ShardSet.signal_i16
    monkeypatch.setattr(ShardSet, "signal_i16", lambda self, block: read.append(block) or original(self, block))
    ds = open_shards(recorded.shards)["toy/s0/-/-"]
    part = ds.isel(electrode=[1], time=slice(100, 200))
    assert read == []
    assert part.signal_uv.values.shape == (1, 100)
    assert len(read) == 1


@pytest.mark.parametrize(
    "key", [(slice(None), slice(5, 50, 3)), (1, slice(50, 5, -2)), ([2, 0], 7), (slice(None, None, -1), slice(0, 4))]
)
def test_indexing_equals_numpy(recorded, key):
    signal = open_shards(recorded.shards)["toy/s0/-/-"].signal_uv
    np.testing.assert_array_equal(signal[key].values, signal.values[key])


def test_gaps_become_annotations(synthetic_gap):
    ds = open_shards(synthetic_gap)["gap/01/-/1"]
    assert np.isnan(ds.signal_uv.sel(electrode="Cz").values[1000:1200]).all()
    raw = to_raw(ds)
    gaps = [(round(a["onset"] * 256), round(a["duration"] * 256), a["ch_names"]) for a in raw.annotations
            if a["description"] == "BAD_gap"]  # fmt: skip
    assert gaps == [(1000, 200, ("Cz",))]


def test_recordings_go_back_to_mne(recorded):
    """In volts, with their trials."""
    ds = open_shards(recorded.shards)["toy/s3/-/-"]
    raw = to_raw(ds)
    assert isinstance(raw, mne.io.BaseRaw)
    assert raw.info["line_freq"] == 50
    np.testing.assert_allclose(raw.get_data() * 1e6, ds.signal_uv.values, atol=1e-3)
    events, names = mne.events_from_annotations(raw, verbose="ERROR")
    assert len(events) == 12
    assert set(names) == {"hand/left", "hand/right"}
    assert raw.get_montage() is not None
    with pytest.raises(UsageError, match="not a recording of a store or shard set"):
        to_raw(ds.drop_vars("signal_uv"))


@pytest.fixture
def synthetic_gap(tmp_path):
    """One recording of two electrodes; of one, 200 samples are rejected."""
    from support import synthetic

    from eegprep.recording import RecordingInfo, Stretch
    from eegprep.shards import build_shard_set

    signal = np.random.default_rng(0).normal(0, 10, (2, 3000)).astype(np.float32)
    info = RecordingInfo(
        dataset="gap", subject="01", run="1", n_samples=3000, electrodes=("Fp1", "Cz"), references=("M1", "M1"),
        stretches=(Stretch(start_sample=0, n_samples=3000),),
        rejected={"Cz": (Stretch(start_sample=1000, n_samples=200),)},
        sigma_uv=(10.0, 10.0), signal_sha256="1" * 64,
    )  # fmt: skip
    store = synthetic.MemoryStore(synthetic.manifest("gap"), [info], {info.id: signal})
    build_shard_set([store], tmp_path / "set", sync=False)
    return tmp_path / "set"
