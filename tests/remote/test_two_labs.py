"""Two labs: manifest and lock go over, the same bytes come out with other workers; both sets train one model."""

from __future__ import annotations

import shutil
from pathlib import Path

import edfio
import numpy as np
import pytest

from eegprep.electrodes import Electrode, Vocabulary
from eegprep.electrodes.merge import merge
from eegprep.errors import UsageError
from eegprep.ingest import ingest
from eegprep.manifest import load_manifest, load_manifests
from eegprep.manifest.lock import first_difference, read_lock, read_versions, versions
from eegprep.remote.share import pull, push
from eegprep.shards import ShardSet, build_shard_set
from eegprep.shards.verify.lock_of_set import lock_of
from eegprep.shards.verify.rebuild import compare_rebuilt

pytestmark = pytest.mark.slow

SFREQ_HZ = 200

MANIFEST = """\
manifest: 1
name: NAME
version: "1"
title: Made for a test
citation: nobody
licence: {id: CC0-1.0, share_shards: yes}
anonymous_subjects: yes
line_freq_hz: 50
source: {files: ["{subject}_{run}.edf"]}
tasks:
  - name: NAME_state
    classes: [rest, task]
    trials: {by: run, labels: {"1": rest, "2": task}, length_s: 4, stride_s: 4}
split: {train: ["01", "02"], test: ["03"]}
expect: {subjects: 3, recordings: 6}
"""


def record(folder: Path, channels: tuple[str, ...], seed: int) -> None:
    """Three people, two runs of 20 s each; 1/f signals in microvolt."""
    folder.mkdir()
    for number in range(3):
        for run in (1, 2):
            rng = np.random.default_rng([seed, number, run])
            spectrum = np.fft.rfft(rng.normal(size=(len(channels), 20 * SFREQ_HZ)), axis=1)
            spectrum /= np.maximum(np.fft.rfftfreq(20 * SFREQ_HZ, 1 / SFREQ_HZ), 0.5)
            signal = np.fft.irfft(spectrum, 20 * SFREQ_HZ, axis=1)
            signal *= 20 / signal.std(axis=1, keepdims=True)
            rows = [
                edfio.EdfSignal(row, SFREQ_HZ, label=name, physical_dimension="uV", physical_range=(-500, 500))
                for name, row in zip(channels, signal, strict=True)
            ]
            edfio.Edf(rows).write(folder / f"0{number + 1}_{run}.edf")


@pytest.fixture(scope="module")
def first_lab(tmp_path_factory):
    """The first lab's raw files, manifest, store and shard set, made by one worker."""
    lab = tmp_path_factory.mktemp("first")
    record(lab / "raw", ("EEG C3-REF", "EEG Cz-REF", "EEG C4-REF", "ECG"), 1)
    (lab / "ours.yaml").write_text(MANIFEST.replace("NAME", "ours"))
    ingest(load_manifest(lab / "ours.yaml"), lab / "raw", lab / "store", workers=1)
    build_shard_set([lab / "store"], lab / "shards", workers=1)
    return lab


def test_equal_bytes_in_another_lab(first_lab, tmp_path):
    """Manifest and raw files give equal bytes elsewhere."""
    push(first_lab / "store", str(tmp_path / "post"))
    pull(str(tmp_path / "post"), tmp_path / "mail")
    shutil.copytree(first_lab / "raw", tmp_path / "copied elsewhere")
    manifest = load_manifests(tmp_path / "mail" / "manifest.yaml")[0]
    ingest(manifest, tmp_path / "copied elsewhere", tmp_path / "store", workers=2)
    build_shard_set([tmp_path / "store"], tmp_path / "shards", workers=3)
    assert first_difference(read_lock(tmp_path / "mail"), read_lock(tmp_path / "store")) is None
    ours, theirs = (folder / "shards" / "SHA256SUMS" for folder in (first_lab, tmp_path))
    assert ours.read_bytes() == theirs.read_bytes()


