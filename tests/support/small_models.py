"""Small models as written by the commands, and recordings with the spectrum of EEG."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import mne
import numpy as np
import pytest
import torch
import yaml

from eegprep.electrodes import Vocabulary
from eegprep.manifest import load_recipe, parse_manifest
from eegprep.splits import Seen, SeenRecording
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.runs import checkpoint as ck
from eegpt.runs.folder import write_config

TINY = ETEConfig(n_layers=2, width=16, n_heads=2, token_samples=64, token_stride=32, objective="new")
NAMES = ("Fp1", "C3", "Cz", "C4", "O2")


def eeg(seed: int, n_channels: int, n_samples: int, sfreq_hz: float) -> np.ndarray:
    """(n_channels, n_samples) microvolt, 20 uV, falling with frequency."""
    random = np.random.default_rng(seed)
    spectrum = np.fft.rfft(random.normal(size=(n_channels, n_samples)), axis=1)
    signal = np.fft.irfft(spectrum / np.maximum(np.fft.rfftfreq(n_samples, 1 / sfreq_hz), 0.5), n_samples, axis=1)
    return 20 * signal / signal.std(axis=1, keepdims=True)


def raw_of(seed: int, *, names: tuple[str, ...] = NAMES, seconds: int = 30, sfreq_hz: float = 200.0) -> mne.io.RawArray:
    signal_v = eeg(seed, len(names), int(seconds * sfreq_hz), sfreq_hz) * 1e-6
    return mne.io.RawArray(signal_v, mne.create_info(list(names), sfreq_hz, "eeg"), verbose="ERROR")


LICENCE = {"id": "CC-BY-4.0", "share_shards": True}


def origin(recipe: str = "default", licence: dict | None = None, name: str = "toy") -> dict:
    """Entry of a data set in a run's lock."""
    steps = load_recipe(recipe).steps_json()
    return {
        "name": name, "version": "1", "title": "Toy", "citation": "Nobody: Nothing, 2026", "tasks": [],
        "licence": licence or LICENCE,
        "steps": [{"steps": steps, "hours": 1.0}],
    }  # fmt: skip


def write_encoder(folder: Path, *, config: ETEConfig = TINY, data: list[dict] | None = None, seed: int = 5) -> Path:
    """A run as written by `eegpt train`, with random weights."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    Vocabulary.base().to_parquet(folder / "vocabulary.parquet")
    write_config(folder, "encoder", encoder=config, window_samples=[256])
    ck.save_tensors(folder / "model.safetensors", ETE(config).state_dict())
    Seen.of([SeenRecording(id="elsewhere/s1/-/1")]).write(folder)
    lock = {"shard_sets": {}, "data": [origin()] if data is None else data, "software": {}}
    (folder / "lock.yaml").write_text(yaml.safe_dump(lock), encoding="utf-8")
    return folder


MANIFEST = """\
manifest: 1
name: toy
version: "1"
title: Toy
citation: "Nobody: Nothing, 2026"
licence: {id: CC-BY-4.0, share_shards: yes}
anonymous_subjects: yes
line_freq_hz: 50
source: {files: ["{subject}.fif"]}
tasks:
  - name: hand
    classes: [left, right]
    trials: {by: event, labels: {T1: left, T2: right}, length_s: 2.0}
"""


@pytest.fixture(scope="session")
def toy() -> SimpleNamespace:
    """`raw(seed)`, `encoder(folder)`, `origin(recipe)`, `eeg(...)`."""
    return SimpleNamespace(raw=raw_of, encoder=write_encoder, origin=origin, eeg=eeg, config=TINY, names=NAMES)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("interop") / "encoder")


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Six subjects' recordings with events, as files, as a store and as a shard set."""
    from eegprep.ingest import ingest
    from eegprep.shards import build_shard_set

    folder = tmp_path_factory.mktemp("recorded")
    files = folder / "files"
    files.mkdir()
    for s in range(6):
        raw = raw_of(100 + s)
        signal = raw._data
        for k in range(12):  # right: a 10 Hz rhythm at C3
            part = slice(int((2 + 2 * k) * 200), int((4 + 2 * k) * 200))
            signal[1, part] += (k % 2) * 30e-6 * np.sin(2 * np.pi * 10 * np.arange(400) / 200)
        onsets = 2.0 + 2 * np.arange(12)
        raw.set_annotations(mne.Annotations(onsets, [2.0] * 12, ["T1", "T2"] * 6))
        raw.save(files / f"s{s}.fif", verbose="ERROR")
    manifest = parse_manifest(MANIFEST)
    ingest(manifest, files, folder / "store", workers=0)
    build_shard_set([folder / "store"], folder / "shards", sync=False)
    return SimpleNamespace(files=files, store=folder / "store", shards=folder / "shards")
