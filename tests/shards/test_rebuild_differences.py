"""`verify --rebuild` says which stage differs first, by how much the samples do, and which versions do."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest

import eegprep
from eegprep.errors import RefusedError
from eegprep.manifest.lock import Lock, versions, write_lock
from eegprep.shards import ShardSet, build_shard_set
from eegprep.shards.verify.rebuild import compare_rebuilt
from eegprep.shards.verify.signal_difference import signal_difference
from eegprep.store import Store


@pytest.fixture
def small(synthetic):
    return synthetic.small_store(n_subjects=4)


@pytest.fixture
def built(small, tmp_path):
    build_shard_set([small], tmp_path / "set", block_samples=512, max_shard_bytes=20_000, sync=False)
    return tmp_path / "set"


def told(path, stores) -> str:
    with pytest.raises(RefusedError, match="rebuilt from the stores differs") as caught:
        compare_rebuilt(path, stores)
    assert sorted(p.name for p in path.parent.iterdir() if p.name.startswith(".")) == []
    return str(caught.value.found)


def with_sample(synthetic, small, *, add_uv: float):
    """The store with one sample of Cz moved, far from its largest ones."""
    info = small.infos()[1]
    signals = {k: v.copy() for k, v in small.signals.items()}
    signals[info.id][info.electrodes.index("Cz"), 1234] = add_uv
    return synthetic.MemoryStore(small.manifest, small.infos(), signals), info


def with_infos(synthetic, small, **changes):
    infos = [dataclasses.replace(small.infos()[0], **changes), *small.infos()[1:]]
    return synthetic.MemoryStore(small.manifest, infos, small.signals)


def test_one_changed_sample_is_measured(synthetic, small, built):
    """One changed sample is found and measured."""
    changed, info = with_sample(synthetic, small, add_uv=20.0)
    before = float(small.signals[info.id][info.electrodes.index("Cz"), 1234])
    opened = ShardSet.open(built)
    step_uv = float(opened.blocks.scale_uv[opened.blocks.recording == opened.recordings.id.index(info.id)][0])
    found = told(built, [changed])
    apart = abs(20.0 - before)
    assert "first difference: stage ingest, the store's signal" in found
    assert f"1 samples differ, by at most {apart:g} µV ({apart / step_uv:g} int16 steps)" in found
    assert f"sample 1234 of Cz in {info.id}" in found
    assert "versions: no difference" in found


def test_grown_scale_is_told_from_rounding(synthetic, small, built, tmp_path):
    """A sample so large that the scale grows is told from rounding."""
    changed, _ = with_sample(synthetic, small, add_uv=200.0)
    found = told(built, [changed])
    assert "the store's signal" in found
    assert "blocks have another scale" in found
    build_shard_set([changed], tmp_path / "other", block_samples=512, max_shard_bytes=20_000, sync=False)
    apart = signal_difference(ShardSet.open(built), ShardSet.open(tmp_path / "other"))
    # whole numbers of 1/64 µV fit both scales: one sample alone differs
    assert (apart.n_different, apart.n_beyond_rounding, apart.sample) == (1, 1, 1234)
    assert apart.n_scales > 1


def test_other_scale_is_the_shards_stage(built, small, monkeypatch):
    """Another scale alone is a difference of the shards stage."""
    import eegprep.shards.build.electrode as electrode_module

    scale_for = electrode_module.scale_for
    monkeypatch.setattr(electrode_module, "scale_for", lambda peak_uv: 64 * scale_for(peak_uv))
    found = told(built, [small])
    assert "first difference: stage shard, scale: the same signal, rounded differently" in found


def test_blocks_cut_elsewhere_are_equal(built, small, tmp_path):
    """Blocks that are cut elsewhere hold equal samples."""
    build_shard_set([small], tmp_path / "other", block_samples=300, sync=False)
    apart = signal_difference(ShardSet.open(built), ShardSet.open(tmp_path / "other"))
    assert not apart
    assert apart.in_words() == "samples: all equal"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"steps": ({"step": "band_pass", "low_hz": 1.0, "high_hz": 40.0},)},
            "stage ingest, parameters: 1 of 1 differ, first steps of synthetic",
        ),
        ({"source_sha256": "1" * 64}, "stage ingest, inputs: 1 of 4 differ, first synthetic/000"),
        ({"signal_sha256": "0" * 64}, "stage ingest, outputs: 1 of 4 differ, first synthetic/000"),
        ({"attributes": {"group": "c"}}, "stage shard, index: all shards are equal, recordings.parquet"),
    ],
)
def test_first_differing_stage_is_named(synthetic, small, built, changes, message):
    """The first stage that differs is named."""
    found = told(built, [with_infos(synthetic, small, **changes)])
    assert f"first difference: {message}" in found
    assert "samples: all equal" in found


def test_other_manifest_is_named_first(synthetic, small, built):
    """Another manifest comes before all else."""
    changed = copy.copy(small)
    changed.manifest = synthetic.manifest(title="Another title")
    assert "first difference: stage ingest, manifests: 1 of 1 differ, first synthetic" in told(built, [changed])


def test_samples_of_one_set_are_counted(synthetic, small, built):
    """Samples that only one set keeps are counted."""
    info = small.infos()[0]
    shorter = (dataclasses.replace(info.stretches[0], n_samples=1990), *info.stretches[1:])
    found = told(built, [with_infos(synthetic, small, stretches=shorter)])
    assert "the store's signal" in found
    assert f"{10 * len(info.electrodes)} samples are only in the set, 0 only in the rebuilt one" in found


def test_differing_versions_are_named(small, tmp_path, monkeypatch):
    """Versions that differ are named for the set and for its stores."""
    store = Store.create(tmp_path / "store", small.manifest)
    for info in small.infos():
        with store.writer(info.id, info.electrodes) as writer:
            writer.append(np.asarray(small.signals[info.id]))
            writer.finish(info)
    write_lock(tmp_path / "store", Lock(lock=1, versions=versions() | {"numpy": "1.0"}, stages=[]))
    with monkeypatch.context() as other:
        other.setattr(eegprep, "__version__", "0.0.9")
        build_shard_set([tmp_path / "store"], tmp_path / "set", sync=False)
    found = told(tmp_path / "set", [tmp_path / "store"])
    assert "first difference: stage shard, index: all shards are equal, lock.yaml differs" in found
    assert f"the set was written by eegprep 0.0.9, this is {eegprep.__version__}" in found
    assert f"store was ingested with numpy 1.0, this is {np.__version__}" in found
