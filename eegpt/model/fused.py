"""Two element-wise steps with hand-written gradients, for fewer passes over memory.

What enters and leaves: tensors; the results are those of the plain formulas. On a CPU the encoder's element-wise
steps cost as much as its matrix products, because every one reads and writes the whole activation; these write
into one output, keep less for the backward pass, and have no joining of halves there.

`torch.compile` gets the plain formulas: it fuses them itself, and can't follow steps that write into a view.

Shapes: (..., K) rotated in pairs (i, i + K/2); (..., 2 F) gate and up side by side.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["rotate", "swiglu"]


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(grads[0], cos, sin, -1), None, None  # a rotation's transpose turns back


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
        return torch.nn.functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors
        (grad,) = grads
        out = torch.empty_like(gate_up)
        (gate, up), (out_gate, out_up) = gate_up.chunk(2, dim=-1), out.chunk(2, dim=-1)
        torch.mul(grad, torch.nn.functional.silu(gate), out=out_up)
        torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=out_gate)
        return out


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + K/2) of the last axis by angles whose cosine and sine broadcast over (..., K/2)."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    if torch.compiler.is_dynamo_compiling():
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
    return _apply(_Rotate, x, cos, sin)


def swiglu(gate_up: Tensor) -> Tensor:
    """silu(gate) * up, of the two halves of the last axis."""
    if torch.compiler.is_dynamo_compiling():
        gate, up = gate_up.chunk(2, dim=-1)
        return torch.nn.functional.silu(gate) * up
    return _apply(_SwiGLU, gate_up)


def _apply(function: Any, *tensors: Tensor) -> Tensor:
    out: Tensor = function.apply(*tensors)
    return out
