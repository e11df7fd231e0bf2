"""What `eegpt.torch.EEGPT` does with its input: channels by name, sampling rate, scale."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegprep.electrodes import Vocabulary
from eegprep.formats.decoded import SourceChannel
from eegprep.recording import STANDARD_SFREQ_HZ
from eegpt.interop.arrays import ArrayError, Inputs, known_inputs
from eegpt.interop.arrays import rate_of as checked_rate
from eegpt.interop.signals import Unknown, rules_for_unknown

_MAD_TO_SD = 1.4826
#: Zeros of the resampling filter on each side.
_ZEROS = 16
#: An odd rate is approximated by a ratio of numbers up to this: one sample in 100,000 at worst.
_MOST_PHASES = 512
#: FIFF's codes of channel types.
FIFF_OF = {"eeg": 2, "eog": 202, "emg": 302, "ecg": 402, "resp": 602}


def channels_of(chs_info: Any, n_chans: int | None, bads: Sequence[str]) -> tuple[SourceChannel, ...]:
    """The channels of `info["chs"]`, of an `mne.Info`, or of names."""
    if isinstance(chs_info, Mapping) and "chs" in chs_info:  # mne.Info
        chs_info, bads = chs_info["chs"], [*bads, *chs_info["bads"]]
    if chs_info is None or isinstance(chs_info, str) or not len(chs_info):
        raise ArrayError(
            "the channels' names are needed",
            found=repr(chs_info),
            expected="chs_info: info['chs'] of MNE, or a list of names",
            todo="pass chs_info=epochs.info['chs']",
        )
    if n_chans is not None and n_chans != len(chs_info):
        raise ArrayError("n_chans and chs_info do not match", found=f"{n_chans} and {len(chs_info)} channels")
    out = []
    for one in chs_info:
        about = {"ch_name": one} if isinstance(one, str) else one
        if not isinstance(about, Mapping) or "ch_name" not in about:
            raise ArrayError(
                "a channel without a name", found=repr(one)[:200], expected="a name, or one of info['chs']"
            )
        name, loc = str(about["ch_name"]), np.asarray(about.get("loc", ()), float)[:3]
        known = len(loc) == 3 and bool(np.isfinite(loc).all()) and bool(loc.any())
        out.append(
            SourceChannel(
                name=name,
                kind=next((k for k, n in FIFF_OF.items() if n == int(about.get("kind", FIFF_OF["eeg"]))), "misc"),
                position_m=(float(loc[0]), float(loc[1]), float(loc[2])) if known else None,
                status="bad" if name in bads else "good",
            )
        )
    return tuple(out)


def inputs_of(
    channels: Sequence[SourceChannel],
    vocabulary: Vocabulary,
    unknown: Unknown,
    reference: str | None,
    kinds: Sequence[str],
) -> tuple[Inputs, dict[str, str]]:
    """The channels used, and the others with the reasons."""
    rules, _ = rules_for_unknown(channels, vocabulary, unknown)
    bad = [c.name for c in channels if c.status == "bad"]
    inputs, out = known_inputs(channels, vocabulary, reference=reference, kinds=kinds, rules=rules, leave_out=bad)
    if missing := [channels[i].name for i in out if channels[i].kind == "eeg" and channels[i].name not in bad]:
        warnings.warn(
            f"{len(missing)} channels are not electrodes that the model knows and are left out: {', '.join(missing)}",
            UserWarning,
            stacklevel=4,
        )
    alone = set(kinds) == {"eeg"}  # the reason would name an option of the commands
    return inputs, {
        channels[i].name: "not an EEG channel" if alone and channels[i].kind != "eeg" else reason
        for i, reason in sorted(out.items())
    }


def rate_of(sfreq: float | None) -> float:
    """The sampling rate in Hz; ArrayError if it is not a number above 0."""
    if sfreq is None:
        raise ArrayError("the sampling rate is needed", found=sfreq, expected="sfreq, in Hz")
    return checked_rate(sfreq, "sfreq")


def median(x: Tensor) -> Tensor:
    """The median over the last dimension, which is kept; of an even number the mean of the middle two, as in NumPy."""
    ordered, n = x.sort(dim=-1).values, x.shape[-1]
    return (ordered[..., (n - 1) // 2 : (n - 1) // 2 + 1] + ordered[..., n // 2 : n // 2 + 1]) / 2


def robust_sd(x: Tensor) -> Tensor:
    """1.4826 x median absolute deviation over the last dimension."""
    return _MAD_TO_SD * median((x - median(x)).abs()).squeeze(-1)


class Resample(nn.Module):
    """To 256 Hz by a windowed sinc, differentiable: (..., n) to (..., ceil(n * 256 / sfreq))."""

    def __init__(self, sfreq: float) -> None:
        super().__init__()
        ratio = Fraction(STANDARD_SFREQ_HZ / sfreq).limit_denominator(_MOST_PHASES)
        self.up, self.down = ratio.numerator, ratio.denominator
        cutoff = min(1.0, self.up / self.down)
        self._width = math.ceil(_ZEROS / cutoff)
        # Phase p of a block of `up` outputs is at p * down / up input samples after the block's first.
        k = torch.arange(-self._width, self._width + self.down, dtype=torch.float64)
        t = (k - torch.arange(self.up, dtype=torch.float64).unsqueeze(1) * self.down / self.up) * cutoff
        kernel = torch.sinc(0.95 * t) * torch.cos(math.pi / 2 * (t / _ZEROS).clamp(-1, 1)).square()
        self._kernel: Tensor
        self.register_buffer(
            "_kernel", (kernel / kernel.sum(dim=1, keepdim=True)).float().unsqueeze(1), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.up == self.down:
            return x
        n = x.shape[-1]
        flat = F.pad(x.flatten(0, -2).unsqueeze(1), (self._width, self._width + self.down), mode="replicate")
        y = F.conv1d(flat, self._kernel, stride=self.down).transpose(1, 2).flatten(1)
        return y[:, : -(-n * self.up // self.down)].view(*x.shape[:-1], -1)
