"""Networks trained from scratch on one task; EEGNet and ShallowConvNet are written here after their papers.

Signals are divided by their recording's robust SD, as for our model. EEGNet (Lawhern et al. 2018, table 2) is designed
for 128 Hz, so pairs of samples are averaged first; ShallowConvNet (Schirrmeister et al. 2017) runs at 256 Hz with its
own lengths for 250 Hz. Training keeps the weights with the lowest validation loss. The larger networks of braindecode
(`foreign`) are trained in the same way, on a GPU if available, with products in bfloat16 if the device supports it in
hardware.

Shapes: N trials, E electrodes, S samples.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegpt.evaluation.baselines.trials import TaskData
from eegpt.runs.runtime import pick_precision

_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Network:
    """How a network is made and trained."""

    make: Callable[[tuple[str, ...], int, int], nn.Module]  # of the electrodes' names, samples, classes
    prepare: Callable[[TaskData], Tensor]  # trials to its input, (N, E, S') float32 at its own rate and in its own unit
    lr: float = 1e-3
    steps: int = 1000
    patience: int = 300  # steps without a better validation loss
    large: bool = False  # products in bfloat16 if the device supports it in hardware


class EEGNet(nn.Module):
    """EEGNet-8,2 for signals at 128 Hz.

    Between the filters in time and those over electrodes stands only a batch norm, whose mean and variance follow from
    the signal's covariance between lags. So electrodes are summed first and 16 signals are filtered instead of eight
    copies of every electrode: the same function at a third of the time.
    """

    def __init__(self, n_electrodes: int, n_samples: int, n_classes: int) -> None:
        super().__init__()
        filters, depth = 8, 2
        pool_1, pool_2 = (4, 8) if n_samples >= 64 else (2, 4)
        self.pad = nn.ConstantPad1d((31, 32), 0.0)  # output as long as the input
        self.time = nn.Conv2d(1, filters, (1, 64), bias=False)
        self.norm = nn.BatchNorm2d(filters)
        self.space = nn.Conv2d(filters, filters * depth, (n_electrodes, 1), groups=filters, bias=False)
        self.body = nn.Sequential(
            nn.BatchNorm2d(filters * depth),
            nn.ELU(),
            nn.AvgPool2d((1, pool_1)),
            nn.Dropout(0.5),
            nn.ZeroPad2d((7, 8, 0, 0)),
            nn.Conv2d(filters * depth, filters * depth, (1, 16), groups=filters * depth, bias=False),
            nn.Conv2d(filters * depth, filters * depth, 1, bias=False),
            nn.BatchNorm2d(filters * depth),
            nn.ELU(),
            nn.AvgPool2d((1, pool_2)),
            nn.Dropout(0.5),
            nn.Flatten(),
        )
        self.head = nn.Linear(filters * depth * max(1, n_samples // (pool_1 * pool_2)), n_classes)

    def forward(self, x_NES: Tensor) -> Tensor:
        x = self.pad(x_NES)
        mean, var = self._moments(x) if self.training else self._kept()
        gain = self.norm.weight / (var + self.norm.eps).sqrt()  # by filter, of which each has two rows in space
        space = self.space.weight[:, 0, :, 0]
        time = (self.time.weight[:, 0] * gain[:, None, None]).repeat_interleave(2, 0)
        shift = (self.norm.bias - gain * mean).repeat_interleave(2) * space.sum(1)
        return self.head(self.body(F.conv1d(space @ x, time, shift, groups=len(space)).unsqueeze(2)))

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each filter's output over trials, electrodes and samples, also kept for evaluation."""
        flat, weight = x.flatten(0, 1), self.time.weight[:, 0, 0]
        lags, n = weight.shape[1], flat.shape[1] - weight.shape[1] + 1
        total = flat.sum(0)
        square = flat.T @ flat  # of all pairs of samples; a filter needs those at most 63 apart
        size = flat.shape[1]
        pairs = square.as_strided((lags, lags, n), (size, 1, size + 1)).sum(2)
        count = len(flat) * n
        mean = weight @ (total.unfold(0, n, 1).sum(1) / count)
        var = ((weight @ (pairs / count)) * weight).sum(1) - mean.square()
        with torch.no_grad():
            for kept, new in zip(self._kept(), (mean, var * (count / (count - 1))), strict=True):
                kept.lerp_(new, 0.1)
        return mean, var

    def _kept(self) -> tuple[Tensor, Tensor]:
        return self.norm.get_buffer("running_mean"), self.norm.get_buffer("running_var")


