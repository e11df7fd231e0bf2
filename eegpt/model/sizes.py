"""The table of model sizes and their numbers of parameters.

Layers, width, heads and the published totals are the paper's; the feed-forward ratios in `ETEConfig` and `TEGConfig`
are fitted so that all four totals come out within 1 %. Totals include the encoder, the graph and linear heads for the
paper's twelve benchmarks, but not the spectrum head, which the paper does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from eegprep.errors import UsageError, nearest
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.heads import HeadSpec, TaskHeads
from eegpt.model.teg import TEG, TEGConfig
from eegpt.model.weights import without_memory


@dataclass(frozen=True, kw_only=True)
class Size:
    """One row of the table; `published` is the paper's total number of parameters."""

    name: str
    ete_layers: int
    teg_layers: int
    width: int
    n_heads: int
    published: float


SIZES: dict[str, Size] = {
    s.name: s
    for s in (
        Size(name="base", ete_layers=3, teg_layers=3, width=128, n_heads=4, published=1.46e6),
        Size(name="large", ete_layers=9, teg_layers=3, width=256, n_heads=8, published=11.29e6),
        Size(name="huge", ete_layers=12, teg_layers=4, width=896, n_heads=14, published=183.8e6),
        Size(name="giant", ete_layers=20, teg_layers=4, width=1792, n_heads=28, published=1.09e9),
    )
}

# The paper's twelve benchmarks and their classes.
PAPER_TASKS = tuple(
    HeadSpec(name=name, n_outputs=n)
    for name, n in (
        ("DEAP", 4), ("FACED", 9), ("SEED-IV", 4), ("SEED-V", 5), ("MIBCI", 2), ("BCIC4-1", 2),
        ("EEGMat", 2), ("STEW", 3), ("EDF", 5), ("HMC", 5), ("IMG", 5), ("SPE", 2),
    )
)  # fmt: skip


def size(name: str) -> Size:
    """The size called `name`, ignoring case; UsageError with the nearest names if there is none."""
    found = SIZES.get(name.lower())
    if found is None:
        raise UsageError(f"unknown size {name!r}", expected=", ".join(SIZES), todo=nearest(name, SIZES) or None)
    return found


def ete_config(name: str, **settings: Any) -> ETEConfig:
    """The encoder configuration of a size; `settings` are further fields of `ETEConfig`."""
    s = size(name)
    return ETEConfig(**{"n_layers": s.ete_layers, "width": s.width, "n_heads": s.n_heads, **settings})


def teg_config(name: str, **settings: Any) -> TEGConfig:
    """The graph configuration of a size; `settings` are further fields of `TEGConfig`."""
    s = size(name)
    return TEGConfig(n_layers=s.teg_layers, width=s.width, **settings)


def parameters(name: str) -> dict[str, int]:
    """Number of parameters of a size: `ete`, `teg`, `heads` and `total`; counted on the meta device."""
    with without_memory():
        parts: dict[str, nn.Module] = {
            "ete": ETE(ete_config(name, objective="token")),
            "teg": TEG(teg_config(name)),
            "heads": TaskHeads(size(name).width, PAPER_TASKS),
        }
    counts = {part: sum(p.numel() for p in module.parameters()) for part, module in parts.items()}
    return {**counts, "total": sum(counts.values())}
