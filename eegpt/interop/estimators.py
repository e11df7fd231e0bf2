"""scikit-learn: frozen features as a transformer, and the electrode graph as a classifier.

What enters: arrays (trials, channels, samples) with `ch_names`, `sfreq_hz` and `unit`, or `mne.Epochs`, which know all
three. What leaves: a matrix of features, or classes. Both clone, pickle and work in pipelines, grid searches and
MOABB's evaluations. A fitted estimator keeps its weights as the bytes of a safetensors file.

Trials are short and mostly filtered before they were cut, so each loses its own offset and goes to 256 Hz (the recipe
`epochs`) unless `recipe` says otherwise. The filters that the model's own data went through belong before the cutting:
`model.recipe()` tells them, for EEGPT's default 0.5 to 75 Hz and no mains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from eegprep.errors import UsageError
from eegprep.manifest import load_recipe
from eegpt.interop.checkpoint import Model, as_model
from eegpt.interop.trials import TrialArrays, Trials, known_electrodes, robust_sigma, standard_trials
from eegpt.interop.weights import freeze, thaw
from eegpt.model.heads import HeadSpec
from eegpt.training.transfer_bank import TrialBank
from eegpt.training.transfer_config import TransferConfig
from eegpt.training.transfer_fit import fit_model, graph_config
from eegpt.training.transfer_loop import Targets, predict
from eegpt.training.transfer_rows import encode, flatten
from eegpt.training.transfer_setup import device
from eegpt.training.transfer_split import Division

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["ArrayError", "EEGPTClassifier", "EEGPTFeatures"]

_UNITS_UV = {"V": 1e6, "mV": 1e3, "uV": 1.0, "nV": 1e-3}
_CACHE_BYTES = 256 << 20


class ArrayError(UsageError, ValueError):
    """An array or parameter that an estimator can't take; a ValueError too, as scikit-learn's rules want."""


class _TrialEstimator(BaseEstimator):
    """What both estimators do with their input."""

    model: Any
    ch_names: Any
    sfreq_hz: float
    unit: str
    recipe: str
    sigma: str

    def _data(self, X: Any, *, reset: bool) -> tuple[NDArray[np.float64], tuple[str, ...] | None, float]:
        """Trials in microvolt (N, E, S), their channels' names, and their rate."""
        epochs = _epochs(X)
        names: tuple[str, ...] | None
        if epochs is not None:
            data = np.concatenate([e.get_data(copy=False) for e in epochs])
            names, sfreq_hz, factor = tuple(epochs[0].ch_names), float(epochs[0].info["sfreq"]), 1e6
        else:
            if self.unit not in _UNITS_UV:
                raise ArrayError("the unit is not known", found=self.unit, expected=", ".join(_UNITS_UV))
            data, sfreq_hz, factor = X, float(self.sfreq_hz), _UNITS_UV[self.unit]
            names = None if self.ch_names is None else tuple(map(str, self.ch_names))
        if not reset:
            data = self._as_fitted(data, names)
        data = validate_data(self, data, reset=reset, allow_nd=True, dtype=np.float64, ensure_all_finite=True)
        if data.ndim == 2:
            data = data[:, None, :]
        if data.ndim != 3:
            raise ArrayError(
                "trials have another number of dimensions",
                found=f"{data.ndim}",
                expected="3 (trials, channels, samples), or 2 for trials of one channel",
            )
        return data * factor, names, sfreq_hz

    def _fit_input(self, X: Any) -> tuple[Trials, Model]:
        """Prepare what is learned from, and remember how."""
        data, names, sfreq_hz = self._data(X, reset=True)
        if self.model is None:
            raise ArrayError("an encoder is needed", todo="pass model=, a run of `eegpt train` or hf://owner/name")
        if names is None or len(names) != data.shape[1]:
            raise ArrayError(
                "the channels of the array have no names",
                found=f"{data.shape[1]} channels, {0 if names is None else len(names)} names",
                expected="one name for each channel",
                todo="pass ch_names=[...], in the array's order",
            )
        model = as_model(self.model)
        found = known_electrodes(names, model.vocabulary)
        self.columns_ = np.array(list(found), np.int64)
        self.electrodes_ = tuple(found.values())
        self.ids_ = np.array([model.vocabulary.id_of(e) for e in self.electrodes_], np.int64)
        self.left_out_ = tuple(n for i, n in enumerate(names) if i not in found)
        self.names_in_ = names
        trials = self._standard(data, sfreq_hz)
        self.sigma_uv_ = robust_sigma(trials.signal_uv, (0, 2))
        return trials, model

    def _new_input(self, X: Any) -> Trials:
        check_is_fitted(self)
        data, _, sfreq_hz = self._data(X, reset=False)
        return self._standard(data, sfreq_hz)

    def _as_fitted(self, data: Any, names: tuple[str, ...] | None) -> Any:
        """The channels of the fit, in its order, where names say which they are."""
        if names is None or names == self.names_in_:
            return data
        if not set(self.names_in_) <= set(names):
            raise ArrayError(
                "the channels are not those of the fit",
                found=", ".join(names),
                expected=", ".join(self.names_in_),
            )
        return np.asarray(data)[:, [names.index(n) for n in self.names_in_]]

    def _standard(self, data_uv: NDArray[np.float64], sfreq_hz: float) -> Trials:
        signal = standard_trials(data_uv[:, self.columns_], sfreq_hz, load_recipe(self.recipe))
        return Trials(signal_uv=signal, electrode=self.ids_)

    def _sigma(self, trials: Trials) -> NDArray[np.float32]:
        """By what each trial and electrode is divided."""
        if self.sigma == "trial":
            return robust_sigma(trials.signal_uv, (2,))
        if self.sigma == "call":
            return robust_sigma(trials.signal_uv, (0, 2))
        if self.sigma != "fit":
            raise ArrayError("sigma can't be this", found=self.sigma, expected="fit, call or trial")
        return self.sigma_uv_

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        # The modules are made again from the bytes: a pickle holds numbers of ours, no classes of torch.
        return {k: v for k, v in state.items() if k != "_module"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "frozen_"):
            self._module = thaw(self.frozen_, device=device())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


