"""scikit-learn: frozen features as a transformer, and classifiers and regressors on them.

All take arrays (trials, channels, samples) with `ch_names`, `sfreq_hz` and `unit`, or `mne.Epochs`, which have them;
they clone, pickle and work in pipelines, grid searches and MOABB's evaluations. Bad channels of Epochs are left out,
and an amplitude that cannot be EEG is refused. A fitted estimator keeps its weights as the bytes of a safetensors file.

Trials are short and usually cut from filtered recordings, so by default (recipe `epochs`) each is only demeaned and
resampled to 256 Hz. Apply the filters of the model's training data before epoching: see `model.recipe()`; EEGPT's
default is 0.5 to 75 Hz and a notch at the line frequency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from eegpt.interop.arrays import ArrayError, states_of
from eegpt.interop.model import Model
from eegpt.interop.sklearn.base import TrialEstimator, epochs_of, freeze, thaw
from eegpt.model.heads import HeadSpec
from eegpt.runs.runtime import pick_device
from eegpt.runs.settings import changed
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import fit_model, graph_config
from eegpt.transfer.folds import Division
from eegpt.transfer.loop import Targets, predict, regression_scale

if TYPE_CHECKING:
    from sklearn.utils import Tags

_CACHE_BYTES = 256 << 20


class EEGPTFeatures(TransformerMixin, TrialEstimator):
    """Features of a frozen encoder: mean and last state of every electrode, concatenated.

    Parameters
    ----------
    model : Model, str or Path
        The packaged weights `base` or `small`, a run of `eegpt train` or `eegpt transfer`, or `hf://owner/name`.
    ch_names : sequence of str, optional
        Channel names of an array; Epochs have their own.
    sfreq_hz : float, optional
        Sampling rate of an array, which must be given; Epochs have their own.
    unit : {"uV", "V", "mV", "nV"}
        Unit of an array: `epochs.get_data()` is in volt, MOABB gives microvolt. Epochs are in volt.
    recipe : str, Path or Recipe
        Preprocessing applied to each trial; kinds that it keeps beside EEG are used if the model knows them.
    sigma : {"fit", "call", "trial"}
        Source of the robust SD by which the input is divided: the trials passed to `fit`; the trials of this call, as
        in pre-training if a call is one recording; or each trial. With `call`, results depend on the other trials.
    reference : str, optional
        What the EEG channels were measured against, for encoders that are told it: an electrode, `average`, `linked
        ears`, ... Names such as `Fp1-F7` say so themselves; unknown otherwise.

    Attributes
    ----------
    electrodes_, references_, left_out_ : tuple of str
        Electrodes of the channels (`Fp1-F7` where one has several derivations), what each was measured against, and
        the names of channels that are not used.
    """

    def fit(self, X: Any, y: Any = None) -> EEGPTFeatures:
        """Resolve the electrodes and measure their amplitude; nothing is learned from labels."""
        _, model = self._fit_input(X)
        self.frozen_ = freeze(model.ete)
        self._module = thaw(self.frozen_, device=pick_device())
        self._n_features_out = len(self.ids_) * 2 * model.ete.config.width
        return self

    def _refuse_bad(self, names: Sequence[str], *, every: bool) -> None:
        raise ArrayError(
            "channels used in fit are marked as bad now, and features cannot leave them out",
            found=", ".join(names),
            todo="interpolate them (epochs.interpolate_bads()), or drop them from all epochs before fit",
        )

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


class _GraphEstimator(TrialEstimator):
    """Readouts or the electrode graph on a pre-trained encoder, with one head."""

    def __init__(
        self,
        model: Any = "base",
        *,
        ch_names: Any = None,
        sfreq_hz: float | None = None,
        unit: Literal["uV", "V", "mV", "nV"] = "uV",
        recipe: Any = "epochs",
        sigma: Literal["fit", "call", "trial"] = "fit",
        reference: str | None = None,
        mode: str = "frozen",
        max_steps: int | None = None,
        validation_share: float = 0.2,
        settings: Any = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            model, ch_names=ch_names, sfreq_hz=sfreq_hz, unit=unit, recipe=recipe, sigma=sigma, reference=reference
        )
        self.mode = mode
        self.max_steps = max_steps
        self.validation_share = validation_share
        self.settings = settings
        self.random_state = random_state

    def _fit(self, signal_uv: NDArray[np.float32], model: Model, head: HeadSpec, **targets: Any) -> None:
        """Fit one head; `targets` of `SignalTrials`."""
        config = self._config()
        seed = 0 if self.random_state is None else int(check_random_state(self.random_state).randint(2**31 - 1))
        trials = self._trials(signal_uv, **targets)
        division = self._division(trials.label, seed, stratified=head.kind == "classification")
        fitted = fit_model(
            trials,
            division,
            config,
            encoder=model.ete.config,
            weights=None if config.mode == "scratch" else model.ete.state_dict(),
            graph=graph_config(config, model.ete.config),
            heads=(head,),
            head_of_task=np.zeros(1, np.int64),
            electrode_of=np.arange(len(model.vocabulary)),
            seed=seed,
            device=pick_device(),
        )
        self.frozen_ = freeze(fitted.model, config=config, heads=(head,))
        self.n_iter_ = max(1, fitted.loop.best_step)
        self.scale_ = regression_scale(trials, division.train, 0)
        self._module = thaw(self.frozen_, device=pick_device())

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
        if not isinstance(self.settings, (Mapping, type(None))):
            found = repr(self.settings)[:200]
            raise ArrayError("settings must be a mapping", found=found, expected="{'schedule.steps': 500}")
        return changed(TransferConfig(), given | dict(self.settings or {}))

    def _division(self, label: NDArray[Any], seed: int, *, stratified: bool) -> Division:
        """All trials for training, except a validation share (of each class) if there are enough."""
        everything, none = np.arange(len(label)), np.empty(0, np.int64)
        n_held, seed = round(self.validation_share * len(label)), seed % 2**32
        few = np.bincount(label).min() < 5 or n_held < label.max() + 1 if stratified else len(label) < 10 or n_held < 2
        if few:
            return Division(name="arrays", train=everything, validation=none, test=none)
        strata = label if stratified else None
        train, held = train_test_split(everything, test_size=n_held, stratify=strata, random_state=seed)
        return Division(name="arrays", train=np.sort(train), validation=np.sort(held), test=none)

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        """The head's probabilities or values, (n_trials, n_outputs)."""
        trials, model = self._new_input(X), self._module
        bank = TrialBank(
            trials,
            np.arange(model.ete.config.n_electrodes),
            device=pick_device(),
            budget_bytes=_CACHE_BYTES,
            precision="float32",
        )
        targets = Targets.unknown(len(trials), 0, model.heads.tasks[0])
        return predict(model, bank, np.arange(len(trials)), targets).astype(np.float64)