class ShallowConvNet(nn.Module):
    """Temporal and spatial filters, then square, mean pooling and log.

    There is no nonlinearity between the two filters, so their weights are multiplied and the signal is filtered once:
    the same function, without 40 filtered copies of every electrode.
    """

    def __init__(self, n_electrodes: int, n_samples: int, n_classes: int) -> None:
        super().__init__()
        kernel = min(25, n_samples // 2)
        left = n_samples - kernel + 1
        pool = min(75, left)
        stride = min(15, pool)
        self.time = nn.Conv2d(1, 40, (1, kernel))
        self.space = nn.Conv2d(40, 40, (n_electrodes, 1), bias=False)
        self.norm = nn.BatchNorm2d(40)
        self.pool = nn.AvgPool2d((1, pool), stride=(1, stride))
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(40 * ((left - pool) // stride + 1), n_classes)

    def forward(self, x_NES: Tensor) -> Tensor:
        # Filter (40, 1, 1, kernel) in time and (40, 40, E, 1) over electrodes, as one of (40, E, kernel).
        weight = torch.einsum("oie,ik->oek", self.space.weight[..., 0], self.time.weight[:, 0, 0])
        bias = self.space.weight.sum((2, 3)) @ self.time.bias if self.time.bias is not None else None
        x = self.norm(F.conv1d(x_NES, weight, bias).unsqueeze(2)).square()
        return self.head(self.dropout(self.pool(x).clamp_min(1e-6).log().flatten(1)))


def in_sigma(data: TaskData) -> Tensor:
    """Trials (N, E, S) in units of their recording's robust SD, clipped at 15."""
    return torch.from_numpy(data.signal_uv / data.sigma_uv[:, :, None]).clamp_(-15, 15)


def _halved(data: TaskData) -> Tensor:
    x = in_sigma(data)
    return F.avg_pool1d(x, 2) if len(x) else x


OWN = {
    "eegnet": Network(make=lambda names, n, k: EEGNet(len(names), n, k), prepare=_halved),
    "shallow": Network(make=lambda names, n, k: ShallowConvNet(len(names), n, k), prepare=in_sigma),
}


def train_network(network: Network, train: TaskData, validation: TaskData, test: TaskData, seed: int) -> np.ndarray:
    """Probabilities (N, K) of the test trials."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    x, v, t = (network.prepare(d) for d in (train, validation, test))
    label, v_label = (torch.from_numpy(d.target.astype(np.int64)) for d in (train, validation))
    fit = _Fit(network, network.make(train.electrodes, x.shape[2], train.n_classes))
    count = torch.bincount(label, minlength=train.n_classes).float()
    weight = torch.where(count > 0, len(label) / ((count > 0).sum() * count.clamp_min(1)), torch.ones(()))
    optimiser = torch.optim.AdamW(fit.model.parameters(), lr=network.lr, weight_decay=1e-2)
    best, best_state, best_step, step = float("inf"), copy.deepcopy(fit.model.state_dict()), 0, 0
    batch = max(2, min(_BATCH, len(x)))
    while step < network.steps and step - best_step < network.patience:
        fit.model.train()
        order = random.permutation(len(x))
        for start in range(0, len(x) - 1, batch):
            rows = torch.from_numpy(order[start : start + batch])
            if len(rows) < 2:  # batch norm needs more than one trial
                continue
            loss = F.cross_entropy(fit.logits(x[rows]), label[rows], weight=weight)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            if step % network.patience == 0:
                break  # long epochs are evaluated in between, or early stopping would never apply
        score = float(F.cross_entropy(fit.judge(v), v_label, weight=weight)) if len(v) else 0.0
        if score < best or not len(v):
            best, best_state, best_step = score, copy.deepcopy(fit.model.state_dict()), step
    fit.model.load_state_dict(best_state)
    return fit.judge(t).softmax(dim=1).numpy() if len(t) else np.zeros((0, 1), np.float32)


class _Fit:
    """A network on its device; trials and logits stay on the CPU."""

    def __init__(self, network: Network, model: nn.Module) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.low = network.large and pick_precision("auto", self.device) == "bfloat16"
        self.model = model.to(self.device)

    def logits(self, x: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low):
            return self.model(x.to(self.device)).float().cpu()

    @torch.no_grad()
    def judge(self, x: Tensor) -> Tensor:
        """Logits (N, K) in evaluation mode."""
        self.model.eval()
        return torch.cat([self.logits(part) for part in x.split(_BATCH)])
