"""The paper's claims as reproducible runs: each claim has several arms, which are compared with the first.

The output folder contains the encoders and runs of all arms and `claims.json`. Finished encoders and runs are not
repeated, so the same command resumes an interrupted study, and claims with a common arm share its run. With folds,
every fold has its own encoders, pre-trained without its test subjects, so the leakage check is not overridden.

Claims about the graph use the graph alone, as in the paper, unless `readout` overrides it. Claims about the encoder use
linear maps of its frozen states, fitted in closed form and standardised by subject, so that only the encoder differs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eegprep.errors import UsageError, nearest
from eegprep.files import alone, write_json
from eegprep.remote import open_shards
from eegpt.data import TrialIndex
from eegpt.evaluation.compare import Comparison, compare_runs, mean_difference
from eegpt.evaluation.evaluate import evaluate, write_results
from eegpt.evaluation.metrics import mean_defined
from eegpt.evaluation.paired import Difference
from eegpt.evaluation.results import read_results
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.data import open_windows
from eegpt.pretraining.loop import pretrain
from eegpt.runs.folder import RESULTS
from eegpt.runs.results import read_pretraining_results
from eegpt.runs.settings import changed, to_mapping, with_settings
from eegpt.studies.scaling import sized
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.folds import Kind, Scheme, divide
from eegpt.transfer.run import transfer

CLAIMS = {
    "joint": "Is one graph for all tasks better than one graph per task?",
    "tuning": "Is the encoder better frozen, with low-rank additions, or fully fine-tuned?",
    "scratch": "Is the graph better on a pre-trained encoder than on a randomly initialised one?",
    "untrained": "Are the states of a pre-trained encoder more useful than those of an untrained one?",
    "objective": "Which objective gives the better states: the whole next token, its new samples, or hidden tokens?",
    "sizes": "Does a larger encoder give better states?",
    "fractions": "Does more pre-training data give better states?",
    "labels": "How much do more labelled trials help?",
    "unseen": "Are the states as good on a data set that was not used for pre-training?",
}
# One step at this rate changes weights by no more than rounding.
_NO_RATE = 1e-9
# A bidirectional encoder predicts one token at a time: one pass per position of a held-out window.
_MASKED_WINDOWS = 1000

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ClaimsConfig:
    """Claims to test and their settings.

    Attributes
    ----------
    claims : tuple of str
        Names of `CLAIMS`; empty for all.
    sizes : tuple of str
        Sizes for the claim `sizes`, names or `LAYERSxWIDTHxHEADS`; all are compared with the first.
    fractions : tuple of float
        Shares of the training windows (`fractions`) and of the labelled trials (`labels`), besides 1.
    vary : tuple of str
        Further claims as `KEY=VALUE`: a pre-training setting against its value in `pretrain`, evaluated on states.
    pretrain : PretrainConfig
        Settings common to all encoders.
    transfer : TransferConfig
        Settings common to all runs: scheme, seeds, tasks, steps.
    """

    claims: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ("base", "large")
    fractions: tuple[float, ...] = (0.25, 0.5)
    vary: tuple[str, ...] = ()
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)

    def __post_init__(self) -> None:
        for name in self.claims:
            if name not in CLAIMS:
                raise UsageError(
                    f"unknown claim {name!r}", expected=", ".join(CLAIMS), todo=nearest(name, CLAIMS) or None
                )
        for share in self.fractions:
            if not 0 < share < 1:
                raise UsageError("a fraction must be above 0 and below 1", found=share)
        if len(self.sizes) < 2 and "sizes" in self.chosen:
            raise UsageError("at least two sizes are required", found=", ".join(self.sizes))
        keys: dict[str, bool] = {}
        for setting in self.vary:
            key = setting.partition("=")[0].strip()
            other = with_settings(self.pretrain, [setting], where="--vary") != self.pretrain
            keys[key] = keys.get(key, False) or other
        for key, other in keys.items():
            if not other:
                raise UsageError(
                    f"{key} has only the value that it has already", where="--vary", todo="name another value"
                )

    @property
    def chosen(self) -> tuple[str, ...]:
        """The requested claims, in the order of `CLAIMS`; all by default."""
        return tuple(n for n in CLAIMS if n in self.claims or not (self.claims or self.vary))


@dataclass(frozen=True, kw_only=True)
class Encoders:
    """The encoders of an arm: folder name and differences from the common settings.

    `fraction` is a share of the training windows, `left_out` a data set.
    """

    name: str = "common"
    changes: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    size: str | None = None
    fraction: float | None = None
    left_out: str | None = None

    def config(self, common: PretrainConfig, *, datasets: Sequence[str], n_windows: int = 0) -> PretrainConfig:
        """The settings of these encoders."""
        config = with_settings(changed(common, self.changes), self.settings)
        if self.size is not None:
            config = sized(config, self.size)
        if self.fraction is not None:
            config = changed(config, {"data.max_windows": max(1, round(self.fraction * n_windows))})
        if self.left_out is not None:
            config = changed(config, {"data.datasets": [d for d in datasets if d != self.left_out]})
        return config


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One run of a claim: folder name, encoders and settings."""

    name: str
    run: str
    encoders: Encoders
    transfer: TransferConfig


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A question and its arms, which are compared with the first."""

    name: str
    question: str
    arms: tuple[Arm, ...]


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """Scores by task, their mean, and the encoders' mean error on new samples of unseen test subjects.

    `difference` is the arm's mean over its tasks minus that of the first arm on these.
    """

    name: str
    run: str
    tasks: dict[str, float | None]
    mean: float | None
    encoder_error: float | None
    difference: Difference | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A claim's arms, and the comparison of each with the first.

    `together` is the mean difference of all other arms at once, where these have different tasks (`unseen`).
    """

    claim: Claim
    arms: list[ArmResult]
    comparisons: list[Comparison]
    together: Difference | None = None


