"""Everything that can be set about pre-training, one table per owner.

Defaults are the paper's where it states them and they fit any amount of data (cosine, 3 epochs, windows of 4 s, a token
every 1/8 s). Tokens of 1/4 s with the spectrum of the last second gave better states than the paper's tokens of 1 s
(docs/results/states.md). Where the paper's numbers suit its 37.5 million windows alone (rate, batch), 0 stands for a
rule that scales. docs/results/pretraining.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from eegprep.electrodes.vocabulary import KINDS
from eegprep.errors import UsageError
from eegpt.model.config import ETEConfig, Objective
from eegpt.model.sizes import ete_config, size
from eegpt.model.tokens import Normalise, n_tokens
from eegpt.runs.settings import Count, Positive, Seed, Settings, Share, Weight

Split = Literal["train", "validation", "test"]
Part = Annotated[float, Field(gt=0, lt=1)]


class EncoderSettings(Settings):
    """The encoder's shape and its tokens, as in `ETEConfig`.

    `size` is `base`, `large`, `huge` or `giant`; `n_layers`, `width` and `n_heads` replace the size's own, for scaling
    studies. `spectrum_input` adds the log spectrum of so many samples up to the token's end to each token, except with
    the masked objective. `token_samples=256` with `spectrum_input=0` is the paper's form. `condition` is what the
    encoder is told about a signal: its electrode (the paper), or also what it was measured against and its kind.
    """

    size: str = "base"  # base, large, huge or giant
    n_layers: Positive | None = None  # replaces the size's own
    width: Positive | None = None  # replaces the size's own
    n_heads: Positive | None = None  # replaces the size's own
    token_samples: Positive = 64  # samples of a token (256 a second)
    token_stride: Positive = 32  # distance of two tokens' first samples
    spectrum_input: Count = 256  # samples before a token whose spectrum it sees; 0: none
    norm: Literal["output", "pre"] = "output"  # where layers normalise
    position: Literal["rotary", "learned", "none"] = "rotary"  # how positions enter the attention
    skip: Literal["last", "linear", "none"] = "last"  # what predictions start from
    max_tokens: Positive = 128  # tokens of a window at most
    normalise: Normalise = "recording"  # divide by a robust SD of the recording or window, or by fixed_uv
    fixed_uv: Annotated[float, Field(gt=0)] = 20.0  # microvolt that are 1 with normalise=fixed
    clip: Weight = 15.0  # largest normalised value; 0: no limit
    dropout: Share = 0.0  # share of dropped values in the layers
    condition: Literal["electrode", "electrode+reference"] = "electrode"  # what the encoder is told about a signal

    @model_validator(mode="after")
    def _known_size(self) -> EncoderSettings:
        size(self.size)
        return self


class ObjectiveSettings(Settings):
    """What is minimised, see `eegpt.pretraining.objective`.

    `spectrum_weight` is the weight of each spectrum's error beside the new samples' (`new+spectrum`). `spectra` are
    further spectra to predict: of so many samples after each token, or before its end where negative. `hidden_share` is
    the share of a window's tokens that one hidden span covers (`masked`).
    """

    kind: Objective = "new+spectrum"  # what is predicted, see eegpt.pretraining.objective
    spectrum_weight: Weight = 0.25  # weight of the spectrum's error beside the new samples'
    spectra: tuple[int, ...] = ()  # further spectra to predict, in samples
    hidden_share: Part = 0.6  # share of a window's tokens that one hidden span covers (masked)


class DataSettings(Settings):
    """What is trained on; an epoch goes once through the windows of every length.

    `division` takes the splits of a scheme of `eegpt transfer` instead of the shard sets' own, such as `kfold:5/0`
    for the first of five folds: no subject that the fold tests is trained on. `within:5/0` holds out blocks of time of
    every recording with trials instead, for `--scheme within:5`.
    """

    window_samples: tuple[int, ...] = ()  #: empty: 1024, or what fits data sets whose stretches are all shorter
    window_stride: Count = 0  #: distance of two windows' first samples; 0: side by side
    splits: tuple[Split, ...] = ("train",)  # splits that are trained on
    datasets: tuple[str, ...] = ()  #: empty: all
    electrodes: tuple[str, ...] = ()  #: empty: all
    division: str = ""  # a fold of a scheme instead of the sets' own splits, e.g. kfold:5/0
    max_windows: Count = 0  #: windows per epoch at most, for scaling studies; 0: all


class AugmentationSettings(Settings):
    """How windows are varied.

    `random_offset` starts each window up to one stride later, differently in every epoch; `flip` turns the sign of half
    of the windows (the sign depends on the reference alone); `gain` scales each by 2 ** uniform(-gain, gain).
    """

    random_offset: bool = True  # start windows up to one stride later, differently in every epoch
    flip: bool = True  # turn the sign of half of the windows
    gain: Weight = 0.0  # scale windows by 2 ** uniform(-gain, gain)


class OptimiserSettings(Settings):
    """AdamW, and the largest norm of the gradient.

    A `learning_rate` of 0 is 1e-3 at Base's width and falls with the square root of the width. (The paper's 1e-4 is for
    batches of 4096 and 27,000 steps; a few hundred steps need more.)
    """

    learning_rate: Weight = 0.0  # highest rate; 0: 1e-3 at Base's width, falling with its root
    betas: tuple[Share, Share] = (0.9, 0.95)  # decay of AdamW's running means
    weight_decay: Weight = 0.05  # AdamW's weight decay
    clip_norm: Annotated[float, Field(gt=0)] = 1.0  # largest norm of the gradient


class ScheduleSettings(Settings):
    """How long is trained, in which batches, at which rate: a linear warm-up, then a cosine.

    Training takes so many epochs, but `min_steps` at least; `steps` wins over both where it is not 0. A `batch_size`
    of 0 is the largest power of two from 128 to 4096 that leaves 64 steps or more in an epoch.
    """

    epochs: Annotated[float, Field(gt=0)] = 3.0  # times through the training windows
    min_steps: Count = 400  # steps at least
    steps: Count = 0  # steps exactly; 0: by epochs and min_steps
    batch_size: Count = 0  #: windows per optimiser step over all processes
    micro_batch: Positive = 256  #: windows per process and forward pass; the rest is accumulated
    warmup_steps: Count = 50  # steps over which the rate rises
    min_rate_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1  #: the last learning rate relative to the highest

    @model_validator(mode="after")
    def _whole_batches(self) -> ScheduleSettings:
        if self.batch_size % self.micro_batch and self.batch_size > self.micro_batch:
            raise UsageError(
                "batch_size must be a multiple of micro_batch",
                found=f"batch_size {self.batch_size}, micro_batch {self.micro_batch}",
            )
        return self


class HeldOutSettings(Settings):
    """What is reported on and never trained on."""

    splits: tuple[Split, ...] = ("validation", "test")  # splits that are reported on and never trained on
    every: Count = 200  #: steps between two reports during training; 0: none before the end
    windows: Positive = 2048  #: windows of each of these reports, evenly spread
    final_windows: Positive = 20000  #: windows of the last report
    linear_windows: Positive = 100000  #: training windows that the linear predictor is fitted to


class ComputeSettings(Settings):
    """How it is computed.

    bfloat16 keeps float32 weights and sums; `auto` takes it where the device multiplies it in hardware. torch.compile
    makes steps shorter and the first one up to a minute longer, and needs a compiler (g++ on a CPU).
    """

    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # of products; auto: bfloat16 if fast
    compile: bool = False  # use torch.compile
    recompute: Literal["auto", "yes", "no"] = "auto"  #: activation checkpointing; auto: for Huge and Giant
    parallel: Literal["ddp", "fsdp"] = "ddp"  #: a copy of the model in each process, or a part of it


class RunSettings(Settings):
    """What is written: steps between two lines of the log and two checkpoints (0: the last only), and to which loggers.

    TensorBoard is used if it is installed; Weights & Biases and MLflow are taken from their own environment variables,
    see `eegpt.callbacks`.
    """

    log_every: Positive = 10  # steps between two lines of the log
    checkpoint_every: Count = 200  # steps between two checkpoints; 0: the last only
    tensorboard: bool = True  # write TensorBoard files
    wandb: bool = False  # log to Weights & Biases
    mlflow: bool = False  # log to MLflow

    @property
    def loggers(self) -> tuple[str, ...]:
        """Names of the loggers in use."""
        return tuple(name for name in ("tensorboard", "wandb", "mlflow") if getattr(self, name))


class PretrainConfig(Settings):
    """Settings of a pre-training run; `seed` decides weights, order and augmentation."""

    run_kind: ClassVar[str] = "encoder"
    renamed: ClassVar[dict[str, str]] = {
        "objective": "objective.kind",
        "lr": "optimiser.learning_rate",
        "min_lr_ratio": "schedule.min_rate_ratio",
        "train_splits": "data.splits",
        "heldout_splits": "held_out.splits",
        "heldout_windows": "held_out.windows",
        "evaluate_every": "held_out.every",
    }

    encoder: EncoderSettings = EncoderSettings()
    objective: ObjectiveSettings = ObjectiveSettings()
    data: DataSettings = DataSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    held_out: HeldOutSettings = HeldOutSettings()
    compute: ComputeSettings = ComputeSettings()
    run: RunSettings = RunSettings()
    seed: Seed = 1  # decides weights, order and augmentation

    @model_validator(mode="after")
    def _consistent(self) -> PretrainConfig:
        if both := set(self.data.splits) & set(self.held_out.splits):
            raise UsageError("a split cannot be both trained on and held out", found=", ".join(sorted(both)))
        for n_samples in self.data.window_samples:
            if self.n_tokens(n_samples) < self.tokens_needed:
                raise UsageError(
                    f"a window of {n_samples} samples is too short for the objective {self.objective.kind!r}",
                    found=f"{self.n_tokens(n_samples)} tokens of {self.encoder.token_samples} samples every "
                    f"{self.encoder.token_stride}",
                    expected=f"at least {self.tokens_needed} tokens",
                    todo="set shorter tokens (encoder.token_samples) or longer windows (data.window_samples)",
                )
        return self

    def n_tokens(self, n_samples: int) -> int:
        """Tokens of a window of so many samples."""
        return n_tokens(n_samples, token_samples=self.encoder.token_samples, token_stride=self.encoder.token_stride)

    @property
    def tokens_needed(self) -> int:
        """Tokens that a window must have for the objective to score anything."""
        ahead = -(-self.encoder.token_samples // self.encoder.token_stride)
        return {"new+spectrum": ahead + 1, "masked": ahead + 2}.get(self.objective.kind, 2)

    def batch(self, n_windows: int) -> int:
        """Windows per optimiser step for an epoch of so many windows."""
        size = self.schedule.batch_size or 4096
        while not self.schedule.batch_size and size > 128 and n_windows < 64 * size:
            size //= 2
        return size

    def rate(self, width: int) -> float:
        """The highest learning rate of a model of that width."""
        return self.optimiser.learning_rate or 1e-3 * (128 / width) ** 0.5

    def ete(self, n_electrodes: int, kinds: Sequence[str] = ()) -> ETEConfig:
        """The encoder's configuration for a vocabulary of so many electrodes, with their kinds if not all are EEG."""
        own = {k: v for k, v in self.encoder.model_dump(exclude={"size"}).items() if v is not None}
        kind = self.objective.kind
        own["spectra"] = self.objective.spectra if kind == "new+spectrum" else ()
        if kind == "masked":
            own["spectrum_input"] = 0  # it would show hidden samples
        if self.encoder.condition == "electrode+reference":
            own["kinds"] = tuple(KINDS.index(k) for k in kinds) if set(kinds) - {"eeg"} else ()
        return ete_config(self.encoder.size, n_electrodes=n_electrodes, objective=kind, **own)
