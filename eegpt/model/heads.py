"""One small linear head per task, all in one matrix: a batch may mix tasks without a loop over them.

What enters: pooled vectors (B, D) and each sample's task. What leaves: logits (B, K) where K is the largest
number of outputs of a task; columns beyond a task's own are -inf, so that softmax and argmax ignore them.
A regression task has one output and its value stands in column 0.

Shapes: B samples, D width, K outputs of a task at most, A outputs of all tasks together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["HeadSpec", "TaskHeads"]


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A task's head: its name, its kind, and how many outputs it has (classes, or 1)."""

    name: str
    n_outputs: int
    kind: Literal["classification", "regression"] = "classification"


class TaskHeads(nn.Module):
    """Linear heads of all tasks.

    Parameters
    ----------
    width : int
        D.
    tasks : sequence of HeadSpec
        Their order is the tasks' numbering in `forward`.
    """

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
        """Draw weights of SD 0.02: every class starts about equally likely."""
        nn.init.normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)

    def forward(self, pooled_BD: Tensor, task_B: Tensor) -> Tensor:
        """Logits (B, K) of each sample's own task; -inf in columns that the task does not have."""
        all_BA = F.linear(pooled_BD, self.weight, self.bias)
        column_BK = self.column_of[task_B]
        return all_BA.gather(1, column_BK.clamp_min(0)).masked_fill(column_BK < 0, float("-inf"))
