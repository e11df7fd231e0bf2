"""The transfer loop: mixed batches of all tasks, selection on the validation trials, the best weights back.

What enters: a model, a bank of trials, a division. What leaves: the model with the weights that did best on the
validation trials, and a history of how it got there. The test trials are not in sight here.

The score to select by is the mean over tasks of the validation loss in units of guessing (cross-entropy / ln K,
squared error / variance), at most 1: a handful of validation trials rank losses more steadily than accuracies. What is
validated and kept is a running mean of the weights, which is steadier again.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.folds import Division
from eegpt.transfer.model import TransferModel

__all__ = ["Targets", "Fit", "fit", "predict", "trial_losses"]


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What each trial of the index is to become.

    Attributes
    ----------
    head_N : (N,) int64
        Head of each trial; data sets whose task has the same name and classes share one.
    n_outputs_N : (N,) int64
        Outputs of that head.
    regression_N : (N,) bool
    label_N : (N,) int64
        Class, 0 for regressions.
    value_N : (N,) float32
        Regression target in standard deviations of the training trials.
    weight_N : (N,) float32
        Weight in the loss: 1 on average within a task.
    """

    head_N: np.ndarray
    n_outputs_N: np.ndarray
    regression_N: np.ndarray
    label_N: np.ndarray
    value_N: np.ndarray
    weight_N: np.ndarray

    @classmethod
    def of(cls, index: Any, head_of_task: np.ndarray, train: np.ndarray, *, class_weights: bool) -> Targets:
        """Targets of an index; class weights and the scale of regressions come from the training trials alone."""
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


def regression_scale(index: Any, train: np.ndarray, task: int) -> tuple[float, float]:
    """Mean and standard deviation of a task's training targets; (0, 1) where there are none or they are all equal."""
    values = np.asarray(index.target, np.float64)[train[index.task[train] == task]]
    sd = float(values.std()) if len(values) else 0.0
    return (float(values.mean()), sd) if sd > 0 else (float(values.mean()) if len(values) else 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What the loop tells: the step whose weights were kept, a record per look at the validation trials, and how many
    trials were encoded once for all."""

    best_step: int
    history: list[dict[str, float]]
    n_cached: int


def trial_losses(logits_NK: Tensor, targets: Targets, rows: np.ndarray, *, smoothing: float = 0.0) -> Tensor:
    """Loss of each trial, (N,): cross-entropy, smoothed over the task's own classes, or squared error."""
    device = logits_NK.device
    label_N = torch.from_numpy(targets.label_N[rows]).to(device)
    n_outputs_N = torch.from_numpy(targets.n_outputs_N[rows]).to(device)
    log_p_NK = logits_NK.float().log_softmax(dim=1)
    hit_N = -log_p_NK.gather(1, label_N.unsqueeze(1)).squeeze(1)
    loss_N = hit_N
    if smoothing:
        inside_NK = torch.arange(logits_NK.shape[1], device=device) < n_outputs_N.unsqueeze(1)
        spread_N = -log_p_NK.masked_fill(~inside_NK, 0.0).sum(dim=1) / n_outputs_N
        loss_N = (1 - smoothing) * hit_N + smoothing * spread_N
    value_N = torch.from_numpy(targets.value_N[rows]).to(device)
    squared_N = (logits_NK[:, 0].float() - value_N).square()
    return torch.where(torch.from_numpy(targets.regression_N[rows]).to(device), squared_N, loss_N)


def fit(
    model: TransferModel,
    bank: TrialBank,
    division: Division,
    targets: Targets,
    config: TransferConfig,
    *,
    seed: int,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> Fit:
    """Train the parameters that want a gradient; the model comes back with its best weights, in evaluation mode."""
    if not any(p.requires_grad for p in model.parameters()):
        model.eval()
        return Fit(best_step=0, history=[], n_cached=0)
    looked_at = _spread(bank.index, division.validation, config.validation_trials)
    n_cached = bank.keep(model, np.union1d(division.train, looked_at))
    optimiser = torch.optim.AdamW(_parameter_groups(model, config), lr=config.lr, betas=(0.9, 0.98))
    base_rates = [group["lr"] for group in optimiser.param_groups]
    average = _Average(model, config.average)
    draw = _Draw(bank.index, division.train, config)
    torch.manual_seed(seed)
    best: tuple[float, int, dict[str, Tensor]] | None = None
    history: list[dict[str, float]] = []
    running = 0.0
    for step in range(1, config.steps + 1):
        for group, base in zip(optimiser.param_groups, base_rates, strict=True):
            group["lr"] = base * _rate(step, config)
        model.train()
        rows = draw.rows(seed, step)
        order, encoded = zip(*bank.groups(model, rows, electrode_dropout=config.electrode_dropout), strict=True)
        rows = np.concatenate(order)
        weight_N = torch.from_numpy(targets.weight_N[rows]).to(bank.device)
        with bank.autocast():
            logits_NK = model(encoded, torch.from_numpy(targets.head_N[rows]).to(bank.device))
        losses_N = trial_losses(logits_NK, targets, rows, smoothing=config.label_smoothing)
        loss = (losses_N * weight_N).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], config.clip_norm)
        optimiser.step()
        average.update(step)
        running += (float(loss.detach()) - running) / (1 if step == 1 else 20)
        if step % config.evaluate_every == 0 or step == config.steps:
            record = {"step": float(step), "train_loss": running, "lr": optimiser.param_groups[0]["lr"]}
            with average.swapped_in():
                score = _validation(model, bank, looked_at, targets)
                if score is not None:
                    record["validation_loss"] = score
                if best is None or score is None or score < best[0]:
                    best = (math.inf if score is None else score, step, average.weights())
            history.append(record)
            if report is not None:
                report(step, record)
            if config.patience and best is not None and step - best[1] >= config.patience:
                break
    if best is not None:
        average.put(best[2])
    return Fit(best_step=best[1] if best else config.steps, history=history, n_cached=n_cached)


