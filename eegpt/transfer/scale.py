"""The scale of each task's views at each electrode, from its training trials, for a graph whose nodes start from views.

What enters: a model, a bank, the training trials. What leaves: the model with its `ElectrodeScale` filled. An electrode
that a task's training trials do not have gets the mean and SD over those that they have.
"""

from __future__ import annotations

import numpy as np
import torch

from eegpt.transfer.bank import TrialBank
from eegpt.transfer.loop import Targets
from eegpt.transfer.model import TransferModel

__all__ = ["fit_scale"]

_SMALLEST_SD = 1e-3


def fit_scale(model: TransferModel, bank: TrialBank, train: np.ndarray, targets: Targets) -> None:
    """Measure and write the scale of every head, in place; nothing happens to a model without one."""
    scale = model.scale
    if scale is None:
        return
    for head in np.unique(targets.head_N[train]):
        of_head = train[targets.head_N[train] == head]
        tasks = np.unique(bank.index.task[of_head])
        seen = [bank.views(model, of_head[bank.index.task[of_head] == task]) for task in tasks]
        x_RF = torch.cat([s.views_RF for s in seen if s.views_RF is not None]).double()
        electrode_R = torch.cat([s.electrode_R for s in seen])
        mean_F, sd_F = x_RF.mean(dim=0), x_RF.std(dim=0, correction=0)
        scale.mean[int(head)] = mean_F.to(scale.mean)
        scale.sd[int(head)] = (sd_F + _SMALLEST_SD).to(scale.sd)
        for electrode in electrode_R.unique().tolist():
            own_RF = x_RF[electrode_R == electrode]
            scale.mean[int(head), electrode] = own_RF.mean(dim=0).to(scale.mean)
            scale.sd[int(head), electrode] = (own_RF.std(dim=0, correction=0) + _SMALLEST_SD).to(scale.sd)
