"""Stage I, the Electrode Temporal Encoder: one electrode's tokens in, a state at every position out.

The paper (arXiv 2410.19779, section on the ETE): the trainable vector of the electrode, v_e, is prepended to the T
tokens; L identical layers follow, of causal multi-head attention and a position-wise SwiGLU network, both as `x +
Norm(Sublayer(x))`; a simple head maps the state at each position to a prediction of the next token, in raw (normalised)
signal values. Not in the paper, and configurable here: the kind of norm (layer norm without bias), position encoding
(rotary, learned, none), pre-norm instead of output norm.

Because the special token of stage II comes last and attention is causal, keys and values of all earlier positions do
not depend on it: `prefill` computes them once and `summarise` runs the special token against them, without
approximation; `extend` does the same for the next token of a forecast.

Shapes: B batch (electrodes of all samples), T tokens, P positions (T + 1: v_e first), C samples per token,
D width, H heads, K width of a head (D / H), F inner width of the feed-forward network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from eegprep.electrodes.vocabulary import KINDS
from eegprep.errors import UsageError
from eegpt.model.config import ETEConfig, log_spectrum
from eegpt.model.layers import Layer, Norm, rotate
from eegpt.model.tokens import fold_tokens, tokenise


@dataclass(frozen=True, kw_only=True)
class Cache:
    """Keys and values of every layer, (B, H, P, K) each, and the number of valid positions (None: all)."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    n_positions_B: Tensor | None = None
    recent_BS: Tensor | None = None  #: last samples, for `extend` with `ETEConfig.spectrum_input`

    @property
    def n_positions(self) -> int:
        """P: number of positions, including padding."""
        return self.keys[0].shape[2]


