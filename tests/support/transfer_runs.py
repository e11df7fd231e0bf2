"""Shard sets whose classes differ by a 10 Hz rhythm at one electrode, a small encoder's run, and settings by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support import synthetic

from eegprep.electrodes import Vocabulary
from eegprep.recording import RecordingInfo, Stretch, Trial
from eegprep.shards import build_shard_set
from eegprep.splits import Seen, SeenRecording
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.runs import checkpoint as ck
from eegpt.runs.folder import write_config
from eegpt.runs.settings import changed
from eegpt.transfer.config import TransferConfig

N_TRIALS, LENGTH = 12, 192
TINY = ETEConfig(n_layers=2, width=16, n_heads=2, token_samples=64, token_stride=32, objective="new")


_PATHS = {
    inner: f"{name}.{inner}"
    for name, field in TransferConfig.model_fields.items()
    for inner in getattr(field.annotation, "model_fields", {})
}


def settings(**values: object) -> TransferConfig:
    """Settings by name, without their table."""
    return changed(TransferConfig(), {_PATHS.get(name, name): value for name, value in values.items()})


def subject_of(random: np.random.Generator, dataset: str, subject: str, electrodes: tuple[str, ...], length: int):
    """One recording of 12 trials: class 1 has a 10 Hz rhythm at the second electrode; the value is its amplitude."""
    n = N_TRIALS * length
    signal = random.normal(0, 5, (len(electrodes), n))
    trials = []
    for k in range(N_TRIALS):
        part = slice(k * length, (k + 1) * length)
        amplitude = 15.0 * (k % 2) + random.uniform(0, 3)
        signal[1, part] += amplitude * np.sin(2 * np.pi * 10 * np.arange(length) / 256)
        place = {"start_sample": k * length, "n_samples": length}
        trials.append(Trial(task="hand", label=("left", "right")[k % 2], **place))
        trials.append(Trial(task="load", label=f"{amplitude:.3f}", **place))
    info = RecordingInfo(
        dataset=dataset,
        subject=subject,
        run="1",
        n_samples=n,
        electrodes=electrodes,
        references=("M1",) * len(electrodes),
        stretches=(Stretch(start_sample=0, n_samples=n),),
        trials=tuple(sorted(trials)),
        sigma_uv=(5.0,) * len(electrodes),
        signal_sha256=f"{sum(map(ord, dataset)) * 1000 + int(subject):064d}",
    )
    return info, signal.astype(np.float32)


def build(folder: Path, name: str, electrodes: tuple[str, ...], *, length: int = LENGTH, n: int = 8):
    random = np.random.default_rng(sum(map(ord, name)))
    subjects = [subject_of(random, name, f"{s:02d}", electrodes, length) for s in range(n)]
    store = synthetic.MemoryStore(synthetic.manifest(name), [i for i, _ in subjects], {i.id: x for i, x in subjects})
    build_shard_set([store], folder, sync=False)
    return folder


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight subjects, three electrodes, trials of 0.75 s."""
    return build(tmp_path_factory.mktemp("transfer") / "alpha", "alpha", ("Fp1", "Cz", "O2"))


@pytest.fixture(scope="session")
def other_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another data set of the same tasks: two other electrodes, longer trials."""
    return build(tmp_path_factory.mktemp("transfer") / "beta", "beta", ("C3", "C4"), length=256, n=5)


def write_encoder(folder: Path, seen: Seen | None, config: ETEConfig = TINY) -> Path:
    """A run as written by `eegpt train`, with random weights."""
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    Vocabulary.base().to_parquet(folder / "vocabulary.parquet")
    write_config(folder, "encoder", encoder=config, training={})
    ck.save_tensors(folder / "model.safetensors", ETE(config).state_dict())
    if seen is not None:
        seen.write(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    elsewhere = SeenRecording(id="elsewhere/s1/-/1", signal_sha256="e" * 64)
    return write_encoder(tmp_path_factory.mktemp("transfer") / "encoder", Seen.of([elsewhere]))


@pytest.fixture(scope="session")
def make_encoder():
    return write_encoder
