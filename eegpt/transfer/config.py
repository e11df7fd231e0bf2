"""Settings of a transfer run; defaults were chosen on validation trials, see docs/results/transfer.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eegprep.errors import UsageError
from eegpt.model.views import VIEWS
from eegpt.transfer.model import Readout

__all__ = ["TransferConfig", "Mode"]

Mode = Literal["frozen", "full", "scratch", "lora", "probe"]
ReadoutChoice = Literal["auto", "special", "special+views", "views", "special+states", "states", "band_power"]


@dataclass(frozen=True, kw_only=True)
class TransferConfig:
    """Settings of a transfer run.

    Attributes
    ----------
    mode : {"frozen", "full", "scratch", "lora", "probe"}
        `frozen`: the pre-trained encoder stays as it is and the special token, graph and heads learn (the paper).
        `full`: the encoder learns too. `scratch`: the same from random weights. `lora`: low-rank additions to the
        encoder's attention learn. `probe`: linear maps of the frozen encoder's states alone, without a graph.
    readout : {"auto", "special", "special+views", "views", "special+states", "states", "band_power"}
        What a graph's node starts from, see `eegpt.transfer.model`. `auto`: `views` on a frozen encoder; where
        the encoder learns, views change with every step and can't be centred by person, so `special`, as in the paper.
    views : tuple of {"states", "spectrum", "course", "level"}
        What the electrodes' own readouts beside the graph see, see `eegpt.model.views`; `probe` takes
        `states` alone. Empty: no such readouts; with `readout` `special` the paper's form.
    graph : bool
        False: the electrodes' own readouts alone, without a graph (frozen encoder only).
    align : {"person", "none"}
        `person` centres and scales the views of each person's trials, those of the test included and without their
        labels, in tasks that do not ask who he is; see `eegpt.transfer.align`. Results say so.
    joint : bool
        One model for all tasks, or one model for each.
    tasks, datasets : tuple of str
        Only these; empty for all.
    scheme : str
        `split` (the shard sets' own), `kfold:5`, `loso` (one subject out), `lodo` (one data set out), `few-shot:5`
        (five trials per class of each person tested), `few-shot:5:5` (the same in five folds of people), `within:5`
        (folds over each person's own trials).
    seeds : tuple of int
        One fit for each.
    train_fraction : float
        Share of the training trials to learn from.
    validation_share : float
        Share of the training trials that selects the model where a task has no validation subjects.
    steps, batch_size, lr, warmup_steps, weight_decay, clip_norm
        AdamW with a linear warm-up and a cosine to zero; batches mix all tasks.
    encoder_lr_ratio : float
        Rate of the encoder's own parameters in `full`, relative to `lr`.
    task_exponent : float
        A task of n trials is drawn in proportion to n ** task_exponent: 1 as they are, 0 all alike.
    label_smoothing : float
    class_weights : bool
        Weigh classes by the inverse of how often they occur in train.
    dropout, electrode_dropout : float
        Inside the graph and before the heads; share of a trial's electrodes that the graph does not see.
    average : float
        Decay of the running mean of the weights, which is what is validated and kept; 0 for the last weights.
    evaluate_every : int
        Steps between two looks at the validation trials; the best look is kept.
    validation_trials : int
        Trials of each task that a look takes at most, evenly spread.
    patience : int
        Stop after so many steps without a better look; 0 for never.
    lora_rank : int
    teg_layers : int, optional
        Layers of the graph; by default those of the encoder's size.
    unknown_electrodes : {"refuse", "nearest", "leave_out"}
        What becomes of electrodes that the encoder's vocabulary lacks.
    allow_leakage : bool
        Go on although test recordings were seen before, and say so on every table.
    cache_mib : int
        Keys and values of frozen tokens are kept in memory up to this size, beyond it computed for each batch.
    precision : {"auto", "float32", "bfloat16"}
        Of the computation; `auto` is bfloat16 where the device multiplies it in hardware.
    size, normalise, token_samples, token_stride
        The encoder of `scratch`; a pre-trained encoder has its own.
    """

    mode: Mode = "frozen"
    readout: ReadoutChoice = "auto"
    views: tuple[str, ...] = VIEWS
    graph: bool = True
    align: Literal["person", "none"] = "person"
    joint: bool = True
    tasks: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    scheme: str = "split"
    seeds: tuple[int, ...] = (0,)
    train_fraction: float = 1.0
    validation_share: float = 0.2

    steps: int = 250
    batch_size: int = 32
    lr: float = 1e-3
    encoder_lr_ratio: float = 0.3
    warmup_steps: int = 20
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    task_exponent: float = 0.5
    label_smoothing: float = 0.1
    class_weights: bool = True
    dropout: float = 0.2
    electrode_dropout: float = 0.5
    average: float = 0.95
    evaluate_every: int = 20
    validation_trials: int = 200
    patience: int = 120
    lora_rank: int = 8
    teg_layers: int | None = None

    unknown_electrodes: Literal["refuse", "nearest", "leave_out"] = "refuse"
    allow_leakage: bool = False
    cache_mib: int = 768
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    size: str = "base"
    normalise: Literal["recording", "window", "fixed"] = "recording"
    token_samples: int = 256
    token_stride: int = 32

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "lr", "evaluate_every", "lora_rank"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be above 0", found=getattr(self, name))
        for name in ("dropout", "electrode_dropout", "label_smoothing", "average", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} can't be {getattr(self, name)}", expected="0 or more, below 1")
        if not 0 < self.train_fraction <= 1:
            raise UsageError("train_fraction is a share", found=self.train_fraction, expected="above 0, at most 1")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UsageError("seeds must be different numbers, one or more", found=self.seeds)
        if self.mode == "scratch" and self.readout == "band_power":
            raise UsageError("the readout 'band_power' has no encoder to train", expected="mode frozen")
        if strange := [v for v in self.views if v not in VIEWS]:
            raise UsageError(f"there is no view {strange[0]!r}", expected=", ".join(VIEWS))
        if "views" in self.readout and self.mode not in ("frozen", "probe"):
            raise UsageError(
                f"nodes can't start from views in mode {self.mode!r}, in which they change with every step",
                expected="mode frozen, or another readout",
            )
        if not self.graph and (self.mode not in ("frozen", "probe") or not self.views):
            raise UsageError(
                "without the graph nothing is left to learn",
                found=f"mode {self.mode!r}, views {list(self.views)}",
                expected="mode frozen and one view or more",
            )

    @property
    def used_readout(self) -> Readout:
        """What nodes start from in this mode."""
        if self.readout != "auto":
            return self.readout
        return "views" if self.mode == "frozen" and self.graph else "special"

    @property
    def used_views(self) -> tuple[str, ...]:
        """The views that this mode reads."""
        return ("states",) if self.mode == "probe" else self.views

    @property
    def sees_views(self) -> bool:
        """Whether anything reads the electrodes' views: their own readouts, or the graph's nodes."""
        return bool(self.used_views) or "views" in self.used_readout

    @property
    def uses_graph(self) -> bool:
        """Whether there is a graph in this mode."""
        return self.graph and self.mode != "probe"
