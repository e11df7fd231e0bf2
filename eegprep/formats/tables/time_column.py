"""The sampling rate of a table from its time column, and where rows are missing.

Times are in seconds, milliseconds, microseconds or nanoseconds. They may jitter, and rows may come in packets with one
time each, so the threshold for a gap depends on how regular the column is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.clock import Clock

#: The unit of a time column is inferred from its steps.
_FACTORS = (1.0, 1e3, 1e6, 1e9)
#: A clock that is off by up to this much is noted; by more, it has another rate.
_NOTED, _REFUSED = 0.01, 0.05
#: A jump of this length is a gap, however irregular the column is.
_LONGEST_STEP_S = 0.25


def time_breaks(times: np.ndarray, sfreq_hz: float, where: Path) -> tuple[list[int], list[str]]:
    """Samples before which the time column jumps, and notes; see `time_clock`."""
    breaks, notes, _ = time_clock(times, sfreq_hz, where)
    return breaks, notes


def time_clock(times: np.ndarray, sfreq_hz: float, where: Path) -> tuple[list[int], list[str], Clock | None]:
    """Samples before which the time column jumps, notes, and the clock that jumps; None if it never does or goes back.

    Raises
    ------
    InputError
        The column's rate differs from the stated one by more than 5 %.
    """
    known = np.isfinite(times)
    if known.sum() < 11:
        return [], ["the time column does not increase and was ignored"], None
    # rows without a time are interpolated
    rows = np.arange(times.size)
    filled = np.interp(rows, rows[known], times[known])
    steps = np.diff(filled)
    steps_up = steps[steps > 0]
    if steps_up.size < 10:
        return [], ["the time column does not increase and was ignored"], None
    usual = steps <= 5 * np.median(steps_up) + np.mean(steps_up)
    mean = float(np.sum(steps_up[steps_up <= 5 * np.median(steps_up) + np.mean(steps_up)])) / max(1, usual.sum())
    factor = min(_FACTORS, key=lambda f: abs(np.log(mean / f * sfreq_hz)))
    measured = factor / mean
    if abs(measured - sfreq_hz) > _REFUSED * sfreq_hz:
        raise InputError(
            "the time column contradicts the stated sampling rate",
            where=where,
            found=f"{measured:.4g} Hz",
            expected=f"{sfreq_hz:g} Hz",
            todo="correct the rate in the manifest",
        )
    notes = []
    if abs(measured - sfreq_hz) > _NOTED * sfreq_hz:
        notes.append(f"the time column gives {measured:.4g} Hz, but {sfreq_hz:g} Hz is stated")
    # A regular column shows one missing sample; with packets, only half a packet or more can be detected.
    largest_usual = float(np.quantile(steps_up, 0.99))
    limit = max(1.5 * mean, 1.5 * largest_usual)
    jumps = {int(i) + 1 for i in np.flatnonzero((steps < -0.5 * mean) | (steps > _LONGEST_STEP_S * factor))}
    late = filled - rows * mean
    maybe = [int(i) + 1 for i in np.flatnonzero(steps > limit)]
    jumps |= {j for j in maybe if _stays_late(late, j, steps[j - 1] - mean, max(8, round(factor / mean / 2)))}
    return sorted(jumps), notes, _clock(filled / factor, sorted(jumps), measured)


def _clock(times_s: np.ndarray, jumps: list[int], sfreq_hz: float) -> Clock | None:
    firsts = [0, *jumps]
    starts_s = times_s[firsts] - times_s[0]
    if not jumps or np.any(np.diff(starts_s) <= 0):
        return None
    return Clock(starts_s.tolist(), [*firsts, times_s.size], sfreq_hz, 0.5 / sfreq_hz)


def _stays_late(late: np.ndarray, at: int, jump: float, width: int) -> bool:
    """Whether the rows after a long step stay late; after rows that only arrived late, others catch up."""
    after, before = late[at : at + width], late[max(0, at - width) : at]
    return float(np.median(after) - np.median(before)) > 0.5 * jump
