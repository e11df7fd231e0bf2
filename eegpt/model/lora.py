"""Low-rank adaptation (LoRA) of the encoder's attention (Hu et al. 2021, arXiv 2106.09685).

The attention matrices W of a frozen encoder become W + B A, with A (rank x inputs) random and B (outputs x rank) zero,
so that the initial outputs are unchanged. `merge_lora` adds B A to W: checkpoints never contain A and B.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegpt.model.ete import ETE


class LoRALinear(nn.Module):
    """A frozen linear layer with a low-rank update."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(rank, base.in_features) * base.in_features**-0.5)
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.linear(F.linear(x, self.a), self.b)

    def merged(self) -> nn.Linear:
        """The base layer with the update merged into its weight."""
        with torch.no_grad():
            self.base.weight += self.b @ self.a
        return self.base


def add_lora(ete: ETE, rank: int) -> None:
    """Freeze the encoder and add low-rank updates to both matrices of every attention, in place."""
    ete.requires_grad_(False)
    for attention in _attentions(ete):
        for name in ("qkv", "out"):
            setattr(attention, name, LoRALinear(getattr(attention, name), rank))


def merge_lora(ete: ETE) -> None:
    """Merge all low-rank updates into the weights, in place; no-op if there are none."""
    for attention in _attentions(ete):
        for name in ("qkv", "out"):
            layer = getattr(attention, name)
            if isinstance(layer, LoRALinear):
                setattr(attention, name, layer.merged())


def _attentions(ete: ETE) -> list[nn.Module]:
    return [layer.attention for layer in ete.layers]  # type: ignore[misc]
