"""The views of one electrode in one trial: the input of the electrode's readout, concatenated into one vector.

- `states`: mean and standard deviation over time of the encoder's final states;
- `dynamics`: the final states' means in 8 slices of the trial, which show slow and evoked changes;
- `spectrum`: the log power spectrum of windows of one second in the encoder's range (1 to 45 Hz);
- `course`: the signal's mean in 16 slices of the trial, which shows slow and evoked potentials;
- `level`: the log of the recording's robust SD, which normalisation removes from the signal.

What each of them adds is in docs/results/states.md and docs/results/transfer.md; all but the first two cost nothing.

Shapes: R rows, T tokens, P positions (T + 1), C samples per token, D width, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from eegpt.model.config import ETEConfig
from eegpt.model.tokens import BANDS_HZ, fold_tokens

VIEWS = ("states", "dynamics", "spectrum", "course", "level")
N_SLICES = 16
N_STATE_SLICES = 8
_SECOND = 256  # samples

# Added before the logarithm, so that the log of silence is finite.
SMALLEST_POWER = 1e-6
SMALLEST_SD_UV = 0.01


def view_slices(config: ETEConfig) -> dict[str, slice]:
    """Slice of each view in a row's vector."""
    D, (first, stop) = config.width, config.bins(spectrum_window(config))
    out, start = {}, 0
    for name, width in zip(VIEWS, (2 * D, N_STATE_SLICES * D, stop - first, N_SLICES, 1), strict=True):
        out[name] = slice(start, start + width)
        start += width
    return out


def signal_slices(config: ETEConfig) -> dict[str, slice]:
    """Slice of each view in the vector of `signal_views`."""
    first, stop = config.bins(spectrum_window(config))
    return {"spectrum": slice(0, stop - first), "course": slice(stop - first, stop - first + N_SLICES)}


def spectrum_window(config: ETEConfig) -> int:
    """Samples of the windows whose spectrum the view shows: a second, or a token if that is longer."""
    return max(_SECOND, config.token_samples)


def state_views(h_RPD: Tensor, n_positions_R: Tensor | None = None) -> Tensor:
    """The views `states` and `dynamics` of rows of final states, (R, (2 + N_STATE_SLICES) D) float32.

    The first position, which precedes all tokens, and padding after `n_positions_R` are not used.
    """
    h_RTD = h_RPD[:, 1:].float()
    n_R = torch.full((len(h_RTD),), h_RTD.shape[1], device=h_RTD.device) if n_positions_R is None else n_positions_R - 1
    whole_RMD = slice_means(torch.cat((h_RTD, h_RTD.square()), dim=2), n_R, 1)
    mean_RD, square_RD = whole_RMD[:, 0].chunk(2, dim=1)
    sd_RD = (square_RD - mean_RD.square()).clamp_min(0).sqrt()
    return torch.cat((mean_RD, sd_RD, slice_means(h_RTD, n_R, N_STATE_SLICES).flatten(1)), dim=1)


def slice_means(x_RS: Tensor, n_R: Tensor, n_slices: int) -> Tensor:
    """Means of slices of nearly equal length of each row's own values, (R, S, ...) to (R, n_slices, ...) float32.

    A row of fewer values than slices repeats some of them.
    """
    total = torch.cat((torch.zeros_like(x_RS[:, :1], dtype=torch.float64), x_RS.double().cumsum(dim=1)), dim=1)
    share = torch.arange(n_slices + 1, device=x_RS.device, dtype=torch.float64) / n_slices
    edge = (share * n_R.unsqueeze(1)).floor().long()
    start, stop = edge[:, :-1], torch.maximum(edge[:, 1:], edge[:, :-1] + 1).clamp_max(x_RS.shape[1])
    row = torch.arange(len(x_RS), device=x_RS.device).unsqueeze(1)
    count = (stop - start).clamp_min(1).view(*stop.shape, *[1] * (x_RS.dim() - 2))
    return ((total[row, stop] - total[row, start]) / count).float()


def views(
    states_RF: Tensor,
    tokens_RTC: Tensor,
    token_mask_RT: Tensor | None,
    course_RF: Tensor,
    sigma_R: Tensor,
    config: ETEConfig,
) -> Tensor:
    """All views of every row, (R, F) float32; `states_RF` is from `state_views`."""
    level_R1 = sigma_R.clamp_min(SMALLEST_SD_UV).log().unsqueeze(1)
    seen_RF = signal_views(tokens_RTC, token_mask_RT, course_RF, config)
    return torch.cat((states_RF.float(), seen_RF, level_R1), dim=1)


def signal_views(tokens_RTC: Tensor, token_mask_RT: Tensor | None, course_RF: Tensor, config: ETEConfig) -> Tensor:
    """The views `spectrum` and `course` of every row, (R, F) float32, which need no encoder."""
    window = spectrum_window(config)
    first, stop = config.bins(window)
    windows_RTC, mask_RT = tokens_RTC, token_mask_RT
    if window > config.token_samples:
        signal_RS = fold_tokens(tokens_RTC, token_stride=config.token_stride)
        signal_RS = F.pad(signal_RS, (0, max(0, window - signal_RS.shape[1])))
        windows_RTC = signal_RS.unfold(1, window, config.token_stride)
        if token_mask_RT is not None:
            # A window counts if the token at its end does; of rows shorter than a window the first one does.
            mask_RT = token_mask_RT[:, -windows_RTC.shape[1] :].clone()
            mask_RT[:, 0] = True
    power_RF = token_power(windows_RTC, mask_RT, centred=True)[:, first:stop]
    return torch.cat(((power_RF + SMALLEST_POWER).log(), course_RF), dim=1)


def token_power(tokens_RTC: Tensor, token_mask_RT: Tensor | None, *, centred: bool) -> Tensor:
    """Power spectrum (R, C // 2 + 1) with a Hann window, averaged over a row's tokens."""
    tokens_RTC = tokens_RTC.float()
    if centred:
        tokens_RTC = tokens_RTC - tokens_RTC.mean(dim=-1, keepdim=True)
    window_C = torch.hann_window(tokens_RTC.shape[-1], device=tokens_RTC.device)
    power_RTF = torch.fft.rfft(tokens_RTC * window_C).abs().square()
    if token_mask_RT is None:
        return power_RTF.mean(dim=1)
    weight_RT1 = token_mask_RT.unsqueeze(-1).to(power_RTF.dtype)
    return (power_RTF * weight_RT1).sum(dim=1) / weight_RT1.sum(dim=1)


def band_powers(tokens_RTC: Tensor, token_mask_RT: Tensor | None, config: ETEConfig) -> Tensor:
    """Log power in the five classical bands of every row, (R, 5)."""
    power_RF = token_power(tokens_RTC, token_mask_RT, centred=False)
    frequency_F = torch.fft.rfftfreq(config.token_samples, 1.0 / config.sfreq_hz).to(power_RF.device)
    bands = []
    for low, high in BANDS_HZ.values():
        inside = (frequency_F >= low) & (frequency_F < high)
        if not bool(inside.any()):  # short tokens do not resolve the lowest bands: use the nearest bin
            inside = torch.arange(len(frequency_F), device=inside.device) == (frequency_F - low).abs().argmin()
        bands.append(power_RF[:, inside].mean(dim=1))
    return torch.stack(bands, dim=1).clamp_min(SMALLEST_POWER).log() / 4
