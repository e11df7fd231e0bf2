"""Views of a person's trials, centred and scaled over all his trials: people differ more than states of mind do.

What enters: the views of all trials of a task. What leaves: the same with the mean and standard deviation of each
person, electrode and feature taken out. No label is used, but **trials are not told apart by split**: the trials of a
person to be tested are centred by their own mean, as one does once his recording is there. That is a usual step where
a decoder meets a new person (He and Wu 2020 align covariances in this way, arXiv 1808.05464), it is a choice
(`align=none` leaves it out), and every result says that it was made.

A task that asks who a person is (a diagnosis) would lose its answer with his mean, so it is left as it is. Whether a
task is of this kind is seen in the training trials: there each person has one label.

Shapes: N trials, E electrodes, R rows (electrodes of all trials), G groups (person and electrode), F features.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from eegpt.transfer.rows import Encoded

__all__ = ["aligned", "alignable_tasks"]

SMALLEST_SD = 1e-3


def alignable_tasks(index: Any, train: np.ndarray) -> tuple[int, ...]:
    """Tasks in which most people of the training trials have more than one label or value.

    With one person there is nothing to align: his mean is everybody's.
    """
    out = []
    for task in np.unique(index.task[train]):
        rows = train[index.task[train] == task]
        own: dict[str, set[float]] = {}
        for row in rows:
            own.setdefault(index.subject[row], set()).add(float(index.target[row]))
        if len(own) > 1 and 2 * sum(len(values) > 1 for values in own.values()) > len(own):
            out.append(int(task))
    return tuple(out)


def aligned(index: Any, rows: np.ndarray, encoded: Encoded) -> Encoded:
    """All trials of a task, at `rows`, with their views aligned by person."""
    if encoded.views_RF is None:
        return encoded
    names = {name: i for i, name in enumerate(sorted(set(index.subject)))}
    person_N = np.array([names[index.subject[r]] for r in rows], np.int64)
    person_R = person_N[encoded.mask_NE.nonzero()[:, 0].cpu().numpy()]
    key_R = (person_R << 20) | encoded.electrode_R.cpu().numpy()
    x_RF = encoded.views_RF.double()
    group_R = torch.from_numpy(np.unique(key_R, return_inverse=True)[1]).to(x_RF.device)
    count_G1 = torch.bincount(group_R).unsqueeze(1)
    zero_GF = x_RF.new_zeros(len(count_G1), x_RF.shape[1])
    x_RF = x_RF - (zero_GF.index_add(0, group_R, x_RF) / count_G1)[group_R]
    variance_GF = zero_GF.index_add(0, group_R, x_RF.square()) / count_G1
    x_RF = x_RF / (variance_GF.sqrt() + SMALLEST_SD)[group_R]
    return dataclasses.replace(encoded, views_RF=x_RF.float())
