"""The views of one electrode in one trial: the input of the electrode's readout, concatenated into one vector.

- `states`: the mean of the encoder's final states;
- `spectrum`: the log power spectrum of the tokens in the encoder's range (1 to 45 Hz);
- `course`: the signal's mean in 16 slices of the trial, which shows slow and evoked potentials;
- `level`: the log of the recording's robust SD, which normalisation removes from the signal.

The encoder's states represent narrow rhythms and slow potentials less well than the signal's spectrum and course
(figures in docs/decisions/0604-electrode-readouts.md), and the other views cost nothing.

Shapes: R rows, T tokens, C samples per token, D width, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from eegpt.model.ete import ETEConfig
from eegpt.model.tokens import BANDS_HZ

VIEWS = ("states", "spectrum", "course", "level")
N_SLICES = 16

# Added before the logarithm, so that the log of silence is finite.
SMALLEST_POWER = 1e-6
SMALLEST_SD_UV = 0.01


def view_slices(config: ETEConfig) -> dict[str, slice]:
    """Slice of each view in a row's vector."""
    first, stop = config.spectrum_bins
    out, start = {}, 0
    for name, width in zip(VIEWS, (config.width, stop - first, N_SLICES, 1), strict=True):
        out[name] = slice(start, start + width)
        start += width
    return out


def views(
    mean_RD: Tensor,
    tokens_RTC: Tensor,
    token_mask_RT: Tensor | None,
    course_RF: Tensor,
    sigma_R: Tensor,
    config: ETEConfig,
) -> Tensor:
    """All views of every row, (R, F) float32."""
    first, stop = config.spectrum_bins
    power_RF = token_power(tokens_RTC, token_mask_RT, centred=True)[:, first:stop]
    level_R1 = sigma_R.clamp_min(SMALLEST_SD_UV).log().unsqueeze(1)
    return torch.cat((mean_RD.float(), (power_RF + SMALLEST_POWER).log(), course_RF, level_R1), dim=1)


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
