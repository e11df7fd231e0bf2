"""Windows of any length and stride out of shard sets: exact, complete, never over a gap, filtered as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegprep.errors import UsageError
from eegprep.recording import Stretch
from eegprep.shards import ShardSet, build_shard_set
from eegpt.data import WindowIndex


def expected_windows(store, n_samples, stride):
    """(recording, electrode, start) of every window, straight from what the store keeps."""
    return {
        (info.id, electrode, start)
        for info in store.infos()
        for electrode in info.electrodes
        for s in info.kept(electrode)
        for start in range(s.start_sample, s.stop_sample - n_samples + 1, stride)
    }


def check(index, store, indices, shift=None):
    """Every gathered window against the store; returns the windows' identities."""
    infos = {i.id: i for i in store.infos()}
    batch = index.gather(indices, shift=shift)
    starts = index.start_samples(indices)
    found = []
    for k in range(len(indices)):
        info = infos[index.recording_ids[batch.recording[k]]]
        electrode = index.vocabulary.name_of(int(batch.electrode[k]))
        row = info.electrodes.index(electrode)
        assert batch.sigma_uv[k] == np.float32(info.sigma_uv[row])
        start = int(starts[k])
        signal_uv = batch.signal_i16[k] * batch.scale_uv[k]
        if shift is not None:
            kept = next(s for s in info.kept(electrode) if s.start_sample <= start < s.stop_sample)
            start = min(start + int(shift[k]), kept.stop_sample - index.n_samples)
        expected = store.electrode_uv(info, electrode, Stretch(start_sample=start, n_samples=index.n_samples))
        np.testing.assert_array_equal(signal_uv, expected)
        found.append((info.id, electrode, start))
    return found


@settings(max_examples=25)
@given(st.integers(1, 2300), st.integers(1, 2000), st.integers(0, 2**32 - 1))
def test_every_window_once_and_exact(store, shard_set, n_samples, stride, seed):
    """Every window is there once and exact for any length and stride."""
    expected = expected_windows(store, n_samples, stride)
    index = WindowIndex([shard_set], n_samples=n_samples, stride=stride, splits=None)
    assert len(index) == len(expected)
    indices = np.random.default_rng(seed).permutation(len(index))[:300]
    found = check(index, store, indices)
    assert set(found) <= expected
    if len(indices) == len(index):
        assert sorted(found) == sorted(expected)


def test_windows_across_shards_exact(store, shard_set):
    """Blocks have 512 samples here and lie in different shards: every window of 1300 crosses two borders or more."""
    index = WindowIndex([shard_set], n_samples=1300, stride=111, splits=None)
    assert sorted(check(index, store, np.arange(len(index)))) == sorted(expected_windows(store, 1300, 111))


def test_window_as_long_as_stretch(store, shard_set):
    """A window as long as its stretch is one sample."""
    index = WindowIndex([shard_set], n_samples=2900, stride=1, splits=None)
    assert len(index) == len(expected_windows(store, 2900, 1)) > 0
    check(index, store, np.arange(len(index)))


def test_offsets_stay_inside_stretch(store, shard_set):
    """Random offsets stay inside the stretch."""
    index = WindowIndex([shard_set], n_samples=256, stride=128, splits=None)
    rng = np.random.default_rng(0)
    indices = rng.integers(0, len(index), 400)
    check(index, store, indices, shift=rng.integers(0, 128, 400))


