"""Stores to shard sets: exact, deterministic, resumable, extensible."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import tarfile
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import eegprep.shards.build.shard_set as build_module
from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.recording import Stretch
from eegprep.shards import ShardSet, build_shard_set, verify_shard_set
from eegprep.shards.sums import read_sums
from eegprep.shards.verify.rebuild import compare_rebuilt


def tree(folder: Path) -> dict[str, str]:
    """Hash of every file by its path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def build(store, out, **more):
    return build_shard_set([store], out, **{"block_samples": 512, "max_shard_bytes": 20_000, "sync": False} | more)


def test_kept_samples_come_back_exactly(store, shard_set):
    """Every kept sample comes back exactly, and nothing else does."""
    infos = {i.id: i for i in store.infos()}
    seen = {}
    for b in range(len(shard_set.blocks)):
        info = infos[shard_set.recordings.id[shard_set.blocks.recording[b]]]
        electrode = shard_set.vocabulary.name_of(int(shard_set.blocks.electrode[b]))
        start, n = int(shard_set.blocks.start_sample[b]), int(shard_set.blocks.n_samples[b])
        expected = store.electrode_uv(info, electrode, Stretch(start_sample=start, n_samples=n))
        np.testing.assert_array_equal(shard_set.signal_uv(b), expected)
        seen.setdefault((info.id, electrode), np.zeros(info.n_samples, int))[start : start + n] += 1
    for info in infos.values():
        for electrode in info.electrodes:
            kept = np.zeros(info.n_samples, int)
            for s in info.kept(electrode):
                kept[s.start_sample : s.stop_sample] = 1
            np.testing.assert_array_equal(seen[info.id, electrode], kept)


def test_no_span_crosses_a_gap(store, shard_set):
    infos = {i.id: i for i in store.infos()}
    spans = shard_set.spans
    for k in range(len(spans)):
        info = infos[shard_set.recordings.id[spans.recording[k]]]
        kept = info.kept(shard_set.vocabulary.name_of(int(spans.electrode[k])))
        span = Stretch(start_sample=int(spans.start_sample[k]), n_samples=int(spans.n_samples[k]))
        assert span in kept


def test_stretches_that_touch_stay_apart(synthetic, tmp_path):
    rng = np.random.default_rng(0)
    parts = [Stretch(start_sample=0, n_samples=300), Stretch(start_sample=300, n_samples=700)]
    info, signal = synthetic.recording(rng, "1", n_samples=1000, stretches=parts)
    store = synthetic.MemoryStore(synthetic.manifest(), [info], {info.id: signal})
    build(store, tmp_path / "set")
    assert sorted(set(ShardSet.open(tmp_path / "set").spans.n_samples.tolist())) == [300, 700]


def test_tokens_are_aligned_to_tar_records(shard_set):
    """Every token is aligned to a tar record."""
    assert (shard_set.blocks.offset % 512 == 0).all()


def test_bytes_do_not_depend_on_workers(store, shard_folder, tmp_path):
    """The bytes do not depend on workers, threads or processes."""
    expected = tree(shard_folder)
    build(store, tmp_path / "four", workers=4)
    assert tree(tmp_path / "four") == expected
    with ThreadPoolExecutor(3) as threads:
        build(store, tmp_path / "threads", executor=threads)
    assert tree(tmp_path / "threads") == expected


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_dask(synthetic, tmp_path):
    distributed = pytest.importorskip("distributed")
    from eegprep.store import Store

    source = synthetic.small_store(n_subjects=3)
    on_disk = Store.create(tmp_path / "store", source.manifest)
    for info in source.infos():
        with on_disk.writer(info.id, info.electrodes) as writer:
            writer.append(source.signals[info.id])
            writer.finish(info)
    build(on_disk, tmp_path / "one")
    with ProcessPoolExecutor(2) as processes:
        build(on_disk, tmp_path / "processes", executor=processes)
    assert tree(tmp_path / "processes") == tree(tmp_path / "one")
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "120s", "distributed.comm.timeouts.tcp": "120s"}),
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        build(on_disk, tmp_path / "dask", executor=client.get_executor())
    assert tree(tmp_path / "dask") == tree(tmp_path / "one")


