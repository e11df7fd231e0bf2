"""Small, reproducible windows in memory, in place of a shard set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eegprep.electrodes import Vocabulary
from eegpt.data import SampleOrder, WindowBatch
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.data import PretrainData
from eegpt.runs.settings import changed


@dataclass
class MemoryIndex:
    """`n` windows of autoregressive noise, all of one length."""

    n: int
    n_samples: int
    seed: int
    stride: int = 64

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        signal = np.zeros((self.n, self.n_samples + 64))
        noise = rng.standard_normal(signal.shape)
        for t in range(2, signal.shape[1]):
            signal[:, t] = 1.7 * signal[:, t - 1] - 0.9 * signal[:, t - 2] + noise[:, t]
        signal *= 10.0 / signal.std() if self.n else 1.0
        self.signal = np.round(signal[:, 64:] / 0.05).astype(np.int16)
        self.electrode = rng.integers(0, 138, self.n).astype(np.int32)
        self.scale_uv = np.full(self.n, 0.05, np.float32)
        self.gathered: list[np.ndarray] = []

    def __len__(self) -> int:
        return self.n

    def fetch_ahead(self, indices):
        pass

    def gather(self, indices, *, shift=None):
        self.gathered.append(np.array(indices))
        return WindowBatch(
            signal_i16=self.signal[indices],
            scale_uv=self.scale_uv[indices],
            sigma_uv=np.full(len(indices), 10.0, np.float32),
            electrode=self.electrode[indices],
            recording=np.zeros(len(indices), np.int32),
        )


def memory_data(*, n: int = 96, lengths: tuple[int, ...] = (128,), heldout: int = 32) -> PretrainData:
    train = tuple((MemoryIndex(n, length, i), SampleOrder(max(n, 1), 5)) for i, length in enumerate(lengths))
    return PretrainData(
        train=train,
        reference=train[0][0],
        heldout={"validation": MemoryIndex(heldout, lengths[0], 99)} if heldout else {},
        vocabulary=Vocabulary.base(),
        recordings=("set/01/-/-",),
        set_sha256={"set": "0" * 64},
    )


SMALL = {
    "encoder.n_layers": 2, "encoder.width": 16, "encoder.n_heads": 2, "encoder.token_samples": 32,
    "encoder.token_stride": 8, "data.window_samples": (128,),
    "schedule.batch_size": 16, "schedule.micro_batch": 8, "schedule.steps": 12, "schedule.warmup_steps": 3,
    "optimiser.learning_rate": 3e-3, "compute.precision": "float32",
    "run.log_every": 1, "held_out.every": 0, "run.checkpoint_every": 4, "run.tensorboard": False,
}  # fmt: skip


def small(settings: dict | None = None) -> PretrainConfig:
    """Settings of a run of seconds, some of them replaced by path."""
    return changed(PretrainConfig(), {**SMALL, **(settings or {})})