def test_filters_choose_windows(store, shard_set):
    """Splits electrodes datasets and quality choose."""

    def windows(**filters):
        return WindowIndex([shard_set], n_samples=256, stride=256, **filters)

    everything = windows(splits=None)
    parts = [windows(splits=(s,)) for s in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(everything)
    ids = [set(p.gather(np.arange(len(p))).recording.tolist()) for p in parts]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]
    pz = windows(splits=None, electrodes=["pz", "T3"])
    assert {pz.vocabulary.name_of(int(e)) for e in pz.gather(np.arange(len(pz))).electrode} == {"Pz"}
    # The figure is 0.5 for a recording's first electrode, 0.75 for its second, and so on.
    good = windows(splits=None, quality={"line_noise_ratio": (0.0, 0.6)})
    assert {good.vocabulary.name_of(int(e)) for e in good.gather(np.arange(len(good))).electrode} == {"Fp1", "Cz"}
    with pytest.raises(UsageError, match="no data set 'synthetik'") as caught:
        windows(datasets=["synthetik"])
    assert caught.value.expected == "synthetic"
    with pytest.raises(UsageError, match="unknown split 'trian'"):
        windows(splits=["train", "trian"])
    with pytest.raises(UsageError, match="no electrode"):
        windows(electrodes=["Nowhere"])
    with pytest.raises(UsageError, match="no windows left"):
        windows(electrodes=["F3"])
    with pytest.raises(UsageError, match="no windows left"):
        WindowIndex([shard_set], n_samples=10**6, stride=1)


def test_number_outside_index_fails(shard_set):
    """A number outside the index is an error."""
    index = WindowIndex([shard_set], n_samples=256, stride=256)
    for bad in (-1, len(index)):
        with pytest.raises(IndexError):
            index.gather(np.array([bad]))


@pytest.fixture(scope="module")
def other(synthetic, tmp_path_factory):
    """A second data set whose set has another vocabulary: other order, one electrode more, one under an alias."""
    from eegprep.electrodes import Electrode, Vocabulary

    rng = np.random.default_rng(9)
    infos, signals = [], {}
    for k in range(4):
        info, signal = synthetic.recording(rng, f"{k}", dataset="other", electrodes=("Xx1", "O2", "T3"))
        infos.append(info)
        signals[info.id] = signal
    store = synthetic.MemoryStore(synthetic.manifest("other"), infos, signals)
    folder = tmp_path_factory.mktemp("other") / "set"
    vocabulary = Vocabulary([Electrode(name="Xx1"), Electrode(name="T3"), Electrode(name="O2")])
    build_shard_set([store], folder, vocabulary=vocabulary, sync=False)
    return store, folder


def test_sets_joined_by_electrode_name(store, shard_set, other):
    """Sets are read together by electrode name."""
    other_store, folder = other
    second = ShardSet.open(folder)
    index = WindowIndex([shard_set, second], n_samples=500, stride=500, splits=None)
    assert index.vocabulary.names[:138] == shard_set.vocabulary.names
    assert index.vocabulary.names[138:] == ("Xx1",)
    assert index.group_sizes.tolist() == [
        len(expected_windows(store, 500, 500)),
        len(expected_windows(other_store, 500, 500)),
    ]
    batch = index.gather(np.arange(len(index)))
    names = {index.vocabulary.name_of(int(e)) for e in batch.electrode[index.group_sizes[0] :]}
    assert names == {"Xx1", "O2", index.vocabulary.canonical("T3")}
    infos = {i.id: (s, i) for s in (store, other_store) for i in s.infos()}
    starts = index.start_samples(np.arange(len(index)))
    for k in np.random.default_rng(0).integers(0, len(index), 100):
        source, info = infos[index.recording_ids[batch.recording[k]]]
        name = index.vocabulary.name_of(int(batch.electrode[k]))
        own = next(e for e in info.electrodes if index.vocabulary.canonical(e) == name)
        signal = source.electrode_uv(info, own, Stretch(start_sample=int(starts[k]), n_samples=500))
        np.testing.assert_array_equal(batch.signal_i16[k] * batch.scale_uv[k], signal)
    by_dataset = WindowIndex([shard_set, second], n_samples=500, stride=500, splits=None, group_by="dataset")
    assert by_dataset.group_names == ("other", "synthetic")
    assert by_dataset.group_sizes.tolist() == index.group_sizes[::-1].tolist()
    first = by_dataset.gather(np.arange(by_dataset.group_sizes[0]))
    assert {by_dataset.recording_ids[r].split("/")[0] for r in first.recording} == {"other"}


def test_recording_in_two_sets_refused(shard_set):
    """The same recording in two sets is refused."""
    with pytest.raises(UsageError, match="two shard sets contain the same recording"):
        WindowIndex([shard_set, shard_set], n_samples=256, stride=256)
