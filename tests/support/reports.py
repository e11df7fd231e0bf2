"""Stores and shard sets of the report tests: small, with known hours, gaps, reasons and one broken file."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eegprep.files import write_json
from eegprep.manifest import Manifest
from eegprep.manifest.lock import Lock, write_lock
from eegprep.recording import LeftOut, RecordingInfo, Stretch, Trial
from eegprep.store import Store

RATE = 256
ELECTRODES = ("Fp1", "Fp2", "C3", "Cz", "C4", "O1", "O2")
N_SAMPLES = 60 * RATE
GAP = Stretch(start_sample=20 * RATE, n_samples=6 * RATE)

MANIFEST = {
    "manifest": 1,
    "name": "toy",
    "version": "1.0",
    "title": "A <b>toy</b> & its signal",
    "citation": "Nobody (2026). Nothing of note.",
    "url": "https://example.org/toy",
    "licence": {"id": "CC-BY-4.0"},
    "reference": "ears",
    "source": {"kind": "files", "files": ["{subject}_{run}.edf"]},
    "tasks": [
        {
            "name": "state",
            "classes": ["rest", "work"],
            "trials": {"by": "run", "labels": {"1": "rest", "2": "work"}, "length_s": 4.0, "stride_s": 4.0},
        }
    ],
}


def eeg_like(rng: np.random.Generator, n_electrodes: int, n_samples: int) -> np.ndarray:
    """(n_electrodes, n_samples) float32 microvolt: 1/f noise and a 10 Hz rhythm."""
    freq = np.fft.rfftfreq(n_samples, 1 / RATE)
    shape = np.where(freq > 0.5, 1 / np.maximum(freq, 0.5), 0.0)
    phase = rng.uniform(0, 2 * np.pi, (n_electrodes, freq.size))
    noise = np.fft.irfft(shape * np.exp(1j * phase), n_samples)
    noise *= 10 / noise.std(axis=1, keepdims=True)
    time = np.arange(n_samples) / RATE
    return (noise + 6 * np.sin(2 * np.pi * 10 * time)).astype(np.float32)


def recording(subject: str, run: str, *, split: str, sigma: tuple[float, ...], gap: bool) -> RecordingInfo:
    left_out = [
        LeftOut(kind="channel", name="EOG", code="eog", reason="an eye channel, no electrode on the scalp"),
        LeftOut(kind="channel", name="<i>X1</i>", code="unknown_name", reason="no electrode has this name"),
    ]
    stretches = (Stretch(start_sample=0, n_samples=N_SAMPLES),)
    if gap:
        stretches = (
            Stretch(start_sample=0, n_samples=GAP.start_sample),
            Stretch(start_sample=GAP.stop_sample, n_samples=N_SAMPLES - GAP.stop_sample),
        )
        left_out.append(
            LeftOut(
                kind="stretch",
                name="Cz",
                code="flat",
                reason="no change for 6 s",
                start_sample=GAP.start_sample,
                n_samples=GAP.n_samples,
            )
        )
    return RecordingInfo(
        dataset="toy",
        subject=subject,
        run=run,
        n_samples=N_SAMPLES,
        electrodes=ELECTRODES,
        references=("ears",) * len(ELECTRODES),
        stretches=stretches,
        trials=tuple(
            Trial(start_sample=i * 4 * RATE, n_samples=4 * RATE, task="state", label="rest" if run == "1" else "work")
            for i in range(3)
        ),
        line_freq_hz=50.0,
        sigma_uv=sigma,
        quality={"line_noise_ratio": tuple(0.1 * i for i in range(len(ELECTRODES)))},
        source_channels=ELECTRODES,
        source_files=(f"{subject}_{run}.edf",),
        source_sha256="0" * 64,
        signal_sha256=f"{subject}{run}".encode().hex().ljust(64, "0"),
        source_format="EDF",
        steps=({"step": "remove_offset"}, {"step": "band_pass", "low_hz": 0.5, "high_hz": 75}, {"step": "notch"}),
        units_evidence="the header says uV",
        split=split,
        left_out=tuple(left_out),
    )


@pytest.fixture(scope="session")
def toy_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight recordings of four subjects; one with a gap and loud; one file in quarantine."""
    folder = tmp_path_factory.mktemp("report") / "store"
    store = Store.create(folder, Manifest.model_validate(MANIFEST))
    rng = np.random.default_rng(7)
    for i, subject in enumerate(("s1", "s2", "s3", "s4")):
        for run in ("1", "2"):
            worst = (subject, run) == ("s3", "2")
            signal = eeg_like(rng, len(ELECTRODES), N_SAMPLES) * (3 if worst else 1)
            sigma = tuple(float(1.4826 * np.median(np.abs(x - np.median(x)))) for x in signal)
            split = ("train", "train", "validation", "test")[i]
            info = recording(subject, run, split=split, sigma=sigma, gap=worst)
            if worst:
                signal[:, GAP.start_sample : GAP.stop_sample] = np.nan
            with store.writer(info.id, info.electrodes) as writer:
                writer.append(signal)
                writer.finish(info)
    store.quarantine.mkdir()
    write_json(
        store.quarantine / "toy+s9+-+1.json",
        {"id": "toy/s9/-/1", "error": "InputError", "what": "the header is truncated", "found": "100 bytes"},
    )
    write_lock(folder, Lock(lock=1, versions={"eegprep": "0"}, stages=[]))
    return folder


