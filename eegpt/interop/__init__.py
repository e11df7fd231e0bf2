"""Models in other tools: MNE, xarray, scikit-learn, MOABB, the hub, ONNX, live signals.

Names are imported on first use, so a missing extra only affects the features that need it.
"""

from __future__ import annotations

import importlib

_WHERE = {
    "embed": "embedding",
    "open_model": "model",
    "Model": "model",
    "prepare": "signals",
    "open_shards": "shards",
    "to_raw": "shards",
    "EEGPTFeatures": "sklearn.estimators",
    "EEGPTClassifier": "sklearn.estimators",
    "PretrainedModel": "hub",
    "export": "exported.export",
    "LiveModel": "live.model",
}

__all__ = list(_WHERE)


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
