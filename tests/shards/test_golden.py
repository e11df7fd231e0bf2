"""Format version 1 may not change: a set written once stays readable, and equal recordings give equal shards."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import eegprep
from eegprep.recording import Stretch
from eegprep.shards import ShardSet, build_shard_set, verify_shard_set
from eegprep.shards.format import BLOCK_SCHEMA, FORMAT_VERSION, RECORDING_SCHEMA, TRIAL_SCHEMA, Block, frame

GOLDEN = Path(__file__).parent / "golden" / "set"
# SHA-256 of every shard and every text file of the golden set. A difference is a new format version.
HASHES = json.loads((Path(__file__).parent / "golden" / "hashes.json").read_text())


@pytest.fixture(scope="module")
def golden_store(load_file):
    return load_file(Path(__file__).parent / "golden" / "make.py").golden_store()


def test_golden_files_are_the_committed_ones():
    """The golden files are the ones that were committed."""
    found = {
        p.relative_to(GOLDEN).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(GOLDEN.rglob("*"))
        if p.is_file()
    }
    assert found == HASHES


def test_golden_set_holds_what_was_put_in(golden_store):
    """The golden set is whole and holds what was put in."""
    verify_shard_set(GOLDEN, deep=True)
    opened = ShardSet.open(GOLDEN)
    infos = {i.id: i for i in golden_store.infos()}
    assert opened.recordings.id == ("golden/01/-/1", "golden/02.b/-/1")
    assert opened.recordings.split == ("train", "test")
    assert opened.recordings.facts(0)["O2"] == {"line_noise_ratio": 0.25, "reference": "M1"}
    assert opened.recordings.attributes(1) == {"group": "a"}
    assert opened.spans.n_samples.tolist() == [100, 799, 500, 900, 500, 900, 500]
    for b in range(len(opened.blocks)):
        info = infos[opened.recordings.id[opened.blocks.recording[b]]]
        electrode = opened.vocabulary.name_of(int(opened.blocks.electrode[b]))
        start, n = int(opened.blocks.start_sample[b]), int(opened.blocks.n_samples[b])
        expected = golden_store.electrode_uv(info, electrode, Stretch(start_sample=start, n_samples=n))
        np.testing.assert_array_equal(opened.signal_uv(b), expected)
    trials = opened.trials
    assert [(trials.task_names[t], trials.label_names[x]) for t, x in zip(trials.task, trials.label, strict=True)] == [
        ("hand", "left"), ("load", "1.5"), ("hand", "left"), ("load", "1.5"),
    ]  # fmt: skip
    assert trials.events.to_pylist() == ["T1", "", "T1", ""]


def test_golden_set_is_written_the_same(golden_store, tmp_path, monkeypatch):
    """Writing it again gives the same bytes."""
    monkeypatch.setattr(eegprep, "__version__", "golden")
    build_shard_set([golden_store], tmp_path / "set", block_samples=512, max_shard_bytes=9000)
    for name in HASHES:
        if name.startswith("shards/") or name == "manifest.yaml":
            assert (tmp_path / "set" / name).read_bytes() == (GOLDEN / name).read_bytes(), name
    # Parquet's bytes are those of one version of Arrow; what the tables say is the contract.
    for name in ("blocks.parquet", "recordings.parquet", "trials.parquet", "electrodes.parquet"):
        again, golden = (pq.ParquetFile(folder / name).read() for folder in (tmp_path / "set", GOLDEN))
        assert again.schema.equals(golden.schema, check_metadata=True), name
        assert again.to_pydict() == golden.to_pydict() or name == "recordings.parquet"
        for column in again.column_names:
            assert str(again[column].to_pylist()) == str(golden[column].to_pylist()), (name, column)


def test_the_columns_of_version_1_are_these():
    assert FORMAT_VERSION == 1
    assert BLOCK_SCHEMA.names == [
        "recording", "electrode", "reference", "stretch", "shard", "offset", "n_samples", "start_sample", "scale_uv",
        "sigma_uv", "crc32",
    ]  # fmt: skip
    assert TRIAL_SCHEMA.names == ["recording", "start_sample", "n_samples", "task", "label", "event"]
    assert RECORDING_SCHEMA.names[:7] == ["id", "dataset", "subject", "session", "run", "split", "within_subject"]


def test_the_frame_of_a_block_is_this():
    block = Block(
        recording="d/s.1/-/r",
        electrode="Cz",
        reference="M1",
        stretch=2,
        start_sample=512,
        n_samples=300,
        sfreq_hz=256.0,
        scale_uv=0.03125,
    )
    around = frame(block)
    assert len(around.head) == 1024
    assert len(around.tail) == 424 + 1024
    assert around.head[:32].rstrip(b"\0") == b"d+s%2E1+-+r+Cz+2+512.npy"
    assert around.tail[424 + 512 :].rstrip(b"\0") == (
        b'{"electrode":"Cz","n_samples":300,"recording":"d/s.1/-/r","reference":"M1","scale_uv":0.03125,"sfreq_hz":256.0,'
        b'"start_sample":512}'
    )
    assert hashlib.sha256(around.head + around.tail).hexdigest() == FRAME_SHA256


FRAME_SHA256 = "fb384370350c123626236363df325950e1c659e88d87b5924da847c14ec31f75"
