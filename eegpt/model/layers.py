"""The encoder's layers: causal attention with rotary positions, SwiGLU, and the placement of the norm.

Queries, keys and values are exposed so that the encoder can cache keys and values of earlier positions. The two
element-wise operations, `rotate` and `swiglu`, have hand-written gradients (at the end of the file): on a CPU they cost
as much as the matrix products, because each reads and writes the full activation.

Shapes: B batch, P positions, D width, H heads, K width of a head (D / H), F inner width of the feed-forward
network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Norm(nn.LayerNorm):
    """Layer norm over D with a gain and no bias: one fused kernel on every device, unlike a root-mean-square norm."""

    def __init__(self, width: int) -> None:
        super().__init__(width, bias=False)


class SwiGLU(nn.Module):
    """`W_out(silu(W_gate x) * W_up x)`, with the two inner matrices fused."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, x_BPD: Tensor) -> Tensor:
        return self.out(swiglu(self.gate_up(x_BPD)))


class Attention(nn.Module):
    """Multi-head attention with one matrix for queries, keys and values."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def project(self, x_BPD: Tensor, rotation: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, H, P, K), rotated if positions are rotary."""
        B, P, D = x_BPD.shape
        qkv = self.qkv(x_BPD).view(B, P, 3, self.n_heads, D // self.n_heads)
        if rotation is None:
            q_BPHK, k_BPHK, v_BPHK = qkv.unbind(2)
        else:
            # Queries and keys are adjacent, so one pass rotates both.
            qk, v_BPHK = qkv.split((2, 1), dim=2)
            q_BPHK, k_BPHK = rotate(qk, *rotation).unbind(2)
            v_BPHK = v_BPHK.squeeze(2)
        return q_BPHK.transpose(1, 2), k_BPHK.transpose(1, 2), v_BPHK.transpose(1, 2)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """Scaled dot-product attention with concatenated heads, (B, P, D)."""
        if q.device.type == "cpu" and q.dtype in (torch.bfloat16, torch.float16):
            y_BHPK = _attention_by_products(q, k, v, mask, causal)
        else:
            y_BHPK = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.out(y_BHPK.transpose(1, 2).flatten(2))

    def attend_one(
        self, q: Tensor, k: Tensor, v: Tensor, old_k: Tensor, old_v: Tensor, padding: Tensor | None
    ) -> Tensor:
        """Attention of one position to itself and to the cached ones, (B, 1, D).

        Equal to `attend` on the concatenated keys and values, without concatenating them: a copy of the cache at every
        step, kept for the backward pass, would double the memory.
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

    For bfloat16 on a CPU, where the fused kernel's backward pass does not use the matrix unit and takes more than ten
    times as long (38 ms against 2.3 ms for 256 sequences of 25 positions and 4 heads of 32, 2 threads).
    """
    score = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).float()
    if causal:
        P = score.shape[-1]
        score = score + torch.full((P, P), float("-inf"), device=score.device).triu(1)
    if mask is not None:
        score = score.masked_fill(~mask, float("-inf"))
    return score.softmax(dim=-1).to(v.dtype) @ v


class Layer(nn.Module):
    """Attention, then SwiGLU, each with its residual: `x + Norm(Sublayer(x))`, or `x + Sublayer(Norm(x))`."""

    def __init__(self, width: int, n_heads: int, inner: int, *, output_norm: bool, dropout: float) -> None:
        super().__init__()
        self.output_norm = output_norm
        self.attention = Attention(width, n_heads)
        self.ffn = SwiGLU(width, inner)
        self.attention_norm = Norm(width)
        self.ffn_norm = Norm(width)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

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


# ---- element-wise steps with hand-written gradients; `torch.compile` gets the plain formulas and fuses them itself


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (i, i + K/2) of the last axis by angles whose cosine and sine broadcast over (..., K/2)."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    if torch.compiler.is_dynamo_compiling():
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
    return _apply(_Rotate, x, cos, sin)


def swiglu(gate_up: Tensor) -> Tensor:
    """silu(gate) * up, where gate and up are the two halves of the last axis."""
    if torch.compiler.is_dynamo_compiling():
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up
    return _apply(_SwiGLU, gate_up)


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(grads[0], cos, sin, -1), None, None  # the transpose of a rotation is its inverse


def _turned(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    (a, b), (out_a, out_b) = x.chunk(2, dim=-1), out.chunk(2, dim=-1)
    torch.mul(a, cos, out=out_a).addcmul_(b, sin, value=-direction)
    torch.mul(b, cos, out=out_b).addcmul_(a, sin, value=direction)
    return out


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        (grad,) = grads
        out = torch.empty_like(gate_up)
        (gate, up), (out_gate, out_up) = gate_up.chunk(2, dim=-1), out.chunk(2, dim=-1)
        torch.mul(grad, F.silu(gate), out=out_up)
        torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=out_gate)
        return out


def _apply(function: Any, *tensors: Tensor) -> Tensor:
    out: Tensor = function.apply(*tensors)
    return out
