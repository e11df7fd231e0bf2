"""The webdataset library reads our shards; our pipeline on it mixes electrodes and unpickles nothing."""

from __future__ import annotations

import io

import numpy as np
import pytest

from eegprep.recording import Stretch
from eegprep.shards import ShardSet, build_shard_set
from eegpt.data.pipeline import webdataset_pipeline

wds = pytest.importorskip("webdataset")

# webdataset 1.0 leaves its tar files to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_the_plain_library_reads_every_shard(store, shard_folder, shard_set):
    infos = {i.id: i for i in store.infos()}
    seen = 0
    for shard in shard_set.shards:
        for sample in wds.WebDataset(str(shard_folder / shard.name), shardshuffle=False).decode():
            facts, samples = sample["json"], sample["npy"]
            stretch = Stretch(start_sample=facts["start_sample"], n_samples=facts["n_samples"])
            expected = store.electrode_uv(infos[facts["recording"]], facts["electrode"], stretch)
            np.testing.assert_array_equal(samples * np.float32(facts["scale_uv"]), expected)
            seen += 1
    assert seen == len(shard_set.blocks)


def test_pipeline_every_window_once(store, shard_set):
    """The pipeline gives every window of every block once."""
    infos = {i.id: i for i in store.infos()}
    pipeline = webdataset_pipeline(shard_set, n_samples=200, stride=100, splits=None, buffer_windows=500)
    found = []
    for sample in pipeline:
        stretch = Stretch(start_sample=sample["start_sample"], n_samples=200)
        expected = store.electrode_uv(infos[sample["recording"]], sample["electrode"], stretch)
        np.testing.assert_array_equal(sample["signal_uv"], expected)
        found.append((sample["recording"], sample["electrode"], sample["start_sample"]))
    expected_count = sum((n - 200) // 100 + 1 for n in shard_set.blocks.n_samples.tolist() if n >= 200)
    assert len(found) == len(set(found)) == expected_count


def test_pipeline_split_and_repeat(shard_set):
    """The pipeline keeps to its split and repeats exactly."""

    def run(seed):
        made = webdataset_pipeline(shard_set, n_samples=200, stride=200, seed=seed, buffer_windows=100)
        return [(s["recording"], s["electrode"], s["start_sample"]) for s in made]

    train = {i for i, s in zip(shard_set.recordings.id, shard_set.recordings.split, strict=True) if s == "train"}
    assert {r for r, _, _ in run(0)} == train
    assert run(0) == run(0)
    assert run(0) != run(1)
    assert sorted(run(0)) == sorted(run(1))


def test_pipeline_mixes_electrodes(synthetic, tmp_path):
    """A batch of the pipeline mixes electrodes where the plain library does not."""
    names = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "Cz", "Pz")
    infos, signals = [], {}
    for k in range(6):
        info, signal = synthetic.recording(
            np.random.default_rng(k), f"{k}", electrodes=names, n_samples=6400, split="train"
        )
        infos.append(info)
        signals[info.id] = signal
    store = synthetic.MemoryStore(synthetic.manifest(), infos, signals)
    build_shard_set([store], tmp_path / "set", block_samples=1600, sync=False)
    opened = ShardSet.open(tmp_path / "set")

    def electrodes_in_batches(samples):
        per_batch = [{s["electrode"] for s in samples[a : a + 64]} for a in range(0, len(samples) - 64, 64)]
        return np.mean([len(b) for b in per_batch])

    ours = list(webdataset_pipeline(opened, n_samples=100, stride=100, buffer_windows=256))
    plain = []
    for shard in opened.shards:
        for sample in wds.WebDataset(str(tmp_path / "set" / shard.name), shardshuffle=False).decode():
            plain += [{"electrode": sample["json"]["electrode"]}] * (sample["json"]["n_samples"] // 100)
    assert electrodes_in_batches(plain) < 3
    assert electrodes_in_batches(ours) > 8


def test_hostile_tar_is_not_unpickled(shard_folder, hostile, tmp_path):
    """Samples are found through the index, so whatever stands around them has nothing to act on."""

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was-here"), "w"))

    folder = hostile.copy_of(shard_folder, tmp_path / "set")
    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil()], dtype=object), allow_pickle=True)
    payload = buffer.getvalue()
    for shard in ShardSet.open(folder).shards:
        data = (folder / shard.name).read_bytes()
        (folder / shard.name).write_bytes(data[:512] + payload + data[512 + len(payload) :])
    hostile.reseal(folder)
    pipeline = webdataset_pipeline(ShardSet.open(folder), n_samples=200, stride=100, splits=None, buffer_windows=50)
    assert len(list(pipeline)) > 100
    assert not (tmp_path / "was-here").exists()
