"""The exported modules: an encoder, or a task of a transfer run, from microvolt to outputs.

They take microvolt at 256 Hz after the recipe's steps and return states and features, or probabilities (values) and the
views used by the electrodes' readouts. Up to rounding they equal the model of `eegpt.embed`, but use only operations
that all exporters support: spectra by products with cosines and sines instead of a Fourier transform, slices by a
product with an averaging matrix instead of a running sum.

Shapes: B rows or windows, E electrodes, R rows (all electrodes), S samples, T tokens, C samples per token, D width,
F features, K outputs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegprep.errors import UsageError
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE, Cache
from eegpt.model.heads import ElectrodeHeads, compressed
from eegpt.model.tokens import n_tokens, normalised
from eegpt.model.views import N_SLICES, N_STATE_SLICES, SMALLEST_POWER, SMALLEST_SD_UV, spectrum_window
from eegpt.transfer.align import SMALLEST_SD
from eegpt.transfer.model import TransferModel
from eegpt.transfer.rows import Encoded


class _Tokens(nn.Module):
    """Microvolt to tokens, with a gather instead of a strided view, which not all exporters support."""

    def __init__(self, ete: ETE, n_samples: int) -> None:
        super().__init__()
        c = self.config = ete.config
        n = n_tokens(n_samples, token_samples=c.token_samples, token_stride=c.token_stride)
        if n < 1:
            raise UsageError(
                "the window is shorter than a token",
                found=f"{n_samples} samples",
                expected=f"{c.token_samples} or more",
            )
        place = torch.arange(n)[:, None] * c.token_stride + torch.arange(c.token_samples)
        self.place: Tensor
        self.register_buffer("place", place)

    def forward(self, signal_BS: Tensor, sigma_B: Tensor) -> tuple[Tensor, Tensor]:
        """The normalised signal (B, S), and its tokens (B, T, C)."""
        c = self.config
        x_BS = normalised(
            signal_BS, torch.ones_like(sigma_B), sigma_B, normalise=c.normalise, fixed_uv=c.fixed_uv, clip=c.clip
        )
        return x_BS, x_BS[:, self.place]


class EncoderGraph(nn.Module):
    """Windows of single electrodes to states and features.

    `forward(signal_uv (B, S), sigma_uv (B,), electrode (B,))` gives the states (B, T + 1, D) and the features (B, 2 D):
    mean over tokens and last state. `electrode` has ids of inputs (`ETEConfig.input_ids`), here and in `TaskGraph`.
    """

    def __init__(self, ete: ETE, n_samples: int) -> None:
        super().__init__()
        self.ete, self.tokens = ete, _Tokens(ete, n_samples)

    def forward(self, signal_uv: Tensor, sigma_uv: Tensor, electrode: Tensor) -> tuple[Tensor, Tensor]:
        h_BPD = self.ete(self.tokens(signal_uv, sigma_uv)[1], electrode)
        return h_BPD, torch.cat((h_BPD[:, 1:].mean(dim=1), h_BPD[:, -1]), dim=1)


class TaskGraph(nn.Module):
    """Windows of many electrodes to one task's outputs.

    `forward(signal_uv (B, E, S), sigma_uv (B, E), electrode (B, E), mask (B, E))` gives probabilities (B, K), or the
    value (B, 1) of a regression in SDs of its training trials. Values where the mask is false are ignored.

    Models that use the electrodes' views also return them (B, E, F). If trained on views standardised by subject, they
    take two more inputs, `view_mean` and `view_sd` (B, E, F): the mean and standard deviation of the views over the
    subject's windows, from a first pass with arbitrary values for these inputs.
    """

    def __init__(self, model: TransferModel, n_samples: int, head: int, *, aligned: bool = False) -> None:
        super().__init__()
        self.model, self.tokens, self.head, self.aligned = model, _Tokens(model.ete, n_samples), head, aligned
        self.n_outputs = model.heads.tasks[head].n_outputs
        self.regression = model.heads.tasks[head].kind == "regression"
        self.readout: ExportedReadout | None = None
        self.views = ExportedViews(model.ete.config, n_samples) if model.sees_views else None
        if model.electrode_heads is not None and model.reads_electrodes:
            self.readout = ExportedReadout(model.electrode_heads, head, self.n_outputs)

    def forward(
        self,
        signal_uv: Tensor,
        sigma_uv: Tensor,
        electrode: Tensor,
        mask: Tensor,
        view_mean: Tensor | None = None,
        view_sd: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        B, E = electrode.shape
        input_BE = electrode.masked_fill(~mask, 0)
        id_BE = self.model.ete.config.electrode_of(input_BE)
        signal_RS = signal_uv.masked_fill(~mask.unsqueeze(-1), 0.0).flatten(0, 1)
        sigma_R = sigma_uv.masked_fill(~mask, 1.0).flatten()
        x_RS, tokens_RTC = self.tokens(signal_RS, sigma_R)
        h_RPD, cache = self.model.ete.prefill_states(tokens_RTC, input_BE.flatten())
        mean_RD = h_RPD[:, 1:].mean(dim=1)
        if self.views is None:
            return self._answer(self._graph(mean_RD, h_RPD[:, -1], cache, None, electrode, mask))
        views_BEF = self.views(h_RPD, x_RS, sigma_R).unflatten(0, (B, E))
        seen_BEF = views_BEF
        if view_mean is not None and view_sd is not None:
            seen_BEF = centred(views_BEF, view_mean, view_sd)
            seen_BEF = compressed(seen_BEF) if self.model.compress else seen_BEF
        seen_BEF = seen_BEF.masked_fill(~mask.unsqueeze(-1), 0.0)
        if not self.model.graph and self.readout is not None:
            return self._answer(self.readout(seen_BEF, id_BE, mask)), views_BEF
        logits_BK = self._graph(mean_RD, h_RPD[:, -1], cache, seen_BEF, electrode, mask)
        if self.readout is not None:
            logits_BK = self.readout(seen_BEF, id_BE, mask) + self.readout.graph_share * logits_BK
        return self._answer(logits_BK), views_BEF

    def _graph(
        self,
        mean_RD: Tensor,
        last_RD: Tensor,
        cache: Cache,
        seen_BEF: Tensor | None,
        electrode: Tensor,
        mask: Tensor,
    ) -> Tensor:
        id_R = self.model.ete.config.electrode_of(electrode.masked_fill(~mask, 0)).flatten()
        features_RF = torch.cat((mean_RD, last_RD), dim=1) if "states" in self.model.readout else None
        if self.model.scale is not None and seen_BEF is not None:
            features_RF = self.model.scale(seen_BEF.flatten(0, 1), id_R, torch.full_like(id_R, self.head))
        encoded = Encoded(
            cache=cache if self.model.special is not None else None,
            features_RF=features_RF,
            electrode_R=id_R,
            mask_NE=mask,
        )
        z_BED = self.model.represent(encoded).unflatten(0, electrode.shape)
        task_B = torch.full_like(electrode[:, 0], self.head)
        return self.model.heads(self.model.teg(z_BED, electrode, mask), task_B)[:, : self.n_outputs]

    def _answer(self, logits_BK: Tensor) -> Tensor:
        return logits_BK if self.regression else logits_BK.softmax(dim=1)


class ExportedViews(nn.Module):
    """`forward(h_RPD, x_RS, sigma_R)` gives the views (R, F) of rows of one length, `n_samples`."""

    def __init__(self, config: ETEConfig, n_samples: int) -> None:
        super().__init__()
        C = spectrum_window(config)
        first, stop = config.bins(C)
        last = n_tokens(n_samples, token_samples=config.token_samples, token_stride=config.token_stride) - 1
        whole = config.token_samples + last * config.token_stride  # samples of complete tokens
        start_T1 = torch.arange(max(1, (whole - C) // config.token_stride + 1))[:, None] * config.token_stride
        self.missing = max(0, C - whole)
        self.whole = whole
        self.place: Tensor
        self.register_buffer("place", start_T1 + torch.arange(C))
        angle_CF = 2 * math.pi / C * torch.arange(C, dtype=torch.float64)[:, None] * torch.arange(first, stop)
        window_C1 = torch.hann_window(C, dtype=torch.float64)[:, None]
        self.cosine: Tensor
        self.sine: Tensor
        self.slices: Tensor
        self.state_slices: Tensor
        self.register_buffer("cosine", (window_C1 * angle_CF.cos()).float())
        self.register_buffer("sine", (window_C1 * angle_CF.sin()).float())
        self.register_buffer("slices", averages(n_samples, N_SLICES))
        self.register_buffer("state_slices", averages(last + 1, N_STATE_SLICES))

    def forward(self, h_RPD: Tensor, x_RS: Tensor, sigma_R: Tensor) -> Tensor:
        windows_RTC = F.pad(x_RS[:, : self.whole], (0, self.missing))[:, self.place]
        centred_RTC = windows_RTC - windows_RTC.mean(dim=-1, keepdim=True)
        power_RTF = (centred_RTC @ self.cosine).square() + (centred_RTC @ self.sine).square()
        log_power_RF = (power_RTF.mean(dim=1) + SMALLEST_POWER).log()
        level_R1 = sigma_R.clamp_min(SMALLEST_SD_UV).log().unsqueeze(1)
        h_RTD = h_RPD[:, 1:]
        mean_RD = h_RTD.mean(dim=1)
        sd_RD = (h_RTD - mean_RD.unsqueeze(1)).square().mean(dim=1).sqrt()
        dynamics_RF = (h_RTD.transpose(1, 2) @ self.state_slices).transpose(1, 2).flatten(1)
        return torch.cat((mean_RD, sd_RD, dynamics_RF, log_power_RF, x_RS @ self.slices, level_R1), dim=1)


def averages(n: int, n_slices: int) -> Tensor:
    """The matrix (n, n_slices) whose product with n values are the means that `slice_means` gives."""
    edge = [k * n // n_slices for k in range(n_slices + 1)]
    out = torch.zeros(n, n_slices, dtype=torch.float64)
    for k, start in enumerate(edge[:-1]):
        stop = min(max(edge[k + 1], start + 1), n)
        out[start:stop, k] = 1.0 / max(stop - start, 1)
    return out.float()


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
    """Views standardised by the subject's mean and standard deviation of each electrode and feature."""
    return (views_BEF - mean_BEF) / (sd_BEF + SMALLEST_SD)
