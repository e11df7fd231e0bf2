"""The encoder's layers: causal attention with rotary positions, SwiGLU, and where the norm stands.

What enters: positions (B, P, D). What leaves: the same shape. Queries, keys and values are available apart,
so that the encoder can keep keys and values of earlier positions.

Shapes: B batch, P positions, D width, H heads, K width of a head (D / H), F inner width of the feed-forward
network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegpt.model.ete_config import ETEConfig
from eegpt.model.fused import rotate, swiglu

__all__ = ["Attention", "Layer", "Norm", "SwiGLU"]


class Norm(nn.LayerNorm):
    """Layer norm over D with a gain and no bias: one fused kernel on every device, unlike a root-mean-square norm."""

    def __init__(self, width: int) -> None:
        super().__init__(width, bias=False)


class SwiGLU(nn.Module):
    """`W_out(silu(W_gate x) * W_up x)`, the two inner matrices as one."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, x_BPD: Tensor) -> Tensor:
        return self.out(swiglu(self.gate_up(x_BPD)))


class Attention(nn.Module):
    """Multi-head attention with one matrix for queries, keys and values."""

    def __init__(self, config: ETEConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def project(self, x_BPD: Tensor, rotation: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, H, P, K), rotated where positions are rotary."""
        B, P, D = x_BPD.shape
        qkv = self.qkv(x_BPD).view(B, P, 3, self.n_heads, D // self.n_heads)
        if rotation is None:
            q_BPHK, k_BPHK, v_BPHK = qkv.unbind(2)
        else:
            # Queries and keys lie side by side, so one pass rotates both.
            qk, v_BPHK = qkv.split((2, 1), dim=2)
            q_BPHK, k_BPHK = rotate(qk, *rotation).unbind(2)
            v_BPHK = v_BPHK.squeeze(2)
        return q_BPHK.transpose(1, 2), k_BPHK.transpose(1, 2), v_BPHK.transpose(1, 2)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Scaled dot-product attention, heads joined again: (B, P, D)."""
        if q.device.type == "cpu" and q.dtype in (torch.bfloat16, torch.float16):
            y_BHPK = _attention_by_products(q, k, v, mask, causal)
        else:
            y_BHPK = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.out(y_BHPK.transpose(1, 2).flatten(2))

    def attend_one(
        self, q: Tensor, k: Tensor, v: Tensor, old_k: Tensor, old_v: Tensor, padding: Tensor | None
    ) -> Tensor:
        """Attention of one position to itself and to cached ones, (B, 1, D).

        As `attend` on keys and values joined, but they are not joined: a copy of the cache at every step, kept for
        the backward pass, would cost as much memory as the cache's rows themselves.
        """
        scale = q.shape[-1] ** -0.5
        score_BH1P = (q @ old_k.to(q.dtype).transpose(-1, -2)) * scale
        if padding is not None:
            score_BH1P = score_BH1P.masked_fill(padding, float("-inf"))
        own_BH11 = (q * k).sum(dim=-1, keepdim=True) * scale
        score_BH1P = torch.cat((score_BH1P, own_BH11), dim=-1)
        exact = torch.float32 if q.dtype in (torch.bfloat16, torch.float16) else q.dtype
        weight_BH1P = score_BH1P.softmax(dim=-1, dtype=exact).to(q.dtype)
        y_BH1K = weight_BH1P[..., :-1] @ old_v.to(q.dtype) + weight_BH1P[..., -1:] * v
        return self.out(y_BH1K.transpose(1, 2).flatten(2))


def _attention_by_products(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Attention as two matrix products and a float32 softmax.

    For bfloat16 on a CPU: the fused kernel's backward pass does not use the CPU's matrix unit there and takes
    ten times as long (38 ms against 2.3 ms for 256 sequences of 25 positions and 4 heads of 32, 2 threads).
    """
    score = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).float()
    if causal:
        P = score.shape[-1]
        score = score + torch.full((P, P), float("-inf"), device=score.device).triu(1)
    if mask is not None:
        score = score.masked_fill(~mask, float("-inf"))
    return score.softmax(dim=-1).to(v.dtype) @ v


class Layer(nn.Module):
    """Attention, then SwiGLU, each with its residual and its norm where the configuration wants it."""

    def __init__(self, config: ETEConfig) -> None:
        super().__init__()
        self.output_norm = config.norm == "output"
        self.attention = Attention(config)
        self.ffn = SwiGLU(config.width, int(config.ffn_ratio * config.width))
        self.attention_norm = Norm(config.width)
        self.ffn_norm = Norm(config.width)
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()

    def qkv(self, x_BPD: Tensor, rotation: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of the layer's input."""
        return self.attention.project(x_BPD if self.output_norm else self.attention_norm(x_BPD), rotation)

    def rest(self, x_BPD: Tensor, y_BPD: Tensor) -> Tensor:
        """The layer's output from its input and its attention's output."""
        if self.output_norm:
            x_BPD = x_BPD + self.dropout(self.attention_norm(y_BPD))
            return x_BPD + self.dropout(self.ffn_norm(self.ffn(x_BPD)))
        x_BPD = x_BPD + self.dropout(y_BPD)
        return x_BPD + self.dropout(self.ffn(self.ffn_norm(x_BPD)))

    def forward(
        self, x_BPD: Tensor, rotation: tuple[Tensor, Tensor] | None, mask: Tensor | None, causal: bool
    ) -> Tensor:
        q, k, v = self.qkv(x_BPD, rotation)
        return self.rest(x_BPD, self.attention.attend(q, k, v, mask=mask, causal=causal))