@torch.no_grad()
def predict(model: TransferModel, bank: TrialBank, rows: np.ndarray, targets: Targets) -> np.ndarray:
    """Probabilities (N, K) of the trials at `rows`; of a regression its value in column 0, in training SDs."""
    model.eval()
    out = np.zeros((len(rows), model.heads.column_of.shape[1]), np.float32)
    place = {int(r): i for i, r in enumerate(rows)}
    for own, encoded in bank.batches(model, rows):
        with bank.autocast():
            logits = model([encoded], torch.from_numpy(targets.head_N[own]).to(bank.device)).float()
        regression = torch.from_numpy(targets.regression_N[own]).to(logits.device).unsqueeze(1)
        value = torch.where(regression, logits.nan_to_num(neginf=0.0), logits.softmax(dim=1)).cpu().numpy()
        out[[place[int(r)] for r in own]] = value
    return out


@torch.no_grad()
def _validation(model: TransferModel, bank: TrialBank, rows: np.ndarray, targets: Targets) -> float | None:
    """Mean over tasks of the validation loss in units of guessing; None without validation trials."""
    model.eval()
    if not len(rows):
        return None
    total: dict[int, list[float]] = {}
    for own, encoded in bank.batches(model, rows):
        with bank.autocast():
            logits = model([encoded], torch.from_numpy(targets.head_N[own]).to(bank.device))
        losses = trial_losses(logits, targets, own).cpu().numpy() * targets.weight_N[own]
        guess = 1.0 if targets.regression_N[own[0]] else math.log(max(2, int(targets.n_outputs_N[own[0]])))
        total.setdefault(int(bank.index.task[own[0]]), []).extend((losses / guess).tolist())
    # Worse than guessing counts as guessing: a task without signal must not stop the others early.
    return float(np.mean([min(1.0, float(np.mean(v))) for v in total.values()]))


def _spread(index: Any, rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows of each task, evenly spread over its labels and over time."""
    kept = []
    for task in np.unique(index.task[rows]):
        own = rows[index.task[rows] == task]
        own = own[np.lexsort((own, index.label[own]))]
        kept.append(own[np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(np.int64))])
    return np.sort(np.concatenate(kept)) if kept else rows


def _rate(step: int, config: TransferConfig) -> float:
    warm = min(1.0, step / max(1, config.warmup_steps))
    return warm * 0.5 * (1 + math.cos(math.pi * (step - 1) / config.steps))


def _parameter_groups(model: TransferModel, config: TransferConfig) -> list[dict[str, Any]]:
    """Matrices decay, vectors do not; the encoder's own weights learn more slowly than what is new."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            slow = config.mode == "full" and name.startswith("ete.")
            groups.setdefault((slow, p.dim() >= 2), []).append(p)
    return [
        {
            "params": parameters,
            "lr": config.lr * (config.encoder_lr_ratio if slow else 1.0),
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (slow, decays), parameters in sorted(groups.items(), key=lambda g: g[0])
    ]


class _Draw:
    """Training trials of a step: tasks by their weight, trials of a task alike; a function of (seed, step)."""

    def __init__(self, index: Any, train: np.ndarray, config: TransferConfig) -> None:
        task = index.task[train]
        self._of_task = [train[task == t] for t in np.unique(task)]
        size = np.array([len(r) for r in self._of_task], np.float64)
        self._share = size**config.task_exponent / (size**config.task_exponent).sum()
        self._n = config.batch_size

    def rows(self, seed: int, step: int) -> np.ndarray:
        random = np.random.default_rng([seed, step])
        count = random.multinomial(self._n, self._share)
        return np.concatenate([random.choice(r, size=n) for r, n in zip(self._of_task, count, strict=True) if n])


class _Average:
    """Running mean of the weights that learn."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._learned = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._decay = decay
        self._mean = {n: p.detach().clone() for n, p in self._learned.items()}

    def update(self, step: int) -> None:
        # Early on the mean must not be held back by the random start.
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
