"""Pre-training objectives, as one module from stored samples to a loss.

Everything runs on the model's device in one `forward`, so that the module can be wrapped or compiled.

token         mean square error of the next token, as in the paper; with the paper's overlap copying earns most of it.
new           the error of the next token's new samples alone (the last `token_stride`).
new+spectrum  that, plus the error of the log power spectrum of the next token that shares no sample with what
              was seen, and of the spans in `ETEConfig.spectra`. A spectrum does not depend on phase, which no model
              can know that far ahead.
masked        tokens of one span per window are hidden and the samples that no visible token shows are predicted;
              attention looks both ways.

The state before the first token, which depends only on the electrode, is not used by any objective.

Shapes: B windows, S samples, T tokens, P positions (T + 1), C samples per token, N new samples (the stride).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eegpt.model.config import ETEConfig, log_spectrum
from eegpt.model.ete import ETE
from eegpt.model.tokens import fold_tokens


def hidden_spans(n: int, n_tokens: int, config: ETEConfig, *, share: float, generator: torch.Generator) -> Tensor:
    """Masked tokens, (n, T) bool: one span per window, long enough that no other token shows all its samples."""
    length = min(n_tokens - 1, max(config.tokens_ahead + 1, round(share * n_tokens)))
    start = torch.randint(0, n_tokens - length + 1, (n, 1), generator=generator)
    token = torch.arange(n_tokens)
    return (token >= start) & (token < start + length)


def unseen_samples(hidden_BT: Tensor, config: ETEConfig) -> Tensor:
    """Samples of each token that no visible token contains, (B, T, C) bool; for one masked span per row."""
    T, C, stride = hidden_BT.shape[1], config.token_samples, config.token_stride
    seen_BS = torch.zeros(hidden_BT.shape[0], (T - 1) * stride + C, dtype=torch.bool, device=hidden_BT.device)
    for t in range(T):
        seen_BS[:, t * stride : t * stride + C] |= ~hidden_BT[:, t : t + 1]
    return (~seen_BS).unfold(1, C, stride) & hidden_BT.unsqueeze(-1)


class Pretraining(nn.Module):
    """The encoder with its objective; `spectrum_weight` as in `ObjectiveSettings`."""

    def __init__(self, ete: ETE, *, spectrum_weight: float) -> None:
        super().__init__()
        self.ete = ete
        self.spectrum_weight = spectrum_weight

    def forward(
        self,
        signal_i16: Tensor,
        scale_uv: Tensor,
        sigma_uv: Tensor,
        electrode_B: Tensor,
        hidden_BT: Tensor | None = None,
        factor_B: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The loss of a batch as stored, and its parts by name (`token`, `new`, `spectrum`, ..., `masked`), float32.

        `hidden_BT` (B, T) bool are the tokens masked by the masked objective; `factor_B` (B,) are the augmentation
        factors.
        """
        ete, config = self.ete, self.ete.config
        x_BTC = ete.tokenise(signal_i16, scale_uv, sigma_uv)
        if factor_B is not None:
            x_BTC = x_BTC * factor_B[:, None, None]
        if config.objective == "masked":
            if hidden_BT is None:
                raise ValueError("the masked objective needs the hidden tokens")
            prediction = ete.token_out(ete(x_BTC, electrode_B, hidden_BT=hidden_BT)[:, 1:]).float()
            error = (prediction - x_BTC).square() * unseen_samples(hidden_BT, config)
            masked = error.sum() / unseen_samples(hidden_BT, config).sum().clamp_min(1)
            return {"loss": masked, "masked": masked.detach()}
        # The last token is only predicted; position p depends on p tokens and predicts token p.
        seen_BTC = x_BTC[:, :-1]
        if ete.skip is not None:
            seen_BTC = seen_BTC.contiguous()  # one copy for both products that need it
        h_BPD = ete(seen_BTC, electrode_B)[:, 1:]
        if config.objective == "token":
            token = (ete.predict(h_BPD, seen_BTC).float() - x_BTC[:, 1:]).square().mean()
            return {"loss": token, "token": token.detach()}
        predicted = ete.predict(h_BPD, seen_BTC, new_only=True).float()
        new = (predicted - x_BTC[:, 1:, -config.token_stride :]).square().mean()
        if config.objective == "new":
            return {"loss": new, "new": new.detach()}
        # The last input of position p is token p - 1; the next without shared samples is p - 1 + tokens_ahead.
        ahead = config.tokens_ahead
        truth = log_spectrum(x_BTC[:, ahead:], config)
        spectrum = (ete.spectrum(h_BPD[:, : truth.shape[1]]).float() - truth).square().mean()
        loss = new + self.spectrum_weight * spectrum
        parts = {"new": new.detach(), "spectrum": spectrum.detach()}
        for name, error in self._spectra(h_BPD, x_BTC).items():
            loss = loss + self.spectrum_weight * error
            parts[name] = error.detach()
        return {"loss": loss, **parts}

    def _spectra(self, h_BPD: Tensor, x_BTC: Tensor) -> dict[str, Tensor]:
        """Errors of those of `ETEConfig.spectra` that fit into the window, by name (`spectrum+256`, `spectrum-256`)."""
        config = self.ete.config
        C, K = config.token_samples, config.token_stride
        signal_BS = fold_tokens(x_BTC, token_stride=K)
        out = {}
        for n, head in zip(config.spectra, self.ete.spectra_out, strict=True):
            # State p has seen the samples before C + p K.
            first = max(0, -(-(-n - C) // K))
            start = C + first * K + min(n, 0)
            if first < h_BPD.shape[1] and start + abs(n) <= signal_BS.shape[1]:
                windows_BPS = signal_BS[:, start:].unfold(1, abs(n), K)[:, : h_BPD.shape[1] - first]
                truth = log_spectrum(windows_BPS, config)
                predicted = head(h_BPD[:, first : first + truth.shape[1]]).float()
                out[f"spectrum{n:+d}"] = (predicted - truth).square().mean()
        return out