class EEGPTClassifier(ClassifierMixin, _GraphEstimator):
    """Readouts on a pre-trained encoder, or the electrode graph, fitted to labelled trials.

    Training is that of `eegpt transfer`, with its defaults. Channels of new Epochs that are marked as bad are left out.

    Parameters
    ----------
    model, ch_names, sfreq_hz, unit, recipe, sigma, reference
        As of `EEGPTFeatures`.
    mode : {"frozen", "full", "lora", "probe", "scratch"}
        What is trained, see `eegpt.transfer.config.TransferConfig`.
    max_steps : int, optional
        Training steps where an encoder or a graph learns (`settings={"model.graph": True}`), by default those of the
        settings; readouts are fitted in closed form.
    validation_share : float
        Share of the trials used to select the weights, stratified by class.
    settings : dict, optional
        More settings of `TransferConfig`, by path: `{"optimiser.learning_rate": 1e-4}`.
    random_state : int, RandomState or None
        Seed of weights, order and validation trials; None is 0, so that fits are reproducible.

    Attributes
    ----------
    classes_ : ndarray
    electrodes_, references_, left_out_ : tuple of str
    """

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
        head = HeadSpec(name="y", n_outputs=len(self.classes_))
        self._fit(signal_uv, model, head, classes=[str(c) for c in self.classes_], label=label)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of `classes_`, (n_trials, n_classes)."""
        probability = self._outputs(X)[:, : len(self.classes_)]
        return probability / probability.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """The most likely class of each trial."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]


class EEGPTRegressor(RegressorMixin, _GraphEstimator):
    """Readouts on a pre-trained encoder, or the electrode graph, fitted to a number for each trial.

    Parameters
    ----------
    model, ch_names, sfreq_hz, unit, recipe, sigma, reference, mode, max_steps, settings, random_state
        As of `EEGPTClassifier`.
    validation_share : float
        Share of the trials used to select the weights.

    Attributes
    ----------
    electrodes_, references_, left_out_ : tuple of str
    """

    def fit(self, X: Any, y: Any = None) -> EEGPTRegressor:
        """Fit to trials and their numbers."""
        if y is None:
            raise ArrayError("This EEGPTRegressor estimator requires y to be passed, but the target y is None.")
        signal_uv, model = self._fit_input(X)
        y = check_array(column_or_1d(y, warn=True), ensure_2d=False, dtype=np.float64, input_name="y")
        check_consistent_length(y, signal_uv)
        self._fit(signal_uv, model, HeadSpec(name="y", n_outputs=1, kind="regression"), target=y)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The number of each trial, in the unit of `y`."""
        mean, sd = self.scale_
        return self._outputs(X)[:, 0] * sd + mean


def _event_names(epochs: Any) -> NDArray[np.str_]:
    names = {code: name for name, code in epochs.event_id.items()}
    return np.array([names.get(int(code), str(int(code))) for code in epochs.events[:, 2]])