def test_shards_stay_below_the_limit(shard_folder, shard_set):
    """A shard stays below the limit unless one block is larger."""
    sizes = [(shard_folder / s.name).stat().st_size for s in shard_set.shards]
    assert max(sizes) <= 20_000
    assert len(sizes) > len({s.electrode for s in shard_set.shards})


def test_shard_is_a_tar_of_numpy_and_json(shard_folder, shard_set):
    """Every shard is a plain tar with NumPy and JSON members."""
    for row, shard in enumerate(shard_set.shards):
        with tarfile.open(shard_folder / shard.name) as tar:
            names = tar.getnames()
            assert len(names) == len(set(names)) == 2 * int((shard_set.blocks.shard == row).sum())
            for name in names:
                assert name.count(".") == 1
                if name.endswith(".npy"):
                    samples = np.load(io.BytesIO(tar.extractfile(name).read()), allow_pickle=False)
                    assert samples.dtype == np.dtype("<i2")


def test_interrupted_build_gives_same_bytes(store, shard_folder, tmp_path, monkeypatch):
    """An interrupted build resumes and gives the same bytes."""
    written = []
    real = build_module.write_electrode

    def fails_at_the_third(job):
        if len(written) == 2:
            raise InputError("the disk is full")
        written.append(job.electrode)
        return real(job)

    monkeypatch.setattr(build_module, "write_electrode", fails_at_the_third)
    with pytest.raises(InputError, match="disk is full"):
        build(store, tmp_path / "set")
    with pytest.raises(UsageError, match="not a complete shard set"):
        ShardSet.open(tmp_path / "set")
    again = []
    monkeypatch.setattr(build_module, "write_electrode", lambda job: (again.append(job.electrode), real(job))[1])
    build(store, tmp_path / "set")
    assert set(again).isdisjoint(written)
    assert tree(tmp_path / "set") == tree(shard_folder)


@pytest.mark.parametrize("step", ["write_table", "write_manifests", "write_set_lock", "write_sums", "shutil"])
def test_build_killed_at_its_end_resumes(store, shard_folder, tmp_path, monkeypatch, step):
    """A build that is killed at its end resumes."""

    class Killed(BaseException):
        pass

    def kill(path, *args, **kwargs):
        if step != "shutil" or path.name == "building":
            raise Killed

    with monkeypatch.context() as patched:
        target = build_module.shutil if step == "shutil" else build_module
        patched.setattr(target, "rmtree" if step == "shutil" else step, kill)
        with pytest.raises(Killed):
            build(store, tmp_path / "set")
    summary = build(store, tmp_path / "set")
    assert summary.already_done == (step == "shutil")
    assert tree(tmp_path / "set") == tree(shard_folder)


def test_finished_build_is_not_done_again(store, synthetic, shard_folder):
    """A finished build is not done again, and another plan is refused."""
    before = {p: p.stat().st_mtime_ns for p in shard_folder.rglob("*")}
    assert build(store, shard_folder).already_done
    assert {p: p.stat().st_mtime_ns for p in shard_folder.rglob("*")} == before
    with pytest.raises(UsageError, match="another complete shard set"):
        build(synthetic.small_store(seed=1), shard_folder)


