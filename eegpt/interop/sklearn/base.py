"""What both scikit-learn estimators do with their input: arrays or Epochs to prepared trials, and back from a pickle.

What enters: (trials, channels, samples) with names, rate and unit, or `mne.Epochs`, which know all three. What leaves:
`Trials` of the electrodes that the model knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from eegprep.errors import UsageError
from eegprep.manifest import load_recipe
from eegpt.interop.model import Model, as_model
from eegpt.interop.sklearn.trials import Trials, known_electrodes, robust_sigma, standard_trials
from eegpt.interop.sklearn.weights import thaw
from eegpt.transfer.setup import device

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["ArrayError", "TrialEstimator", "epochs_of"]

_UNITS_UV = {"V": 1e6, "mV": 1e3, "uV": 1.0, "nV": 1e-3}


class ArrayError(UsageError, ValueError):
    """An array or parameter that an estimator can't take; a ValueError too, as scikit-learn's rules want."""


class TrialEstimator(BaseEstimator):
    """What both estimators do with their input."""

    model: Any
    ch_names: Any
    sfreq_hz: float
    unit: str
    recipe: str
    sigma: str

    def _data(self, X: Any, *, reset: bool) -> tuple[NDArray[np.float64], tuple[str, ...] | None, float]:
        """Trials in microvolt (N, E, S), their channels' names, and their rate."""
        epochs = epochs_of(X)
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


def epochs_of(X: Any) -> list[Any] | None:
    """`X` as a list of mne.Epochs where it is one or (as scikit-learn's splitters make it) a list of them."""
    kind = type(X[0]) if isinstance(X, (list, tuple)) and len(X) else type(X)
    if not any(c.__module__.startswith("mne.") and c.__name__ == "BaseEpochs" for c in kind.__mro__):
        return None
    return list(X) if isinstance(X, (list, tuple)) else [X]
