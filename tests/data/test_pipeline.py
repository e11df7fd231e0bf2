"""The webdataset library reads our shards; our pipeline on it mixes electrodes and unpickles nothing."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest

from eegprep.errors import RefusedError
from eegprep.recording import Stretch
from eegprep.shards import ShardSet, build_shard_set
from eegpt.data.pipeline import decode_member, webdataset_pipeline

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


def test_the_pipeline_gives_every_window_of_every_block_once(store, shard_set):
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


def test_the_pipeline_keeps_to_its_split_and_repeats_exactly(shard_set):
    def run(seed):
        made = webdataset_pipeline(shard_set, n_samples=200, stride=200, seed=seed, buffer_windows=100)
        return [(s["recording"], s["electrode"], s["start_sample"]) for s in made]

    train = {i for i, s in zip(shard_set.recordings.id, shard_set.recordings.split, strict=True) if s == "train"}
    assert {r for r, _, _ in run(0)} == train
    assert run(0) == run(0)
    assert run(0) != run(1)
    assert sorted(run(0)) == sorted(run(1))


def test_a_batch_of_the_pipeline_mixes_electrodes_where_the_plain_library_does_not(synthetic, tmp_path):
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


def test_an_array_of_objects_is_never_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was-here"), "w"))

    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil()], dtype=object), allow_pickle=True)
    with pytest.raises(RefusedError, match="no NumPy array"):
        decode_member(buffer.getvalue(), "x.npy")
    assert not (tmp_path / "was-here").exists()
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((2, 2), np.float32))
    with pytest.raises(RefusedError, match="no int16 signal"):
        decode_member(buffer.getvalue(), "x.npy")


def test_a_shard_that_ends_inside_a_block_is_refused(shard_folder, tmp_path):
    from eegpt.data.pipeline import _blocks_of

    first = next((shard_folder / "shards" / "Fp1").iterdir())
    with tarfile.open(first) as tar, tarfile.open(tmp_path / "cut.tar", "w") as cut:
        member = tar.next()
        cut.addfile(member, tar.extractfile(member))
    with pytest.raises(RefusedError, match="ends inside a block"):
        list(_blocks_of(tmp_path / "cut.tar"))
