"""Samples (`WindowIndex`, `WindowLoader`) and trials (`TrialIndex`) out of shard sets."""

from .grouped import MixedOrder, TwoLevelOrder, temperature_weights
from .order import Order, SampleOrder
from .pipeline import webdataset_pipeline
from .trials import TaskInfo, TrialBatch, TrialIndex
from .windows import WindowBatch, WindowIndex

__all__ = [
    "Order",
    "SampleOrder",
    "TwoLevelOrder",
    "MixedOrder",
    "temperature_weights",
    "WindowIndex",
    "WindowBatch",
    "WindowLoader",
    "TrialIndex",
    "TrialBatch",
    "TaskInfo",
    "webdataset_pipeline",
]


def __getattr__(name: str) -> object:
    # Only the loader needs torch: indices and trials can be used, and tested, without it.
    if name == "WindowLoader":
        from .loader import WindowLoader

        return WindowLoader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
