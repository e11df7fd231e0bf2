"""Windows (`WindowIndex`, `WindowLoader`) and trials (`TrialIndex`) from shard sets."""

from .grouped import MixedOrder, TwoLevelOrder, temperature_weights
from .index import TaskInfo, TrialBatch, TrialSource, WindowBatch, WindowSource
from .loader import WindowLoader
from .order import Order, SampleOrder
from .pipeline import webdataset_pipeline
from .trials import TrialIndex
from .windows import WindowIndex

__all__ = [
    "Order",
    "SampleOrder",
    "TwoLevelOrder",
    "MixedOrder",
    "temperature_weights",
    "WindowIndex",
    "WindowBatch",
    "WindowLoader",
    "WindowSource",
    "TrialIndex",
    "TrialSource",
    "TrialBatch",
    "TaskInfo",
    "webdataset_pipeline",
]
