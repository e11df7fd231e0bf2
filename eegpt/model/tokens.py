"""Convert int16 windows to tokens: scaled, normalised and unfolded on the model's device.

The signal is copied to the device once, as int16; tokens are views made there, so the overlap of the paper's tokens
(256 samples every 32) costs no bandwidth. `recording` divides by the electrode's robust SD over the recording, which
keeps amplitude changes within a recording and each trial's mean (slow potentials). `window` removes each window's mean
and SD. `fixed` divides by one value in microvolt for all recordings, which also keeps amplitude differences between
subjects and electrodes. None uses other windows of the batch, so nothing leaks between splits.

Shapes: N windows (any leading shape), S samples, T tokens, C samples per token.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Normalise = Literal["recording", "window", "fixed"]

# The classical bands, for errors and features by band.
BANDS_HZ = {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}

# A flat electrode has an SD of zero; 0.01 microvolt is below the noise of any amplifier.
_SMALLEST_SD_UV = 0.01


def n_tokens(n_samples: int, *, token_samples: int, token_stride: int) -> int:
    """Number of complete tokens in `n_samples` samples, possibly 0 (1024, 256, 32 give 25)."""
    return 0 if n_samples < token_samples else (n_samples - token_samples) // token_stride + 1


def normalised(
    signal_i16: Tensor,
    scale_uv: Tensor,
    sigma_uv: Tensor,
    *,
    normalise: Normalise = "recording",
    fixed_uv: float = 20.0,
    clip: float = 15.0,
) -> Tensor:
    """Stored samples (..., S) as float32 in units of the normalisation.

    Parameters
    ----------
    scale_uv, sigma_uv : Tensor (...)
        Microvolt per step of the block, and the recording's robust SD of the electrode in microvolt.
    normalise, fixed_uv
        See the module docstring; the unit of `fixed`.
    clip : float
        Clip values to +-clip, so that one loose electrode cannot dominate a batch's error; 0 disables.
    """
    scale = scale_uv.to(torch.float32)
    if normalise == "recording":
        out = signal_i16 * (scale / sigma_uv.to(torch.float32).clamp_min(_SMALLEST_SD_UV)).unsqueeze(-1)
    elif normalise == "fixed":
        out = signal_i16 * (scale / fixed_uv).unsqueeze(-1)
    else:
        out = signal_i16 * scale.unsqueeze(-1)
        out = out - out.mean(dim=-1, keepdim=True)
        sd = out.square().mean(dim=-1, keepdim=True).sqrt()
        out = out / sd.clamp_min(_SMALLEST_SD_UV)
    return out.clamp_(-clip, clip) if clip > 0 else out


def unfold_tokens(signal_NS: Tensor, *, token_samples: int, token_stride: int) -> Tensor:
    """Overlapping tokens (..., T, C) of (..., S), as a view. Samples after the last complete token are dropped."""
    return signal_NS.unfold(-1, token_samples, token_stride)


def fold_tokens(x_BTC: Tensor, *, token_stride: int) -> Tensor:
    """The signal (B, S) of overlapping tokens: the inverse of `unfold_tokens`."""
    return torch.cat((x_BTC[:, 0], x_BTC[:, 1:, -token_stride:].flatten(1)), dim=1)


def tokenise(
    signal_i16: Tensor,
    scale_uv: Tensor,
    sigma_uv: Tensor,
    *,
    token_samples: int = 256,
    token_stride: int = 32,
    normalise: Normalise = "recording",
    fixed_uv: float = 20.0,
    clip: float = 15.0,
) -> Tensor:
    """Stored samples (..., S) int16 to tokens (..., T, C) float32: `normalised`, then `unfold_tokens`."""
    signal = normalised(signal_i16, scale_uv, sigma_uv, normalise=normalise, fixed_uv=fixed_uv, clip=clip)
    return unfold_tokens(signal, token_samples=token_samples, token_stride=token_stride)
