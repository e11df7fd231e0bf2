"""Models in other tools: MNE, xarray, scikit-learn, MOABB, the hub, ONNX, live signals.

Names are imported on first use, so a missing extra only affects the features that need it.
"""

from typing import TYPE_CHECKING

from eegprep.lazy import attach

if TYPE_CHECKING:
    from eegpt.interop.embedding import embed as embed
    from eegpt.interop.exported.export import export as export
    from eegpt.interop.hub import PretrainedModel as PretrainedModel
    from eegpt.interop.live.model import LiveModel as LiveModel
    from eegpt.interop.model import Model as Model
    from eegpt.interop.model import open_model as open_model
    from eegpt.interop.prediction import predict as predict
    from eegpt.interop.signals import prepare as prepare
    from eegpt.interop.sklearn.estimators import EEGPTClassifier as EEGPTClassifier
    from eegpt.interop.sklearn.estimators import EEGPTFeatures as EEGPTFeatures
    from eegpt.interop.sklearn.estimators import EEGPTRegressor as EEGPTRegressor

_HOMES = {
    "embed": "embedding",
    "predict": "prediction",
    "open_model": "model",
    "Model": "model",
    "prepare": "signals",
    "EEGPTFeatures": "sklearn.estimators",
    "EEGPTClassifier": "sklearn.estimators",
    "EEGPTRegressor": "sklearn.estimators",
    "PretrainedModel": "hub",
    "export": "exported.export",
    "LiveModel": "live.model",
}
__all__ = list(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
