"""Windows as other devices would have recorded them: other filters, and more noise.

Shapes: B windows, S samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_HIGHPASS_HZ = (0.05, 1.0)
_LOWPASS_HZ = (20.0, 100.0)
_ORDER = 4  # of a Butterworth filter's magnitude


@dataclass(frozen=True, kw_only=True)
class Device:
    """Corners in Hz, (B, 2), of filters (0 and infinity: none), and SD of the noise, (B,)."""

    corners_hz: Tensor
    noise_B: Tensor

    @classmethod
    def draw(cls, n: int, *, filtered: float, noise: float, generator: torch.Generator) -> Device:
        """`filtered` is the share of windows with filters, `noise` the largest SD."""
        share, low, high, sd = torch.rand((4, n), generator=generator)
        corners_hz = torch.stack([_between(_HIGHPASS_HZ, low), _between(_LOWPASS_HZ, high)], dim=1)
        none = torch.tensor([0.0, float("inf")])
        return cls(corners_hz=torch.where((share < filtered).unsqueeze(1), corners_hz, none), noise_B=noise * sd)

    def part(self, at: slice, device: torch.device) -> Device:
        """Those of some windows."""
        return Device(corners_hz=self.corners_hz[at].to(device), noise_B=self.noise_B[at].to(device))

    def apply(self, signal_BS: Tensor, sfreq_hz: float) -> Tensor:
        """The windows, filtered without delay, with noise."""
        n = signal_BS.shape[1]
        frequency = torch.fft.rfftfreq(n, 1 / sfreq_hz).to(signal_BS.device)
        low_B1, high_B1 = self.corners_hz.T.unsqueeze(-1)
        power = 2 * _ORDER
        gain = ((1 + (frequency / high_B1) ** power) * (1 + (low_B1 / frequency.clamp_min(1e-3)) ** power)).rsqrt()
        mean_B1 = signal_BS.mean(dim=1, keepdim=True)
        out_BS = torch.fft.irfft(torch.fft.rfft(signal_BS - mean_B1) * gain, n=n)
        out_BS = out_BS + torch.where(low_B1 > 0, 0.0, mean_B1)
        return out_BS + self.noise_B.unsqueeze(1) * torch.randn_like(out_BS)


def _between(ends_hz: tuple[float, float], share: Tensor) -> Tensor:
    low, high = (torch.tensor(x).log() for x in ends_hz)
    return torch.exp(low + (high - low) * share)