@pytest.fixture(scope="session")
def toy_shards(toy_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a shard set."""
    from eegprep.shards import build_shard_set

    folder = tmp_path_factory.mktemp("report") / "shards"
    build_shard_set([toy_store], folder, sync=False)
    return folder


@pytest.fixture(scope="session")
def toy_run(toy_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored transfer run of a few steps on the shard set, beside its encoder."""
    import torch

    from eegpt.evaluation.evaluate import evaluate, write_results
    from eegpt.pretraining.config import PretrainConfig
    from eegpt.pretraining.loop import pretrain
    from eegpt.runs.settings import changed
    from eegpt.transfer.config import TransferConfig
    from eegpt.transfer.run import transfer

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("report") / "runs"
    small = changed(PretrainConfig(), {
        "encoder.token_samples": 64, "encoder.token_stride": 32, "encoder.n_layers": 1, "encoder.width": 32,
        "encoder.n_heads": 2, "schedule.steps": 6, "schedule.batch_size": 16, "schedule.micro_batch": 16,
        "schedule.warmup_steps": 2, "run.log_every": 1, "data.window_samples": [256],
        "held_out.windows": 16, "held_out.final_windows": 16, "held_out.linear_windows": 400, "held_out.every": 3,
        "run.tensorboard": False,
    })  # fmt: skip
    pretrain(small, shards=[toy_shards], out=folder / "encoder", show_progress=False)
    quick = changed(
        TransferConfig(),
        {"model.graph": True, "schedule.steps": 6, "schedule.batch_size": 8, "selection.evaluate_every": 2},
    )
    transfer(quick, shards=[toy_shards], out=folder / "model", encoder=folder / "encoder")
    predictions, results = evaluate(folder / "model", [toy_shards], baselines=["band_power"])
    write_results(folder / "model", predictions, results)
    return folder / "model"


@pytest.fixture(scope="session")
def chromium() -> list[str]:
    """The command that starts headless Chromium; tests are skipped if there is none."""
    found = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
    if found is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    return [
        found, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        "--disable-background-networking", "--no-first-run", "--enable-logging=stderr", "--window-size=1200,2400",
    ]  # fmt: skip


@pytest.fixture
def browse(chromium: list[str], tmp_path: Path) -> Callable[[Path], tuple[str, list[str]]]:
    """Open a page in headless Chromium: its DOM, and the messages of its console."""

    def run(page: Path) -> tuple[str, list[str]]:
        command = [*chromium, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, check=True, capture_output=True, timeout=200)
        log = done.stderr.decode("utf-8", "replace").splitlines()
        return done.stdout.decode("utf-8"), [line for line in log if ":CONSOLE" in line]

    return run


@pytest.fixture
def photograph(chromium: list[str], tmp_path: Path) -> Callable[[Path], Path]:
    """Paint a page in headless Chromium: a PNG."""

    def run(page: Path) -> Path:
        picture = tmp_path / "page.png"
        command = [*chromium, f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=200)
        return picture

    return run
