"""The paper's claims as runs that can be repeated: which arms there are, and what each says beside the first.

What enters: shard sets and a `ClaimsConfig`. What leaves: a folder with the encoders and runs of all arms and
`claims.json`. Encoders and runs that are finished are not made again, so the same command goes on where it was
stopped, and claims that share an arm share its run. In a scheme of folds every fold has encoders of its own,
pre-trained without the people whom it tests: nothing is overridden.

Claims about the graph are made in the paper's form, the graph alone, unless `readout` says otherwise. Claims about the
encoder are read by linear maps of its frozen states, fitted in closed form, each person's trials centred: they differ
by the encoder alone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import UsageError, nearest
from eegprep.files import write_json
from eegprep.shards import ShardSet
from eegpt.data import TrialIndex
from eegpt.evaluation.compare import compare_runs
from eegpt.evaluation.evaluate import evaluate, write_results
from eegpt.runs.settings import with_settings
from eegpt.training.config import PretrainConfig
from eegpt.training.pretrain import pretrain
from eegpt.training.study import sized
from eegpt.training.windows import open_windows
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.folds import divide
from eegpt.transfer.run import transfer

__all__ = ["CLAIMS", "ClaimsConfig", "Arm", "Claim", "plan", "run_claims"]

CLAIMS = {
    "joint": "Does one graph that learns all tasks together do better than one graph for each?",
    "tuning": "Does the encoder do better frozen, with low-rank additions, or tuned as a whole?",
    "scratch": "Does the graph do better on a pre-trained encoder than on one that begins at random?",
    "untrained": "Are the states of a pre-trained encoder better to read than those of an untrained one?",
    "objective": "Which objective gives the better states: the whole next token, its new samples, or hidden tokens?",
    "sizes": "Does a larger encoder give better states?",
    "fractions": "Does more of the recordings to pre-train on give better states?",
    "labels": "How much do more labelled trials add?",
    "unseen": "Are the states as good on a data set that pre-training has never seen?",
}
COMMON = "common"
_BY_FOLD = ("kfold", "loso")
# One step at this rate moves no weight by more than rounding does.
_NO_RATE = 1e-9
# An encoder that sees both ways foresees one token at a time: a pass for each position of a held-out window.
_MASKED_WINDOWS = 1000

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ClaimsConfig:
    """What is asked, and with which settings.

    Attributes
    ----------
    claims : tuple of str
        Names of `CLAIMS`; empty for all.
    sizes : tuple of str
        Sizes of the claim `sizes`, names or `LAYERSxWIDTHxHEADS`; the first is what the others are held against.
    fractions : tuple of float
        Shares of the training windows (`fractions`) and of the labelled trials (`labels`), besides all.
    vary : tuple of str
        Further questions, `KEY=VALUE` each: a setting of pre-training against its value in `pretrain`, read as states.
    pretrain : PretrainConfig
        Settings that all encoders share.
    transfer : TransferConfig
        Settings that all runs share: scheme, seeds, tasks, steps.
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
                    f"there is no claim {name!r}", expected=", ".join(CLAIMS), todo=nearest(name, CLAIMS) or None
                )
        for share in self.fractions:
            if not 0 < share < 1:
                raise UsageError("a fraction is above 0 and below 1", found=share)
        if len(self.sizes) < 2 and "sizes" in self.chosen:
            raise UsageError("comparing sizes takes two or more", found=", ".join(self.sizes))

        for setting in self.vary:
            with_settings(self.pretrain, [setting], where="--vary")

    @property
    def chosen(self) -> tuple[str, ...]:
        """The claims asked for, in the order of `CLAIMS`; all where nothing is asked for."""
        return tuple(n for n in CLAIMS if n in self.claims or not (self.claims or self.vary))


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One run of a claim: its folder's name, the name of its encoders, its settings."""

    name: str
    run: str
    encoder: str
    transfer: TransferConfig


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A question and its arms; the first is what the others are held against."""

    name: str
    question: str
    arms: tuple[Arm, ...]


def plan(config: ClaimsConfig, *, datasets: Sequence[str]) -> list[Claim]:
    """The claims and their arms.

    Parameters
    ----------
    datasets : sequence of str
        Those that have people to test, for `unseen`.
    """
    readout = "special" if config.transfer.readout == "auto" else config.transfer.readout
    graph = dataclasses.replace(config.transfer, mode="frozen", readout=readout, views=(), graph=True)
    states = dataclasses.replace(config.transfer, mode="probe", seeds=config.transfer.seeds[:1])

    def by_graph(name: str, **settings: Any) -> Arm:
        return Arm(name=name, run=f"graph-{name}", encoder=COMMON, transfer=dataclasses.replace(graph, **settings))

    def by_states(name: str, encoder: str, **settings: Any) -> Arm:
        run = f"states-{encoder}" + "".join(f"-{k}-{v:g}" for k, v in settings.items() if k == "train_fraction")
        return Arm(name=name, run=run, encoder=encoder, transfer=dataclasses.replace(states, **settings))

    frozen, read = by_graph("frozen"), by_states("all", COMMON)
    objective = config.pretrain.objective
    # Made when they are asked for: not every mode goes with every readout.
    arms: dict[str, Callable[[], tuple[Arm, ...]]] = {
        "joint": lambda: (dataclasses.replace(frozen, name="joint"), by_graph("separate", joint=False)),
        "tuning": lambda: (frozen, by_graph("lora", mode="lora"), by_graph("full", mode="full")),
        "scratch": lambda: (dataclasses.replace(frozen, name="pre-trained"), by_graph("scratch", mode="scratch")),
        "untrained": lambda: (dataclasses.replace(read, name="pre-trained"), by_states("untrained", "untrained")),
        "objective": lambda: (
            dataclasses.replace(read, name=objective),
            *(by_states(o, f"objective-{o}") for o in ("token", "new", "masked") if o != objective),
        ),
        "sizes": lambda: tuple(
            by_states(s, COMMON if s == config.pretrain.size else f"size-{s}") for s in config.sizes
        ),
        "fractions": lambda: (read, *(by_states(f"{f:g}", f"fraction-{f:g}") for f in config.fractions)),
        "labels": lambda: (read, *(by_states(f"{f:g}", COMMON, train_fraction=f) for f in config.fractions)),
        "unseen": lambda: (
            dataclasses.replace(read, name="seen"),
            *(by_states(f"without {d}", f"without-{d}", datasets=(d,)) for d in datasets),
        ),
    }
    claims = [Claim(name=n, question=CLAIMS[n], arms=arms[n]()) for n in config.chosen]
    for key in dict.fromkeys(setting.partition("=")[0].strip() for setting in config.vary):
        own = [v for v in config.vary if v.partition("=")[0].strip() == key]
        common = dataclasses.replace(read, name=f"{getattr(config.pretrain, key)}")
        others = tuple(by_states(v.partition("=")[2], f"set-{v}") for v in own)
        claims.append(Claim(name=key, question=f"Does `{key}` matter to the states?", arms=(common, *others)))
    return claims


def encoder_settings(name: str, common: PretrainConfig, *, datasets: Sequence[str], n_windows: int) -> PretrainConfig:
    """Settings of the encoders of that name: the common ones but for what the name says."""
    kind, _, value = name.partition("-")
    match kind:
        case "objective":
            few = min(common.final_windows, _MASKED_WINDOWS) if value == "masked" else common.final_windows
            return dataclasses.replace(common, objective=value, final_windows=few)  # type: ignore[arg-type]
        case "size":
            return sized(common, value)
        case "fraction":
            return dataclasses.replace(common, max_windows=max(1, round(float(value) * n_windows)))
        case "set":
            return with_settings(common, [value])
        case "untrained":
            return dataclasses.replace(common, steps=1, warmup_steps=0, lr=_NO_RATE)
        case "without":
            return dataclasses.replace(common, datasets=tuple(d for d in datasets if d != value))
    return common


def run_claims(
    config: ClaimsConfig, *, shards: Sequence[Path], out: Path, tell: Tell = lambda text: None
) -> dict[str, Any]:
    """Train what the claims need, score every arm, hold it against its claim's first.

    Returns
    -------
    dict
        As written to `claims.json`: for every claim its arms (scores by task, mean, the encoders' error on test people
        who were not trained on) and comparisons (`compare.compare_runs`, each other arm against the first).

    Raises
    ------
    UsageError
        The shard sets have no people to divide, or `out` holds claims with other settings.
    """
    shards, out = [Path(s) for s in shards], Path(out)
    index = TrialIndex([ShardSet.open(s) for s in shards], tasks=config.transfer.tasks or None)
    datasets = _datasets(index)
    work = _Work(config=config, shards=shards, out=out, datasets=datasets, folds=_folds(config, index), tell=tell)
    claims: list[dict[str, Any]] = []
    result = {"scheme": config.transfer.scheme, "seeds": list(config.transfer.seeds), "claims": claims}
    for claim in plan(config, datasets=datasets):
        if claim.name == "unseen" and len(datasets) < 2:
            tell("unseen: there is one data set alone, so none can be left out")
            continue
        claims.append(_answer(work, claim))
        write_json(out / "claims.json", result)
    return result


@dataclass(frozen=True, kw_only=True)
class _Work:
    """Where everything lies while claims are answered."""

    config: ClaimsConfig
    shards: list[Path]
    out: Path
    datasets: tuple[str, ...]
    folds: tuple[str, ...]
    tell: Tell


def _datasets(index: TrialIndex) -> tuple[str, ...]:
    """Data sets with two people or more who can be divided."""
    people: dict[str, set[str]] = {}
    for person, task in zip(index.subject, index.task.tolist(), strict=True):
        if not index.tasks[task].within_subject:
            people.setdefault(person.split("/", 1)[0], set()).add(person)
    return tuple(sorted(d for d, p in people.items() if len(p) > 1))


def _folds(config: ClaimsConfig, index: TrialIndex) -> tuple[str, ...]:
    """The divisions that encoders are pre-trained for; one empty name where the sets' own split is used."""
    scheme = config.transfer.scheme
    if scheme.partition(":")[0] not in _BY_FOLD:
        return ("",)
    return tuple(f"{scheme}/{k}" for k in range(len(divide(index, scheme))))