class ETE(nn.Module):
    """The encoder. `forward` gives the states, `predict` the next tokens, `spectrum` the later log spectrum."""

    def __init__(self, config: ETEConfig) -> None:
        super().__init__()
        self.config = config
        self.recompute = False  # activation checkpointing: less memory for a second forward pass
        D = config.width
        self.electrode = nn.Embedding(config.n_electrodes, D)
        self.token_in = nn.Linear(config.token_samples, D, bias=False)
        self.spectrum_in = nn.Linear(config.n_bins(config.spectrum_input), D) if config.spectrum_input else None
        self.position = nn.Embedding(config.max_tokens + 2, D) if config.position == "learned" else None
        inner, output_norm = int(config.ffn_ratio * D), config.norm == "output"
        self.layers = nn.ModuleList(
            Layer(D, config.n_heads, inner, output_norm=output_norm, dropout=config.dropout)
            for _ in range(config.n_layers)
        )
        self.last_norm = Norm(D) if config.norm == "pre" else nn.Identity()
        self.token_out = nn.Linear(D, config.token_samples, bias=False)
        self.skip: nn.Linear | None = None
        if config.skip == "linear" and config.causal:
            # Fitted by least squares before training and then frozen: a step of AdamW would change a fit to smooth
            # signals, whose neighbouring samples are nearly equal, far more than any other weight.
            self.skip = nn.Linear(config.token_samples, config.token_stride, bias=False).requires_grad_(False)
        self.spectrum_out = nn.Linear(D, config.n_spectrum) if config.n_spectrum else None
        self.spectra_out = nn.ModuleList(nn.Linear(D, config.n_bins(abs(n))) for n in config.spectra)
        self.hidden_token = nn.Parameter(torch.empty(D)) if config.objective == "masked" else None
        # Parameters without a module: they draw no random numbers, so all other weights start as in the paper's form.
        told = config.condition == "electrode+reference"
        self.reference = nn.Parameter(torch.empty(config.n_references, D)) if told else None
        self.kind = nn.Parameter(torch.empty(len(KINDS), D)) if told else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise all weights, in the order of `named_parameters`."""
        for name, weight in self.named_parameters():
            self.draw(name, weight)

    def draw(self, name: str, weight: Tensor) -> Tensor:
        """Initialise one weight in place: variance 1 / inputs, smaller if its output is added to a residual."""
        if name.endswith("norm.weight"):
            return nn.init.ones_(weight)
        if name.endswith(".bias") or name in ("reference", "kind"):
            return nn.init.zeros_(weight)
        if weight.dim() == 1 or name in ("electrode.weight", "position.weight"):
            return nn.init.normal_(weight, std=0.5)
        std = weight.shape[1] ** -0.5
        if self.config.norm == "pre" and name.endswith(("attention.out.weight", "ffn.out.weight")):
            std /= math.sqrt(2 * self.config.n_layers)
        if name.startswith(("token_out.", "spectrum_out.", "spectra_out.", "skip.")):
            std *= 0.1  # start close to predicting zero, which no untrained network beats
        return nn.init.normal_(weight, std=std)

    # ---- signal to tokens to positions

    def tokenise(self, signal_i16: Tensor, scale_uv: Tensor, sigma_uv: Tensor) -> Tensor:
        """Stored samples (..., S) to this encoder's tokens (..., T, C); see `eegpt.model.tokens.tokenise`."""
        c = self.config
        return tokenise(
            signal_i16,
            scale_uv,
            sigma_uv,
            token_samples=c.token_samples,
            token_stride=c.token_stride,
            normalise=c.normalise,
            fixed_uv=c.fixed_uv,
            clip=c.clip,
        )

    def embed(self, x_BTC: Tensor, electrode_B: Tensor, hidden_BT: Tensor | None = None) -> Tensor:
        """v_e and the tokens as (B, P, D); tokens where `hidden_BT` is true are replaced by the hidden token.

        Tokens overlap in memory up to here; multiplying such a view by a fixed weight is one small product per row,
        which can be many times slower than a copy.
        """
        # Autocast makes its own copy, in the lower precision.
        x_BTD = self.token_in(x_BTC if torch.is_autocast_enabled(x_BTC.device.type) else x_BTC.contiguous())
        if self.spectrum_in is not None:
            signal_BS = fold_tokens(x_BTC, token_stride=self.config.token_stride)
            x_BTD = x_BTD + self.spectrum_in(self.trailing_spectrum(signal_BS, x_BTC.shape[1]))
        if hidden_BT is not None:
            if self.hidden_token is None:
                raise UsageError("only an encoder with the masked objective accepts hidden tokens")
            x_BTD = torch.where(hidden_BT.unsqueeze(-1), self.hidden_token.to(x_BTD.dtype), x_BTD)
        x_BPD = torch.cat((self.prefix(electrode_B).unsqueeze(1).to(x_BTD.dtype), x_BTD), dim=1)
        return self._placed(x_BPD, torch.arange(x_BPD.shape[1], device=x_BPD.device), x_BPD.shape[1])

    def prefix(self, electrode_B: Tensor) -> Tensor:
        """v_e (B, D); with `electrode+reference` plus the vectors of the reference and the kind."""
        if self.reference is None or self.kind is None:
            return self.electrode(electrode_B)
        n = self.config.n_electrodes
        row_B, reference_B = electrode_B % n, electrode_B // n
        v_BD = self.electrode(row_B) + F.embedding(reference_B, self.reference)
        kinds = self.config.kinds or (0,) * n
        kind_B = torch.tensor(kinds, device=electrode_B.device)[row_B]
        return v_BD + F.embedding(kind_B, self.kind)

    def trailing_spectrum(self, signal_BS: Tensor, n_tokens: int) -> Tensor:
        """Log spectrum of the samples up to the end of each of the last `n_tokens` tokens, (B, T, bins), about 0 to 1.

        Samples before the signal are zero, and the power is relative to the samples that are there.
        """
        W, K = self.config.spectrum_input, self.config.token_stride

        def windows(x: Tensor) -> Tensor:
            return F.pad(x, (W, 0))[:, -(W + (n_tokens - 1) * K) :].unfold(1, W, K)

        there_1TW = windows(signal_BS.new_ones(1, signal_BS.shape[1], dtype=torch.float32))
        energy_1T = there_1TW @ torch.hann_window(W, device=signal_BS.device).square()
        return (log_spectrum(windows(signal_BS.float()), self.config, energy_1T.unsqueeze(-1)) + 1) / 2

    def _layers(self) -> list[Layer]:
        return cast(list[Layer], list(self.layers))

    def _placed(self, x_BPD: Tensor, position: Tensor, n_positions: int) -> Tensor:
        """Add learned positions, if any; `position` is (P,) or (B, P), all below `n_positions`."""
        if self.position is None:
            return x_BPD
        if n_positions > self.position.num_embeddings:
            raise UsageError(
                "the sequence is longer than the learned positions",
                found=f"{n_positions} positions",
                expected=f"at most {self.config.max_tokens} (max_tokens)",
            )
        return x_BPD + self.position(position).to(x_BPD.dtype)

    def _rotation(self, position: Tensor) -> tuple[Tensor, Tensor] | None:
        """Cosine and sine of each position's angles, shaped to broadcast over (B, P, n, H, K/2)."""
        if self.config.position != "rotary":
            return None
        half = self.config.width // self.config.n_heads // 2
        # Wavelengths from 2 pi to about 2000 positions: windows have tens to hundreds of tokens.
        rate = 300.0 ** -(torch.arange(half, device=position.device, dtype=torch.float32) / half)
        angle = position.to(torch.float32)[..., None, None, None] * rate
        return angle.cos(), angle.sin()

    # ---- positions to states

    def forward(
        self, x_BTC: Tensor, electrode_B: Tensor, token_mask: Tensor | None = None, *, hidden_BT: Tensor | None = None
    ) -> Tensor:
        """States (B, P, D): the state at position p depends on v_e and the first p tokens, and predicts token p.

        Parameters
        ----------
        x_BTC : Tensor (B, T, C)
            Tokens, from `tokenise`.
        electrode_B : Tensor (B,) int
            Rows of the vocabulary.
        token_mask : Tensor (B, T) bool, optional
            False for padding, which is at the end. Causal attention never sees it, so only encoders with the masked
            objective need this.
        hidden_BT : Tensor (B, T) bool, optional
            Tokens to mask (masked objective).
        """
        return self.run(self.embed(x_BTC, electrode_B, hidden_BT), token_mask)

    def run(self, x_BPD: Tensor, token_mask: Tensor | None = None) -> Tensor:
        """Apply all layers to embedded positions."""
        rotation = self._rotation(torch.arange(x_BPD.shape[1], device=x_BPD.device))
        causal, mask = self.config.causal, None
        if not causal and token_mask is not None:
            mask = F.pad(token_mask, (1, 0), value=True)[:, None, None, :]
        for layer in self._layers():
            if self.recompute and self.training:
                x_BPD = checkpoint(layer, x_BPD, rotation, mask, causal, use_reentrant=False)
            else:
                x_BPD = layer(x_BPD, rotation, mask, causal)
        return self.last_norm(x_BPD)

    def flops_per_token(self) -> float:
        """Floating point operations of a training step per token: 6 per weight that multiplies it.

        The products inside attention are not counted; they are under 2 % for windows of the paper's length.
        """
        tables = ("electrode.weight", "position.weight", "hidden_token", "reference", "kind")
        return 6.0 * sum(p.numel() for name, p in self.named_parameters() if name not in tables)

    def predict(self, h_BTD: Tensor, x_BTC: Tensor, *, new_only: bool = False) -> Tensor:
        """Predict the token after each token of `x_BTC`, (B, T, C), or only its new samples, (B, T, stride).

        `h_BTD` are the states at these tokens, `forward(...)[:, 1:]`; the new samples are added to the starting point
        given by `skip`.
        """
        K = self.config.token_stride
        if new_only:
            new_BTK = F.linear(h_BTD, self.token_out.weight[-K:])
            return new_BTK if self.config.skip == "none" else new_BTK + self._start(x_BTC)
        y_BTC = self.token_out(h_BTD)
        if self.config.skip == "none":
            return y_BTC
        return torch.cat((y_BTC[..., :-K], y_BTC[..., -K:] + self._start(x_BTC)), dim=-1)

    def _start(self, x_BTC: Tensor) -> Tensor:
        """Starting point of the prediction of new samples, (B, T, stride) or (B, T, 1)."""
        if self.skip is None:
            return x_BTC[..., -1:]
        # Fitted weights cancel to about a thousandth, which bfloat16 cannot represent.
        with torch.autocast(x_BTC.device.type, enabled=False):
            return F.linear(x_BTC.float().contiguous(), self.skip.weight)

    def spectrum(self, h_BPD: Tensor) -> Tensor:
        """Log power of the next token that shares no sample with the input so far, (B, P, n_spectrum)."""
        if self.spectrum_out is None:
            raise UsageError("this encoder has no spectrum head", found=f"objective {self.config.objective!r}")
        return self.spectrum_out(h_BPD)

    # ---- with cached keys and values

    def prefill(self, x_BTC: Tensor, electrode_B: Tensor, token_mask: Tensor | None = None) -> Cache:
        """Keys and values of all positions in all layers; padding (at the end) is ignored later."""
        return self.prefill_states(x_BTC, electrode_B, token_mask)[1]

    def prefill_states(
        self, x_BTC: Tensor, electrode_B: Tensor, token_mask: Tensor | None = None
    ) -> tuple[Tensor, Cache]:
        """States (B, P, D) as from `forward` and cache as from `prefill`, in one pass."""
        x_BPD = self.embed(x_BTC, electrode_B)
        rotation = self._rotation(torch.arange(x_BPD.shape[1], device=x_BPD.device))
        causal, mask, n_positions_B = self.config.causal, None, None
        if token_mask is not None:
            n_positions_B = token_mask.sum(dim=1) + 1
            mask = None if causal else F.pad(token_mask, (1, 0), value=True)[:, None, None, :]
        keys, values = [], []
        for layer in self._layers():
            q, k, v = layer.qkv(x_BPD, rotation)
            keys.append(k)
            values.append(v)
            x_BPD = layer.rest(x_BPD, layer.attention.attend(q, k, v, mask=mask, causal=causal))
        recent_BS = None
        if self.spectrum_in is not None and token_mask is None:
            recent_BS = fold_tokens(x_BTC, token_stride=self.config.token_stride)[:, -self.config.spectrum_input :]
        cache = Cache(keys=tuple(keys), values=tuple(values), n_positions_B=n_positions_B, recent_BS=recent_BS)
        return self.last_norm(x_BPD), cache

    def summarise(self, cache: Cache, special: Tensor) -> Tensor:
        """z, the electrode's representation (B, D): the state of the special token at the end of each cached sequence.

        `special`, (D,) or (B, D), is the token's vector. Values and gradients equal those of an uncached pass.
        """
        B = cache.keys[0].shape[0]
        return self._step(cache, special.expand(B, -1).unsqueeze(1))[0].squeeze(1)

    def extend(self, cache: Cache, x_BC: Tensor) -> tuple[Tensor, Cache]:
        """The state (B, D) after one more token, and the extended cache; for unpadded sequences."""
        if cache.n_positions_B is not None:
            raise UsageError("a padded cache cannot be extended", expected="sequences of one length")
        x_B1D, recent_BS = self.token_in(x_BC).unsqueeze(1), None
        if self.spectrum_in is not None:
            if cache.recent_BS is None:
                raise UsageError("the cache lacks the last samples, which this encoder's spectrum needs")
            whole_BS = torch.cat((cache.recent_BS, x_BC[:, -self.config.token_stride :]), dim=1)
            x_B1D = x_B1D + self.spectrum_in(self.trailing_spectrum(whole_BS, 1))
            recent_BS = whole_BS[:, -self.config.spectrum_input :]
        h_B1D, keys, values = self._step(cache, x_B1D)
        grown = [
            tuple(torch.cat((old, new.to(old.dtype)), dim=2) for old, new in zip(held, own, strict=True))
            for held, own in ((cache.keys, keys), (cache.values, values))
        ]
        return h_B1D.squeeze(1), Cache(keys=grown[0], values=grown[1], recent_BS=recent_BS)

    def slide(self, cache: Cache, n_tokens: int = 1) -> Cache:
        """Drop the oldest tokens from the cache, as if the newest ones directly followed v_e, so that it never grows.

        Rotary positions are relative, so the remaining keys are rotated back by the number of dropped positions; each
        key is rotated a bounded number of times before it is dropped itself, so errors do not accumulate. The states of
        the remaining tokens still depend on the dropped ones: in a stream, the model sees further back than one window,
        by one window per layer.
        """
        if self.config.position == "learned":
            raise UsageError(
                "an encoder with learned positions cannot run on an endless stream",
                found=f"{self.config.max_tokens} positions",
                expected="rotary positions, or none",
            )
        if cache.n_positions_B is not None or not 0 < n_tokens < cache.n_positions:
            raise UsageError(
                "invalid number of tokens to drop", found=n_tokens, expected=f"1 to {cache.n_positions - 1}, unpadded"
            )
        keys = cache.keys
        if self.config.position == "rotary":
            back = self._rotation(torch.tensor([-n_tokens], device=keys[0].device))
            assert back is not None  # rotary positions have a rotation
            keys = tuple(torch.cat((k[:, :, :1], rotate(k[:, :, 1 + n_tokens :], *back)), dim=2) for k in keys)
        else:
            keys = tuple(torch.cat((k[:, :, :1], k[:, :, 1 + n_tokens :]), dim=2) for k in keys)
        values = tuple(torch.cat((v[:, :, :1], v[:, :, 1 + n_tokens :]), dim=2) for v in cache.values)
        return Cache(keys=keys, values=values, recent_BS=cache.recent_BS)

    def _step(self, cache: Cache, x_B1D: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """The state of one more position, and its key and value in every layer (B, H, 1, K)."""
        B, P, device = x_B1D.shape[0], cache.n_positions, x_B1D.device
        padding = None
        if cache.n_positions_B is None:
            position = torch.full((1,), P, device=device)
        else:
            position = cache.n_positions_B.unsqueeze(1)
            padding = (torch.arange(P, device=device) >= position)[:, None, None, :]
        x_B1D = self._placed(x_B1D, position.expand(B, 1), P + 1)
        rotation = self._rotation(position)
        keys, values = [], []
        for layer, old_k, old_v in zip(self._layers(), cache.keys, cache.values, strict=True):
            q, k, v = layer.qkv(x_B1D, rotation)
            keys.append(k)
            values.append(v)
            x_B1D = layer.rest(x_B1D, layer.attention.attend_one(q, k, v, old_k, old_v, padding))
        return self.last_norm(x_B1D), keys, values