@dataclass(frozen=True, kw_only=True)
class ClaimsResult:
    """All answers."""

    scheme: str
    seeds: tuple[int, ...]
    answers: list[Answer]

    def as_json(self) -> dict[str, Any]:
        """Plain data, as in `claims.json`."""
        claims = [
            {
                "name": a.claim.name,
                "question": a.claim.question,
                "arms": [dataclasses.asdict(arm) for arm in a.arms],
                "comparisons": [c.as_row() for c in a.comparisons],
                "together": None if a.together is None else dataclasses.asdict(a.together),
            }
            for a in self.answers
        ]
        return {"scheme": self.scheme, "seeds": list(self.seeds), "claims": claims}


def plan(config: ClaimsConfig, *, datasets: Sequence[str]) -> list[Claim]:
    """The claims and their arms.

    Parameters
    ----------
    datasets : sequence of str
        Data sets with test subjects, for `unseen`.
    """
    readout = "special" if config.transfer.model.readout == "auto" else config.transfer.model.readout
    form = {"mode": "frozen", "model.readout": readout, "model.views": (), "model.graph": True}
    graph = changed(config.transfer, form)
    states = changed(config.transfer, {"mode": "probe", "seeds": config.transfer.seeds[:1]})
    objective = str(config.pretrain.objective.kind)

    def by_graph(name: str, *, run: str | None = None, **settings: Any) -> Arm:
        return Arm(name=name, run=f"graph-{run or name}", encoders=Encoders(), transfer=changed(graph, settings))

    def by_states(name: str, encoders: Encoders = Encoders(), *, fraction: float | None = None) -> Arm:
        suffix, changes = "", dict[str, Any]()
        if fraction is not None:
            suffix, changes = f"-train_fraction-{fraction:g}", {"data.train_fraction": fraction}
        if encoders.left_out is not None:
            changes = {"data.datasets": (encoders.left_out,)}
        run = f"states-{encoders.name}{suffix}"
        return Arm(name=name, run=run, encoders=encoders, transfer=changed(states, changes))

    def of_objective(name: str) -> Arm:
        changes: dict[str, Any] = {"objective.kind": name}
        if name == "masked":
            changes["held_out.final_windows"] = min(config.pretrain.held_out.final_windows, _MASKED_WINDOWS)
        return by_states(name, Encoders(name=f"objective-{name}", changes=changes))

    def of_size(size: str) -> Arm:
        common = sized(config.pretrain, size) == config.pretrain
        return by_states(size, Encoders() if common else Encoders(name=f"size-{size}", size=size))

    no_training = {"schedule.steps": 1, "schedule.warmup_steps": 0, "optimiser.learning_rate": _NO_RATE}
    untrained = Encoders(name="untrained", changes=no_training)
    # Created on request: not every mode supports every readout.
    arms: dict[str, Callable[[], list[Arm]]] = {
        "joint": lambda: [by_graph("joint", run="frozen"), by_graph("separate", joint=False)],
        "tuning": lambda: [by_graph("frozen"), by_graph("lora", mode="lora"), by_graph("full", mode="full")],
        "scratch": lambda: [by_graph("pre-trained", run="frozen"), by_graph("scratch", mode="scratch")],
        "untrained": lambda: [by_states("pre-trained"), by_states("untrained", untrained)],
        "objective": lambda: [
            by_states(objective), *(of_objective(o) for o in ("token", "new", "masked") if o != objective)
        ],
        "sizes": lambda: [of_size(size) for size in config.sizes],
        "fractions": lambda: [
            by_states("all"),
            *(by_states(f"{f:g}", Encoders(name=f"fraction-{f:g}", fraction=f)) for f in config.fractions),
        ],
        "labels": lambda: [by_states("all"), *(by_states(f"{f:g}", fraction=f) for f in config.fractions)],
        "unseen": lambda: [
            by_states("seen"), *(by_states(f"without {d}", Encoders(name=f"without-{d}", left_out=d)) for d in datasets)
        ],
    }  # fmt: skip
    claims = [Claim(name=n, question=CLAIMS[n], arms=tuple(arms[n]())) for n in config.chosen]
    varied: dict[str, list[str]] = {}
    for setting in config.vary:
        varied.setdefault(setting.partition("=")[0].strip(), []).append(setting)
    for key, settings in varied.items():
        common: Any = to_mapping(config.pretrain)
        for part in key.split("."):
            common = common[part]
        others = (
            by_states(s.partition("=")[2], Encoders(name=f"set-{s}", settings=(s,)))
            for s in settings
            if with_settings(config.pretrain, [s]) != config.pretrain  # the first arm already
        )
        question = f"Does `{key}` affect the states?"
        claims.append(Claim(name=key, question=question, arms=(by_states(str(common)), *others)))
    return claims


