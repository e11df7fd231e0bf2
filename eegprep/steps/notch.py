"""Zero-phase FIR notch at the line frequency and its harmonics: MNE's default `notch_filter`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eegprep.manifest.recipe import Notch
from eegprep.steps.arrays import like, sfreq_of, values_of
from eegprep.steps.fir import filter_zero_phase, notch_stop_hz, notch_taps

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["notch", "notch_freqs_hz"]


def notch(
    signal: xr.DataArray, step: Notch, *, line_freq_hz: float | None = None, stop_hz: float | None = None
) -> xr.DataArray:
    """`signal` without `step.freq_hz` (or without `line_freq_hz` where that is `"line"`) and its harmonics.

    Harmonics at or above `stop_hz`, where a low-pass takes all, are not looked at.

    Raises
    ------
    InputError
        Where the filter is longer than the signal.
    """
    freqs = notch_freqs_hz(step, sfreq_of(signal), line_freq_hz=line_freq_hz, stop_hz=stop_hz)
    if not freqs:
        return signal
    return like(signal, filter_zero_phase(values_of(signal), notch_taps(freqs, sfreq_of(signal))))


def notch_freqs_hz(
    step: Notch, sfreq_hz: float, *, line_freq_hz: float | None, stop_hz: float | None = None
) -> tuple[float, ...]:
    """Where the notches are: below the Nyquist frequency, and below `stop_hz`, where a low-pass has taken all.

    An empty tuple where the line frequency is not known.
    """
    base = line_freq_hz if step.freq_hz == "line" else float(step.freq_hz)
    if base is None:
        return ()
    limit = sfreq_hz / 2
    multiples = range(1, int(limit / base) + 1) if step.harmonics else range(1, 2)
    return tuple(
        base * k for k in multiples if notch_stop_hz(base * k) < limit and (stop_hz is None or base * k < stop_hz)
    )
