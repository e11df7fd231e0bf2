"""A linear probe: one linear map from the frozen encoder's states of all electrodes to each task's outputs.

What enters: encoded trials (mean and last state of every electrode). What leaves: logits. There is no special
token, no graph and nothing nonlinear: what it scores is what the encoder has already laid bare.

Shapes: N trials, E electrodes, D width, V rows of the vocabulary, H heads, K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegpt.model.ete import ETE
from eegpt.model.heads import HeadSpec
from eegpt.model.teg import TEGConfig

from .transfer_model import TransferModel

__all__ = ["ProbeModel"]


class ProbeModel(TransferModel):
    """Takes a `TransferModel`'s place in the training loop."""

    def __init__(self, ete: ETE, tasks: Sequence[HeadSpec], *, dropout: float = 0.0) -> None:
        graph = TEGConfig(n_layers=0, width=ete.config.width, n_electrodes=1)
        super().__init__(ete, graph, tasks, readout="states", dropout=dropout)
        n_most = max(t.n_outputs for t in tasks)
        shape = (len(tasks), ete.config.n_electrodes, 2 * ete.config.width, n_most)
        self.weight = nn.Parameter(torch.zeros(shape))
        self.bias = nn.Parameter(torch.zeros(len(tasks), n_most))
        outside = torch.arange(n_most) >= torch.tensor([t.n_outputs for t in tasks]).unsqueeze(1)
        self.outside: Tensor
        self.register_buffer("outside", outside, persistent=False)
        # The graph's parts are not used; without gradient the optimiser leaves them out.
        for part in (self.teg, self.heads, self.z_norm, self.features_in):
            if part is not None:
                part.requires_grad_(False)

    def forward(self, groups: Sequence[object], task_N: Tensor) -> Tensor:
        logits, start = [], 0
        for group in groups:
            mask_NE = group.mask_NE  # type: ignore[attr-defined]
            n, F_ = len(mask_NE), self.weight.shape[2]
            features_RF = F.layer_norm(group.features_RF, (F_,))  # type: ignore[attr-defined]
            features_RF = F.dropout(features_RF, self.dropout, self.training)
            trial_R = mask_NE.nonzero()[:, 0]
            task_R = task_N[start : start + n][trial_R]
            per_row_RK = torch.einsum("rf,rfk->rk", features_RF, self.weight[task_R, group.electrode_R])  # type: ignore[attr-defined]
            summed_NK = per_row_RK.new_zeros(n, per_row_RK.shape[1]).index_add(0, trial_R, per_row_RK)
            logits.append(summed_NK / mask_NE.sum(dim=1, keepdim=True).sqrt())
            start += n
        out_NK = torch.cat(logits) + self.bias[task_N]
        return out_NK.masked_fill(self.outside[task_N], float("-inf"))
