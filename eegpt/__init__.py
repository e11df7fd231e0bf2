"""Pre-train an encoder on EEG shards, and transfer it with a multi-task electrode graph.

`eegpt` is the model side: the Electrode Temporal Encoder (ETE) and the Task-shared Electrode Graph (TEG) of Yue et
al., arXiv 2410.19779. It reads shard sets only, no recording formats, except where a model is applied to a new signal.

Every command of `eegpt` is a function here, with the same defaults. Names are imported on first use: `import eegpt`
needs no torch.

Examples
--------
>>> import eegpt
>>> eegpt.pretrain("shards", "encoder")  # doctest: +SKIP
>>> eegpt.transfer("shards", "model", encoder="encoder")  # doctest: +SKIP
>>> eegpt.predict("recording.edf", "model")  # doctest: +SKIP
"""

from typing import TYPE_CHECKING

from eegprep.lazy import attach
from eegpt.version import __version__ as __version__

if TYPE_CHECKING:
    from eegpt import callbacks as callbacks
    from eegpt import torch as torch
    from eegpt.api import ablation as ablation
    from eegpt.api import baselines as baselines
    from eegpt.api import claims as claims
    from eegpt.api import compare as compare
    from eegpt.api import evaluate as evaluate
    from eegpt.api import forecast as forecast
    from eegpt.api import load as load
    from eegpt.api import pretrain as pretrain
    from eegpt.api import scaling as scaling
    from eegpt.api import transfer as transfer
    from eegpt.interop.embedding import embed as embed
    from eegpt.interop.embedding_files import embed_files as embed_files
    from eegpt.interop.exported.export import export as export
    from eegpt.interop.hub import PretrainedModel as PretrainedModel
    from eegpt.interop.hub import pull as pull
    from eegpt.interop.hub import push as push
    from eegpt.interop.live.model import LiveModel as LiveModel
    from eegpt.interop.model import Model as Model
    from eegpt.interop.prediction import predict as predict
    from eegpt.interop.sklearn.estimators import EEGPTClassifier as EEGPTClassifier
    from eegpt.interop.sklearn.estimators import EEGPTFeatures as EEGPTFeatures
    from eegpt.interop.sklearn.estimators import EEGPTRegressor as EEGPTRegressor

_HOMES = {
    "load": "api", "embed": "interop.embedding", "embed_files": "interop.embedding_files",
    "predict": "interop.prediction",
    "pretrain": "api", "transfer": "", "evaluate": "api", "baselines": "api", "compare": "api", "forecast": "api",
    "scaling": "api", "ablation": "api", "claims": "api",
    "export": "interop.exported.export", "push": "interop.hub", "pull": "interop.hub",
    "Model": "interop.model", "LiveModel": "interop.live.model", "PretrainedModel": "interop.hub",
    "EEGPTFeatures": "interop.sklearn.estimators", "EEGPTClassifier": "interop.sklearn.estimators",
    "EEGPTRegressor": "interop.sklearn.estimators",
    "torch": "", "callbacks": "",
}  # fmt: skip
__all__ = list(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
