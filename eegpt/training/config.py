"""Everything that can be set about pre-training, in one frozen dataclass.

Defaults are the paper's where it states them and they fit any amount of data (cosine, 3 epochs, windows of
4 s, tokens of 1 s every 1/8 s); where the paper's numbers suit its 37.5 million windows alone (rate, batch),
0 stands for a rule that scales. docs/results/pretraining.md has the measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eegprep.errors import UsageError
from eegpt.model.ete import ETEConfig, Objective
from eegpt.model.sizes import ete_config, size
from eegpt.model.tokens import Normalise, n_tokens

__all__ = ["PretrainConfig"]


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Settings of a pre-training run.

    Attributes
    ----------
    size : str
        `base`, `large`, `huge` or `giant`.
    n_layers, width, n_heads : int, optional
        Replace the size's own, for scaling studies.
    token_samples, token_stride, objective, norm, position, skip, max_tokens, normalise, fixed_uv, clip, dropout
        As in `ETEConfig`.
    spectrum_weight : float
        Weight of the spectrum's error beside the new samples' error (objective `new+spectrum`).
    hidden_share : float
        Share of a window's tokens that one hidden span covers (objective `masked`).
    window_samples : tuple of int
        Window lengths; a batch holds windows of one length, and an epoch goes once through the windows of
        every length. Empty: 1024, and for data sets whose stretches are all shorter, what fits them.
    window_stride : int
        Distance of two windows' first samples; 0 for windows side by side.
    train_splits, heldout_splits : tuple of str
        What is trained on, and what is reported on but never trained on.
    datasets, electrodes : tuple of str
        Use these alone; empty for all.
    division : str
        Splits of a scheme of `eegpt transfer` in place of the shard sets' own, such as `kfold:5/0` for the first of
        five folds: nobody whom that fold tests is trained on. See `eegpt.training.divided`.
    max_windows : int
        Train on so many windows per epoch at most (a data fraction, for scaling studies); 0 for all.
    epochs, min_steps, steps : float, int, int
        Length of training: so many epochs, but `min_steps` at least (small data need more epochs); `steps`
        wins over both where it is not 0.
    batch_size, micro_batch : int
        Windows per optimiser step over all processes, and windows per process and forward pass; the rest is
        accumulated. A batch size of 0 is the largest power of two from 128 to 4096 that leaves 64 steps or
        more in an epoch.
    lr, min_lr_ratio, warmup_steps, betas, weight_decay, clip_norm
        AdamW; cosine from `lr` to `min_lr_ratio * lr` after a linear warm-up; clipping of the gradient's norm.
        A rate of 0 is 1e-3 at Base's width and falls with the square root of the width. (The paper's 1e-4 is
        for batches of 4096 and 27,000 steps; a few hundred steps need more.)
    random_offset : bool
        Augmentation: start each window up to one stride later, differently in every epoch.
    flip : bool
        Augmentation: turn the sign of half of the windows (the sign depends on the reference alone).
    gain : float
        Augmentation: scale each window by 2 ** uniform(-gain, gain).
    precision : {"auto", "float32", "bfloat16"}
        bfloat16 keeps float32 weights and sums. `auto`: bfloat16 where the device multiplies it in hardware.
    compile : bool
        Use torch.compile: steps get shorter, the first one takes up to a minute more. Needs a compiler (g++ on a CPU).
    recompute : {"auto", "yes", "no"}
        Activation checkpointing; `auto` for Huge and Giant.
    parallel : {"ddp", "fsdp"}
        What `torchrun` processes do: a copy of the model each, or a part of it each.
    seed : int
        Decides weights, order, augmentation; equal seeds give equal runs.
    log_every, evaluate_every, checkpoint_every : int
        In steps; 0 for never before the end.
    heldout_windows : int
        Held-out windows used for each report during training (a fixed, evenly spread choice).
    final_windows, linear_windows : int
        Held-out windows of the last report, and training windows that the linear predictor is fitted to.
    tensorboard : bool
        Write TensorBoard's files as well, where it is installed.
    """

    size: str = "base"
    n_layers: int | None = None
    width: int | None = None
    n_heads: int | None = None

    token_samples: int = 256
    token_stride: int = 32
    objective: Objective = "new+spectrum"
    norm: Literal["output", "pre"] = "output"
    position: Literal["rotary", "learned", "none"] = "rotary"
    skip: Literal["last", "linear", "none"] = "last"
    max_tokens: int = 128
    normalise: Normalise = "recording"
    fixed_uv: float = 20.0
    clip: float = 15.0
    dropout: float = 0.0
    spectrum_weight: float = 0.25
    hidden_share: float = 0.6

    window_samples: tuple[int, ...] = ()
    window_stride: int = 0
    train_splits: tuple[str, ...] = ("train",)
    heldout_splits: tuple[str, ...] = ("validation", "test")
    datasets: tuple[str, ...] = ()
    electrodes: tuple[str, ...] = ()
    division: str = ""
    max_windows: int = 0

    epochs: float = 3.0
    min_steps: int = 400
    steps: int = 0
    batch_size: int = 0
    micro_batch: int = 256
    lr: float = 0.0
    min_lr_ratio: float = 0.1
    warmup_steps: int = 50
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    random_offset: bool = True
    flip: bool = True
    gain: float = 0.0

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    recompute: Literal["auto", "yes", "no"] = "auto"
    parallel: Literal["ddp", "fsdp"] = "ddp"
    seed: int = 1

    log_every: int = 10
    evaluate_every: int = 200
    checkpoint_every: int = 200
    heldout_windows: int = 2048
    final_windows: int = 20000
    linear_windows: int = 100000
    tensorboard: bool = True

    def __post_init__(self) -> None:
        size(self.size)
        self._positive("micro_batch", "log_every", "clip_norm", "heldout_windows")
        if self.batch_size % self.micro_batch and self.batch_size > self.micro_batch:
            raise UsageError(
                "a batch is no whole number of micro batches",
                found=f"batch_size {self.batch_size}, micro_batch {self.micro_batch}",
                expected="batch_size a multiple of micro_batch",
            )
        if set(self.train_splits) & set(self.heldout_splits):
            raise UsageError(
                "a split can't be both trained on and held out",
                found=", ".join(sorted(set(self.train_splits) & set(self.heldout_splits))),
            )
        needed = self.tokens_needed
        for n_samples in self.window_samples:
            tokens = n_tokens(n_samples, token_samples=self.token_samples, token_stride=self.token_stride)
            if tokens < needed:
                raise UsageError(
                    f"a window of {n_samples} samples is too short for the objective {self.objective!r}",
                    found=f"{tokens} tokens of {self.token_samples} samples every {self.token_stride}",
                    expected=f"at least {needed} tokens",
                    todo="set shorter tokens (token_samples) or longer windows (window_samples)",
                )

    @property
    def tokens_needed(self) -> int:
        """Tokens that a window must have for the objective to score anything."""
        ahead = -(-self.token_samples // self.token_stride)
        return {"new+spectrum": ahead + 1, "masked": ahead + 2}.get(self.objective, 2)

    def batch(self, n_windows: int) -> int:
        """Windows per optimiser step for an epoch of so many windows."""
        size = self.batch_size or 4096
        while not self.batch_size and size > 128 and n_windows < 64 * size:
            size //= 2
        return size

    def rate(self, width: int) -> float:
        """The highest learning rate of a model of that width."""
        return self.lr or 1e-3 * (128 / width) ** 0.5

    def _positive(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0", found=getattr(self, name))

    def encoder(self, n_electrodes: int) -> ETEConfig:
        """The encoder's configuration for a vocabulary of so many electrodes."""
        shape = {k: getattr(self, k) for k in ("n_layers", "width", "n_heads") if getattr(self, k) is not None}
        names = "token_samples token_stride objective norm position skip max_tokens normalise fixed_uv clip dropout"
        from_size = ete_config(self.size, n_electrodes=n_electrodes, **{k: getattr(self, k) for k in names.split()})
        return ETEConfig(**{**vars(from_size), **shape})
