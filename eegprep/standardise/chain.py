"""A recipe for one recording: its filters at the recording's rate, and its output rate.

Filters, resampling and re-referencing are linear and commute if each filter acts at the source's rate, so a recipe
whose filters come before its resampling is a single multiplication of spectra (`eegprep.standardise.long`). Any other
order is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import UsageError
from eegprep.manifest.recipe import BandPass, Keep, Notch, Recipe, Reference, Reject, RemoveOffset, Resample
from eegprep.recording import STANDARD_SFREQ_HZ
from eegprep.standardise.fir import band_pass_taps, notch_stop_hz, notch_taps, upper_stop_hz
from eegprep.standardise.resample import ratio_of

# The low-pass must end below this fraction of the Nyquist frequency, or the ends of a block ring.
_GUARD = 0.96


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The processing of a recording.

    Attributes
    ----------
    sfreq_hz, to_sfreq_hz : float
        Rate of the source and of the result.
    offset : str
        Scope of the median: `none`, `recording`, `stretch`.
    filters : tuple of ndarray
        Coefficients of each filter, in order, at the source's rate.
    guarded : bool
        Whether a low-pass removes the signal at the lower of the two Nyquist frequencies.
    average : bool
        Whether to re-reference to the average.
    reject : Reject or None
        Rejection limits.
    """

    sfreq_hz: float
    to_sfreq_hz: float
    offset: Literal["none", "recording", "stretch"] = "none"
    filters: tuple[NDArray[np.float64], ...] = ()
    guarded: bool = False
    average: bool = False
    reject: Reject | None = None

    @property
    def ratio(self) -> Fraction:
        """Output samples per input sample."""
        return ratio_of(self.sfreq_hz, self.to_sfreq_hz)

    @property
    def longest_filter(self) -> int:
        """Length of the longest filter in samples; shorter stretches cannot be filtered."""
        return max((taps.size for taps in self.filters), default=1)

    def joined(self) -> NDArray[np.float64]:
        """All filters combined into one."""
        taps = np.ones(1)
        for one in self.filters:
            taps = np.convolve(taps, one)
        return taps


def plan_chain(recipe: Recipe, *, sfreq_hz: float, line_freq_hz: float | None) -> Chain:
    """The chain of `recipe` for the EEG of a recording at `sfreq_hz` with line noise at `line_freq_hz`.

    For other kinds, pass `recipe.for_kind(kind)`.

    Raises
    ------
    UsageError
        If a step occurs twice, a filter comes after the resampling, the offset is removed after a filter, or the
        recipe does not end at 256 Hz.
    """
    offset: Literal["none", "recording", "stretch"] = "none"
    filters: list[NDArray[np.float64]] = []
    to_sfreq_hz, stop_hz = sfreq_hz, _stop_hz(recipe, sfreq_hz)
    average, reject = False, None
    seen: list[str] = []
    for step in recipe.steps:
        if isinstance(step, Keep):
            continue
        _check_order(recipe, step.step, seen)
        seen.append(step.step)
        if isinstance(step, RemoveOffset):
            offset = step.over
        elif isinstance(step, BandPass):
            low, high = _usable_edges(step, sfreq_hz)
            if low is not None or high is not None:
                filters.append(band_pass_taps(low, high, sfreq_hz))
        elif isinstance(step, Notch):
            if freqs := _notch_freqs_hz(step, sfreq_hz, line_freq_hz=line_freq_hz, stop_hz=stop_hz):
                filters.append(notch_taps(freqs, sfreq_hz))
        elif isinstance(step, Resample):
            to_sfreq_hz = step.sfreq_hz
        elif isinstance(step, Reference):
            average = step.to == "average"
            if step.to not in ("keep", "average"):
                raise UsageError(
                    f"recipe {recipe.name!r} cannot re-reference a recording to {step.to}",
                    expected="reference: keep or average",
                    todo="derive other references with `eegprep shard --reference`",
                )
        else:
            reject = step
    if to_sfreq_hz != STANDARD_SFREQ_HZ:
        raise UsageError(
            f"recipe {recipe.name!r} does not end at the standard rate",
            found=f"{to_sfreq_hz:g} Hz",
            expected=f"{STANDARD_SFREQ_HZ:g} Hz",
            todo="add `- step: resample` to the recipe",
        )
    return Chain(
        sfreq_hz=sfreq_hz,
        to_sfreq_hz=to_sfreq_hz,
        offset=offset,
        filters=tuple(filters),
        guarded=stop_hz is not None and stop_hz <= _GUARD * min(sfreq_hz, to_sfreq_hz) / 2,
        average=average,
        reject=reject,
    )


def _stop_hz(recipe: Recipe, sfreq_hz: float) -> float | None:
    """The frequency above which the recipe's low-pass removes everything, or None."""
    high_hz = next((s.high_hz for s in recipe.steps if isinstance(s, BandPass)), None)
    return upper_stop_hz(high_hz, sfreq_hz) if high_hz is not None and high_hz < sfreq_hz / 2 else None


def _usable_edges(step: BandPass, sfreq_hz: float) -> tuple[float | None, float | None]:
    """The step's edges at this rate: edges above the Nyquist frequency are not needed."""
    return step.low_hz, step.high_hz if step.high_hz is not None and step.high_hz < sfreq_hz / 2 else None


def _notch_freqs_hz(
    step: Notch, sfreq_hz: float, *, line_freq_hz: float | None, stop_hz: float | None
) -> tuple[float, ...]:
    """Frequencies of the notches, below the Nyquist frequency and `stop_hz`, where a low-pass removes everything.

    Empty if the line frequency is unknown.
    """
    base = line_freq_hz if step.freq_hz == "line" else float(step.freq_hz)
    if base is None:
        return ()
    limit = sfreq_hz / 2
    multiples = range(1, int(limit / base) + 1) if step.harmonics else range(1, 2)
    return tuple(
        base * k for k in multiples if notch_stop_hz(base * k) < limit and (stop_hz is None or base * k < stop_hz)
    )


def _check_order(recipe: Recipe, name: str, seen: list[str]) -> None:
    wrong = None
    if name in seen:
        wrong = "occurs twice"
    elif name in ("band_pass", "notch") and "resample" in seen:
        wrong = "comes after resample; filters act at the source's rate"
    elif name == "remove_offset" and set(seen) - {"reject"}:
        wrong = "comes after another step; an offset is removed first"
    if wrong:
        raise UsageError(
            f"recipe {recipe.name!r}: step {name!r} {wrong}",
            expected="remove_offset, then band_pass and notch, then resample; reference and reject anywhere",
        )
