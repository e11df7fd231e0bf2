"""Map source samples to stored samples, with one rule for stretches, events and trials.

Each stretch is resampled separately and keeps its first sample. A stretch of n samples gets the nearest whole number
of output samples and begins at the nearest output sample, or directly after the previous stretch if rounding would
make them overlap. An event is placed relative to its stretch.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from eegprep.recording import Stretch
from eegprep.standardise.resample import n_resampled


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Pairs of stretches, in order.

    Attributes
    ----------
    source, stretches : tuple of Stretch
        The same stretches at the source's and at the output rate.
    n_samples : int
        Length of the output time line, gaps included.
    ratio : Fraction
        Output samples per input sample.
    """

    source: tuple[Stretch, ...]
    stretches: tuple[Stretch, ...]
    n_samples: int
    ratio: Fraction

    def at(self, source_sample: int) -> int | None:
        """The output sample of a source sample; None if it is in no stretch. Ends map to ends."""
        k = bisect.bisect_right([s.start_sample for s in self.source], source_sample) - 1
        if k < 0 or source_sample > self.source[k].stop_sample:
            return None
        inside = source_sample - self.source[k].start_sample
        return self.stretches[k].start_sample + min(n_resampled(inside, self.ratio), self.stretches[k].n_samples)

    def nearest(self, source_sample: int) -> int:
        """The output sample of a source sample, also of one in no stretch."""
        at = self.at(source_sample)
        return min(n_resampled(source_sample, self.ratio), self.n_samples) if at is None else at

    def span(self, part: Stretch) -> tuple[Stretch, ...]:
        """The output samples of a part of the source, rounded outwards: one stretch per stretch it overlaps."""
        out = []
        for source, target in zip(self.source, self.stretches, strict=True):
            first, stop = max(part.start_sample, source.start_sample), min(part.stop_sample, source.stop_sample)
            if first < stop:
                a = int((first - source.start_sample) * self.ratio)
                b = min(-int(-(stop - source.start_sample) * self.ratio // 1), target.n_samples)
                if a < b:
                    out.append(Stretch(start_sample=target.start_sample + a, n_samples=b - a))
        return tuple(out)


def lay_out(stretches: Sequence[Stretch], n_samples: int, ratio: Fraction) -> Timeline:
    """The timeline of a source with `n_samples`. Stretches must be sorted and disjoint."""
    out: list[Stretch] = []
    stop = 0
    for s in stretches:
        start = max(n_resampled(s.start_sample, ratio), stop)
        out.append(Stretch(start_sample=start, n_samples=n_resampled(s.n_samples, ratio)))
        stop = out[-1].stop_sample
    return Timeline(
        source=tuple(stretches), stretches=tuple(out), n_samples=max(n_resampled(n_samples, ratio), stop), ratio=ratio
    )
