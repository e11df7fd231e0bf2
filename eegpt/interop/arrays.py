"""Signals in memory as trials for fitting and prediction: one data set, one task, one subject.

The convention for all of `eegpt`: MNE's objects state their unit (volt) and rate; of an array the rate must be given,
and its unit is microvolt unless `unit` says otherwise. An amplitude that cannot be EEG in that unit is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.electrodes.references import UNKNOWN
from eegprep.electrodes.resolve import NamedChannel
from eegprep.electrodes.together import stored_reference
from eegprep.errors import UsageError
from eegprep.manifest.recipe import Recipe
from eegprep.recording import Stretch, spread
from eegprep.sources.units import AMPLITUDE_HZ, THINKABLE_UV, TYPICAL_UV, sampled_density, summarise
from eegprep.standardise.chain import plan_chain
from eegprep.standardise.signal import standardise
from eegprep.standardise.timeline import lay_out
from eegpt.data import TaskInfo
from eegpt.model.ete import ETE
from eegpt.transfer.inputs import rows_of
from eegpt.transfer.rows import SignalBatch, encode, flatten

UNITS_UV = {"V": 1e6, "mV": 1e3, "uV": 1.0, "nV": 1e-3}
_MAX_TRIALS = 40


class ArrayError(UsageError, ValueError):
    """Invalid array or parameter; also a ValueError, as scikit-learn and PyTorch users expect."""


def factor_of(unit: str) -> float:
    """The factor from a unit to microvolt; ArrayError for an unknown unit."""
    if unit not in UNITS_UV:
        raise ArrayError("unknown unit", found=unit, expected=", ".join(UNITS_UV))
    return UNITS_UV[unit]


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
    of each trial. `label` is the class of each trial, or `target` its number, if known.
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
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def states_of(ete: ETE, trials: SignalTrials, rows: NDArray[np.int64], device: torch.device) -> Tensor:
    """Mean and last state of every electrode of some trials, concatenated, (n, 2 D) in the order of their mask."""
    flat = flatten(trials.gather(rows), ete.config, np.arange(ete.config.n_electrodes), device)
    features_RF = encode(ete, flat, special=False, states=True).features_RF
    assert features_RF is not None  # states=True makes them
    return features_RF.float()


def known_electrodes(
    names: Sequence[str], vocabulary: Vocabulary, *, leave_out: Collection[str] = ()
) -> dict[int, str]:
    """Map columns of `names` to rows of the vocabulary, except those to leave out; UsageError if none is left.

    A row is an electrode, or a derivation where the model has a row for it (`eegpt.transfer.inputs`).
    """
    channels = [NamedChannel(name=str(n), kind="eeg") for n in names]
    resolved = resolve_all(vocabulary, channels)
    known = {i: r.electrode for i, r in enumerate(resolved) if r.electrode is not None}
    found = {i: electrode for i, electrode in known.items() if str(names[i]) not in leave_out}
    if known and not found:
        raise ArrayError("all channels are marked as bad", found=", ".join(map(str, names[:12])))
    if not found:
        raise UsageError(
            "no channel is an electrode that the model knows",
            found=", ".join(map(str, names[:12])),
            expected="names such as Fp1, C3, Cz; `eegprep electrodes list` prints them",
        )
    against = [stored_reference(vocabulary, resolved[i], channels[i], UNKNOWN) for i in found]
    return dict(zip(found, rows_of(vocabulary, list(found.values()), against), strict=True))


def standard_trials(trials_uv: NDArray[np.floating], sfreq_hz: float, recipe: Recipe) -> NDArray[np.float32]:
    """Apply a recipe to each trial of (N, E, S) separately: (N, E, n) float32 at 256 Hz.

    Raises
    ------
    InputError
        If the trials are shorter than the recipe's filters.
    """
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