class EEGPTFeatures(TransformerMixin, _TrialEstimator):
    """Features of a frozen encoder: mean and last state of every electrode, side by side.

    Parameters
    ----------
    model : Model, str or Path
        A run of `eegpt train` or `eegpt transfer`, or `hf://owner/name`.
    ch_names : sequence of str, optional
        Names of the channels of an array; Epochs have their own.
    sfreq_hz : float
        Rate of an array.
    unit : {"uV", "V", "mV", "nV"}
        Unit of an array (MOABB gives microvolt).
    recipe : str
        Steps that each trial goes through.
    sigma : {"fit", "call", "trial"}
        Where the robust SD comes from that the input is divided by: the trials that `fit` saw; the trials of this
        call, which is what pre-training did where a call is one recording; or each trial's own. With `call` a result
        depends on its neighbours.

    Attributes
    ----------
    electrodes_, left_out_ : tuple of str
        What the channels are, and the names of those that the model does not know.
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
    ) -> None:
        self.model = model
        self.ch_names = ch_names
        self.sfreq_hz = sfreq_hz
        self.unit = unit
        self.recipe = recipe
        self.sigma = sigma

    def fit(self, X: Any, y: Any = None) -> EEGPTFeatures:
        """Resolve the electrodes and measure their amplitude; nothing is learned from labels."""
        _, model = self._fit_input(X)
        self.frozen_ = freeze(model.ete)
        self._module = thaw(self.frozen_, device=device())
        self._n_features_out = len(self.ids_) * 2 * model.ete.config.width
        return self

    @torch.inference_mode()
    def transform(self, X: Any) -> NDArray[np.float32]:
        """(n_trials, n_electrodes * 2 * width) float32, electrode by electrode."""
        trials = self._new_input(X)
        ete, here = self._module, device()
        arrays = TrialArrays(trials, self._sigma(trials), ("0", "1"))
        identity = np.arange(ete.config.n_electrodes)
        out = np.empty((len(arrays), self._n_features_out), np.float32)
        size = max(1, 256 // len(self.ids_))
        for first in range(0, len(arrays), size):
            part = np.arange(first, min(first + size, len(arrays)))
            rows = flatten(arrays.gather(part), ete.config, identity, here)
            features = encode(ete, rows, special=False, states=True).features_RF
            assert features is not None  # states=True makes them
            out[part] = features.float().cpu().numpy().reshape(len(part), -1)
        return out

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # the encoder computes in float32 whatever comes in
        return tags

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """`electrode_mean_0` and so on."""
        check_is_fitted(self)
        width = self._n_features_out // len(self.ids_) // 2
        names = [f"{e}_{kind}_{d}" for e in self.electrodes_ for kind in ("mean", "last") for d in range(width)]
        return np.array(names, dtype=object)


class EEGPTClassifier(ClassifierMixin, _TrialEstimator):
    """The electrode graph on a pre-trained encoder, fitted to labelled trials.

    Training is that of `eegpt transfer`, with its defaults.

    Parameters
    ----------
    model, ch_names, sfreq_hz, unit, recipe, sigma
        As of `EEGPTFeatures`.
    mode : {"frozen", "full", "lora", "probe", "scratch"}
        What learns, see `eegpt.training.transfer_config.TransferConfig`.
    max_steps : int, optional
        Steps of training; the settings' own by default.
    validation_share : float
        Share of the trials that selects the weights, of each class alike.
    settings : dict, optional
        More fields of `TransferConfig`.
    random_state : int, RandomState or None
        Decides weights, order and the validation trials; None is 0, so equal fits give equal models.

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
        self.model = model
        self.ch_names = ch_names
        self.sfreq_hz = sfreq_hz
        self.unit = unit
        self.recipe = recipe
        self.sigma = sigma
        self.mode = mode
        self.max_steps = max_steps
        self.validation_share = validation_share
        self.settings = settings
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> EEGPTClassifier:
        """Learn from trials and their labels; of Epochs the labels are their events where `y` is None."""
        epochs = _epochs(X)
        if y is None and epochs is not None:
            y = np.concatenate([_event_names(e) for e in epochs])
        if y is None:
            raise ArrayError("This EEGPTClassifier estimator requires y to be passed, but the target y is None.")
        trials, model = self._fit_input(X)
        y = _checked_labels(y, len(trials.signal_uv))
        self.classes_, label = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ArrayError(
                "a classifier needs two classes or more", found=f"{len(self.classes_)} class: {self.classes_[0]!r}"
            )
        config = self._config()
        seed = 0 if self.random_state is None else int(check_random_state(self.random_state).randint(2**31 - 1))
        arrays = TrialArrays(trials, self._sigma(trials), [str(c) for c in self.classes_], label)
        heads = (HeadSpec(name="y", n_outputs=len(self.classes_)),)
        fitted = fit_model(
            arrays,
            self._division(label, seed),
            config,
            encoder=model.ete.config,
            weights=None if config.mode == "scratch" else model.ete.state_dict(),
            graph=graph_config(config, model.ete.config),
            heads=heads,
            head_of_task=np.zeros(1, np.int64),
            electrode_of=np.arange(len(model.vocabulary)),
            seed=seed,
            device=device(),
        )
        self.frozen_ = freeze(fitted.model, config=config, heads=heads)
        self.n_iter_ = max(1, fitted.loop.best_step)
        self._module = thaw(self.frozen_, device=device())
        return self

    def _config(self) -> TransferConfig:
        # Centring by person would let a trial's answer depend on the others of the call.
        given: dict[str, Any] = {"align": "none", "precision": "float32"}
        given |= {"mode": self.mode, "validation_share": self.validation_share}
        if self.max_steps is not None:
            given["steps"] = self.max_steps
        return TransferConfig(**{**given, **(self.settings or {})})

    def _division(self, label: NDArray[np.int64], seed: int) -> Division:
        """All trials to learn from, but a share of each class to select on where every class can spare one."""
        everything, none = np.arange(len(label)), np.empty(0, np.int64)
        n_held = round(self.validation_share * len(label))
        if np.bincount(label).min() < 5 or n_held < len(self.classes_):
            return Division(name="arrays", train=everything, validation=none, test=none)
        train, held = train_test_split(everything, test_size=n_held, stratify=label, random_state=seed % 2**32)
        return Division(name="arrays", train=np.sort(train), validation=np.sort(held), test=none)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of `classes_`, (n_trials, n_classes)."""
        trials = self._new_input(X)
        n, K = len(trials.signal_uv), len(self.classes_)
        arrays = TrialArrays(trials, self._sigma(trials), [str(c) for c in self.classes_])
        model, here = self._module, device()
        bank = TrialBank(
            arrays,
            np.arange(model.ete.config.n_electrodes),
            device=here,
            budget_bytes=_CACHE_BYTES,
            precision="float32",
        )
        zeros = np.zeros(n, np.int64)
        targets = Targets(
            head_N=zeros,
            n_outputs_N=np.full(n, K, np.int64),
            regression_N=np.zeros(n, bool),
            label_N=zeros,
            value_N=np.zeros(n, np.float32),
            weight_N=np.ones(n, np.float32),
        )
        probability = predict(model, bank, np.arange(n), targets)[:, :K].astype(np.float64)
        return probability / probability.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest class of each trial."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]


def _epochs(X: Any) -> list[Any] | None:
    """`X` as a list of mne.Epochs where it is one or (as scikit-learn's splitters make it) a list of them."""
    kind = type(X[0]) if isinstance(X, (list, tuple)) and len(X) else type(X)
    if not any(c.__module__.startswith("mne.") and c.__name__ == "BaseEpochs" for c in kind.__mro__):
        return None
    return list(X) if isinstance(X, (list, tuple)) else [X]


def _event_names(epochs: Any) -> NDArray[np.str_]:
    names = {code: name for name, code in epochs.event_id.items()}
    return np.array([names.get(int(code), str(int(code))) for code in epochs.events[:, 2]])


def _checked_labels(y: Any, n: int) -> NDArray[Any]:
    from sklearn.utils import check_consistent_length, column_or_1d

    check_classification_targets(y)
    y = column_or_1d(y, warn=True)
    check_consistent_length(y, np.empty(n))
    return np.asarray(y)
