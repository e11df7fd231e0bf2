"""A small data set of EDF files that each test may damage: three subjects, two runs, events, one subject table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import edfio
import numpy as np
import pytest

from eegprep.manifest.schema import Manifest

CHANNELS = ("EEG C3-A1", "EEG Cz-A1", "EEG C4-A1", "ECG", "Foo9")
SFREQ_HZ = 200
SECONDS = 24


def eeg_signal(seed: int, n_channels: int = 5, n_samples: int = SFREQ_HZ * SECONDS) -> np.ndarray:
    """(n_channels, n_samples) microvolt with the spectrum of EEG."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.normal(size=(n_channels, n_samples)), axis=1)
    freqs = np.fft.rfftfreq(n_samples, 1 / SFREQ_HZ)
    signal = np.fft.irfft(spectrum / np.maximum(freqs, 0.5), n_samples, axis=1)
    return 20 * signal / signal.std(axis=1, keepdims=True)


def write_edf(
    path: Path, signal: np.ndarray, channels: tuple[str, ...] = CHANNELS, *, physical_uv: float = 500.0
) -> None:
    signals = [
        edfio.EdfSignal(row, SFREQ_HZ, label=name, physical_dimension="uV", physical_range=(-physical_uv, physical_uv))
        for name, row in zip(channels, signal, strict=True)
    ]
    marks = [edfio.EdfAnnotation(onset, 1.0, text) for onset, text in ((3.0, "T1"), (9.0, "T2"), (23.5, "T1"))]
    path.parent.mkdir(parents=True, exist_ok=True)
    edfio.Edf(signals, annotations=marks).write(path)


@pytest.fixture(name="eeg_signal")
def eeg_signal_fixture() -> Callable[[int], np.ndarray]:
    """`eeg_signal(seed)`."""
    return eeg_signal


@pytest.fixture(name="write_edf")
def write_edf_fixture() -> Callable[[Path, np.ndarray], None]:
    """`write_edf(path, signal)`."""
    return write_edf


@pytest.fixture
def manifest() -> Manifest:
    return Manifest.model_validate(
        {
            "manifest": 1,
            "name": "toy",
            "version": "1",
            "title": "Toy",
            "citation": "none",
            "licence": {"id": "CC0-1.0", "share_shards": True},
            "anonymous_subjects": True,
            "country": "DE",
            "source": {"kind": "files", "files": ["{subject}_{run}.edf"]},
            "channels": {"Foo9": {"leave_out": "a sensor of the chair"}},
            "subjects": {"file": "people.csv", "id_column": "id", "attributes": {"group": "Group"}},
            "tasks": [
                {
                    "name": "hand",
                    "classes": ["left", "right"],
                    "trials": {
                        "by": "event",
                        "labels": {"T1": "left", "T2": "right"},
                        "offset_s": 0.5,
                        "length_s": 2.0,
                    },
                },
                {
                    "name": "state",
                    "classes": ["rest", "work"],
                    "trials": {"by": "run", "labels": {"1": "rest", "2": "work"}, "length_s": 4.0, "to_s": 20.0},
                },
                {"name": "who", "classes": ["a", "b"], "trials": {"by": "attribute", "attribute": "group"}},
            ],
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    for subject in range(3):
        for run in (1, 2):
            write_edf(data / f"s{subject}_{run}.edf", eeg_signal(10 * subject + run))
    (data / "people.csv").write_text("id,Group\ns0,a\ns1,b\ns2,a\n", encoding="utf-8")
    return data


@pytest.fixture
def tree_bytes() -> Callable[[Path], dict[str, bytes]]:
    """All files of a store with their bytes; `.lock` is the running process's own."""

    def read(store: Path) -> dict[str, bytes]:
        return {
            str(p.relative_to(store)): p.read_bytes()
            for p in sorted(store.rglob("*"))
            if p.is_file() and p.name != ".lock"
        }

    return read
