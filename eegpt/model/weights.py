"""Modules without memory, and the first weights of an encoder, drawn once, where they are to live.

A module made without memory has shapes alone: to count its weights, to load them, or to divide it over processes
before it is filled. Random numbers are drawn on the CPU, one weight at a time, and every process keeps its part:
Giant's 4.4 GB are there once, and divided over 8 GPUs nowhere whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from eegpt.model.ete import ETE, ETEConfig


class _NoDraws(TorchFunctionMode):
    """Leaves out what `torch.nn.init` does."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are made inside have shapes and no memory; to draw on the meta device would only cost seconds."""
    with torch.device("meta"), _NoDraws():
        yield


def bare_encoder(config: ETEConfig) -> ETE:
    """The encoder on the meta device: all shapes, no memory, no random number drawn."""
    with without_memory():
        return ETE(config)


@torch.no_grad()
def fill(ete: ETE, device: torch.device, *, seed: int) -> None:
    """Give an encoder from `bare_encoder` memory, and the weights of `ETE(config)` after `torch.manual_seed(seed)`."""
    ete.to_empty(device=device)
    torch.manual_seed(seed)
    for module in ete.modules():
        # PyTorch's layers draw weights of their own when they are made, before ours: these are drawn and dropped.
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
    """This process's part of a weight that is divided; all draw the same numbers, so nothing needs to be sent."""
    from torch.distributed.tensor import distribute_tensor

    own = distribute_tensor(whole.to(device), weight.device_mesh, weight.placements, src_data_rank=None)
    weight.to_local().copy_(own.to_local())