def _encoders(work: _Work, name: str) -> list[Path]:
    """The encoders of that name, trained where they are not; of a data set left out there is one for all folds."""
    folds = ("",) if name.startswith("without-") else work.folds
    found = []
    for number, division in enumerate(folds):
        common = dataclasses.replace(work.config.pretrain, division=division)
        n_windows = _n_windows(work, common) if name.startswith("fraction-") else 0
        settings = encoder_settings(name, common, datasets=work.datasets, n_windows=n_windows)
        run = work.out / "encoders" / name / str(number)
        work.tell(f"encoder {name}, {number + 1} of {len(folds)}")
        done = pretrain(settings, shards=work.shards, out=run)
        if not done.finished:
            raise UsageError("pre-training was stopped", where=run, todo="the same command goes on from there")
        found.append(run)
    return found


def _n_windows(work: _Work, common: PretrainConfig) -> int:
    return sum(len(index) for index, _ in open_windows(work.shards, common).train)


def _score(work: _Work, arm: Arm, encoders: Sequence[Path]) -> Path:
    """The arm's run, fitted and scored where it is not yet."""
    run = work.out / "runs" / arm.run
    work.tell(f"run {arm.run}")
    transfer(arm.transfer, shards=work.shards, out=run, encoder=encoders if len(encoders) > 1 else encoders[0])
    if not (run / "results.json").is_file():
        write_results(run, *evaluate(run, work.shards))
    return run


