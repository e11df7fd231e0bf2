"""Small files of the layouts of sleep and epilepsy recordings, with signals whose origin is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal

__all__ = ["BANANA", "HMC", "STAGES", "potentials", "derived", "heartbeat", "write_edf", "write_hmc", "write_chb"]

HMC = ("EEG F4-M1", "EEG C4-M1", "EEG O2-M1", "EEG C3-M2", "EMG chin", "EOG E1-M2", "EOG E2-M2", "ECG")
BANANA = (
    "FP1-F7", "F7-T7", "T7-P7", "P7-O1", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "FP2-F4", "F4-C4", "C4-P4", "P4-O2",
    "FP2-F8", "F8-T8", "T8-P8", "P8-O2", "FZ-CZ", "CZ-PZ", "P7-T7", "T7-FT9", "FT9-FT10", "FT10-T8", "T8-P8",
)  # fmt: skip
STAGES = ("Sleep stage W", "Sleep stage N1", "Sleep stage N2", "Sleep stage N3", "Sleep stage R")


def potentials(places: Sequence[str], n: int, sfreq_hz: float, seed: int = 0) -> dict[str, np.ndarray]:
    """A potential of each place in microvolt: noise that falls with frequency, 20 µV."""
    rng = np.random.default_rng(seed)
    freqs = np.fft.rfftfreq(n, 1 / sfreq_hz)
    shape = 1 / np.maximum(freqs, 1.0)
    out = {}
    for place in places:
        spectrum = shape * (rng.standard_normal(freqs.size) + 1j * rng.standard_normal(freqs.size))
        signal = np.fft.irfft(spectrum, n)
        out[place] = 20 * signal / signal.std()
    return out


def heartbeat(t: np.ndarray) -> np.ndarray:
    """Beats of 800 µV every 0.9 s."""
    return 800 * np.exp(-(((np.mod(t, 0.9) - 0.45) / 0.02) ** 2))


def derived(names: Sequence[str], potential: Mapping[str, np.ndarray]) -> np.ndarray:
    """The signals of derivations such as `FP1-F7`, (n_names, n)."""
    return np.stack([potential[a] - potential[b] for a, b in (n.split("-") for n in names)])


def write_edf(
    path: Path,
    names: Sequence[str],
    signals: np.ndarray,
    sfreq_hz: int,
    *,
    events: Sequence[tuple[float, float, str]] = (),
) -> None:
    """Signals in microvolt as EDF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        EdfSignal(row, sfreq_hz, label=name[:16], physical_dimension="uV", physical_range=(-2000, 2000))
        for name, row in zip(names, np.clip(signals, -2000, 2000), strict=True)
    ]
    Edf(rows, annotations=[EdfAnnotation(*e) for e in events]).write(path)


def write_hmc(folder: Path, *, subjects: int = 4, rounds: int = 2, sfreq_hz: int = 256) -> None:
    """Nights of 30 s pieces; a stage shows in the EEG's rhythm, in eye movements, and in the chin's tone."""
    for subject in range(1, subjects + 1):
        stages = [s for _ in range(rounds) for s in STAGES]
        n, parts = 30 * sfreq_hz, []
        rng = np.random.default_rng(subject)
        t = np.arange(n) / sfreq_hz
        for k, stage in enumerate(stages):
            v = potentials(("F4", "C4", "O2", "C3", "M1", "M2", "E1", "E2"), n, sfreq_hz, 1000 * subject + k)
            rhythm = {"W": 10.0, "1": 6.0, "2": 13.5, "3": 1.5, "R": 5.0}[stage[-1]]
            wave = 40 * np.sin(2 * np.pi * rhythm * t)
            eyes = (150 if stage[-1] in "WR" else 5) * np.sin(2 * np.pi * 0.7 * t)
            tone = {"W": 60.0, "1": 30.0, "2": 20.0, "3": 15.0, "R": 3.0}[stage[-1]] * rng.standard_normal(n)
            heart = heartbeat(t) + rng.standard_normal(n)
            parts.append(
                np.stack([
                    v["F4"] - v["M1"] + wave, v["C4"] - v["M1"] + wave, v["O2"] - v["M1"] + wave,
                    v["C3"] - v["M2"] + wave, tone, v["E1"] - v["M2"] + eyes, v["E2"] - v["M2"] - eyes, heart,
                ])
            )  # fmt: skip
        name = f"SN{subject:03d}"
        write_edf(folder / f"{name}.edf", HMC, np.concatenate(parts, axis=1), sfreq_hz)
        scored = [EdfAnnotation(30.0 * k, 30, s) for k, s in enumerate(stages)]
        Edf([], annotations=scored).write(folder / f"{name}_sleepscoring.edf")


def write_chb(folder: Path, *, cases: Sequence[str] = ("01",), seconds: int = 120, sfreq_hz: int = 256) -> None:
    """Double-banana recordings with a seizure from 40 s to 80 s: a large 4 Hz rhythm on the left."""
    places = sorted({p for n in BANANA for p in n.split("-")})
    for case in cases:
        n = seconds * sfreq_hz
        v = potentials(places, n, sfreq_hz, int(case))
        t = np.arange(n) / sfreq_hz
        heart = heartbeat(t) + np.random.default_rng(int(case)).standard_normal(n)
        seizure = 120 * np.sin(2 * np.pi * 4 * t) * ((t >= 40) & (t < 80))
        for place in ("FP1", "F7", "T7", "F3", "C3"):
            v[place] = v[place] + seizure * (0.5 + 0.1 * len(place))
        write_edf(
            folder / f"chb{case}" / f"chb{case}_01.edf",
            [*BANANA, "ECG"], np.vstack([derived(BANANA, v), heart]), sfreq_hz,
        )  # fmt: skip
        (folder / f"chb{case}" / f"chb{case}-summary.txt").write_text(
            f"File Name: chb{case}_01.edf\nNumber of Seizures in File: 1\n"
            "Seizure Start Time: 40 seconds\nSeizure End Time: 80 seconds\n"
        )
