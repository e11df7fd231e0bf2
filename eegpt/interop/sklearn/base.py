"""Common parts of the scikit-learn estimators: input validation, and modules that pickle as plain data.

Inputs are arrays (trials, channels, samples) with names, rate and unit, or `mne.Epochs`, whose bad channels are left
out. An amplitude that cannot be EEG is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from eegprep.electrodes.resolve import NamedChannel
from eegprep.files import one_of
from eegprep.manifest import load_recipe
from eegprep.manifest.recipe import Recipe
from eegprep.standardise.measure import robust_sd
from eegpt.interop.arrays import (
    ArrayError,
    SignalTrials,
    averages,
    check_amplitude,
    factor_of,
    known_inputs,
    rate_of,
    standard_trials,
    with_derivations,
)
from eegpt.interop.model import Model, as_model
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.heads import HeadSpec
from eegpt.model.lora import merge_lora
from eegpt.model.teg import TEGConfig
from eegpt.runs.runtime import pick_device
from eegpt.runs.settings import from_mapping, to_mapping
from eegpt.transfer.checkpoint import as_saved
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import build_model
from eegpt.transfer.model import TransferModel

if TYPE_CHECKING:
    from sklearn.utils import Tags


class _Input(NamedTuple):
    """Trials (N, E, S), their channels' names, types, rate and unit, and the names of bad channels."""

    signal_uv: NDArray[np.float64]
    names: tuple[str, ...] | None
    types: tuple[str, ...]
    sfreq_hz: float
    unit: str
    unusable: frozenset[str]
    is_epochs: bool


class TrialEstimator(BaseEstimator):
    """Base of the estimators."""

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
    ) -> None:
        self.model = model
        self.ch_names = ch_names
        self.sfreq_hz = sfreq_hz
        self.unit = unit
        self.recipe = recipe
        self.sigma = sigma
        self.reference = reference

    def _data(self, X: Any, *, reset: bool) -> _Input:
        """The trials of X, checked."""
        epochs = epochs_of(X)
        names: tuple[str, ...] | None
        unusable: frozenset[str] = frozenset()
        if epochs is not None:
            data = np.concatenate(alike(epochs))
            names, sfreq_hz, unit = tuple(epochs[0].ch_names), float(epochs[0].info["sfreq"]), "V"
            types = tuple(epochs[0].get_channel_types())
            unusable = frozenset(name for e in epochs for name in e.info["bads"])
        else:
            data, sfreq_hz, unit = X, rate_of(self.sfreq_hz), self.unit
            names = channel_names(self.ch_names)
            types = ("eeg",) * len(names or ())
        factor = factor_of(unit)
        if not reset:
            data = self._as_fitted(data, names)
        data = validate_data(self, data, reset=reset, allow_nd=True, dtype=np.float64, ensure_all_finite=True)
        if data.ndim == 2:
            data = data[:, None, :]
        if data.ndim != 3:
            raise ArrayError(
                "trials must have 3 dimensions",
                found=f"{data.ndim}",
                expected="3 (trials, channels, samples), or 2 for trials of one channel",
            )
        return _Input(data * factor, names, types, sfreq_hz, unit, unusable, epochs is not None)

    def _fit_input(self, X: Any) -> tuple[NDArray[np.float32], Model]:
        """Prepare the training trials, (N, E, n) at 256 Hz, and store the parameters."""
        given = self._data(X, reset=True)
        names = given.names
        if names is None or len(names) != given.signal_uv.shape[1]:
            raise ArrayError(
                "the channels of the array have no names",
                found=f"{given.signal_uv.shape[1]} channels, {0 if names is None else len(names)} names",
                expected="one name for each channel",
                todo="pass ch_names=[...], in the array's order",
            )
        one_of(self.sigma, "sigma", ("fit", "call", "trial"))
        model = as_model(self.model)
        recipe = self._recipe()
        found, left_out = known_inputs(
            [NamedChannel(name=n, kind=t) for n, t in zip(names, given.types, strict=True)],
            model.vocabulary,
            reference=self.reference,
            kinds=recipe.kinds,
            average=averages(recipe),
            leave_out=given.unusable,
        )
        model = with_derivations(model, found)
        self.columns_ = np.array(found.columns, np.int64)
        self.electrodes_, self.references_, self._kinds = found.names, found.references, found.kinds
        self.ids_ = found.rows(model.vocabulary)
        self._numbers = found.numbers(model.vocabulary)
        self.left_out_ = tuple(names[i] for i in sorted(left_out))
        self.names_in_ = names
        self._types = dict(zip(names, given.types, strict=True)) if given.is_epochs else {}
        signal_uv = self._standard(given)
        self.sigma_uv_ = robust_sd(signal_uv, (0, 2))
        return signal_uv, model

    def _new_input(self, X: Any) -> SignalTrials:
        check_is_fitted(self)
        given = self._data(X, reset=False)
        used = [self.names_in_[i] for i in self.columns_]
        types = dict(zip(given.names or (), given.types, strict=True)) if given.is_epochs else {}
        bad = [n for n in used if n in given.unusable or types.get(n) != self._types.get(n, types.get(n))]
        mask = np.array([name not in bad for name in used])
        if bad:
            self._refuse_bad(bad, every=not mask.any())
        return self._trials(self._standard(given), mask=np.broadcast_to(mask, (len(given.signal_uv), len(mask))))

    def _refuse_bad(self, names: Sequence[str], *, every: bool) -> None:
        """Refuse trials in which channels of the fit are bad, if the estimator cannot leave them out."""
        if every:
            raise ArrayError("all channels are marked as bad", found=", ".join(names))

    def _as_fitted(self, data: Any, names: tuple[str, ...] | None) -> Any:
        """The channels used in fit, in the same order, if names are given."""
        if names is None or names == self.names_in_:
            return data
        if not set(self.names_in_) <= set(names):
            raise ArrayError(
                "the channels differ from those of the fit",
                found=", ".join(names),
                expected=", ".join(self.names_in_),
            )
        return np.asarray(data)[:, [names.index(n) for n in self.names_in_]]

    def _standard(self, given: _Input) -> NDArray[np.float32]:
        used_uv = given.signal_uv[:, self.columns_]
        wrong = "the Epochs are not in volt: scale their data" if given.is_epochs else ""
        check_amplitude(used_uv, given.sfreq_hz, stated=given.unit, todo=wrong)
        return standard_trials(used_uv, given.sfreq_hz, self._recipe(), self._kinds)

    def _recipe(self) -> Recipe:
        return self.recipe if isinstance(self.recipe, Recipe) else load_recipe(self.recipe)

    def _trials(self, signal_uv: NDArray[np.float32], **more: Any) -> SignalTrials:
        """The trials, and the robust SD that each trial and electrode is divided by."""
        axes = {"trial": (2,), "call": (0, 2)}
        if self.sigma != "fit" and self.sigma not in axes:
            raise ArrayError("unknown sigma", found=self.sigma, expected="fit, call or trial")
        sigma = self.sigma_uv_ if self.sigma == "fit" else robust_sd(signal_uv, axes[self.sigma])
        return SignalTrials(signal_uv, sigma, self.ids_, reference=self._numbers, **more)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        # The modules are rebuilt from the bytes: a pickle contains plain data, no classes of torch.
        return {k: v for k, v in state.items() if k != "_module"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "frozen_"):
            self._module = thaw(self.frozen_, device=pick_device())

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def epochs_of(X: Any) -> list[Any] | None:
    """`X` as a list of mne.Epochs if it is one or (as created by scikit-learn's splitters) a list of them.

    Raises
    ------
    ArrayError
        Another object of MNE, such as a Raw, which has no trials.
    """
    several = list(X) if isinstance(X, (list, tuple)) else [X]
    of_mne = [any(c.__module__.startswith("mne.") for c in type(one).__mro__) for one in several]
    if not any(of_mne):
        return None
    for one in several:
        if not any(c.__module__.startswith("mne.") and c.__name__ == "BaseEpochs" for c in type(one).__mro__):
            raise ArrayError(
                "not trials",
                found=f"{type(one).__module__}.{type(one).__name__}",
                expected="an array (trials, channels, samples), or mne.Epochs",
                todo="mne.make_fixed_length_epochs(raw) cuts a Raw into trials",
            )
    return several


