"""Account for all samples of a recording: each is kept, or left out for one reason.

Returns `LeftOut` entries whose samples do not overlap, so that for each electrode

    n_samples of the recording = samples kept + samples left out under its channel's name + those under `all`.

If several reasons apply to a sample, the first counts: missing, flat, clipped, too large, short rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from eegprep.recording import LeftOut, Stretch, merge, subtract
from eegprep.standardise.resample import n_resampled
from eegprep.standardise.timeline import Timeline

# A code, its reason in words, and the samples affected.
Found = tuple[str, str, Stretch]


def gaps(timeline: Timeline, n_source_samples: int, named: Sequence[Found]) -> list[LeftOut]:
    """The gaps between the stretches of the time line, as entries named `all`.

    Parameters
    ----------
    timeline : Timeline
    n_source_samples : int
        Length of the source's time line.
    named : sequence of Found
        Known reasons for gaps, at the source's rate: marked as bad, too short for a filter.
    """
    found: list[Found] = []
    rounded = 0
    source_gaps = _between(timeline.source, n_source_samples)
    for source, (start, stop) in zip(source_gaps, _between(timeline.stretches, timeline.n_samples), strict=True):
        if source[0] == source[1]:  # touching stretches whose rounded lengths fall short of the rounded distance
            rounded += stop - start
            continue
        known = [f for f in named if f[2].start_sample < source[1] and f[2].stop_sample > source[0]]
        pieces = _reasons(Stretch(start_sample=source[0], n_samples=source[1] - source[0]), known)
        for code, reason, piece in pieces:
            end = stop if piece.stop_sample == source[1] else _at(piece.stop_sample, timeline.ratio, start, stop)
            if end > start:
                found.append((code, reason, Stretch(start_sample=start, n_samples=end - start)))
            start = max(start, end)
    out = entries("all", found)
    if rounded:
        reason = "less than a sample, between stretches with lengths rounded to samples at 256 Hz"
        out.append(LeftOut(kind="stretch", name="all", code="rounding", reason=reason, n_samples=rounded))
    return out


def first_reason_counts(found: Iterable[Found]) -> list[Found]:
    """The same samples, each under its first reason only, sorted by time."""
    taken: tuple[Stretch, ...] = ()
    out: list[Found] = []
    by_reason: dict[tuple[str, str], list[Stretch]] = {}
    for code, reason, stretch in found:
        by_reason.setdefault((code, reason), []).append(stretch)
    for (code, reason), stretches in by_reason.items():
        own = subtract(merge(stretches), taken)
        out += [(code, reason, s) for s in own]
        taken = merge((*taken, *own))
    return sorted(out, key=lambda f: f[2])


def entries(name: str, found: Iterable[Found]) -> list[LeftOut]:
    """Entries for one channel, or for `all`."""
    return [
        LeftOut(kind="stretch", name=name, code=code, reason=reason, start_sample=s.start_sample, n_samples=s.n_samples)
        for code, reason, s in found
    ]


def _between(stretches: Sequence[Stretch], n_samples: int) -> list[tuple[int, int]]:
    """(start, stop) before the first stretch, between neighbours, and after the last, including empty ones."""
    starts = [0, *(s.stop_sample for s in stretches)]
    stops = [*(s.start_sample for s in stretches), n_samples]
    return list(zip(starts, stops, strict=True))


def _reasons(gap: Stretch, known: Sequence[Found]) -> list[Found]:
    """Split the gap by reason, sorted by time; parts without a known reason are plain gaps."""
    inside = [
        (code, reason, Stretch(start_sample=a, n_samples=min(s.stop_sample, gap.stop_sample) - a))
        for code, reason, s in known
        if (a := max(s.start_sample, gap.start_sample)) < gap.stop_sample
    ]
    return first_reason_counts([*inside, ("gap", "nothing was recorded here", gap)])


def _at(source_sample: int, ratio: Fraction, start: int, stop: int) -> int:
    return min(max(n_resampled(source_sample, ratio), start), stop)
