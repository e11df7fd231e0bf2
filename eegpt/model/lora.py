"""Low-rank additions to the encoder's attention (Hu et al. 2021, arXiv 2106.09685), and their removal.

The attention matrices W of a frozen encoder act as W + B A, with A (rank x inputs) random and B (outputs x rank) zero,
so that it starts where it was. `merge_lora` adds B A to W: a checkpoint never contains the additions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegpt.model.ete import ETE


class LoRALinear(nn.Module):
    """A frozen linear layer and a low-rank addition."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(rank, base.in_features) * base.in_features**-0.5)
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + F.linear(F.linear(x, self.a), self.b)

    def merged(self) -> nn.Linear:
        """The base layer with the addition in its weight."""
        with torch.no_grad():
            self.base.weight += self.b @ self.a
        return self.base


def add_lora(ete: ETE, rank: int) -> None:
    """Freeze the encoder and put additions on every attention's two matrices, in place."""
    ete.requires_grad_(False)
    for attention in _attentions(ete):
        for name in ("qkv", "out"):
            setattr(attention, name, LoRALinear(getattr(attention, name), rank))


def merge_lora(ete: ETE) -> None:
    """Put all additions into the weights, in place; nothing if there are none."""
    for attention in _attentions(ete):
        for name in ("qkv", "out"):
            layer = getattr(attention, name)
            if isinstance(layer, LoRALinear):
                setattr(attention, name, layer.merged())


def _attentions(ete: ETE) -> list[nn.Module]:
    return [layer.attention for layer in ete.layers]  # type: ignore[misc]
