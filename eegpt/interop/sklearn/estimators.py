"""scikit-learn: frozen features as a transformer, and the electrode graph as a classifier.

Both take arrays (trials, channels, samples) with `ch_names`, `sfreq_hz` and `unit`, or `mne.Epochs`; they clone, pickle
and work in pipelines, grid searches and MOABB's evaluations. A fitted estimator keeps its weights as the bytes of a
safetensors file.

Trials are short and usually cut from filtered recordings, so by default (recipe `epochs`) each is only demeaned and
resampled to 256 Hz. Apply the filters of the model's training data before epoching: see `model.recipe()`; EEGPT's
default is 0.5 to 75 Hz and a notch at the line frequency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, TransformerMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from eegpt.interop.arrays import states_of
from eegpt.interop.sklearn.base import ArrayError, TrialEstimator, epochs_of, freeze, thaw
from eegpt.model.heads import HeadSpec
from eegpt.runs.runtime import pick_device
from eegpt.runs.settings import changed
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import fit_model, graph_config
from eegpt.transfer.folds import Division
from eegpt.transfer.loop import Targets, predict

if TYPE_CHECKING:
    from sklearn.utils import Tags

_CACHE_BYTES = 256 << 20


class EEGPTFeatures(TransformerMixin, TrialEstimator):
    """Features of a frozen encoder: mean and last state of every electrode, concatenated.

    Parameters
    ----------
    model : Model, str or Path
        A run of `eegpt train` or `eegpt transfer`, or `hf://owner/name`.
    ch_names : sequence of str, optional
        Channel names of an array; Epochs have their own.
    sfreq_hz : float
        Sampling rate of an array.
    unit : {"uV", "V", "mV", "nV"}
        Unit of an array (MOABB gives microvolt).
    recipe : str
        Preprocessing applied to each trial.
    sigma : {"fit", "call", "trial"}
        Source of the robust SD by which the input is divided: the trials passed to `fit`; the trials of this call, as
        in pre-training if a call is one recording; or each trial. With `call`, results depend on the other trials.

    Attributes
    ----------
    electrodes_, left_out_ : tuple of str
        Electrodes of the channels, and the names of channels unknown to the model.
    """

    def fit(self, X: Any, y: Any = None) -> EEGPTFeatures:
        """Resolve the electrodes and measure their amplitude; nothing is learned from labels."""
        _, model = self._fit_input(X)
        self.frozen_ = freeze(model.ete)
        self._module = thaw(self.frozen_, device=pick_device())
        self._n_features_out = len(self.ids_) * 2 * model.ete.config.width
        return self

    @torch.inference_mode()
    def transform(self, X: Any) -> NDArray[np.float32]:
        """(n_trials, n_electrodes * 2 * width) float32, electrode by electrode."""
        trials, ete, here = self._new_input(X), self._module, pick_device()
        out = np.empty((len(trials), self._n_features_out), np.float32)
        size = max(1, 256 // len(self.ids_))
        for first in range(0, len(trials), size):
            part = np.arange(first, min(first + size, len(trials)))
            out[part] = states_of(ete, trials, part, here).cpu().numpy().reshape(len(part), -1)
        return out

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # the encoder computes in float32 for any input
        return tags

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """`electrode_mean_0` and so on."""
        check_is_fitted(self)
        width = self._n_features_out // len(self.ids_) // 2
        names = [f"{e}_{kind}_{d}" for e in self.electrodes_ for kind in ("mean", "last") for d in range(width)]
        return np.array(names, dtype=object)


class EEGPTClassifier(ClassifierMixin, TrialEstimator):
    """The electrode graph on a pre-trained encoder, fitted to labelled trials.

    Training is that of `eegpt transfer`, with its defaults.

    Parameters
    ----------
    model, ch_names, sfreq_hz, unit, recipe, sigma
        As of `EEGPTFeatures`.
    mode : {"frozen", "full", "lora", "probe", "scratch"}
        What is trained, see `eegpt.transfer.config.TransferConfig`.
    max_steps : int, optional
        Training steps; by default those of the settings.
    validation_share : float
        Share of the trials used to select the weights, stratified by class.
    settings : dict, optional
        More settings of `TransferConfig`, by path: `{"optimiser.learning_rate": 1e-4}`.
    random_state : int, RandomState or None
        Seed of weights, order and validation trials; None is 0, so that fits are reproducible.

    Attributes
    ----------
    classes_ : ndarray
    electrodes_, left_out_ : tuple of str
    """

    def __init__(
        self,
        model: Any = None,
        *,
        ch_names: Any = None,
        sfreq_hz: float = 256.0,
        unit: Literal["uV", "V", "mV", "nV"] = "uV",
        recipe: str = "epochs",
        sigma: Literal["fit", "call", "trial"] = "fit",
        mode: str = "frozen",
        max_steps: int | None = None,
        validation_share: float = 0.2,
        settings: Any = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(model, ch_names=ch_names, sfreq_hz=sfreq_hz, unit=unit, recipe=recipe, sigma=sigma)
        self.mode = mode
        self.max_steps = max_steps
        self.validation_share = validation_share
        self.settings = settings
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> EEGPTClassifier:
        """Fit to trials and labels; if `y` is None, the labels are the events of the Epochs."""
        epochs = epochs_of(X)
        if y is None and epochs is not None:
            y = np.concatenate([_event_names(e) for e in epochs])
        if y is None:
            raise ArrayError("This EEGPTClassifier estimator requires y to be passed, but the target y is None.")
        signal_uv, model = self._fit_input(X)
        check_classification_targets(y)
        y = np.asarray(column_or_1d(y, warn=True))
        check_consistent_length(y, signal_uv)
        self.classes_, label = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ArrayError(
                "a classifier needs two classes or more", found=f"{len(self.classes_)} class: {self.classes_[0]!r}"
            )
        config = self._config()
        seed = 0 if self.random_state is None else int(check_random_state(self.random_state).randint(2**31 - 1))
        trials = self._trials(signal_uv, classes=[str(c) for c in self.classes_], label=label)
        heads = (HeadSpec(name="y", n_outputs=len(self.classes_)),)
        fitted = fit_model(
            trials,
            self._division(label, seed),
            config,
            encoder=model.ete.config,
            weights=None if config.mode == "scratch" else model.ete.state_dict(),
            graph=graph_config(config, model.ete.config),
            heads=heads,
            head_of_task=np.zeros(1, np.int64),
            electrode_of=np.arange(len(model.vocabulary)),
            seed=seed,
            device=pick_device(),
        )
        self.frozen_ = freeze(fitted.model, config=config, heads=heads)
        self.n_iter_ = max(1, fitted.loop.best_step)
        self._module = thaw(self.frozen_, device=pick_device())
        return self

    def _config(self) -> TransferConfig:
        # With alignment by subject, a prediction would depend on the other trials of the call.
        given = {
            "mode": self.mode,
            "compute.precision": "float32",
            "model.align": "none",
            "data.validation_share": self.validation_share,
        }
        if self.max_steps is not None:
            given["schedule.steps"] = self.max_steps
        return changed(TransferConfig(), given | (self.settings or {}))

    def _division(self, label: NDArray[np.int64], seed: int) -> Division:
        """All trials for training, except a validation share of each class if every class has enough."""
        everything, none = np.arange(len(label)), np.empty(0, np.int64)
        n_held = round(self.validation_share * len(label))
        if np.bincount(label).min() < 5 or n_held < len(self.classes_):
            return Division(name="arrays", train=everything, validation=none, test=none)
        train, held = train_test_split(everything, test_size=n_held, stratify=label, random_state=seed % 2**32)
        return Division(name="arrays", train=np.sort(train), validation=np.sort(held), test=none)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of `classes_`, (n_trials, n_classes)."""
        trials, model = self._new_input(X), self._module
        bank = TrialBank(
            trials,
            np.arange(model.ete.config.n_electrodes),
            device=pick_device(),
            budget_bytes=_CACHE_BYTES,
            precision="float32",
        )
        targets = Targets.unknown(len(trials), 0, model.heads.tasks[0])
        probability = predict(model, bank, np.arange(len(trials)), targets)[:, : len(self.classes_)].astype(np.float64)
        return probability / probability.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """The most likely class of each trial."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]


def _event_names(epochs: Any) -> NDArray[np.str_]:
    names = {code: name for name, code in epochs.event_id.items()}
    return np.array([names.get(int(code), str(int(code))) for code in epochs.events[:, 2]])
