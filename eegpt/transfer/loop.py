"""The transfer loop: batches mixed from all tasks, selection of the best weights on the validation trials.

Test trials are not used here. Selection minimises the mean over tasks of the validation loss relative to guessing
(cross-entropy / ln K, squared error / variance), at most 1: with few validation trials losses are less noisy than
accuracies. A running mean of the weights is validated and kept, which reduces noise further.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from eegprep.recording import spread
from eegpt.model.heads import HeadSpec
from eegpt.runs.runtime import cosine
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import ScheduleSettings, SelectionSettings, TransferConfig
from eegpt.transfer.folds import Division
from eegpt.transfer.model import TransferModel
from eegpt.transfer.rows import Trials

Report = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The target of each trial of the index."""

    head_N: np.ndarray  # int64; tasks with the same name and classes in several data sets share a head
    n_outputs_N: np.ndarray  # int64, of that head
    regression_N: np.ndarray  # bool
    label_N: np.ndarray  # int64 class, 0 for regressions
    value_N: np.ndarray  # float32, in standard deviations of the training trials
    weight_N: np.ndarray  # float32 weight in the loss: 1 on average within a task

    @classmethod
    def of(cls, index: Trials, head_of_task: np.ndarray, train: np.ndarray, *, class_weights: bool) -> Targets:
        """Targets of an index; class weights and regression scales are computed from the training trials only."""
        n_outputs_T = np.array([max(1, len(t.classes)) for t in index.tasks], np.int64)
        regression_T = np.array([t.kind == "regression" for t in index.tasks], bool)
        weight_N = np.ones(len(index.task), np.float32)
        value_N = np.zeros(len(index.task), np.float32)
        for task, info in enumerate(index.tasks):
            own, learned = index.task == task, train[index.task[train] == task]
            if info.kind == "regression":
                mean, sd = regression_scale(index, train, task)
                value_N[own] = (index.target[own] - mean) / sd
            elif class_weights and len(learned):
                count_K = np.bincount(index.label[learned], minlength=len(info.classes)).astype(np.float64)
                present = count_K > 0
                weight_K = np.where(present, len(learned) / (present.sum() * np.maximum(count_K, 1)), 1.0)
                weight_N[own] = weight_K[index.label[own]]
        return cls(
            head_N=head_of_task[index.task],
            n_outputs_N=n_outputs_T[index.task],
            regression_N=regression_T[index.task],
            label_N=np.maximum(index.label, 0).astype(np.int64),
            value_N=value_N,
            weight_N=weight_N,
        )

    @classmethod
    def unknown(cls, n: int, number: int, head: HeadSpec) -> Targets:
        """Targets of `n` trials of one head without known labels."""
        return cls(
            head_N=np.full(n, number, np.int64),
            n_outputs_N=np.full(n, head.n_outputs, np.int64),
            regression_N=np.full(n, head.kind == "regression"),
            label_N=np.zeros(n, np.int64),
            value_N=np.zeros(n, np.float32),
            weight_N=np.ones(n, np.float32),
        )