def _answer(work: _Work, claim: Claim) -> dict[str, Any]:
    arms, comparisons, first = [], [], None
    for arm in claim.arms:
        encoders = _encoders(work, arm.encoder)
        run = _score(work, arm, encoders)
        # A graph from scratch has no use for the weights; leaving a data set out changes whom they are held to.
        comparable = arm.transfer.mode != "scratch" and not arm.encoder.startswith("without-")
        summary = _summary(run, encoders if comparable else ())
        arms.append({"name": arm.name, "run": str(run.relative_to(work.out)), **summary})
        if first is None:
            first = run
            continue
        for row in compare_runs([run, first]):
            comparisons.append({**row, "run": arm.name, "against": claim.arms[0].name})
    return {"name": claim.name, "question": claim.question, "arms": arms, "comparisons": comparisons}


def _summary(run: Path, encoders: Sequence[Path]) -> dict[str, Any]:
    """Scores of a run by task, their mean, and its encoders' errors on new samples of people not trained on."""
    tasks = json.loads((run / "results.json").read_text(encoding="utf-8"))["tasks"]
    scored = {k: t["model"]["scores"][t["score"]]["mean"] for k, t in tasks.items() if t.get("model")}
    known = [v for v in scored.values() if v is not None]
    new = []
    for encoder in encoders:
        splits = json.loads((encoder / "results.json").read_text(encoding="utf-8"))["pretraining"]["splits"]
        new += [splits[s]["model"]["new"] for s in ("test",) if s in splits]
    return {
        "tasks": scored,
        "mean": float(np.mean(known)) if known else None,
        "encoder_error": float(np.mean(new)) if new else None,
    }
