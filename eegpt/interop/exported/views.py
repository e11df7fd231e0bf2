"""What an electrode's own readout sees, in operations that every exporter knows.

What enters: normalised windows, their tokens, the encoder's mean states. What leaves: the views of
`eegpt.model.views`, equal to them but for rounding: spectra by a product with cosines and sines in place
of a Fourier transform, slices by a product with an averaging matrix in place of a running sum.

Shapes: R rows, S samples, T tokens, C samples per token, D width, F features, K outputs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from eegpt.model.ete import ETEConfig
from eegpt.model.heads import ElectrodeHeads
from eegpt.model.views import N_SLICES, SMALLEST_POWER, SMALLEST_SD_UV
from eegpt.transfer.align import SMALLEST_SD

__all__ = ["ExportedReadout", "ExportedViews", "centred"]


class ExportedViews(nn.Module):
    """`forward(mean_RD, tokens_RTC, x_RS, sigma_R)` gives the views (R, F) of rows of one length, `n_samples`."""

    def __init__(self, config: ETEConfig, n_samples: int) -> None:
        super().__init__()
        first, stop = config.spectrum_bins
        C = config.token_samples
        angle_CF = 2 * math.pi / C * torch.arange(C, dtype=torch.float64)[:, None] * torch.arange(first, stop)
        window_C1 = torch.hann_window(C, dtype=torch.float64)[:, None]
        edge = [k * n_samples // N_SLICES for k in range(N_SLICES + 1)]
        slice_SN = torch.zeros(n_samples, N_SLICES, dtype=torch.float64)
        for k, start in enumerate(edge[:-1]):
            end = min(max(edge[k + 1], start + 1), n_samples)
            slice_SN[start:end, k] = 1.0 / max(end - start, 1)
        self.cosine: Tensor
        self.sine: Tensor
        self.slices: Tensor
        self.register_buffer("cosine", (window_C1 * angle_CF.cos()).float())
        self.register_buffer("sine", (window_C1 * angle_CF.sin()).float())
        self.register_buffer("slices", slice_SN.float())

    def forward(self, mean_RD: Tensor, tokens_RTC: Tensor, x_RS: Tensor, sigma_R: Tensor) -> Tensor:
        centred_RTC = tokens_RTC - tokens_RTC.mean(dim=-1, keepdim=True)
        power_RTF = (centred_RTC @ self.cosine).square() + (centred_RTC @ self.sine).square()
        log_power_RF = (power_RTF.mean(dim=1) + SMALLEST_POWER).log()
        level_R1 = sigma_R.clamp_min(SMALLEST_SD_UV).log().unsqueeze(1)
        return torch.cat((mean_RD, log_power_RF, x_RS @ self.slices, level_R1), dim=1)


class ExportedReadout(nn.Module):
    """One head's readouts at every electrode.

    `forward(views (B, E, F), electrode (B, E), mask (B, E))` gives their logits (B, K). `graph_share` is the weight of
    the graph's logits in the sum with them.
    """

    def __init__(self, heads: ElectrodeHeads, head: int, n_outputs: int) -> None:
        super().__init__()
        self.graph_share = float(heads.graph_share[head])
        self.weight: Tensor
        self.offset: Tensor
        self.bias: Tensor
        self.register_buffer("weight", heads.weight[head, :, :, :n_outputs].clone())
        self.register_buffer("offset", heads.offset[head, :, :n_outputs].clone())
        self.register_buffer("bias", heads.bias[head, :n_outputs].clone())

    def forward(self, views_BEF: Tensor, electrode_BE: Tensor, mask_BE: Tensor) -> Tensor:
        own_BEK = (views_BEF.unsqueeze(2) @ self.weight[electrode_BE]).squeeze(2) + self.offset[electrode_BE]
        return (own_BEK * mask_BE.unsqueeze(-1).to(own_BEK.dtype)).sum(dim=1) + self.bias


def centred(views_BEF: Tensor, mean_BEF: Tensor, sd_BEF: Tensor) -> Tensor:
    """Views with the person's mean and standard deviation of each electrode and feature taken out."""
    return (views_BEF - mean_BEF) / (sd_BEF + SMALLEST_SD)