def regression_scale(index: Trials, train: np.ndarray, task: int) -> tuple[float, float]:
    """Mean and standard deviation of a task's training targets; (0, 1) if there are none or all are equal."""
    values = np.asarray(index.target, np.float64)[train[index.task[train] == task]]
    return (float(values.mean()), float(values.std()) or 1.0) if len(values) else (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The step whose weights were kept, and a record per evaluation on the validation trials."""

    best_step: int
    history: list[dict[str, float]]


def fit(
    model: TransferModel,
    bank: TrialBank,
    division: Division,
    targets: Targets,
    config: TransferConfig,
    *,
    seed: int,
    report: Report | None = None,
) -> Fit:
    """Train the parameters with `requires_grad`; leaves the model with its best weights, in evaluation mode."""
    if not any(p.requires_grad for p in model.parameters()):
        model.eval()
        return Fit(best_step=0, history=[])
    learned = [p for p in model.parameters() if p.requires_grad]
    validation = _spread_rows(bank.index, division.validation, config.selection.validation_trials)
    bank.keep(model, np.union1d(division.train, validation))
    optimiser = torch.optim.AdamW(_parameter_groups(model, config), betas=(0.9, 0.98))
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda done: _rate(done, config.schedule))
    average = _Average(model, config.optimiser.average)
    best = _Selection(config.selection, average, lambda: _validation_loss(model, bank, validation, targets), report)
    draw = _Draw(bank.index, division.train, config.schedule, seed)
    torch.manual_seed(seed)
    running = 0.0
    for step in range(1, config.schedule.steps + 1):
        model.train()
        order, encoded = zip(
            *bank.groups(model, draw.rows(step), electrode_dropout=config.model.electrode_dropout), strict=True
        )
        rows = np.concatenate(order)
        logits_NK = _logits(model, bank, encoded, targets, rows)
        losses_N = trial_losses(logits_NK, targets, rows, smoothing=config.objective.label_smoothing)
        loss = (losses_N * torch.from_numpy(targets.weight_N[rows]).to(bank.device)).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, config.optimiser.clip_norm)
        optimiser.step()
        average.update(step)
        running += (float(loss.detach()) - running) / (1 if step == 1 else 20)
        if best.due(step, last=config.schedule.steps):
            best.evaluate({"step": float(step), "train_loss": running, "lr": optimiser.param_groups[0]["lr"]})
            if best.exhausted(step):
                break
        rate.step()
    best.put_back()
    return Fit(best_step=best.step, history=best.history)


def _logits(model: TransferModel, bank: TrialBank, encoded: tuple, targets: Targets, rows: np.ndarray) -> Tensor:
    with bank.autocast(graph=model.readout == "views"):
        return model(encoded, torch.from_numpy(targets.head_N[rows]).to(bank.device))


def trial_losses(logits_NK: Tensor, targets: Targets, rows: np.ndarray, *, smoothing: float = 0.0) -> Tensor:
    """Loss of each trial, (N,): cross-entropy, smoothed over the task's own classes, or squared error."""
    device = logits_NK.device
    label_N = torch.from_numpy(targets.label_N[rows]).to(device)
    n_outputs_N = torch.from_numpy(targets.n_outputs_N[rows]).to(device)
    log_p_NK = logits_NK.float().log_softmax(dim=1)
    loss_N = -log_p_NK.gather(1, label_N.unsqueeze(1)).squeeze(1)
    if smoothing:
        inside_NK = torch.arange(logits_NK.shape[1], device=device) < n_outputs_N.unsqueeze(1)
        spread_N = -log_p_NK.masked_fill(~inside_NK, 0.0).sum(dim=1) / n_outputs_N
        loss_N = (1 - smoothing) * loss_N + smoothing * spread_N
    value_N = torch.from_numpy(targets.value_N[rows]).to(device)
    squared_N = (logits_NK[:, 0].float() - value_N).square()
    return torch.where(torch.from_numpy(targets.regression_N[rows]).to(device), squared_N, loss_N)


@torch.no_grad()
def predict(model: TransferModel, bank: TrialBank, rows: np.ndarray, targets: Targets) -> np.ndarray:
    """Probabilities (N, K) of the trials at `rows`; regression values are in column 0, in training SDs."""
    model.eval()
    out = np.zeros((len(rows), model.heads.column_of.shape[1]), np.float32)
    place = {int(r): i for i, r in enumerate(rows)}
    for own, encoded in bank.batches(model, rows):
        logits = _logits(model, bank, (encoded,), targets, own).float()
        regression = torch.from_numpy(targets.regression_N[own]).to(logits.device).unsqueeze(1)
        value = torch.where(regression, logits.nan_to_num(neginf=0.0), logits.softmax(dim=1)).cpu().numpy()
        out[[place[int(r)] for r in own]] = value
    return out


@torch.no_grad()
def _validation_loss(model: TransferModel, bank: TrialBank, rows: np.ndarray, targets: Targets) -> float | None:
    """Mean over tasks of the validation loss relative to guessing; None without validation trials."""
    model.eval()
    if not len(rows):
        return None
    total: dict[int, list[float]] = {}
    for own, encoded in bank.batches(model, rows):
        losses = trial_losses(_logits(model, bank, (encoded,), targets, own), targets, own).cpu().numpy()
        guess = 1.0 if targets.regression_N[own[0]] else math.log(max(2, int(targets.n_outputs_N[own[0]])))
        weighted = losses * targets.weight_N[own] / guess
        total.setdefault(int(bank.index.task[own[0]]), []).extend(weighted.tolist())
    # Losses are capped at guessing: a task without signal must not stop the others early.
    return float(np.mean([min(1.0, float(np.mean(v))) for v in total.values()]))


def _spread_rows(index: Trials, rows: np.ndarray, most: int) -> np.ndarray:
    """A limited number of rows of each task, evenly spread over labels and time."""
    kept = []
    for task in np.unique(index.task[rows]):
        own = rows[index.task[rows] == task]
        own = own[np.lexsort((own, index.label[own]))]
        kept.append(own[spread(len(own), most)])
    return np.sort(np.concatenate(kept)) if kept else rows


def _rate(done: int, schedule: ScheduleSettings) -> float:
    """Learning rate factor at a given step."""
    warm = min(1.0, (done + 1) / max(1, schedule.warmup_steps))
    return warm * cosine(done, steps=schedule.steps, warmup=0, floor=0.0)


def _parameter_groups(model: TransferModel, config: TransferConfig) -> list[dict[str, object]]:
    """Weight decay for matrices but not vectors, and a lower learning rate for the encoder's weights."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            slow = config.mode == "full" and name.startswith("ete.")
            groups.setdefault((slow, p.dim() >= 2), []).append(p)
    settings = config.optimiser
    return [
        {
            "params": parameters,
            "lr": settings.learning_rate * (settings.encoder_rate_ratio if slow else 1.0),
            "weight_decay": settings.weight_decay if decays else 0.0,
        }
        for (slow, decays), parameters in sorted(groups.items(), key=lambda g: g[0])
    ]


class _Draw:
    """Draw the training trials of a step: tasks by weight, trials uniformly; a function of (seed, step)."""

    def __init__(self, index: Trials, train: np.ndarray, settings: ScheduleSettings, seed: int) -> None:
        task = index.task[train]
        self._of_task = [train[task == t] for t in np.unique(task)]
        weight = np.array([len(r) for r in self._of_task], np.float64) ** settings.task_exponent
        self._share, self._n, self._seed = weight / weight.sum(), settings.batch_size, seed

    def rows(self, step: int) -> np.ndarray:
        random = np.random.default_rng([self._seed, step])
        count = random.multinomial(self._n, self._share)
        return np.concatenate([random.choice(r, size=n) for r, n in zip(self._of_task, count, strict=True) if n])


class _Average:
    """Running mean of the trained weights."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._learned = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._decay = decay
        self._mean = {n: p.detach().clone() for n, p in self._learned.items()}

    def update(self, step: int) -> None:
        # The mean must not be dominated by the random initial weights at first.
        decay = min(self._decay, step / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self._mean.values()), list(self._learned.values()), 1 - decay)

    def weights(self) -> dict[str, Tensor]:
        return {n: t.clone() for n, t in self._mean.items()}

    def put(self, weights: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in weights.items():
                self._learned[name].copy_(tensor)

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        own = {n: p.detach().clone() for n, p in self._learned.items()}
        self.put(self._mean)
        try:
            yield
        finally:
            self.put(own)


@dataclass
class _Selection:
    """The weights with the best validation loss so far, or the last ones without validation trials."""

    settings: SelectionSettings
    average: _Average
    loss: Callable[[], float | None]
    report: Report | None
    history: list[dict[str, float]] = field(default_factory=list)
    step: int = 0
    best: float = math.inf
    weights: dict[str, Tensor] | None = None

    def due(self, step: int, *, last: int) -> bool:
        return step % self.settings.evaluate_every == 0 or step == last

    def evaluate(self, record: dict[str, float]) -> None:
        with self.average.swapped_in():
            loss = self.loss()
        if loss is not None:
            record["validation_loss"] = loss
        if self.weights is None or loss is None or loss < self.best:
            self.best, self.step = math.inf if loss is None else loss, int(record["step"])
            self.weights = self.average.weights()
        self.history.append(record)
        if self.report is not None:
            self.report(int(record["step"]), record)

    def exhausted(self, step: int) -> bool:
        return self.settings.patience > 0 and step - self.step >= self.settings.patience

    def put_back(self) -> None:
        if self.weights is not None:
            self.average.put(self.weights)