def run_claims(
    config: ClaimsConfig, *, shards: Sequence[Path], out: Path, tell: Tell = lambda text: None
) -> ClaimsResult:
    """Train and score all arms of the claims, compare them with the first arm, and write `claims.json`.

    Raises
    ------
    UsageError
        The shard sets have no subjects to divide, or `out` contains claims with other settings.
    """
    shards, out = [Path(s) for s in shards], Path(out)
    index = TrialIndex([open_shards(s) for s in shards], tasks=config.transfer.data.tasks or None)
    datasets = _datasets(index)
    work = _Work(config=config, shards=shards, out=out, datasets=datasets, folds=_folds(config, index), tell=tell)
    result = ClaimsResult(scheme=config.transfer.data.scheme, seeds=config.transfer.seeds, answers=[])
    with alone(out):
        for claim in plan(config, datasets=datasets):
            if claim.name == "unseen" and len(datasets) < 2:
                tell("unseen: needs at least two data sets")
                continue
            result.answers.append(_answer(work, claim))
            write_json(out / "claims.json", result.as_json())
    return result


@dataclass(frozen=True, kw_only=True)
class _Work:
    """Paths and settings shared by all steps."""

    config: ClaimsConfig
    shards: list[Path]
    out: Path
    datasets: tuple[str, ...]
    folds: tuple[str, ...]
    tell: Tell


