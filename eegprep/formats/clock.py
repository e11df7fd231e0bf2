"""A file's clock: find the stored sample for a time in an interrupted recording.

Samples are stored without gaps, but the clock jumps where the recording was interrupted. Given the start time and first
sample of each part, times in seconds are converted to samples. A time has no sample if nothing was recorded then, or if
it is ambiguous because the clock was set back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eegprep.recording import Stretch, seconds_to_samples


class Clock:
    """The times at which the parts of a recording were recorded.

    Parameters
    ----------
    starts_s : sequence of float
        When each part began, in seconds after the first one.
    samples : sequence of int
        The first sample of each part, followed by the total number of samples.
    sfreq_hz : float
    slack_s : float
        The largest difference in time at which two consecutive parts still count as contiguous.
    """

    def __init__(self, starts_s: Sequence[float], samples: Sequence[int], sfreq_hz: float, slack_s: float) -> None:
        self.starts_s, self.samples = np.asarray(starts_s, dtype=np.float64), np.asarray(samples)
        self.sfreq_hz, self.slack_s = sfreq_hz, max(slack_s, 1e-9)
        self._lasts_s = np.diff(self.samples) / sfreq_hz
        self._ends_s = self.starts_s + self._lasts_s
        self._order = np.argsort(self.starts_s, kind="stable")
        self._sorted_s = self.starts_s[self._order]
        jumps = np.abs(self.starts_s[1:] - self._ends_s[:-1]) > self.slack_s
        #: The first samples of parts that are not contiguous with the previous part.
        self.breaks = self.samples[1:-1][jumps].tolist()
        self._run = np.concatenate([[0], np.cumsum(jumps)])

    @property
    def end_s(self) -> float:
        """End time of the last part."""
        return float(self._ends_s.max(initial=0.0))

    def parts(self) -> tuple[tuple[float, Stretch], ...]:
        """When each contiguous part began, in seconds, and its samples."""
        firsts = [0, *self.breaks]
        begun = self.starts_s[np.searchsorted(self.samples[:-1], firsts)].tolist()
        stops = [*self.breaks, int(self.samples[-1])]
        parts = (Stretch(start_sample=a, n_samples=b - a) for a, b in zip(firsts, stops, strict=True))
        return tuple(zip(begun, parts, strict=True))

    @staticmethod
    def notes(n_lost: int) -> list[str]:
        """A note on events for which `place` found no sample."""
        if not n_lost:
            return []
        return [f"{n_lost} events at times at which nothing was recorded, or the clock ran twice, are left out"]

    def place(self, onset_s: float, lasts_s: float = 0.0) -> tuple[int, int] | None:
        """First sample and number of samples of an event; None if no part, or more than one, covers its onset.

        A time before the first part or after the last one gives a sample outside the recording.
        """
        part = self._part(onset_s)
        if part is None:
            return None
        start = self._sample(part, onset_s)
        last = self._part(onset_s + lasts_s, before=True)
        if last is None or self._run[last] == self._run[part]:
            n_samples = seconds_to_samples(lasts_s, self.sfreq_hz)
            return start, min([n_samples, *(b - start for b in self.breaks if b > start)])
        stop = min(self._sample(last, onset_s + lasts_s), int(self.samples[last + 1]))
        return start, (stop if stop > start else int(self.samples[part + 1])) - start

    def _part(self, at_s: float, *, before: bool = False) -> int | None:
        """The part recorded at a time; in a gap, the preceding part if `before` is set."""
        rank = int(np.searchsorted(self._sorted_s, at_s + 1e-9, side="right")) - 1
        part = int(self._order[max(rank, 0)])
        if before:
            return part
        if rank < 0:
            return part if part == 0 else None
        if rank and self._ends_s[self._order[rank - 1]] - at_s > self.slack_s:
            return None
        if at_s - self._ends_s[part] < -0.5 / self.sfreq_hz:
            return part
        if rank + 1 < self.starts_s.size:
            follows = int(self._order[rank + 1])
            return part if follows == part + 1 and self._run[follows] == self._run[part] else None
        return part if part + 1 == self.starts_s.size else None

    def _sample(self, part: int, at_s: float) -> int:
        within = float(at_s - self.starts_s[part])
        if part + 1 < self.starts_s.size:
            within = min(within, float(self._lasts_s[part]))
        return int(self.samples[part]) + seconds_to_samples(within, self.sfreq_hz)
