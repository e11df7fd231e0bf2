"""The encoder's configuration: everything that decides its shape and what its numbers mean.

What enters and leaves: plain data (see `config.py`), so that a checkpoint's config.json can rebuild the encoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from eegprep.errors import UsageError
from eegpt.model.tokens import Normalise

__all__ = ["ETEConfig", "Objective"]

Objective = Literal["token", "new", "new+spectrum", "masked"]


@dataclass(frozen=True, kw_only=True)
class ETEConfig:
    """Everything that decides the encoder's shape and what its numbers mean; goes to JSON and back.

    Attributes
    ----------
    n_layers, width, n_heads : int
        From the table of sizes.
    n_electrodes : int
        Rows of the vocabulary; electrode ids are 0 <= id < n_electrodes.
    token_samples, token_stride : int
        C, and the distance between two tokens' first samples.
    objective : {"token", "new", "new+spectrum", "masked"}
        Decides the heads and the direction of attention; `masked` looks both ways, all others back only.
    norm : {"output", "pre"}
        `x + Norm(Sublayer(x))` as in the paper, or `x + Sublayer(Norm(x))` and a norm after the last layer.
    position : {"rotary", "learned", "none"}
        Where the order of tokens comes from (causal attention alone carries some of it).
    max_tokens : int
        Longest sequence that learned positions know; the other two know no limit.
    skip : {"last", "linear", "none"}
        What the prediction of new samples starts from: the last value, the linear map of the last token that
        least squares fits to the training windows, or nothing. The layers then learn what persistence or linear
        autoregression does not foresee.
    normalise, fixed_uv, clip
        See `eegpt.model.tokens`.
    sfreq_hz, spectrum_hz : float, (float, float)
        Rate of the stored signal, and lowest and highest frequency that the spectrum head predicts.
    ffn_ratio : float
        F / D. Fitted to the paper's parameter counts: 3.5.
    dropout : float
        On the sublayers' outputs, in training only.
    """

    n_layers: int
    width: int
    n_heads: int
    n_electrodes: int = 138
    token_samples: int = 256
    token_stride: int = 32
    objective: Objective = "new+spectrum"
    norm: Literal["output", "pre"] = "output"
    position: Literal["rotary", "learned", "none"] = "rotary"
    max_tokens: int = 128
    skip: Literal["last", "linear", "none"] = "none"
    normalise: Normalise = "recording"
    fixed_uv: float = 20.0
    clip: float = 15.0
    sfreq_hz: float = 256.0
    spectrum_hz: tuple[float, float] = (1.0, 45.0)
    ffn_ratio: float = 3.5
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.width % self.n_heads or (self.width // self.n_heads) % 2:
            raise UsageError(
                "the width does not divide into heads of an even width",
                found=f"width {self.width}, {self.n_heads} heads",
                expected="width = heads x an even number",
            )
        if not 0 < self.token_stride <= self.token_samples:
            raise UsageError(
                "tokens must follow each other without a gap",
                found=f"token_stride {self.token_stride}, token_samples {self.token_samples}",
                expected="0 < token_stride <= token_samples",
            )

    @property
    def causal(self) -> bool:
        """Whether a position sees earlier positions only."""
        return self.objective != "masked"

    @property
    def tokens_ahead(self) -> int:
        """Distance to the first later token that shares no sample with this one (8 for 256 samples every 32)."""
        return -(-self.token_samples // self.token_stride)

    @property
    def spectrum_bins(self) -> tuple[int, int]:
        """First and one-past-last bin of a token's real Fourier transform that lie in `spectrum_hz`."""
        step_hz = self.sfreq_hz / self.token_samples
        first = max(1, math.ceil(self.spectrum_hz[0] / step_hz - 1e-9))
        return first, max(first, min(self.token_samples // 2, math.floor(self.spectrum_hz[1] / step_hz + 1e-9)) + 1)

    @property
    def n_spectrum(self) -> int:
        """Outputs of the spectrum head; 0 where the objective has none."""
        first, stop = self.spectrum_bins
        return stop - first if self.objective == "new+spectrum" else 0
