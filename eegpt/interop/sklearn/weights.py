"""A module as plain data and back: the bytes of a safetensors file and its configuration as JSON.

What enters: an encoder, or a fitted transfer model. What leaves: `Frozen`, which pickles and copies as numbers, and
the module again from it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save

from eegpt.model.ete import ETE, ETEConfig
from eegpt.model.heads import HeadSpec
from eegpt.model.lora import merge_lora
from eegpt.model.teg import TEGConfig
from eegpt.runs.settings import from_mapping, to_mapping
from eegpt.transfer.checkpoint import as_saved, build_model
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.model import TransferModel

__all__ = ["Frozen", "freeze", "thaw"]


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Weights as safetensors, configuration as JSON."""

    weights: bytes
    config: str


def freeze(
    module: ETE | TransferModel, *, config: TransferConfig | None = None, heads: Sequence[HeadSpec] = ()
) -> Frozen:
    """A module as plain data; LoRA's additions are merged into the weights."""
    plain: dict[str, Any] = {}
    if isinstance(module, TransferModel):
        assert config is not None  # a transfer model is not known without its settings
        merge_lora(module.ete)
        plain = {"transfer": to_mapping(config), "graph": to_mapping(module.teg.config)}
        plain["heads"] = [to_mapping(h) for h in heads]
    ete = module.ete if isinstance(module, TransferModel) else module
    plain["encoder"] = to_mapping(ete.config)
    tensors = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    return Frozen(weights=save(tensors), config=json.dumps(plain))


def thaw(frozen: Frozen, *, device: torch.device) -> Any:
    """The module again, in evaluation mode: an `ETE`, or a `TransferModel` where settings of one were frozen."""
    plain = json.loads(frozen.config)
    ete = ETE(from_mapping(ETEConfig, plain["encoder"]))
    module: ETE | TransferModel = ete
    if "transfer" in plain:
        config = as_saved(from_mapping(TransferConfig, plain["transfer"]))
        heads = tuple(from_mapping(HeadSpec, h) for h in plain["heads"])
        module = build_model(ete, from_mapping(TEGConfig, plain["graph"]), heads, config)
    module.load_state_dict(load(frozen.weights))
    return module.requires_grad_(False).to(device).eval()
