"""Signals passed along the subject's own graph: what remains of each electrode without what others share with it.

The nodes of the graph are the electrodes, its edges the covariances of their signals over all trials of a subject. Each
electrode's signal becomes a weighted sum of all of them. The weights, C^(-1/2), make the signals uncorrelated and of
equal variance, and change them as little as possible; He and Wu (2020, arXiv 1808.05464) align subjects in this way. It
is one step of message passing, for any montage, whose weights need neither labels nor training.

Spectra are not linear in the signal, so a readout of spectra of single electrodes cannot do this afterwards.

Shapes: N trials, E electrodes (padded), S samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from eegpt.model.config import ETEConfig
from eegpt.model.pairs import of_eigenvalues, shrunk
from eegpt.model.views import signal_slices

#: Views of whitened signals, each named after the view of the electrode's own signal.
WHITENED_VIEWS = ("whitened_spectrum", "whitened_course")


def whitened_slices(config: ETEConfig) -> dict[str, slice]:
    """Slice of each of these views in a row's vector."""
    return dict(zip(WHITENED_VIEWS, signal_slices(config).values(), strict=True))


def trial_covariances(x_NES: Tensor, n_samples_N: Tensor) -> Tensor:
    """Covariance matrices (N, E, E) float64 of each trial's own samples; zero where an electrode is missing."""
    own_NS = torch.arange(x_NES.shape[2], device=x_NES.device) < n_samples_N.unsqueeze(1)
    n_N11 = n_samples_N.clamp_min(1).view(-1, 1, 1)
    x_NES = x_NES.double() * own_NS.unsqueeze(1)
    x_NES = (x_NES - x_NES.sum(dim=2, keepdim=True) / n_N11) * own_NS.unsqueeze(1)
    return x_NES @ x_NES.mT / n_N11


def whitening(covariance_EE: Tensor) -> Tensor:
    """The weights (E, E) float64 with which electrodes add up each other's signals: C^(-1/2), C shrunk as pairs are."""
    return of_eigenvalues(shrunk(covariance_EE), torch.rsqrt)
