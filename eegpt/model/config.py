"""Settings of the encoder, and the log spectrum that it is given and predicts.

Shapes: B batch, T tokens, C samples per token.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from eegprep.electrodes.references import SCHEMES
from eegprep.electrodes.vocabulary import KINDS
from eegprep.errors import UsageError
from eegpt.model.tokens import Normalise

_FLOOR = 1e-5  # of the white-noise level; far below amplifier noise in normalised EEG

Objective = Literal["token", "new", "new+spectrum", "masked"]


@dataclass(frozen=True, kw_only=True)
class ETEConfig:
    """The encoder's architecture and input format; can be saved to and loaded from JSON."""

    n_layers: int
    width: int
    n_heads: int
    n_electrodes: int = 138  #: ids are 0 <= id < n_electrodes
    token_samples: int = 256  #: C
    token_stride: int = 32  #: distance of two tokens' first samples
    objective: Objective = "new+spectrum"  #: determines the heads; attention is causal, except for `masked`
    norm: Literal["output", "pre"] = "output"  #: `x + Norm(Sublayer(x))` as in the paper, or `x + Sublayer(Norm(x))`
    position: Literal["rotary", "learned", "none"] = "rotary"  #: how positions are encoded
    max_tokens: int = 128  #: longest sequence for learned positions; the other two have no limit
    #: Starting point of the prediction of new samples: the last value, a linear map of the last token fitted to the
    #: training windows by least squares, or nothing.
    skip: Literal["last", "linear", "none"] = "none"
    normalise: Normalise = "recording"  #: this and the next two: see `eegpt.model.tokens`
    fixed_uv: float = 20.0
    clip: float = 15.0
    sfreq_hz: float = 256.0
    spectrum_hz: tuple[float, float] = (1.0, 45.0)  #: range of all spectra, given and predicted
    #: Samples up to each token's end whose log spectrum joins the token's samples as input; 0: none.
    spectrum_input: int = 0
    #: Log spectra that each state predicts too: of so many next samples, or previous ones where negative.
    spectra: tuple[int, ...] = ()
    ffn_ratio: float = 3.5  #: F / D, fitted to the paper's parameter counts
    dropout: float = 0.0  #: on the sublayers' outputs, in training only
    #: What the prefix says: the electrode as in the paper, or also its reference and kind, as added vectors that start
    #: at zero. Ids of inputs then come from `input_ids`.
    condition: Literal["electrode", "electrode+reference"] = "electrode"
    kinds: tuple[int, ...] = ()  #: number of each electrode's kind with `electrode+reference`; empty: all EEG

    def __post_init__(self) -> None:
        if min(self.n_layers, self.width, self.n_heads, self.n_electrodes) < 1:
            raise UsageError(
                "an encoder has one layer, head and electrode or more",
                found=f"n_layers {self.n_layers}, width {self.width}, n_heads {self.n_heads}, "
                f"n_electrodes {self.n_electrodes}",
                expected="numbers above 0",
            )
        if self.width % self.n_heads or (self.width // self.n_heads) % 2:
            raise UsageError(
                "the width must be a multiple of the heads, with an even width per head",
                found=f"width {self.width}, {self.n_heads} heads",
                expected="width = heads x an even number",
            )
        if not 0 < self.token_stride <= self.token_samples:
            raise UsageError(
                "tokens must follow each other without a gap",
                found=f"token_stride {self.token_stride}, token_samples {self.token_samples}",
                expected="0 < token_stride <= token_samples",
            )
        if any(abs(n) < 2 for n in self.spectra):
            raise UsageError("a spectrum needs two samples or more", found=f"spectra {list(self.spectra)}")
        if self.kinds and not (len(self.kinds) == self.n_electrodes and set(self.kinds) <= set(range(len(KINDS)))):
            raise UsageError(
                "the encoder's kinds do not match its electrodes",
                found=f"{len(self.kinds)} kinds",
                expected=f"one number below {len(KINDS)} for each of {self.n_electrodes} electrodes",
            )
        if self.spectrum_input and not (self.causal and self.spectrum_input >= self.token_samples):
            raise UsageError(
                "the spectrum beside the tokens would show hidden ones, or less than the tokens",
                found=f"spectrum_input {self.spectrum_input}, objective {self.objective!r}",
                expected=f"0, or {self.token_samples} (token_samples) or more with a causal objective",
            )

    @property
    def n_references(self) -> int:
        """References that the prefix distinguishes: unknown, every electrode, and the named schemes."""
        return self.n_electrodes + len(SCHEMES) if self.condition == "electrode+reference" else 0

    def input_ids(self, electrode: Any, reference: Any) -> Any:
        """Ids of inputs for `electrode_B`: rows of electrodes, with numbers of references (`reference_numbers`).

        A plain row is the electrode with an unknown reference, and so is a reference that has no number here. Without
        `electrode+reference` the reference is ignored.
        """
        if not self.n_references:
            return electrode
        known = (reference >= 0) & (reference < self.n_references)
        return electrode + self.n_electrodes * (reference * known)

    def electrode_of(self, input_id: Any) -> Any:
        """Rows of electrodes of `input_ids`, without the references."""
        return input_id % self.n_electrodes if self.n_references else input_id

    @property
    def causal(self) -> bool:
        """Whether positions attend to earlier positions only."""
        return self.objective != "masked"

    @property
    def tokens_ahead(self) -> int:
        """Distance to the next token that shares no sample with this one (8 for 256 samples every 32)."""
        return -(-self.token_samples // self.token_stride)

    @property
    def spectrum_bins(self) -> tuple[int, int]:
        """First and one-past-last bin of a token's real Fourier transform within `spectrum_hz`."""
        return self.bins(self.token_samples)

    def bins(self, n_samples: int) -> tuple[int, int]:
        """The same for any number of samples."""
        step_hz = self.sfreq_hz / n_samples
        first = max(1, math.ceil(self.spectrum_hz[0] / step_hz - 1e-9))
        return first, max(first, min(n_samples // 2, math.floor(self.spectrum_hz[1] / step_hz + 1e-9)) + 1)

    def n_bins(self, n_samples: int) -> int:
        """Number of these bins."""
        first, stop = self.bins(n_samples)
        return stop - first

    @property
    def n_spectrum(self) -> int:
        """Outputs of the spectrum head; 0 if the objective has none."""
        return self.n_bins(self.token_samples) if self.objective == "new+spectrum" else 0


def log_spectrum(x_BTC: Tensor, config: ETEConfig, energy: Tensor | None = None) -> Tensor:
    """Natural log of each row's power in the bins of `config.bins`, (B, T, n_bins) float32.

    Hann window; white noise of variance 1 has a power of 1 in every bin. `energy` is that of the window where samples
    are missing.
    """
    n = x_BTC.shape[-1]
    first, stop = config.bins(n)
    taper = torch.hann_window(n, device=x_BTC.device)
    line = torch.fft.rfft(x_BTC.float() * taper, dim=-1)[..., first:stop]
    power = line.real.square() + line.imag.square()
    return torch.log(power / (taper.square().sum() if energy is None else energy) + _FLOOR)
