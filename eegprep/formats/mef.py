"""MEF3: pauses, and events on the recording's clock.

Samples are stored without the pauses, and each block of them has its time. MNE looks for pauses in the numbers of the
samples, where there are none, and counts the times of events as if nothing had been interrupted.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.formats.clock import Clock
from eegprep.formats.decoded import Decoded, SourceEvent

#: Rows of pymef's table of blocks.
_FLAG, _N_SAMPLES, _FIRST, _TIME_US = range(4)
#: A block may begin this much of its duration earlier or later than the rate says, since clocks drift.
_DRIFT = 0.01


def with_pauses(decoded: Decoded, raw: Any, path: Path) -> Decoded:
    """`decoded` with breaks where the times of the blocks jump, and with the events of the records at their samples.

    Parameters
    ----------
    raw : mne.io.RawMEF

    Raises
    ------
    InputError
        The channels were interrupted at different times, so their samples do not belong together.
    """
    session = raw._raw_extras[0]["session"]
    n_samples, sfreq_hz = decoded.signal.shape[1], decoded.sfreq_hz
    tables = [_blocks(session, name) for name in raw.ch_names]
    table = tables[0]
    if not table.size:
        return decoded
    if not all(_alike(table, other, sfreq_hz) for other in tables[1:]):
        raise InputError(
            f"the channels of {path.name} began or were interrupted at different times",
            where=path,
            expected="the same times in all channels",
            todo="store channels that were recorded at other times in a session of their own",
        )
    times_s = (table[_TIME_US] - table[_TIME_US, 0]) / 1e6
    clock = Clock(times_s.tolist(), [*table[_FIRST].tolist(), n_samples], sfreq_hz, _slack_s(table, sfreq_hz))
    events = [e for e in decoded.events if e.witness != "annotations"]
    n_lost = n_outside = 0
    for onset_s, lasts_s, text, channels in _records(session, int(table[_TIME_US, 0])):
        at = clock.place(onset_s, lasts_s)
        if at is None:
            n_lost += 1
        elif not 0 <= at[0] < n_samples:
            n_outside += 1
        else:
            event = SourceEvent(
                start_sample=at[0], n_samples=at[1], text=text, channels=channels, witness="annotations"
            )
            events.append(event)
    events += [SourceEvent(start_sample=p, text="boundary", role="break") for p, _ in _pauses(table, sfreq_hz)]
    notes = Clock.notes(n_lost)
    if n_outside:
        notes.append(f"{n_outside} events lie outside the recording and are left out")
    return dataclasses.replace(
        decoded,
        events=tuple(sorted(events)),
        notes=(*decoded.notes, *notes),
        clock=clock if clock.breaks else None,
    )


def _blocks(session: Any, name: str) -> np.ndarray:
    """Flag, number of samples, first sample and time in microseconds of each block, (4, n_blocks), in order."""
    table = np.asarray(session.get_channel_toc(name), dtype=np.int64)
    return table[:, np.argsort(table[_FIRST], kind="stable")]


def _slack_s(table: np.ndarray, sfreq_hz: float) -> float:
    return max(1.5, _DRIFT * float(np.median(table[_N_SAMPLES]))) / sfreq_hz


def _alike(table: np.ndarray, other: np.ndarray, sfreq_hz: float) -> bool:
    """Whether two channels were recorded at the same times."""
    if not other.size or abs(int(table[_TIME_US, 0] - other[_TIME_US, 0])) / 1e6 > 1.5 / sfreq_hz:
        return False
    own, others = _pauses(table, sfreq_hz), _pauses(other, sfreq_hz)
    return len(own) == len(others) and all(
        a[0] == b[0] and abs(a[1] - b[1]) <= 1.5 / sfreq_hz for a, b in zip(own, others, strict=True)
    )


def _pauses(table: np.ndarray, sfreq_hz: float) -> list[tuple[int, float]]:
    """The samples before which the recording was interrupted, each with the length of the pause in seconds."""
    late = np.diff(table[_TIME_US]) / 1e6 - table[_N_SAMPLES, :-1] / sfreq_hz
    jumps = (np.abs(late) > _slack_s(table, sfreq_hz)) | (table[_FLAG, 1:] != 0)
    return [(int(table[_FIRST, i + 1]), float(late[i])) for i in np.flatnonzero(jumps)]


def _records(session: Any, start_us: int) -> list[tuple[float, float, str, tuple[str, ...]]]:
    """Onset and duration in seconds, text and channels of each record, as MNE reads them."""
    from mne.io.mef._utils import _records_to_annotations

    channels = session.session_md["time_series_channels"]
    onsets, durations, texts, names, _ = _records_to_annotations(session, channels, start_us)
    return [
        (float(onset), float(lasts), str(text), tuple(map(str, of)))
        for onset, lasts, text, of in zip(onsets, durations, texts, names, strict=True)
    ]
