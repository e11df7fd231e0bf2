"""Modules without memory, and initial weights of an encoder, drawn once on their final device.

A module without memory has only shapes: to count its weights, to load them, or to shard it over processes before it is
filled. Random numbers are drawn on the CPU, one weight at a time, and every process keeps its part: Giant's 4.4 GB
exist only once, and are never in one place when sharded over 8 GPUs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE


class _NoDraws(TorchFunctionMode):
    """Skip the functions of `torch.nn.init`."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Create modules with shapes but no memory; initialising them on the meta device would only take time."""
    with torch.device("meta"), _NoDraws():
        yield


def bare_encoder(config: ETEConfig) -> ETE:
    """The encoder on the meta device: shapes only, no memory, no random numbers drawn."""
    with without_memory():
        return ETE(config)


@torch.no_grad()
def fill(ete: ETE, device: torch.device, *, seed: int) -> None:
    """Fill an encoder from `bare_encoder` with the weights of `ETE(config)` after `torch.manual_seed(seed)`."""
    ete.to_empty(device=device)
    torch.manual_seed(seed)
    for module in ete.modules():
        # PyTorch's layers draw their own weights first, when they are created: draw and discard these.
        if isinstance(module, nn.Linear):
            nn.Linear(module.in_features, module.out_features, bias=module.bias is not None)
        elif isinstance(module, nn.Embedding):
            nn.Embedding(module.num_embeddings, module.embedding_dim)
    for name, weight in ete.named_parameters():
        if hasattr(weight, "device_mesh"):
            _put_part(weight, ete.draw(name, torch.empty(weight.shape)), device)
        elif device.type == "cpu":
            ete.draw(name, weight)
        else:
            weight.copy_(ete.draw(name, torch.empty(weight.shape)))


def _put_part(weight: Any, whole: Tensor, device: torch.device) -> None:
    """This process's part of a sharded weight; all processes draw the same numbers, so nothing is sent."""
    from torch.distributed.tensor import distribute_tensor

    own = distribute_tensor(whole.to(device), weight.device_mesh, weight.placements, src_data_rank=None)
    weight.to_local().copy_(own.to_local())
