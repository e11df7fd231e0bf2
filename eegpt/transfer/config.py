"""Settings of a transfer run; defaults were chosen on validation trials, see docs/results/transfer.md."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from eegprep.errors import UsageError
from eegpt.model.pairs import PAIRS
from eegpt.model.tokens import Normalise
from eegpt.model.views import VIEWS
from eegpt.model.whitening import WHITENED_VIEWS
from eegpt.runs.settings import Count, Positive, Seed, Settings, Share, Weight, differences, to_mapping
from eegpt.transfer.folds import Scheme
from eegpt.transfer.model import SIGNAL_VIEWS, Readout

ALL_VIEWS = (*VIEWS, PAIRS, *WHITENED_VIEWS)

Mode = Literal["frozen", "full", "scratch", "lora", "probe"]


class DataSettings(Settings):
    """Which trials are learned from, selected on and tested.

    Schemes: `split` (the shard sets' own), `kfold:5`, `loso` (one subject out), `lodo` (one data set out), `lodo:5`
    (the same, and five trials per class of each of its subjects are learned from), `few-shot:5` (five trials per class
    of each test subject are learned from), `few-shot:5:5` (the same in five folds of subjects), `within:5` (folds over
    each subject's own trials).
    """

    tasks: tuple[str, ...] = ()  # only these; empty for all
    datasets: tuple[str, ...] = ()  # only these; empty for all
    trials_per_class: Count = 0  #: of each subject and task at most, evenly spread; 0: all
    scheme: str = "split"  # trials to learn from and to test, e.g. kfold:5 or within:5
    train_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the training trials
    validation_share: Share = 0.2  # of the training trials, where a task has no validation subjects
    #: Electrodes that the encoder's vocabulary lacks; `extend`: a new row that starts from the nearest known one.
    unknown_electrodes: Literal["refuse", "nearest", "extend", "leave_out"] = "refuse"

    @field_validator("scheme")
    @classmethod
    def _known(cls, scheme: str) -> str:
        Scheme.parse(scheme)
        return scheme


class ModelSettings(Settings):
    """The electrode graph and the readouts beside it.

    Attributes
    ----------
    readout : {"auto", "special", "special+views", "views", "special+states", "states", "band_power"}
        What a graph's node starts from, see `eegpt.transfer.model`. `auto`: `views` on a frozen encoder; where the
        encoder learns, views change with every step and cannot be aligned by subject, so `special`, as in the paper.
    views : tuple of str
        What the readouts beside the graph see. At every electrode: `states`, `dynamics`, `spectrum`, `course`, `level`,
        see `eegpt.model.views`. At every pair of electrodes: `pairs`, see `eegpt.model.pairs`. At every electrode, of
        signals that were whitened, and only in tasks that are standardised by subject: `whitened_spectrum` and
        `whitened_course`, see `eegpt.model.whitening`. By default all but `level`, which is one number for each
        recording and electrode and so can only tell recordings apart; `probe` takes `states` and `dynamics` alone.
        Empty: no such readouts; with `readout` `special` the paper's form.
    edges : {"auto", "pairs", "none"}
        What the graph's edges carry: what two electrodes share, or nothing, as in the paper. `auto`: `pairs` where
        nodes start from views.
    graph : {"auto"} or bool
        Train the electrode graph beside the readouts. `auto`: only where something needs it: an encoder that learns, no
        views, or settings of its nodes or edges. Beside the readouts of a frozen encoder it adds nothing that we could
        measure, and takes most of the time.
    align : {"subject", "none"}
        `subject` standardises the views of each subject's trials, including the test trials but without their labels,
        in tasks that do not ask for the subject's identity; see `eegpt.transfer.align`. Results say so.
    compress : bool
        Compress what was standardised by subject to within 2 SD (2 tanh(x / 2)), so that no trial, electrode or pair
        dominates a linear readout; no effect on tasks that are not standardised by subject.
    """

    readout: Literal["auto", Readout] = "auto"  # what a node of the graph starts from
    views: tuple[str, ...] = tuple(v for v in ALL_VIEWS if v != "level")  # what the electrodes' own readouts see
    edges: Literal["auto", "pairs", "none"] = "auto"  # what the graph's edges carry
    graph: bool | Literal["auto"] = "auto"  # train the electrode graph; auto: where the readouts do not suffice
    align: Literal["subject", "none"] = "subject"  # standardise the views of each subject's trials
    compress: bool = True  # compress what is standardised by subject to within 2 SD
    teg_layers: Annotated[int, Field(gt=0, le=1000)] | None = None  # by default those of the encoder's size
    dropout: Share = 0.2  # inside the graph and before the heads
    electrode_dropout: Share = 0.5  # share of a trial's electrodes that the graph does not see
    lora_rank: Annotated[int, Field(gt=0, le=1 << 12)] = 8  # rank of the additions, in mode lora alone

    @field_validator("views")
    @classmethod
    def _known(cls, views: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [v for v in views if v not in ALL_VIEWS]:
            raise UsageError(f"unknown view {unknown[0]!r}", expected=", ".join(ALL_VIEWS))
        if len(set(views)) < len(views):
            raise UsageError("each view can be named once", found=", ".join(views))
        return views


class ObjectiveSettings(Settings):
    """What is minimised: cross-entropy, and squared error of regressions in SDs."""

    label_smoothing: Share = 0.1  # share of the target spread over all classes
    class_weights: bool = True  # by the inverse of a class's frequency in the training trials


class OptimiserSettings(Settings):
    """AdamW."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3  # highest rate
    encoder_rate_ratio: Weight = 0.3  # rate of the encoder's own parameters in mode `full`, relative to learning_rate
    weight_decay: Weight = 0.05  # AdamW's weight decay
    clip_norm: Annotated[float, Field(gt=0)] = 1.0  # largest norm of the gradient
    average: Share = 0.95  # decay of the running mean of the weights, which is validated and kept; 0: the last weights


class ScheduleSettings(Settings):
    """How long is trained, in which batches: a linear warm-up and a cosine to zero; batches mix all tasks."""

    steps: Positive = 250  # steps at most
    batch_size: Positive = 32  # trials of a step
    warmup_steps: Count = 20  # steps over which the rate rises
    task_exponent: Weight = 0.5  # a task of n trials is drawn in proportion to n ** task_exponent


class SelectionSettings(Settings):
    """Which weights are kept (those with the best validation loss), and how the members of a task are weighted.

    Readouts and graph are weighted by their outputs for training subjects that they were not fitted to: `folds` fits
    of every readout, and `graph_folds` of the graph (0: the graph is weighted on the validation trials, which
    takes a quarter of the time of 3).
    """

    folds: Annotated[int, Field(gt=1)] = 5  # fits of every readout that weight it
    graph_folds: Count = 0  # fits of the graph that weight it; 0: weighted on validation trials

    evaluate_every: Positive = 20  # steps between two evaluations on the validation trials
    validation_trials: Positive = 200  # of each task in an evaluation at most, evenly spread
    patience: Count = 120  # steps without a better evaluation after which training stops; 0 for never


class ComputeSettings(Settings):
    """How it is computed; `auto` is bfloat16 where the device multiplies it in hardware."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # of products; auto: bfloat16 if fast
    cache_mib: Count = 768  # memory for keys and values of frozen tokens; beyond it they are computed for each batch


class EncoderSettings(Settings):
    """The encoder of mode `scratch`; a pre-trained encoder has its own."""

    size: str = "base"  # base, large, huge or giant
    normalise: Normalise = "recording"  # what the signal is divided by
    token_samples: Positive = 256  # samples of a token
    token_stride: Positive = 32  # distance of two tokens' first samples


class TransferConfig(Settings):
    """Settings of a transfer run.

    Attributes
    ----------
    mode : {"frozen", "full", "scratch", "lora", "probe"}
        `frozen`: the pre-trained encoder stays as it is and the special token, graph and heads learn (the paper).
        `full`: the encoder learns too. `scratch`: the same from random weights. `lora`: low-rank additions to the
        encoder's attention learn. `probe`: linear maps of the frozen encoder's states alone, without a graph.
    """

    run_kind: ClassVar[str] = "transfer"
    renamed: ClassVar[dict[str, str]] = {
        "lr": "optimiser.learning_rate",
        "encoder_lr_ratio": "optimiser.encoder_rate_ratio",
    }

    mode: Mode = "frozen"  # what is trained: frozen, full, scratch, lora or probe
    joint: bool = True  # one model for all tasks, or one model for each
    seeds: tuple[Seed, ...] = (0,)  # one fit for each
    allow_leakage: bool = False  # continue although test recordings were seen before, and say so on every table
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
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise UsageError("seeds must be one or more different numbers", found=self.seeds)
        if self.mode == "scratch" and self.model.readout == "band_power":
            raise UsageError("the readout 'band_power' has no encoder to train", expected="mode frozen")
        if self.model.edges == "pairs" and not self.has_edges:
            raise UsageError(
                "the graph's edges carry pairs only where its nodes start from views",
                found=f"mode {self.mode!r}, readout {self.readout!r}",
                expected="mode frozen, readout auto or views",
            )
        if "views" in self.model.readout and not self.keeps_encoder:
            raise UsageError(
                f"nodes cannot start from views in mode {self.mode!r}, which changes the views at every step",
                expected="mode frozen, or another readout",
            )
        if self.model.graph is False and not (self.keeps_encoder and self.model.views):
            raise UsageError(
                "without the graph there is nothing to learn",
                found=f"mode {self.mode!r}, views {list(self.model.views)}",
                expected="mode frozen and one view or more",
            )
        return self

    def without_effect(self) -> dict[str, str]:
        """Changed settings that nothing reads in this mode, with what would read them."""
        reads = dict.fromkeys(("model.readout", "model.edges", "model.graph", "model.views"), "a mode other than probe")
        unread = reads if self.mode == "probe" else {}
        if self.mode != "lora":
            unread = {**unread, "model.lora_rank": "mode lora"}
        if self.mode != "full":
            unread = {**unread, "optimiser.encoder_rate_ratio": "mode full"}
        if not self.uses_graph:
            of_graph = ("model.teg_layers", "model.dropout", "model.electrode_dropout", "selection.graph_folds")
            needed = "a mode other than probe" if self.mode == "probe" else "model.graph=true"
            unread = {**unread, **dict.fromkeys(of_graph, needed)}
        changes = differences(to_mapping(TransferConfig()), to_mapping(self))
        return {name: needed for name, needed in unread.items() if name in changes}

    @property
    def keeps_encoder(self) -> bool:
        """Whether the encoder stays as it was pre-trained, so that fits may share its views."""
        return self.mode in ("frozen", "probe")

    @property
    def uses_graph(self) -> bool:
        """Whether there is a graph in this mode."""
        if self.model.graph != "auto" or self.mode == "probe":
            return bool(self.model.graph) and self.mode != "probe"
        asked = self.model.readout != "auto" or self.model.edges != "auto"
        return asked or not (self.keeps_encoder and self.model.views)

    @property
    def readout(self) -> Readout:
        """What nodes start from in this mode."""
        if self.model.readout != "auto":
            return self.model.readout
        return "views" if self.mode == "frozen" and self.uses_graph else "special"

    @property
    def reads_encoder(self) -> bool:
        """Whether anything that the encoder computes is used; without it none is needed."""
        return self.readout != "band_power" and (self.uses_graph or bool(set(self.views) - set(SIGNAL_VIEWS)))

    @property
    def has_edges(self) -> bool:
        """Whether the graph's edges carry what two electrodes share."""
        return self.uses_graph and self.readout == "views" and self.model.edges != "none"

    @property
    def views(self) -> tuple[str, ...]:
        """The views that this mode reads."""
        if self.mode != "probe":
            return self.model.views
        return tuple(v for v in VIEWS if v not in SIGNAL_VIEWS)

    @property
    def sees_views(self) -> bool:
        """Whether anything reads views: the readouts, or the graph's nodes."""
        return bool(self.views) or "views" in self.readout