def _datasets(index: TrialIndex) -> tuple[str, ...]:
    """Data sets with at least two subjects that can be divided."""
    subjects: dict[str, set[str]] = {}
    for subject, task in zip(index.subject, index.task.tolist(), strict=True):
        if not index.tasks[task].within_subject:
            subjects.setdefault(subject.split("/", 1)[0], set()).add(subject)
    return tuple(sorted(d for d, s in subjects.items() if len(s) > 1))


def _folds(config: ClaimsConfig, index: TrialIndex) -> tuple[str, ...]:
    """The divisions to pre-train encoders for; one empty name if the sets' own split is used."""
    scheme = config.transfer.data.scheme
    if Scheme.parse(scheme).kind not in (Kind.KFOLD, Kind.LOSO):
        return ("",)
    return tuple(f"{scheme}/{k}" for k in range(len(divide(index, scheme))))


def _train(work: _Work, encoders: Encoders) -> list[Path]:
    """Train the encoders that do not exist yet; a left-out data set has one encoder for all folds."""
    folds = work.folds if encoders.left_out is None else ("",)
    found = []
    for number, division in enumerate(folds):
        common = changed(work.config.pretrain, {"data.division": division})
        n_windows = 0
        if encoders.fraction is not None:
            n_windows = sum(len(index) for index, _ in open_windows(work.shards, common).train)
        run = work.out / "encoders" / encoders.name / str(number)
        work.tell(f"encoder {encoders.name}, {number + 1} of {len(folds)}")
        settings = encoders.config(common, datasets=work.datasets, n_windows=n_windows)
        if not pretrain(settings, shards=work.shards, out=run).finished:
            raise UsageError("pre-training was stopped", where=run, todo="run the same command again to resume it")
        found.append(run)
    return found


def _answer(work: _Work, claim: Claim) -> Answer:
    arms, comparisons = [], []
    first = work.out / "runs" / claim.arms[0].run
    for arm in claim.arms:
        encoders, run = _train(work, arm.encoders), work.out / "runs" / arm.run
        work.tell(f"run {arm.run}")
        transfer(arm.transfer, shards=work.shards, out=run, encoder=encoders)
        if not (run / RESULTS).is_file():
            write_results(run, *evaluate(run, work.shards))
        # A graph from scratch does not use the weights; leaving a data set out changes the test subjects.
        comparable = arm.transfer.mode != "scratch" and arm.encoders.left_out is None
        tasks = {k: t.mean(t.model) for k, t in read_results(run).tasks.items() if t.model is not None}
        arms.append(
            ArmResult(
                name=arm.name,
                run=str(run.relative_to(work.out)),
                tasks=tasks,
                mean=mean_defined(list(tasks.values())),
                encoder_error=_error(encoders) if comparable else None,
                difference=None if arm is claim.arms[0] else mean_difference([(run, first)]),
            )
        )
        if arm is not claim.arms[0]:
            rows = compare_runs([run, first])
            comparisons += [dataclasses.replace(r, run=arm.name, against=claim.arms[0].name) for r in rows]
    others = [(work.out / "runs" / arm.run, first) for arm in claim.arms[1:]]
    together = mean_difference(others) if claim.name == "unseen" else None
    return Answer(claim=claim, arms=arms, comparisons=comparisons, together=together)


def _error(encoders: Sequence[Path]) -> float | None:
    splits = [read_pretraining_results(encoder).splits for encoder in encoders]
    return mean_defined([s["test"].model.new for s in splits if "test" in s])