def test_rebuild_with_other_versions(first_lab, tmp_path):
    """A set names the versions behind it, and a rebuild with others is equal where the bytes are."""
    shutil.copytree(first_lab / "store", tmp_path / "store")
    lock = tmp_path / "store" / "lock.yaml"
    told = lock_of(first_lab / "shards").versions
    assert {k.removeprefix("ours: "): v for k, v in told.items() if k != "eegprep"} == versions()
    lock.write_text(lock.read_text().replace(f"scipy: {versions()['scipy']}", "scipy: 0.1.2"))
    compare_rebuilt(first_lab / "shards", [tmp_path / "store"], workers=2)
    build_shard_set([tmp_path / "store"], tmp_path / "shards")
    assert lock_of(tmp_path / "shards").versions["ours: scipy"] == "0.1.2"
    grown = tmp_path / "grown"
    record(tmp_path / "raw", ("C3", "Cz"), 3)
    (tmp_path / "more.yaml").write_text(MANIFEST.replace("NAME", "more"))
    ingest(load_manifest(tmp_path / "more.yaml"), tmp_path / "raw", tmp_path / "more")
    build_shard_set([tmp_path / "more"], grown, extends=tmp_path / "shards")
    told = lock_of(grown).versions
    assert (told["ours: scipy"], told["more: scipy"]) == ("0.1.2", versions()["scipy"])


def test_lock_without_versions_is_noted(first_lab, tmp_path):
    (tmp_path / "lock.yaml").write_text("lock: 1\n")
    with pytest.raises(UsageError, match="contains no versions"):
        read_versions(tmp_path)
    assert read_versions(first_lab / "raw") == {}


def test_lock_shows_another_file(first_lab, tmp_path):
    shutil.copytree(first_lab / "raw", tmp_path / "raw")
    data = bytearray((tmp_path / "raw" / "02_1.edf").read_bytes())
    data[-7] ^= 1
    (tmp_path / "raw" / "02_1.edf").write_bytes(bytes(data))
    ingest(load_manifest(first_lab / "ours.yaml"), tmp_path / "raw", tmp_path / "store")
    found = first_difference(read_lock(first_lab / "store"), read_lock(tmp_path / "store"))
    assert found.startswith("stage ingest, inputs: 1 of 6 differ, first ")
    assert "02" in found
    build_shard_set([tmp_path / "store"], tmp_path / "shards")
    ours, theirs = lock_of(first_lab / "shards"), lock_of(tmp_path / "shards")
    assert first_difference(ours, ours) is None
    assert "stage ingest, inputs: 1 of 6 differ, first ours/02/-/1" in first_difference(ours, theirs)


def test_sets_of_two_labs_train_one_model(first_lab, tmp_path):
    """A set with more electrodes trains one model with the first."""
    from eegpt.pretraining.config import PretrainConfig
    from eegpt.pretraining.loop import pretrain
    from eegpt.runs.settings import changed

    record(tmp_path / "raw", ("Fp1", "Fp2", "C3", "Cz", "C4", "O1"), 2)
    (tmp_path / "theirs.yaml").write_text(MANIFEST.replace("NAME", "theirs"))
    ingest(load_manifest(tmp_path / "theirs.yaml"), tmp_path / "raw", tmp_path / "store")
    own = Vocabulary.base().extend([Electrode(name="LabQ", position_m=(0.0, 0.0, 0.12), source="their cap")])
    build_shard_set([tmp_path / "store"], tmp_path / "shards", vocabulary=own)
    both = merge(ShardSet.open(first_lab / "shards").vocabulary, ShardSet.open(tmp_path / "shards").vocabulary)
    assert both.added == ("LabQ",)
    assert not both.conflicts
    config = changed(PretrainConfig(), {
        "encoder.n_layers": 1, "encoder.width": 32, "encoder.n_heads": 2, "encoder.token_samples": 64,
        "encoder.token_stride": 32, "data.window_samples": (256,), "schedule.steps": 3,
        "schedule.batch_size": 32, "schedule.micro_batch": 32, "held_out.every": 0, "run.checkpoint_every": 0,
        "held_out.windows": 64, "held_out.final_windows": 64,
        "held_out.linear_windows": 200, "run.tensorboard": False,
    })  # fmt: skip
    shards = [first_lab / "shards", tmp_path / "shards"]
    pretrain(config, shards=shards, out=tmp_path / "run", show_progress=False)
    trained = Vocabulary.from_parquet(tmp_path / "run" / "vocabulary.parquet")
    assert {"C3", "Cz", "C4", "Fp1", "Fp2", "O1"} <= set(trained.names)
    assert (tmp_path / "run" / "model.safetensors").stat().st_size > 10_000
