"""Arrays of trials as what training reads: prepared, and behind the columns of a `TrialIndex`.

What enters: (trials, channels, samples) in any unit and rate, with names. What leaves: `Trials` (microvolt at 256 Hz,
electrodes of the model's vocabulary) and `TrialArrays`, an index over them that the transfer code takes for its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.electrodes.resolve import NamedChannel
from eegprep.errors import UsageError
from eegprep.manifest.recipe import Recipe
from eegprep.recording import Stretch
from eegprep.steps.chain import plan_chain
from eegprep.steps.standardise import standardise
from eegprep.steps.timeline import Timeline, lay_out
from eegpt.data.trials import TaskInfo, TrialBatch

__all__ = ["TrialArrays", "Trials", "known_electrodes", "robust_sigma", "standard_trials"]

_MAD_TO_SD = 1.4826


@dataclass(frozen=True, kw_only=True)
class Trials:
    """(n_trials, n_electrodes, n_samples) float32 microvolt at 256 Hz, and each electrode's id."""

    signal_uv: NDArray[np.float32]
    electrode: NDArray[np.int64]


def known_electrodes(names: Sequence[str], vocabulary: Vocabulary) -> dict[int, str]:
    """Column of `names` to electrode, for those that the vocabulary has.

    Raises
    ------
    UsageError
        Where it has none of them.
    """
    resolved = resolve_all(vocabulary, [NamedChannel(name=str(n), kind="eeg") for n in names])
    found = {i: r.electrode for i, r in enumerate(resolved) if r.electrode is not None}
    if not found:
        raise UsageError(
            "no channel is an electrode that the model knows",
            found=", ".join(map(str, names[:12])),
            expected="names such as Fp1, C3, Cz; `eegprep electrodes list` prints them",
        )
    return found


def standard_trials(trials_uv: NDArray[np.floating], sfreq_hz: float, recipe: Recipe) -> NDArray[np.float32]:
    """Trials (N, E, S) through a recipe's steps, each by itself: (N, E, n) float32 at 256 Hz.

    Raises
    ------
    InputError
        Where the trials are shorter than the recipe's filters.
    """
    chain = plan_chain(recipe, sfreq_hz=sfreq_hz, line_freq_hz=None)
    N, E, S = trials_uv.shape
    source = [Stretch(start_sample=i * S, n_samples=S) for i in range(N)]
    timeline: Timeline = lay_out(source, N * S, Fraction(chain.ratio))
    line = np.ascontiguousarray(np.swapaxes(trials_uv, 0, 1)).reshape(E, N * S)
    length = {s.n_samples for s in timeline.stretches}
    out = np.empty((N, E, max(length)), np.float32)
    # Stretches come in order and whole where they are trials; a long one comes in parts.
    starts = np.array([s.start_sample for s in timeline.stretches])
    for start, chunk in standardise(line, timeline, chain, rows=range(E)):
        trial = int(np.searchsorted(starts, start, side="right")) - 1
        first = start - int(starts[trial])
        out[trial, :, first : first + chunk.shape[1]] = chunk
    return out


def robust_sigma(signal_uv: NDArray[np.floating], axis: tuple[int, ...]) -> NDArray[np.float32]:
    """1.4826 x median absolute deviation over `axis`."""
    middle = np.median(signal_uv, axis=axis, keepdims=True)
    return (_MAD_TO_SD * np.median(np.abs(signal_uv - middle), axis=axis)).astype(np.float32)


class TrialArrays:
    """Trials in memory with the columns of `eegpt.data.TrialIndex`.

    Parameters
    ----------
    trials : Trials
    sigma_uv : (n_electrodes,) or (n_trials, n_electrodes) float32
        Robust SD by which the encoder's input is scaled.
    classes : sequence of str
    label : (n_trials,) int array, optional
        Class of each trial; zeros where nobody knows it yet.
    """

    def __init__(
        self,
        trials: Trials,
        sigma_uv: NDArray[np.float32],
        classes: Sequence[str],
        label: NDArray[np.int64] | None = None,
    ) -> None:
        N, E, S = trials.signal_uv.shape
        self._signal, self._electrode = trials.signal_uv, trials.electrode
        self._sigma = np.broadcast_to(np.asarray(sigma_uv, np.float32), (N, E))
        self.tasks = (
            TaskInfo(name="y", dataset="arrays", kind="classification", classes=tuple(classes), within_subject=True),
        )
        self.task = np.zeros(N, np.int32)
        self.label = np.zeros(N, np.int32) if label is None else np.asarray(label, np.int32)
        self.target = self.label.astype(np.float32)
        self.recording = np.zeros(N, np.int32)
        self.recording_ids = ("arrays/-/-/-",)
        self.start_sample = np.arange(N, dtype=np.int64) * S
        self.n_samples = np.full(N, S, np.int32)
        self.n_electrodes = np.full(N, E, np.int32)
        self.subject = ("arrays/-",) * N
        self.split = ("train",) * N

    def __len__(self) -> int:
        return len(self.task)

    def gather(self, indices: NDArray[np.int64], **_: Any) -> TrialBatch:
        """A batch, in microvolt with a step of 1."""
        indices = np.asarray(indices, np.int64)
        shape = (len(indices), self._signal.shape[1])
        return TrialBatch(
            signal_i16=self._signal[indices],
            scale_uv=np.ones(shape, np.float32),
            sigma_uv=self._sigma[indices],
            electrode=np.broadcast_to(self._electrode, shape),
            electrode_mask=np.ones(shape, bool),
            n_samples=self.n_samples[indices],
            task=self.task[indices],
            label=self.label[indices],
            target=self.target[indices],
            recording=self.recording[indices],
        )
