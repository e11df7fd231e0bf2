"""Linear heads per task: one on the graph's pooled vector and one at every electrode.

A batch may mix tasks. Logits are (B, K), where K is the largest number of outputs of any task; columns beyond a task's
own outputs are -inf, so that softmax and argmax ignore them. A regression has one output, in column 0.

Shapes: B samples, E electrodes (padded), R electrodes of all samples as rows, D width, F features of a row,
K outputs of a task at most, A outputs of all tasks together, V rows of the vocabulary, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: An electrode that comes off in one trial must not dominate all others.
MOST_SD = 8.0


def compressed(x: Tensor) -> Tensor:
    """Standardised values within 2 SD, odd and smooth; those near 0 are nearly unchanged."""
    return 2 * torch.tanh(x / 2)


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A task's head: its name, its kind and its number of outputs (classes, or 1)."""

    name: str
    n_outputs: int
    kind: Literal["classification", "regression"] = "classification"


class TaskHeads(nn.Module):
    """Linear heads of all tasks, numbered in order."""

    def __init__(self, width: int, tasks: Sequence[HeadSpec]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        n_all, n_most = sum(t.n_outputs for t in self.tasks), max(t.n_outputs for t in self.tasks)
        self.weight = nn.Parameter(torch.empty(n_all, width))
        self.bias = nn.Parameter(torch.empty(n_all))
        starts, start = [], 0
        for task in self.tasks:
            starts.append([start + i if i < task.n_outputs else -1 for i in range(n_most)])
            start += task.n_outputs
        self.column_of: Tensor
        self.register_buffer("column_of", torch.tensor(starts), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise weights with an SD of 0.02, so that all classes start about equally likely."""
        nn.init.normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)

    def forward(self, pooled_BD: Tensor, task_B: Tensor) -> Tensor:
        """Logits (B, K) of each sample's own task; -inf in columns beyond the task's outputs."""
        all_BA = F.linear(pooled_BD, self.weight, self.bias)
        column_BK = self.column_of[task_B]
        return all_BA.gather(1, column_BK.clamp_min(0)).masked_fill(column_BK < 0, float("-inf"))


class ElectrodeHeads(nn.Module):
    """A linear head of every task at every electrode; a sample's logits are the sum over its electrodes.

    The meaning of a rhythm depends on its location: a head on the mean over electrodes must learn this through the
    graph, a head at each electrode needs one weight. Weights are fitted in closed form (`eegpt.transfer.readouts`) and
    get no gradient; until then `fitted` is false and they are zero.
    """

    def __init__(self, n_features: int, n_electrodes: int, tasks: Sequence[HeadSpec]) -> None:
        super().__init__()
        H, K = len(tasks), max(t.n_outputs for t in tasks)
        shapes = {
            "weight": (H, n_electrodes, n_features, K),
            "offset": (H, n_electrodes, K),
            "bias": (H, K),
            "graph_share": (H,),  # share of the graph's logits in the sum
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("fitted", torch.tensor(False))
        self.weight: Tensor
        self.offset: Tensor
        self.bias: Tensor
        self.graph_share: Tensor
        self.fitted: Tensor

    def forward(self, x_RF: Tensor, electrode_R: Tensor, mask_BE: Tensor, task_B: Tensor) -> Tensor:
        """Logits (B, K) from rows of features, ordered like the true entries of `mask_BE`; padded with 0."""
        sample_R = mask_BE.nonzero()[:, 0]
        task_R = task_B[sample_R]
        own_RFK = self.weight[task_R, electrode_R]
        logit_RK = torch.einsum("rf,rfk->rk", x_RF.float(), own_RFK) + self.offset[task_R, electrode_R]
        return self.bias[task_B].index_add(0, sample_R, logit_RK)


class ElectrodeScale(nn.Module):
    """Standardise every feature per electrode, by its mean and SD over a task's training trials."""

    def __init__(self, n_features: int, n_electrodes: int, n_tasks: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_tasks, n_electrodes, n_features))
        self.register_buffer("sd", torch.ones(n_tasks, n_electrodes, n_features))
        self.mean: Tensor
        self.sd: Tensor

    def forward(self, x_RF: Tensor, electrode_R: Tensor, task_R: Tensor) -> Tensor:
        """The standardised rows (R, F), clipped to +-`MOST_SD`."""
        x_RF = (x_RF.float() - self.mean[task_R, electrode_R]) / self.sd[task_R, electrode_R]
        return x_RF.clamp(-MOST_SD, MOST_SD)
