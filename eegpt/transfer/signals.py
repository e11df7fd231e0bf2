"""Normalised signals of trials, as rows of electrodes: what tokens, pairs and whitened signals are made of.

Shapes: N trials, E electrodes of a trial (padded), S samples, R rows (electrodes of all trials).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eegpt.data import TrialBatch
from eegpt.model.config import ETEConfig
from eegpt.model.tokens import normalised
from eegpt.model.whitening import trial_covariances


@dataclass(frozen=True, kw_only=True)
class SignalBatch:
    """N trials in memory, (N, E, S) float32 in microvolt; the other arrays are as in `TrialBatch`."""

    signal_uv: NDArray[np.float32]
    sigma_uv: NDArray[np.float32]
    electrode: NDArray[np.integer]
    electrode_mask: NDArray[np.bool_]
    n_samples: NDArray[np.integer]
    reference: NDArray[np.integer] | None = None  # numbers of the encoder's references


@dataclass(frozen=True, kw_only=True)
class Signals:
    """Normalised signals of N trials, as rows of electrodes in the order of the trials."""

    mask_NE: Tensor  # electrodes of each trial; the true entries, in row-major order, are the R rows
    electrode_R: Tensor  # int64 inputs of the encoder: rows of its vocabulary, with references if it is told them
    x_RS: Tensor  # float32, zero after a trial's own samples
    sigma_R: Tensor  # float32 robust SD of the row's recording and electrode, in microvolt
    n_samples_N: NDArray[np.int64]

    def by_trial(self) -> Tensor:
        """The signals as (N, E, S), zero where an electrode is missing."""
        x_NES = self.x_RS.new_zeros((*self.mask_NE.shape, self.x_RS.shape[1]))
        x_NES[self.mask_NE] = self.x_RS
        return x_NES

    def electrodes(self, config: ETEConfig) -> Tensor:
        """The electrodes of each trial, (N, E) int64, -1 where there is none."""
        id_R = config.electrode_of(self.electrode_R)
        return id_R.new_full(self.mask_NE.shape, -1).masked_scatter(self.mask_NE, id_R)

    def only(self, kept_NE: Tensor) -> Signals:
        """The signals of some of the electrodes, in the same slots."""
        kept_R = kept_NE[self.mask_NE]
        return dataclasses.replace(
            self,
            mask_NE=self.mask_NE & kept_NE,
            electrode_R=self.electrode_R[kept_R],
            x_RS=self.x_RS[kept_R],
            sigma_R=self.sigma_R[kept_R],
        )

    def covariances(self) -> Tensor:
        """Covariance matrices of the trials, (N, E, E) float64, zero where an electrode is missing."""
        return trial_covariances(self.by_trial(), torch.from_numpy(self.n_samples_N).to(self.x_RS.device))

    def mixed(self, weight_NEE: Tensor) -> Signals:
        """Each electrode's signal replaced by a weighted sum of those of its trial."""
        x_NES = weight_NEE.to(self.x_RS.dtype) @ self.by_trial()
        return dataclasses.replace(self, x_RS=x_NES[self.mask_NE])


def normalised_signals(
    batch: TrialBatch | SignalBatch,
    config: ETEConfig,
    electrode_of: np.ndarray,
    device: torch.device,
    electrode_dropout: float = 0.0,
) -> Signals:
    """The trials' signals in the encoder's unit, optionally without a random share of each trial's electrodes.

    `electrode_of`, (V,) or by reference (V, R), maps the index's inputs to rows of the encoder, -1 for none.
    """
    electrode_NE = np.asarray(batch.electrode, np.int64)
    mask_NE = np.asarray(batch.electrode_mask, bool).copy()
    electrode_NE = np.where(mask_NE, electrode_NE, 0)
    if electrode_of.ndim == 2 and not isinstance(batch, SignalBatch) and batch.reference is not None:
        found_NE = electrode_of[electrode_NE, np.where(mask_NE, np.asarray(batch.reference, np.int64), 0)]
    else:
        found_NE = (electrode_of if electrode_of.ndim == 1 else electrode_of[:, 0])[electrode_NE]
    mapped_NE = np.where(mask_NE, found_NE, -1)
    if isinstance(batch, SignalBatch) and batch.reference is not None:
        mapped_NE = np.where(mapped_NE >= 0, config.input_ids(mapped_NE, np.asarray(batch.reference, np.int64)), -1)
    mask_NE &= mapped_NE >= 0
    if electrode_dropout:
        mask_NE = drop_electrodes(torch.from_numpy(mask_NE), electrode_dropout).numpy()

    def rows(array: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.asarray(array)[mask_NE])).to(device)

    sigma_R = rows(np.asarray(batch.sigma_uv, np.float32))
    if isinstance(batch, SignalBatch):
        signal_RS, scale_R = rows(batch.signal_uv), torch.ones_like(sigma_R)
    else:
        signal_RS, scale_R = rows(batch.signal_i16), rows(np.asarray(batch.scale_uv, np.float32))
    x_RS = normalised(
        signal_RS, scale_R, sigma_R, normalise=config.normalise, fixed_uv=config.fixed_uv, clip=config.clip
    )
    return Signals(
        mask_NE=torch.from_numpy(mask_NE).to(device),
        electrode_R=rows(mapped_NE),
        x_RS=x_RS,
        sigma_R=sigma_R,
        n_samples_N=np.asarray(batch.n_samples, np.int64),
    )


def drop_electrodes(mask_NE: Tensor, share: float) -> Tensor:
    """The mask without a random share of each trial's electrodes; one always stays."""
    score_NE = torch.rand(mask_NE.shape, device=mask_NE.device).masked_fill(~mask_NE, -1.0)
    kept_NE = score_NE > share
    # The electrode with the largest random number stays, so that every trial keeps at least one.
    return kept_NE.scatter(1, score_NE.argmax(dim=1, keepdim=True), True)
