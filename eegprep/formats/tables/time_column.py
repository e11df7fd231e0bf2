"""The sampling rate of a table from its time column, and where rows are missing.

Times are in seconds, milliseconds, microseconds or nanoseconds. They may jitter, and rows may come in packets with one
time each, so the threshold for a gap depends on how regular the column is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
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
IGNORED = "the time column does not increase and was ignored"


@dataclass(frozen=True, kw_only=True)
class TimeColumn:
    """What a time column shows.

    Attributes
    ----------
    times_s : ndarray, (n_rows,)
        The column in seconds, with missing times interpolated.
    breaks, pauses : list of int
        Rows before which the column jumps, and those of them after which the time stays later or earlier: rows that
        only arrived late are followed by others that catch up.
    tolerance_s : float
        The largest jump that may be jitter.
    """

    times_s: np.ndarray
    breaks: list[int]
    pauses: list[int]
    tolerance_s: float
    notes: list[str]


def time_clock(times: np.ndarray, sfreq_hz: float, where: Path) -> tuple[list[int], list[str], Clock | None]:
    """Samples before which the time column jumps, notes, and the clock that jumps; None if it never does or goes back.

    Raises
    ------
    InputError
        The column's rate differs from the stated one by more than 5 %.
    """
    found = time_column(times, sfreq_hz, where)
    if found is None:
        return [], [IGNORED], None
    return found.breaks, found.notes, clock_of(found, np.arange(times.size), times.size)


def time_column(times: np.ndarray, sfreq_hz: float, where: Path) -> TimeColumn | None:
    """What the column shows; None if it does not increase. Raises InputError as `time_clock` does."""
    known = np.isfinite(times)
    if known.sum() < 11:
        return None
    # rows without a time are interpolated
    rows = np.arange(times.size)
    filled = np.interp(rows, rows[known], times[known])
    steps = np.diff(filled)
    steps_up = steps[steps > 0]
    if steps_up.size < 10:
        return None
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
    maybe = {int(i) + 1 for i in np.flatnonzero(steps > limit)}
    late = pauses_of(filled / factor, maybe | jumps, measured)
    return TimeColumn(
        times_s=filled / factor,
        breaks=sorted(jumps | (maybe & set(late))),
        pauses=late,
        tolerance_s=(limit - mean) / factor / 2,
        notes=notes,
    )


def pauses_of(times_s: np.ndarray, jumps: Iterable[int], sfreq_hz: float) -> list[int]:
    """Those of the rows before which the times jump after which they stay later or earlier."""
    late = times_s - np.arange(times_s.size) / sfreq_hz
    return [j for j in sorted(jumps) if _stays_late(late, j, times_s[j] - times_s[j - 1] - 1 / sfreq_hz, sfreq_hz)]


def clock_of(column: TimeColumn, places: np.ndarray, n_samples: int) -> Clock | None:
    """The clock of a table; None if it never jumps, or goes back.

    Parameters
    ----------
    places : ndarray of int, (n_rows,)
        The stored sample of each row. Where a pause was filled with as many missing samples, the clock does not jump.
    n_samples : int
        Number of stored samples.
    """
    parts = list(itertools.pairwise([0, *column.pauses, places.size]))
    longest = max(parts, key=lambda part: part[1] - part[0])
    sfreq_hz = _rate(column.times_s[slice(*longest)], places[slice(*longest)])
    if len(parts) < 2 or not sfreq_hz > 0:
        return None
    # the times of rows that arrive in packets scatter, so a part begins where most of its rows say
    late = column.times_s - places / sfreq_hz
    firsts: list[int] = []
    delays: list[float] = []
    for first, stop in parts:
        delay = float(np.median(late[first:stop]))
        if not delays or abs(delay - delays[-1]) > column.tolerance_s:
            firsts.append(first)
            delays.append(delay)
    samples = places[firsts]
    starts_s = np.array(delays) + samples / sfreq_hz
    if len(firsts) < 2 or np.any(np.diff(starts_s) <= 0):
        return None
    return Clock((starts_s - starts_s[0]).tolist(), [*samples.tolist(), n_samples], sfreq_hz, 0.5 / sfreq_hz)


def _rate(times_s: np.ndarray, places: np.ndarray) -> float:
    """Samples per second, from the medians of the first and the last third, which late rows do not move."""
    third = max(1, times_s.size // 3)
    lasts_s = float(np.median(times_s[-third:]) - np.median(times_s[:third]))
    return float(np.median(places[-third:]) - np.median(places[:third])) / lasts_s if lasts_s > 0 else 0.0


def _stays_late(late: np.ndarray, at: int, jump_s: float, sfreq_hz: float) -> bool:
    """Whether the rows after a long step stay late; after rows that only arrived late, others catch up."""
    width = max(8, round(sfreq_hz / 2), math.ceil(3 * abs(jump_s) * sfreq_hz))
    after, before = late[at : at + width], late[max(0, at - width) : at]
    shift = float(np.median(after) - np.median(before))
    return shift > 0.5 * jump_s if jump_s > 0 else shift < 0.5 * jump_s
