"""A small synthetic store in memory for the tests of shards and the loader."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eegprep.manifest.schema import Manifest
from eegprep.recording import RecordingInfo, Stretch, Trial

CLASSES = ("left", "right")

__all__ = ["MemoryStore", "manifest", "recording", "small_store"]


def manifest(name: str = "synthetic", **more: object) -> Manifest:
    """A manifest with one task of two classes and one regression."""
    text: dict[str, object] = {
        "manifest": 1,
        "name": name,
        "version": "1",
        "title": "Synthetic",
        "citation": "none",
        "licence": {"id": "CC0-1.0", "share_shards": True},
        "source": {"kind": "files"},
        "tasks": [
            {"name": "hand", "classes": ["left", "right"], "trials": {"by": "trial"}},
            {"name": "load", "kind": "regression", "trials": {"by": "trial"}},
        ],
    }
    return Manifest.model_validate(text | more)


class MemoryStore:
    """Recordings in memory; `signals` is recording id to (n_electrodes, n_samples) float32 µV."""

    def __init__(self, manifest: Manifest, infos: Sequence[RecordingInfo], signals: dict[str, NDArray[np.float32]]):
        self.manifest = manifest
        self._infos = sorted(infos, key=lambda i: i.id)
        self.signals = signals

    def infos(self) -> list[RecordingInfo]:
        return list(self._infos)

    def electrode_uv(self, info: RecordingInfo, electrode: str, stretch: Stretch | None = None) -> NDArray[np.float32]:
        signal = self.signals[info.id][info.electrodes.index(electrode)]
        return signal if stretch is None else signal[stretch.start_sample : stretch.stop_sample]

    def close(self) -> None:
        """Nothing is open."""


def recording(
    rng: np.random.Generator,
    subject: str,
    *,
    dataset: str = "synthetic",
    run: str = "1",
    electrodes: Sequence[str] = ("Fp1", "Cz", "O2"),
    n_samples: int = 5000,
    stretches: Sequence[Stretch] | None = None,
    trials: Sequence[Trial] = (),
    rejected: dict[str, tuple[Stretch, ...]] | None = None,
    amplitude_uv: float = 20.0,
    **more: object,
) -> tuple[RecordingInfo, NDArray[np.float32]]:
    """One recording in integer steps of 1/64 µV, so that it is restored exactly."""
    noise = rng.integers(-64 * 50, 64 * 50, size=(len(electrodes), n_samples)) / 64
    signal = (noise * (amplitude_uv / 20)).astype(np.float32)
    sigma = 1.4826 * np.median(np.abs(signal - np.median(signal, axis=1, keepdims=True)), axis=1)
    info = RecordingInfo(
        dataset=dataset,
        subject=subject,
        run=run,
        n_samples=n_samples,
        electrodes=tuple(electrodes),
        references=tuple("M1" for _ in electrodes),
        stretches=tuple(stretches or (Stretch(start_sample=0, n_samples=n_samples),)),
        rejected=rejected or {},
        trials=tuple(trials),
        sigma_uv=tuple(float(s) for s in sigma),
        quality={"line_noise_ratio": tuple(0.5 + 0.25 * k for k in range(len(electrodes)))},
        signal_sha256=hashlib.sha256(signal.tobytes()).hexdigest(),
        **more,  # type: ignore[arg-type]
    )
    return info, signal


def small_store(
    seed: int = 0, *, n_subjects: int = 10, dataset: str = "synthetic", n_samples: int = 5000
) -> MemoryStore:
    """Ten subjects; gaps, rejected parts, different electrodes, trials that fit and trials that do not."""
    rng = np.random.default_rng(seed)
    infos, signals = [], {}
    montages = (("Fp1", "Cz", "O2"), ("Cz", "O2", "Fp1", "Pz"), ("Cz",))
    for k in range(n_subjects):
        stretches = [Stretch(start_sample=0, n_samples=2000), Stretch(start_sample=2100, n_samples=n_samples - 2100)]
        trials = [
            Trial(start_sample=100 + 500 * t, n_samples=300 + 100 * (t % 2), task="hand", label=CLASSES[t % 2])
            for t in range(8)
        ]
        trials += [Trial(start_sample=1950, n_samples=300, task="load", label="2.5", event="T2")]
        trials += [Trial(start_sample=2500, n_samples=400, task="load", label="-1", event="T2")]
        info, signal = recording(
            rng,
            f"{k:03d}",
            dataset=dataset,
            electrodes=montages[k % 3],
            n_samples=n_samples,
            stretches=stretches,
            trials=trials,
            rejected={"Cz": (Stretch(start_sample=700, n_samples=50),)} if k % 2 else {},
            attributes={"group": "a" if k % 2 else "b"},
        )
        infos.append(info)
        signals[info.id] = signal
    return MemoryStore(manifest(dataset), infos, signals)
