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

from eegpt.model.pairs import covariances, log_covariances, pair_ids
from eegpt.transfer.rows import Encoded, Trials

SMALLEST_SD = 1e-3
_COLUMNS_AT_ONCE = 256  # in double precision, so that wide views need no second copy


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
    """All trials of a task, at `rows`, with their views and pairs standardised by subject.

    The covariances of pairs are whitened by the subject's mean covariance first.
    """
    names = {name: i for i, name in enumerate(sorted(set(index.subject)))}
    subject_N = torch.tensor([names[index.subject[r]] for r in rows], device=encoded.mask_NE.device)
    subject_R = subject_N.repeat_interleave(encoded.mask_NE.sum(dim=1))
    key_R = (subject_R << 20) | encoded.electrode_R
    views_RF, whitened_RF = (
        None if x is None else _standardised(x, key_R) for x in (encoded.views_RF, encoded.whitened_RF)
    )
    pairs_NEEF = encoded.pairs_NEEF
    if pairs_NEEF is not None:
        electrode_NE = encoded.electrodes()
        pairs_NEEF = tangent_pairs(encoded, subject_N).pairs_NEEF
        assert pairs_NEEF is not None
        mask_NEE = electrode_NE.ge(0).unsqueeze(2) & electrode_NE.ge(0).unsqueeze(1)
        trial_P = mask_NEE.nonzero()[:, 0]
        key_P = (subject_N[trial_P] << 32) | pair_ids(electrode_NE)[mask_NEE]
        pairs_NEEF[mask_NEE] = _standardised(pairs_NEEF[mask_NEE], key_P)
    return dataclasses.replace(encoded, views_RF=views_RF, pairs_NEEF=pairs_NEEF, whitened_RF=whitened_RF)


def tangent_pairs(encoded: Encoded, subject_N: torch.Tensor | None = None) -> Encoded:
    """The trials with the logarithms of their covariance matrices as pairs, whitened by each subject's mean if given.

    Trials are whitened with those of the same electrodes.
    """
    if encoded.pairs_NEEF is None:
        return encoded
    electrode_NE, out = encoded.electrodes(), torch.zeros_like(encoded.pairs_NEEF, dtype=torch.float32)
    key = electrode_NE if subject_N is None else torch.cat((electrode_NE, subject_N.unsqueeze(1)), dim=1)
    group_N = key.unique(dim=0, return_inverse=True)[1]
    for group in range(int(group_N.max()) + 1 if len(group_N) else 0):
        own = (group_N == group).nonzero().squeeze(1)
        at = electrode_NE[own[0]].ge(0).nonzero().squeeze(1)
        if not len(at):
            continue
        c_NFEE = covariances(encoded.pairs_NEEF[own][:, at][:, :, at])
        own_NEEF = log_covariances(c_NFEE, None if subject_N is None else c_NFEE.mean(dim=0))
        out[own.view(-1, 1, 1), at.view(1, -1, 1), at.view(1, 1, -1)] = own_NEEF
    return dataclasses.replace(encoded, pairs_NEEF=out)


def _standardised(x_RF: torch.Tensor, key_R: torch.Tensor) -> torch.Tensor:
    """Rows with the mean and SD of each key's rows removed, float32."""
    group_R = key_R.unique(return_inverse=True)[1]
    count_G1 = torch.bincount(group_R).unsqueeze(1)
    out_RF = torch.empty(x_RF.shape, dtype=torch.float32, device=x_RF.device)
    for part in torch.arange(x_RF.shape[1], device=x_RF.device).split(_COLUMNS_AT_ONCE):
        own_RF = x_RF[:, part].double()
        zero_GF = own_RF.new_zeros(len(count_G1), len(part))
        own_RF -= (zero_GF.index_add(0, group_R, own_RF) / count_G1)[group_R]
        variance_GF = zero_GF.index_add(0, group_R, own_RF.square()) / count_G1
        out_RF[:, part] = (own_RF / (variance_GF.sqrt() + SMALLEST_SD)[group_R]).float()
    return out_RF
