"""Standardise views by subject, since subjects differ more than mental states do.

The mean and standard deviation of each subject, electrode and feature over all of the subject's trials are removed. No
label is used, but **all splits are included**: the trials of a test subject are standardised by their own mean, which
requires the complete recording. This is a common step when a decoder is applied to a new subject (He and Wu 2020 align
covariances in this way, arXiv 1808.05464); `align=none` disables it, and every result says whether it was done.

A task with one label per subject (a diagnosis) would lose its answer, so it is left unchanged. Such tasks are
recognised by the training trials.

Shapes: N trials, E electrodes, R rows (electrodes of all trials), G groups (subject and electrode), F features.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from eegpt.transfer.rows import Encoded, Trials

SMALLEST_SD = 1e-3


def alignable_tasks(index: Trials, train: np.ndarray) -> tuple[int, ...]:
    """Tasks with at least two subjects, most of them with several labels or values in the training trials."""
    out = []
    for task in np.unique(index.task[train]):
        own: dict[str, set[float]] = {}
        for row in train[index.task[train] == task]:
            own.setdefault(index.subject[row], set()).add(float(index.target[row]))
        if len(own) > 1 and 2 * sum(len(values) > 1 for values in own.values()) > len(own):
            out.append(int(task))
    return tuple(out)


def aligned(index: Trials, rows: np.ndarray, encoded: Encoded) -> Encoded:
    """All trials of a task, at `rows`, with their views standardised by subject."""
    if encoded.views_RF is None:
        return encoded
    names = {name: i for i, name in enumerate(sorted(set(index.subject)))}
    subject_N = np.array([names[index.subject[r]] for r in rows], np.int64)
    subject_R = subject_N[encoded.mask_NE.nonzero()[:, 0].cpu().numpy()]
    key_R = (subject_R << 20) | encoded.electrode_R.cpu().numpy()
    x_RF = encoded.views_RF.double()
    group_R = torch.from_numpy(np.unique(key_R, return_inverse=True)[1]).to(x_RF.device)
    count_G1 = torch.bincount(group_R).unsqueeze(1)
    zero_GF = x_RF.new_zeros(len(count_G1), x_RF.shape[1])
    x_RF = x_RF - (zero_GF.index_add(0, group_R, x_RF) / count_G1)[group_R]
    variance_GF = zero_GF.index_add(0, group_R, x_RF.square()) / count_G1
    x_RF = x_RF / (variance_GF.sqrt() + SMALLEST_SD)[group_R]
    return dataclasses.replace(encoded, views_RF=x_RF.float())
