"""The corpus as our shard set: a store in memory, the writer, and the reader as used in training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpus import BATCH, ELECTRODES, SCALE_UV, WINDOW, Corpus

from eegprep.manifest.schema import Manifest
from eegprep.recording import RecordingInfo, Stretch, Trial
from eegprep.remote import open_shards
from eegprep.shards.build.writer import ShardWriter
from eegprep.shards.format import BLOCK_SAMPLES, Block
from eegpt.data import SampleOrder, TrialIndex, WindowIndex, WindowLoader

TRIAL_SAMPLES = 1024


class CorpusStore:
    """The corpus as float32 microvolt recordings."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self.manifest = Manifest.model_validate(
            {
                "manifest": 1,
                "name": "benchmark",
                "version": "1",
                "title": "Benchmark",
                "citation": "none",
                "licence": {"id": "CC0-1.0"},
                "source": {"kind": "files"},
                "tasks": [{"name": "task", "classes": ["a", "b"], "trials": {"by": "trial"}}],
            }
        )

    def infos(self) -> list[RecordingInfo]:
        """One recording per row, with a trial every four seconds."""
        n_recordings, n_electrodes, n_samples = self._corpus.signal_i16.shape
        trials = tuple(
            Trial(start_sample=s, n_samples=TRIAL_SAMPLES, task="task", label="ab"[s // WINDOW % 2])
            for s in range(0, n_samples - TRIAL_SAMPLES + 1, TRIAL_SAMPLES)
        )
        return [
            RecordingInfo(
                dataset="benchmark",
                subject=f"{k:04d}",
                n_samples=n_samples,
                electrodes=ELECTRODES[:n_electrodes],
                references=("average",) * n_electrodes,
                stretches=(Stretch(start_sample=0, n_samples=n_samples),),
                trials=trials,
                sigma_uv=(40.0,) * n_electrodes,
                split="train",
            )
            for k in range(n_recordings)
        ]

    def electrode_uv(self, info: RecordingInfo, electrode: str, stretch: Stretch | None = None) -> np.ndarray:
        """float32 microvolt of one stretch."""
        row = self._corpus.signal_i16[int(info.subject), info.electrodes.index(electrode)]
        part = row if stretch is None else row[stretch.start_sample : stretch.stop_sample]
        return part * np.float32(SCALE_UV)

    def close(self) -> None:
        """No-op."""


def write_blocks(
    corpus: Corpus, folder: Path, electrodes: Sequence[int] = range(len(ELECTRODES)), *, sync: bool = False
) -> None:
    """Write all blocks of some electrodes from quantised samples."""
    for e in electrodes:
        electrode = ELECTRODES[e]
        with ShardWriter(folder, electrode, max_bytes=1 << 30, sync=sync) as writer:
            for r, recording in enumerate(corpus.signal_i16):
                for start in range(0, recording.shape[1], BLOCK_SAMPLES):
                    samples = recording[e, start : start + BLOCK_SAMPLES]
                    block = Block(
                        recording=f"benchmark/{r:04d}/-/-",
                        electrode=electrode,
                        reference="average",
                        stretch=0,
                        start_sample=start,
                        n_samples=len(samples),
                        sfreq_hz=256.0,
                        scale_uv=SCALE_UV,
                    )
                    writer.add(block, samples)
            writer.finish()


def loader(folder: Path, *, prefetch: int = 0, seed: int = 0) -> WindowLoader:
    """Open, index, order and loader, as in training."""
    index = WindowIndex([open_shards(folder)], n_samples=WINDOW, stride=WINDOW)
    return WindowLoader(index, SampleOrder(len(index), seed), BATCH, prefetch=prefetch)


def batches_uv(made: WindowLoader) -> Iterator[torch.Tensor]:
    """Epochs of float32 microvolt batches in two alternating buffers."""
    buffers = [torch.empty(BATCH, WINDOW) for _ in range(2)]
    k = 0
    while True:
        for batch in made:
            k += 1
            yield batch.signal_uv(out=buffers[k % 2])


def batches_i16(made: WindowLoader) -> Iterator[Any]:
    """Epochs of int16 batches, as sent to an accelerator."""
    while True:
        yield from made


def sequential_limit(windows: np.ndarray) -> Iterator[torch.Tensor]:
    """The limit: copy int16 windows in order and convert them, with the same buffers and calls."""
    buffers = [torch.empty(BATCH, WINDOW) for _ in range(2)]
    scale_uv = torch.full((BATCH, 1), SCALE_UV)
    source = torch.from_numpy(windows)
    k = 0
    while True:
        for first in range(0, len(windows) - BATCH + 1, BATCH):
            out = buffers[k % 2]
            out.copy_(source[first : first + BATCH].clone())
            out.mul_(scale_uv)
            k += 1
            yield out


def trials(folder: Path, batch: int, seed: int = 0) -> Iterator[torch.Tensor]:
    """Random trials with all electrodes, float32 microvolt (batch, electrodes, samples)."""
    index = TrialIndex([open_shards(folder)])
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(index))
        for first in range(0, len(order) - batch + 1, batch):
            got = index.gather(order[first : first + batch])
            yield torch.from_numpy(got.signal_i16).to(torch.float32).mul_(torch.from_numpy(got.scale_uv)[:, :, None])


def trials_of_whole_recordings(folder: Path, batch: int, seed: int = 0) -> Iterator[torch.Tensor]:
    """The same from one mapped array (electrode, time) per recording; a trial is one strided copy."""
    recordings = [np.load(p, mmap_mode="r") for p in sorted(folder.glob("*.npy"))]
    per_recording = recordings[0].shape[1] // TRIAL_SAMPLES
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(recordings) * per_recording)
        for first in range(0, len(order) - batch + 1, batch):
            out = np.empty((batch, recordings[0].shape[0], TRIAL_SAMPLES), np.int16)
            for row, k in enumerate(order[first : first + batch].tolist()):
                start = k % per_recording * TRIAL_SAMPLES
                out[row] = recordings[k // per_recording][:, start : start + TRIAL_SAMPLES]
            yield torch.from_numpy(out).to(torch.float32).mul_(SCALE_UV)