def test_folder_with_other_files_is_kept(store, tmp_path):
    """A folder with other files is left alone."""
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="contains other files"):
        build(store, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_added_recordings_keep_old_shards(synthetic, tmp_path):
    """Adding recordings leaves old shards alone and keeps subjects in their split."""
    whole = synthetic.small_store(n_subjects=12)
    old_ids = {i.id for i in whole.infos()[:8]}
    first = synthetic.MemoryStore(whole.manifest, [i for i in whole.infos() if i.id in old_ids], whole.signals)
    build(first, tmp_path / "old")
    before = tree(tmp_path / "old")
    # Another run of a known subject arrives with the rest.
    twin = dataclasses.replace(whole.infos()[0], run="2")
    more = synthetic.MemoryStore(
        whole.manifest, [*whole.infos(), twin], whole.signals | {twin.id: whole.signals[whole.infos()[0].id]}
    )
    build(more, tmp_path / "new", extends=tmp_path / "old")
    verify_shard_set(tmp_path / "new", deep=True)
    assert tree(tmp_path / "old") == before
    after = tree(tmp_path / "new")
    assert all(after[name] == h for name, h in before.items() if name.startswith("shards/"))
    new, old = ShardSet.open(tmp_path / "new"), ShardSet.open(tmp_path / "old")
    assert new.recordings.id[: len(old.recordings)] == old.recordings.id
    assert len(new.recordings) == 13
    split = dict(zip(new.recordings.id, new.recordings.split, strict=True))
    assert split[twin.id] == split[whole.infos()[0].id]


def test_changed_recording_cannot_be_added(synthetic, tmp_path):
    """Extending a set with a changed recording is refused."""
    store = synthetic.small_store(n_subjects=4)
    build(store, tmp_path / "old")
    infos = [dataclasses.replace(store.infos()[0], signal_sha256="0" * 64), *store.infos()[1:]]
    changed = synthetic.MemoryStore(store.manifest, infos, store.signals)
    with pytest.raises(RefusedError, match="another signal"):
        build(changed, tmp_path / "new", extends=tmp_path / "old")


def test_rebuild_gives_the_same_bytes(store, synthetic, shard_folder):
    """Rebuilding gives the same bytes and tells where it does not."""
    compare_rebuilt(shard_folder, [store])
    with pytest.raises(RefusedError, match="rebuilt from the stores differs"):
        compare_rebuilt(shard_folder, [synthetic.small_store(seed=5)])


def test_stores_with_one_recording_clash(store, tmp_path):
    """Two stores with the same recording are refused."""
    with pytest.raises(UsageError, match="two stores contain the recording"):
        build_shard_set([store, store], tmp_path / "set")


def test_unknown_electrode_is_refused(synthetic, tmp_path):
    """An electrode outside the vocabulary is refused by name."""
    info, signal = synthetic.recording(np.random.default_rng(0), "1", electrodes=("Cz", "Nowhere"))
    store = synthetic.MemoryStore(synthetic.manifest(), [info], {info.id: signal})
    with pytest.raises(UsageError, match="not in the vocabulary") as error:
        build(store, tmp_path / "set")
    assert error.value.found == "Nowhere"


def test_unreadable_store_leaves_no_half_set(tmp_path):
    """An unreadable store leaves no half set."""
    with pytest.raises(UsageError, match="not a store"):
        build_shard_set([tmp_path / "nothing"], tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_finished_set_lists_all_hashes(shard_folder):
    """Every finished set lists every file with its hash."""
    hashes = read_sums(shard_folder)
    assert {n: h for n, h in tree(shard_folder).items() if n != "SHA256SUMS"} == hashes


def test_names_of_any_alphabet_come_back(synthetic, tmp_path):
    """Names with dots, slashes and letters of any alphabet come back."""
    infos, signals = [], {}
    for subject in ("sub.01/á", "a" * 120, "脳 {1..3}"):
        info, signal = synthetic.recording(np.random.default_rng(1), subject, n_samples=2000)
        infos.append(info)
        signals[info.id] = signal
    store = synthetic.MemoryStore(synthetic.manifest(), infos, signals)
    build(store, tmp_path / "set")
    verify_shard_set(tmp_path / "set", deep=True)
    opened = ShardSet.open(tmp_path / "set")
    assert set(opened.recordings.subject) == {i.subject for i in infos}
    with tarfile.open(tmp_path / "set" / opened.shards[0].name) as tar:
        assert all("/" not in n and n.count(".") == 1 for n in tar.getnames())


def test_samples_beyond_int16_are_reported(synthetic, tmp_path):
    """Samples beyond int16 break the stretch and are reported."""
    info, signal = synthetic.recording(np.random.default_rng(0), "1", n_samples=3000, electrodes=("Cz", "Pz"))
    signal = signal.copy()
    signal[0, 1000:1010] = 1e9
    signal[1, 500] = np.nan
    store = synthetic.MemoryStore(synthetic.manifest(), [info], {info.id: signal})
    summary = build(store, tmp_path / "set")
    left = {(x.electrode, x.start_sample, x.n_samples, x.code) for x in summary.left_out}
    assert left == {("Cz", 1000, 10, "out_of_range"), ("Pz", 500, 1, "out_of_range")}
    opened = ShardSet.open(tmp_path / "set")
    assert sorted(opened.spans.n_samples.tolist()) == [500, 1000, 1990, 2499]
    assert float(np.abs(opened.map.samples).max()) <= 32767


def test_constant_electrode_is_left_out(synthetic, tmp_path):
    """An electrode without variation is left out and reported."""
    info, signal = synthetic.recording(np.random.default_rng(0), "1", electrodes=("Cz", "Pz"))
    info = dataclasses.replace(info, sigma_uv=(0.0, info.sigma_uv[1]))
    summary = build(synthetic.MemoryStore(synthetic.manifest(), [info], {info.id: signal}), tmp_path / "set")
    assert {(x.electrode, x.code) for x in summary.left_out} == {("Cz", "no_variation")}
    assert {s.name.split("/")[1] for s in ShardSet.open(tmp_path / "set").shards} == {"Pz"}


def test_memory_is_bounded_for_any_length(synthetic, tmp_path):
    """Memory does not grow with the recording."""

    class Endless(synthetic.MemoryStore):
        """Samples made when they are asked for."""

        def electrode_uv(self, info, electrode, stretch=None):
            return (np.arange(stretch.start_sample, stretch.stop_sample) % 1000).astype(np.float32)

    def peak(n_samples):
        info, _ = synthetic.recording(np.random.default_rng(0), "1", n_samples=100, electrodes=("Cz",))
        whole = (Stretch(start_sample=0, n_samples=n_samples),)
        info = dataclasses.replace(info, n_samples=n_samples, stretches=whole)
        tracemalloc.start()
        build(
            Endless(synthetic.manifest(), [info], {}),
            tmp_path / str(n_samples),
            block_samples=1 << 16,
            max_shard_bytes=1 << 30,
        )
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    # At most: sixteen blocks of 128 KiB that wait for their hash, and a few that are being made.
    assert peak(1 << 23) < 5 << 20 < 2 * (1 << 23)


def test_copies_stay_in_one_split(synthetic, tmp_path):
    """A set whose test split holds a copy of a training recording is refused, whatever the copy is called."""
    rng = np.random.default_rng(3)
    hashes = np.sort(rng.choice(1 << 31, 40, replace=False)).astype("<u4")
    text = f"0:{base64.b64encode(hashes.tobytes()).decode()}"
    infos, signals = [], {}
    for subject, split in (("a", "train"), ("b", "test"), ("c", "train")):
        info, signal = synthetic.recording(rng, subject, split=split, fingerprint=text if subject != "c" else "")
        infos.append(info)
        signals[info.id] = signal
    store = synthetic.MemoryStore(synthetic.manifest(), infos, signals)
    with pytest.raises(RefusedError, match="duplicates of recordings in another split") as caught:
        build_shard_set([store], tmp_path / "set")
    assert "synthetic/b/-/1 (duplicate of synthetic/a/-/1)" in caught.value.found
