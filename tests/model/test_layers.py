"""Hand-written gradients against the plain formulas."""

from __future__ import annotations

import torch

from eegpt.model.layers import rotate, swiglu


def test_rotation_equals_plain_formula():
    """Rotation equals the plain formula and its gradient is exact."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 2, 3, 8, dtype=torch.float64, generator=generator, requires_grad=True)
    angle = torch.randn(5, 1, 1, 4, dtype=torch.float64, generator=generator)
    a, b = x.chunk(2, dim=-1)
    plain = torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()), dim=-1)
    torch.testing.assert_close(rotate(x, angle.cos(), angle.sin()), plain)
    assert torch.autograd.gradcheck(lambda t: rotate(t, angle.cos(), angle.sin()), x)


def test_rotation_depends_on_distance():
    """Rotation keeps lengths and depends on distance alone."""
    q, k = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(1)).unbind(0)
    rate = torch.tensor([1.0, 0.3, 0.1, 0.03])

    def score(m: float, n: float) -> torch.Tensor:
        return (rotate(q, (m * rate).cos(), (m * rate).sin()) * rotate(k, (n * rate).cos(), (n * rate).sin())).sum()

    torch.testing.assert_close(score(3, 1), score(9, 7))
    torch.testing.assert_close(score(5, 5), (q * k).sum())


def test_swiglu_equals_plain_formula():
    """Swiglu equals the plain formula and its gradient is exact."""
    x = torch.randn(3, 4, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    gate, up = x.chunk(2, dim=-1)
    torch.testing.assert_close(swiglu(x), torch.nn.functional.silu(gate) * up)
    assert torch.autograd.gradcheck(swiglu, x)