def alike(epochs: Sequence[Any]) -> list[NDArray[np.float64]]:
    """The data of several Epochs with the channels of the first, in its order.

    Raises
    ------
    ArrayError
        They differ in channels, rate or length.
    """
    names, sfreq_hz, n_samples = epochs[0].ch_names, epochs[0].info["sfreq"], len(epochs[0].times)
    out = []
    for one in epochs:
        if set(one.ch_names) != set(names) or one.info["sfreq"] != sfreq_hz or len(one.times) != n_samples:
            raise ArrayError(
                "the Epochs of the list differ",
                found=f"{len(one.ch_names)} channels, {len(one.times)} samples at {one.info['sfreq']:g} Hz",
                expected=f"{', '.join(names[:12])}; {n_samples} samples at {sfreq_hz:g} Hz",
                todo="make them alike (equalize_channels, resample, crop), or pass one mne.Epochs",
            )
        data = one.get_data(copy=False)
        out.append(data if one.ch_names == names else data[:, [one.ch_names.index(name) for name in names]])
    return out


def channel_names(given: Any) -> tuple[str, ...] | None:
    """The names of an array's channels, or None; ArrayError unless they are a sequence without repeats."""
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ArrayError(
            "ch_names must be a sequence of names", found=repr(given)[:200], expected="such as ['C3', 'C4']"
        )
    names = tuple(map(str, given))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ArrayError("ch_names has a repeated name", found=", ".join(twice), todo="give each channel its own")
    return names


# ---- modules as plain data


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """Weights as safetensors, configuration as JSON."""

    weights: bytes
    config: str


def freeze(
    module: ETE | TransferModel, *, config: TransferConfig | None = None, heads: Sequence[HeadSpec] = ()
) -> Frozen:
    """Convert a module to plain data, with LoRA merged into the weights."""
    plain: dict[str, Any] = {}
    if isinstance(module, TransferModel):
        assert config is not None  # a transfer model cannot be rebuilt without its settings
        merge_lora(module.ete)
        plain = {"transfer": to_mapping(config), "graph": to_mapping(module.teg.config)}
        plain["heads"] = [to_mapping(h) for h in heads]
    ete = module.ete if isinstance(module, TransferModel) else module
    plain["encoder"] = to_mapping(ete.config)
    tensors = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    return Frozen(weights=save(tensors), config=json.dumps(plain))


def thaw(frozen: Frozen, *, device: torch.device) -> Any:
    """Rebuild the module in evaluation mode: an `ETE`, or a `TransferModel` if its settings were frozen."""
    plain = json.loads(frozen.config)
    ete = ETE(from_mapping(ETEConfig, plain["encoder"]))
    module: ETE | TransferModel = ete
    if "transfer" in plain:
        config = as_saved(from_mapping(TransferConfig, plain["transfer"]))
        heads = tuple(from_mapping(HeadSpec, h) for h in plain["heads"])
        module = build_model(ete, from_mapping(TEGConfig, plain["graph"]), heads, config)
    module.load_state_dict(load(frozen.weights))
    return module.requires_grad_(False).to(device).eval()
