"""A recipe made concrete for one recording: which filters at its rate, which output rate, what is said of it.

Filters, resampling and re-referencing are linear and commute as long as each filter acts at the source's rate, so
a recipe whose filters stand before its resampling is one multiplication of spectra (`eegprep.steps.fused`); any
other order is refused, since it could only give the same signal less exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import UsageError
from eegprep.manifest.recipe import BandPass, Notch, Recipe, Reference, Reject, RemoveOffset, Resample
from eegprep.recording import STANDARD_SFREQ_HZ
from eegprep.steps.band_pass import usable_edges
from eegprep.steps.fir import band_pass_taps, notch_taps, upper_stop_hz
from eegprep.steps.notch import notch_freqs_hz
from eegprep.steps.resample import ratio_of

__all__ = ["Chain", "plan_chain"]

# The low-pass has to be over at this part of the Nyquist frequency for a block's ends not to ring.
_GUARD = 0.96


@dataclass(frozen=True, kw_only=True)
class Chain:
    """What happens to a recording.

    Attributes
    ----------
    sfreq_hz, to_sfreq_hz : float
        Rate of the source and of the result.
    offset : str
        Over what the median is taken: `none`, `recording`, `stretch`.
    filters : tuple of ndarray
        Coefficients of each filter, in order, at the source's rate.
    guarded : bool
        Whether a low-pass keeps the signal clear of the lower of the two Nyquist frequencies.
    average : bool
        Whether to re-reference to the average.
    reject : Reject or None
        What becomes a gap.
    described : tuple of str
        Every step with its parameters and, where it does nothing here, why.
    """

    sfreq_hz: float
    to_sfreq_hz: float
    offset: Literal["none", "recording", "stretch"] = "none"
    filters: tuple[NDArray[np.float64], ...] = ()
    guarded: bool = False
    average: bool = False
    reject: Reject | None = None
    described: tuple[str, ...] = ()

    @property
    def ratio(self) -> Fraction:
        """Output samples per input sample."""
        return ratio_of(self.sfreq_hz, self.to_sfreq_hz)

    @property
    def longest_filter(self) -> int:
        """Samples of the longest filter: no shorter stretch can be filtered."""
        return max((taps.size for taps in self.filters), default=1)

    def joined(self) -> NDArray[np.float64]:
        """All filters as one."""
        taps = np.ones(1)
        for one in self.filters:
            taps = np.convolve(taps, one)
        return taps


def plan_chain(recipe: Recipe, *, sfreq_hz: float, line_freq_hz: float | None) -> Chain:
    """The chain that `recipe` means for a recording at `sfreq_hz` with mains at `line_freq_hz`.

    Raises
    ------
    UsageError
        Where a step stands twice, a filter stands after the resampling, or the offset is removed after a filter;
        and where the recipe does not end at 256 Hz.
    """
    offset: Literal["none", "recording", "stretch"] = "none"
    filters: list[NDArray[np.float64]] = []
    described: list[str] = []
    to_sfreq_hz, stop_hz = sfreq_hz, None
    average, reject = False, None
    high_hz = next((s.high_hz for s in recipe.steps if isinstance(s, BandPass)), None)
    if high_hz is not None and high_hz < sfreq_hz / 2:
        stop_hz = upper_stop_hz(high_hz, sfreq_hz)
    seen: list[str] = []
    for step in recipe.steps:
        _check_order(recipe, step.step, seen)
        seen.append(step.step)
        if isinstance(step, RemoveOffset):
            offset = step.over
            described.append(f"remove_offset: median over each {step.over}")
        elif isinstance(step, BandPass):
            low, high = usable_edges(step, sfreq_hz)
            beyond = step.high_hz is not None and high is None
            if low is not None or high is not None:
                filters.append(band_pass_taps(low, high, sfreq_hz))
            described.append(
                f"band_pass: {_edge(low)} to {_edge(high)} Hz"
                + (f" ({step.high_hz:g} Hz is beyond the Nyquist frequency)" if beyond else "")
            )
        elif isinstance(step, Notch):
            freqs = notch_freqs_hz(step, sfreq_hz, line_freq_hz=line_freq_hz, stop_hz=stop_hz)
            if freqs:
                filters.append(notch_taps(freqs, sfreq_hz))
            described.append(
                "notch: " + (", ".join(f"{f:g}" for f in freqs) + " Hz" if freqs else _no_notch(step, line_freq_hz))
            )
        elif isinstance(step, Resample):
            to_sfreq_hz = step.sfreq_hz
            described.append(f"resample: {sfreq_hz:g} to {to_sfreq_hz:g} Hz")
        elif isinstance(step, Reference):
            average = step.to == "average"
            described.append(f"reference: {step.to}")
        else:
            reject = step
            described.append("reject: " + ", ".join(f"{k}={v:g}" for k, v in _thresholds(step)))
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
        described=tuple(described),
    )


def _check_order(recipe: Recipe, name: str, seen: list[str]) -> None:
    wrong = None
    if name in seen:
        wrong = "stands twice"
    elif name in ("band_pass", "notch") and "resample" in seen:
        wrong = "stands after resample; filters act at the source's rate"
    elif name == "remove_offset" and set(seen) - {"reject"}:
        wrong = "stands after another step; an offset is removed first"
    if wrong:
        raise UsageError(
            f"recipe {recipe.name!r}: step {name!r} {wrong}",
            expected="remove_offset, then band_pass and notch, then resample; reference and reject anywhere",
        )


def _edge(freq_hz: float | None) -> str:
    return "open" if freq_hz is None else f"{freq_hz:g}"


def _no_notch(step: Notch, line_freq_hz: float | None) -> str:
    if step.freq_hz == "line" and line_freq_hz is None:
        return "none (the line frequency is not known)"
    return "none (at or beyond what the rate or the low-pass leaves)"


def _thresholds(step: Reject) -> list[tuple[str, float]]:
    names = ("flat_s", "clipped_s", "above_uv", "shortest_kept_s")
    return [(n, float(getattr(step, n))) for n in names if getattr(step, n) is not None]
