"""Signals in memory as trials for fitting and prediction: one data set, one task, one subject.

The convention for all of `eegpt`: MNE's objects state their unit (volt) and rate; of an array the rate must be given,
and its unit is microvolt unless `unit` says otherwise. An amplitude that cannot be EEG in that unit is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.electrodes.references import AVERAGE, common_reference, reference_numbers, stated_reference
from eegprep.electrodes.resolve import EEG_ALONE, Channel, Rule
from eegprep.electrodes.together import stored_reference
from eegprep.errors import EEGPTError, UsageError
from eegprep.files import number_of
from eegprep.formats.decoded import check_rate
from eegprep.manifest.recipe import Recipe, Reference
from eegprep.recording import Stretch, input_names, spread
from eegprep.sources.units import AMPLITUDE_HZ, THINKABLE_UV, TYPICAL_UV, sampled_density, summarise
from eegprep.standardise.chain import plan_chain
from eegprep.standardise.signal import standardise
from eegprep.standardise.timeline import lay_out
from eegpt.data import TaskInfo
from eegpt.interop.model import Model
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.transfer.inputs import derivation_rows, extended, rows_of
from eegpt.transfer.rows import encode, flatten
from eegpt.transfer.signals import SignalBatch

UNITS_UV = {"V": 1e6, "mV": 1e3, "uV": 1.0, "nV": 1e-3}
_MAX_TRIALS = 40


class ArrayError(UsageError, ValueError):
    """Invalid array or parameter; also a ValueError, as scikit-learn and PyTorch users expect."""


def factor_of(unit: str) -> float:
    """The factor from a unit to microvolt; ArrayError for an unknown unit."""
    if not isinstance(unit, str) or unit not in UNITS_UV:
        raise ArrayError("unknown unit", found=unit, expected=", ".join(UNITS_UV))
    return UNITS_UV[unit]


def rate_of(sfreq_hz: object, name: str = "sfreq_hz") -> float:
    """A sampling rate that EEG can have; ArrayError for anything else."""
    if sfreq_hz is None:
        raise ArrayError("the array's sampling rate is not known", todo=f"pass {name}=, in Hz")
    try:
        return check_rate(number_of(sfreq_hz, name), None)
    except EEGPTError as error:
        raise ArrayError(error.what, where=name, found=error.found, expected=error.expected) from None


def check_amplitude(trials_uv: NDArray[np.floating], sfreq_hz: float, *, stated: str, todo: str = "") -> None:
    """Refuse trials (N, E, S) in microvolt whose amplitude cannot be that of EEG.

    The measure is that of ingest: the median over channels of the amplitude between 4 and 30 Hz. Trials too short to
    measure it are not judged.

    Parameters
    ----------
    stated : str
        The unit from which the trials were converted.
    todo : str
        What to do if no other unit fits.

    Raises
    ------
    ArrayError
        With the amplitude, and the unit in which it would be plausible.
    """
    part = np.asarray(trials_uv[spread(len(trials_uv), _MAX_TRIALS)], np.float64)
    N, E, S = part.shape
    line = np.swapaxes(part, 0, 1).reshape(E, N * S)
    found = summarise(sampled_density(line, [Stretch(start_sample=i * S, n_samples=S) for i in range(N)], sfreq_hz))
    live = found.amplitude[np.isfinite(found.amplitude) & (found.amplitude > 0)]
    if not len(live) or THINKABLE_UV[0] <= (amplitude := float(np.median(live))) <= THINKABLE_UV[1]:
        return
    fitting = [
        (unit, uv) for unit, factor in UNITS_UV.items()
        if THINKABLE_UV[0] <= (uv := amplitude * factor / UNITS_UV.get(stated, 1.0)) <= THINKABLE_UV[1]
    ]  # fmt: skip
    best = min(fitting, key=lambda x: abs(np.log(x[1] / 10)), default=None)
    raise ArrayError(
        f"the amplitude is impossible for EEG in {stated}",
        found=f"{amplitude:.3g} µV between {AMPLITUDE_HZ[0]:g} and {AMPLITUDE_HZ[1]:g} Hz (median of {len(live)} "
        "channels)",
        expected=f"{TYPICAL_UV[0]:g} to {TYPICAL_UV[1]:g} µV",
        todo=todo or (f"if the array is in {best[0]} ({best[1]:.3g} µV), pass unit={best[0]!r}" if best else None),
    )


class SignalTrials:
    """Trials of one length, or windows of a longer signal.

    `signal_uv` (n, n_electrodes, n_samples) is in microvolt at 256 Hz; the rows `at` are the trials (all by default),
    so a strided view of all windows of a longer signal is only copied on demand. `sigma_uv`, per trial or common,
    scales the encoder's input; `electrode` has rows of its vocabulary, `mask` (n_trials, n_electrodes) the electrodes
    of each trial, `reference` (n_electrodes,) the numbers of their references. `label` is the class of each trial, or
    `target` its number, if known.
    """

    def __init__(
        self,
        signal_uv: NDArray[np.float32],
        sigma_uv: NDArray[np.float32],
        electrode: NDArray[np.int64],
        *,
        at: NDArray[np.int64] | None = None,
        mask: NDArray[np.bool_] | None = None,
        reference: NDArray[np.int64] | None = None,
        classes: Sequence[str] = (),
        label: NDArray[np.integer] | None = None,
        target: NDArray[np.floating] | None = None,
    ) -> None:
        self._at = np.arange(len(signal_uv)) if at is None else at
        N, E, S = len(self._at), *signal_uv.shape[1:]
        self._reference, self._E = reference, E
        self._signal_uv = signal_uv
        self._sigma_uv = np.broadcast_to(np.asarray(sigma_uv, np.float32), (N, E))
        self._mask = np.ones((N, E), bool) if mask is None else mask
        self._electrode = np.where(self._mask, electrode, -1)
        kind = "classification" if target is None else "regression"
        task = TaskInfo(name="y", dataset="arrays", kind=kind, classes=tuple(classes), within_subject=True)
        self.tasks: tuple[TaskInfo, ...] = (task,)
        self.task = np.zeros(N, np.int32)
        self.label = np.zeros(N, np.int32) if label is None else np.asarray(label, np.int32)
        self.target = (self.label if target is None else target).astype(np.float32)
        self.n_samples, self.n_electrodes = np.full(N, S, np.int32), np.full(N, E, np.int32)
        self.subject = ("arrays/-",) * N

    def __len__(self) -> int:
        return len(self.task)

    def gather(self, indices: NDArray[np.int64], /) -> SignalBatch:
        """Some trials."""
        return SignalBatch(
            signal_uv=np.ascontiguousarray(self._signal_uv[self._at[indices]]),
            sigma_uv=self._sigma_uv[indices],
            electrode=self._electrode[indices],
            electrode_mask=self._mask[indices],
            n_samples=self.n_samples[indices],
            reference=None if self._reference is None else np.broadcast_to(self._reference, (len(indices), self._E)),
        )

    def fingerprint(self, indices: NDArray[np.int64], /) -> str | None:
        """Hash of some trials' signals, scales and electrodes; None for windows of a longer signal, which overlap."""
        signal_uv = self._signal_uv
        if not signal_uv.flags.c_contiguous:
            return None
        digest = hashlib.sha256(repr(signal_uv.shape).encode())
        for array in (
            signal_uv,
            self._at[indices],
            *(a[indices] for a in (self._sigma_uv, self._electrode, self._mask)),
            np.zeros(0) if self._reference is None else self._reference,
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def states_of(ete: ETE, trials: SignalTrials, rows: NDArray[np.int64], device: torch.device) -> Tensor:
    """Mean and last state of every electrode of some trials, concatenated, (n, 2 D) in the order of their mask."""
    flat = flatten(trials.gather(rows), ete.config, np.arange(ete.config.n_electrodes), device)
    features_RF = encode(ete, flat, special=False, states=True).features_RF
    assert features_RF is not None  # states=True makes them
    return features_RF.float()


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The channels that a model reads: columns of the input, electrodes, what each was measured against, and kinds."""

    columns: tuple[int, ...]
    electrodes: tuple[str, ...]
    references: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Unique names: the electrode, or `Fp1-F7` where it has several derivations."""
        return input_names(self.electrodes, self.references)

    def rows(self, vocabulary: Vocabulary, *, apart: bool = True) -> NDArray[np.int64]:
        """Rows of a model's vocabulary; UsageError if it cannot tell two inputs `apart`."""
        names = rows_of(vocabulary, self.electrodes, self.references, apart=apart)
        return np.array([vocabulary.id_of(name) for name in names], np.int64)

    def numbers(self, vocabulary: Vocabulary) -> NDArray[np.int64]:
        """Numbers of the references for an encoder that is told them."""
        return np.array(reference_numbers(vocabulary, self.references), np.int64)

    def ids(self, config: ETEConfig, vocabulary: Vocabulary, *, apart: bool = True) -> NDArray[np.int64]:
        """Ids of the inputs, see `ETEConfig.input_ids`."""
        ids: NDArray[np.int64] = config.input_ids(self.rows(vocabulary, apart=apart), self.numbers(vocabulary))
        return ids


def known_inputs(
    channels: Sequence[Channel],
    vocabulary: Vocabulary,
    *,
    reference: str | None = None,
    kinds: Collection[str] = EEG_ALONE,
    average: bool = False,
    rules: Mapping[str, Rule] | None = None,
    leave_out: Collection[str] = (),
) -> tuple[Inputs, dict[int, str]]:
    """The channels that a model reads, and the columns of the others with the reasons.

    Parameters
    ----------
    reference : str, optional
        What the EEG channels were measured against, unless their names say so; unknown by default.
    kinds : collection of str
        Kinds of channels to read.
    average : bool
        Whether the recipe re-references EEG to the average (`averages`).
    leave_out : collection of str
        Names of channels that are marked as bad.

    Raises
    ------
    UsageError
        No channel is left, the reference is not known, or channels with different references would be averaged.
    """
    stated = stated_reference(vocabulary, reference)
    resolved = resolve_all(vocabulary, channels, rules=rules, reference=stated, kinds=kinds)
    known = {i: r for i, r in enumerate(resolved) if r.electrode is not None}
    found = {i: r for i, r in known.items() if channels[i].name not in leave_out}
    out = {i: r.reason for i, r in enumerate(resolved) if i not in found}
    out |= dict.fromkeys((i for i, c in enumerate(channels) if c.name in leave_out), "marked as bad")
    if not found:
        if known:
            raise ArrayError("all channels are marked as bad", found=", ".join(c.name for c in channels[:12]))
        raise ArrayError(
            "no channel is an electrode that the model knows",
            found="; ".join(f"{channels[i].name}: {why}" for i, why in list(out.items())[:6]),
            expected="names such as Fp1, C3, Cz; `eegprep electrodes list` prints them",
        )
    against = [stored_reference(vocabulary, r, channels[i], stated) for i, r in found.items()]
    if average:
        eeg = [row for row, r in enumerate(found.values()) if r.kind == "eeg"]
        if common_reference([against[row] for row in eeg]) is None:
            raise ArrayError(
                "channels with different references cannot be re-referenced to the average",
                found=", ".join(channels[list(found)[row]].name for row in eeg[:8]),
                expected="one reference common to all EEG channels",
                todo="pass a recipe that keeps the reference",
            )
        against = [AVERAGE if r.kind == "eeg" else own for own, r in zip(against, found.values(), strict=True)]
    inputs = Inputs(
        columns=tuple(found),
        electrodes=tuple(str(r.electrode) for r in found.values()),
        references=tuple(against),
        kinds=tuple(r.kind for r in found.values()),
    )
    return inputs, out


def averages(recipe: Recipe) -> bool:
    """Whether a recipe re-references EEG to the average."""
    return any(isinstance(step, Reference) and step.to == AVERAGE for step in recipe.steps)


def with_derivations(model: Model, inputs: Inputs) -> Model:
    """The model with a row of its own for each of several derivations of one electrode."""
    rows = derivation_rows(model.vocabulary, inputs.electrodes, inputs.references)
    if not rows:
        return model
    config, vocabulary, weights = extended(model.ete.config, model.vocabulary, model.ete.state_dict(), rows)
    ete = ETE(config)
    ete.load_state_dict(weights or {})
    return dataclasses.replace(model, ete=ete.eval().requires_grad_(False), vocabulary=vocabulary)


def standard_trials(
    trials_uv: NDArray[np.floating], sfreq_hz: float, recipe: Recipe, kinds: Sequence[str] = ()
) -> NDArray[np.float32]:
    """Apply a recipe to each trial of (N, E, S) separately: (N, E, n) float32 at 256 Hz.

    `kinds` are those of the E channels, if not all are EEG; each has the recipe's filters for its kind.

    Raises
    ------
    InputError
        If the trials are shorter than the recipe's filters.
    """
    if set(kinds) - {"eeg"}:
        out = np.empty(0, np.float32)
        for kind in dict.fromkeys(kinds):
            own = [i for i, k in enumerate(kinds) if k == kind]
            part = standard_trials(trials_uv[:, own], sfreq_hz, recipe.for_kind(kind))
            out = out if out.size else np.empty((len(part), len(kinds), part.shape[2]), np.float32)
            out[:, own] = part
        return out
    chain = plan_chain(recipe, sfreq_hz=sfreq_hz, line_freq_hz=None)
    N, E, S = trials_uv.shape
    timeline = lay_out([Stretch(start_sample=i * S, n_samples=S) for i in range(N)], N * S, Fraction(chain.ratio))
    line = np.ascontiguousarray(np.swapaxes(trials_uv, 0, 1)).reshape(E, N * S)
    out = np.empty((N, E, max(s.n_samples for s in timeline.stretches)), np.float32)
    # Stretches arrive in order, and complete if they are trials; long ones arrive in parts.
    starts = np.array([s.start_sample for s in timeline.stretches])
    for start, chunk in standardise(line, timeline, chain, rows=range(E)):
        trial = int(np.searchsorted(starts, start, side="right")) - 1
        first = start - int(starts[trial])
        out[trial, :, first : first + chunk.shape[1]] = chunk
    return out
