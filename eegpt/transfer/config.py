"""Settings of a transfer run; defaults were chosen on validation trials, see docs/results/transfer.md."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from eegprep.errors import UsageError
from eegpt.model.tokens import Normalise
from eegpt.model.views import VIEWS
from eegpt.runs.settings import Settings
from eegpt.transfer.model import Readout

Mode = Literal["frozen", "full", "scratch", "lora", "probe"]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]


class DataSettings(Settings):
    """Which trials are learned from, selected on and tested.

    Attributes
    ----------
    tasks, datasets : tuple of str
        Only these; empty for all.
    scheme : str
        `split` (the shard sets' own), `kfold:5`, `loso` (one subject out), `lodo` (one data set out), `few-shot:5`
        (five trials per class of each test subject), `few-shot:5:5` (the same in five folds of subjects), `within:5`
        (folds over each subject's own trials).
    train_fraction : float
        Share of the training trials to learn from.
    validation_share : float
        Share of the training trials that selects the model where a task has no validation subjects.
    unknown_electrodes : {"refuse", "nearest", "leave_out"}
        What to do with electrodes that the encoder's vocabulary lacks.
    """

    tasks: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    scheme: str = "split"
    train_fraction: float = Field(1.0, gt=0, le=1)
    validation_share: Share = 0.2
    unknown_electrodes: Literal["refuse", "nearest", "leave_out"] = "refuse"


class ModelSettings(Settings):
    """The electrode graph and the readouts beside it.

    Attributes
    ----------
    readout : {"auto", "special", "special+views", "views", "special+states", "states", "band_power"}
        What a graph's node starts from, see `eegpt.transfer.model`. `auto`: `views` on a frozen encoder; where the
        encoder learns, views change with every step and cannot be aligned by subject, so `special`, as in the paper.
    views : tuple of {"states", "spectrum", "course", "level"}
        What the electrodes' own readouts beside the graph see, see `eegpt.model.views`; `probe` takes `states` alone.
        Empty: no such readouts; with `readout` `special` the paper's form.
    graph : bool
        False: the electrodes' own readouts alone, without a graph (frozen encoder only).
    align : {"subject", "none"}
        `subject` standardises the views of each subject's trials, including the test trials but without their labels,
        in tasks that do not ask for the subject's identity; see `eegpt.transfer.align`. Results say so.
    teg_layers : int, optional
        Layers of the graph; by default those of the encoder's size.
    dropout, electrode_dropout : float
        Inside the graph and before the heads; share of a trial's electrodes that the graph does not see.
    lora_rank : int
    """

    readout: Literal["auto", Readout] = "auto"
    views: tuple[str, ...] = VIEWS
    graph: bool = True
    align: Literal["subject", "none"] = "subject"
    teg_layers: Positive | None = None
    dropout: Share = 0.2
    electrode_dropout: Share = 0.5
    lora_rank: Positive = 8

    @field_validator("views")
    @classmethod
    def _known(cls, views: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [v for v in views if v not in VIEWS]:
            raise UsageError(f"unknown view {unknown[0]!r}", expected=", ".join(VIEWS))
        return views


class OptimiserSettings(Settings):
    """AdamW.

    Attributes
    ----------
    learning_rate : float
        The highest one.
    encoder_rate_ratio : float
        Learning rate of the encoder's own parameters in mode `full`, relative to `learning_rate`.
    weight_decay, clip_norm
    average : float
        Decay of the running mean of the weights, which is what is validated and kept; 0 for the last weights.
    """

    learning_rate: float = Field(1e-3, gt=0)
    encoder_rate_ratio: float = 0.3
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    average: Share = 0.95


class ScheduleSettings(Settings):
    """How long is trained, in which batches: a linear warm-up and a cosine to zero; batches mix all tasks.

    Attributes
    ----------
    steps, batch_size, warmup_steps
    task_exponent : float
        A task of n trials is drawn in proportion to n ** task_exponent: 1 by size, 0 all alike.
    """

    steps: Positive = 250
    batch_size: Positive = 32
    warmup_steps: int = 20
    task_exponent: float = 0.5


class ObjectiveSettings(Settings):
    """What is minimised: cross-entropy, and squared error of regressions in SDs.

    Attributes
    ----------
    label_smoothing : float
    class_weights : bool
        Weigh classes by the inverse of their frequency in the training trials.
    """

    label_smoothing: Share = 0.1
    class_weights: bool = True


class SelectionSettings(Settings):
    """Which weights are kept: those with the best validation loss.

    Attributes
    ----------
    evaluate_every : int
        Steps between two evaluations on the validation trials.
    validation_trials : int
        Most trials of each task in an evaluation, evenly spread.
    patience : int
        Stop after so many steps without a better evaluation; 0 for never.
    """

    evaluate_every: Positive = 20
    validation_trials: int = 200
    patience: int = 120


class ComputeSettings(Settings):
    """How it is computed.

    Attributes
    ----------
    precision : {"auto", "float32", "bfloat16"}
        `auto`: bfloat16 where the device multiplies it in hardware.
    cache_mib : int
        Keys and values of frozen tokens are kept in memory up to this size, beyond it computed for each batch.
    """

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    cache_mib: int = 768


class EncoderSettings(Settings):
    """The encoder of mode `scratch`; a pre-trained encoder has its own."""

    size: str = "base"
    normalise: Normalise = "recording"
    token_samples: int = 256
    token_stride: int = 32


class TransferConfig(Settings):
    """Settings of a transfer run.

    Attributes
    ----------
    mode : {"frozen", "full", "scratch", "lora", "probe"}
        `frozen`: the pre-trained encoder stays as it is and the special token, graph and heads learn (the paper).
        `full`: the encoder learns too. `scratch`: the same from random weights. `lora`: low-rank additions to the
        encoder's attention learn. `probe`: linear maps of the frozen encoder's states alone, without a graph.
    joint : bool
        One model for all tasks, or one model for each.
    seeds : tuple of int
        One fit for each.
    allow_leakage : bool
        Continue although test recordings were seen before, and say so on every table.
    data, model, objective, optimiser, schedule, selection, compute, encoder
        Tables of settings.
    """

    renamed: ClassVar[dict[str, str]] = {
        "lr": "optimiser.learning_rate",
        "encoder_lr_ratio": "optimiser.encoder_rate_ratio",
    }

    mode: Mode = "frozen"
    joint: bool = True
    seeds: tuple[int, ...] = (0,)
    allow_leakage: bool = False
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    selection: SelectionSettings = SelectionSettings()
    compute: ComputeSettings = ComputeSettings()
    encoder: EncoderSettings = EncoderSettings()

    @model_validator(mode="after")
    def _consistent(self) -> TransferConfig:
        frozen, readout = self.mode in ("frozen", "probe"), self.model.readout
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UsageError("seeds must be one or more different numbers", found=self.seeds)
        if self.mode == "scratch" and readout == "band_power":
            raise UsageError("the readout 'band_power' has no encoder to train", expected="mode frozen")
        if "views" in readout and not frozen:
            raise UsageError(
                f"nodes can't start from views in mode {self.mode!r}, in which they change with every step",
                expected="mode frozen, or another readout",
            )
        if not self.model.graph and not (frozen and self.model.views):
            raise UsageError(
                "without the graph nothing is left to learn",
                found=f"mode {self.mode!r}, views {list(self.model.views)}",
                expected="mode frozen and one view or more",
            )
        return self

    @property
    def readout(self) -> Readout:
        """What nodes start from in this mode."""
        if self.model.readout != "auto":
            return self.model.readout
        return "views" if self.mode == "frozen" and self.model.graph else "special"

    @property
    def views(self) -> tuple[str, ...]:
        """The views that this mode reads."""
        return ("states",) if self.mode == "probe" else self.model.views

    @property
    def sees_views(self) -> bool:
        """Whether anything reads the electrodes' views: their own readouts, or the graph's nodes."""
        return bool(self.views) or "views" in self.readout

    @property
    def uses_graph(self) -> bool:
        """Whether there is a graph in this mode."""
        return self.model.graph and self.mode != "probe"

    @property
    def keeps_encoder(self) -> bool:
        """Whether the encoder stays as it was pre-trained, so that fits may share its views."""
        return self.mode in ("frozen", "probe")
