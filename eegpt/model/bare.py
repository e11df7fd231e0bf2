"""Modules without memory: all shapes, no weights, for counting them, for loading them, and for filling them in parts.

What enters: nothing. What leaves: a context in which new modules stand on the meta device. Their first weights are not
drawn there: on that device this draws nothing, yet takes seconds to load PyTorch's formulas for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["without_memory"]


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
    """Modules that are made inside have shapes and no memory."""
    with torch.device("meta"), _NoDraws():
        yield
