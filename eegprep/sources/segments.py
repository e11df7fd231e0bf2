"""Gaps and breaks: which parts of a recording are contiguous, from what the file marks.

`BAD...` marks with a duration are gaps (`BAD_ACQ_SKIP`: the amplifier was off; others: someone rejected them).
Boundaries are breaks: EEGLAB's `boundary` (data were cut out there), MNE's `EDGE boundary` and `BAD boundary`
without duration, BrainVision's `New Segment`. Nothing downstream filters or cuts a window across a break.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eegprep.recording import LeftOut, Stretch, subtract
from eegprep.sources.base import SourceEvent, whole

__all__ = ["break_at", "is_structural", "segment"]


def _is_break(text: str) -> bool:
    folded = text.casefold()
    return "boundary" in folded or folded.startswith("new segment")


def is_structural(text: str) -> bool:
    """Whether an event speaks of the recording itself (gap, break) and not of what the subject did."""
    return _is_break(text) or text.casefold().startswith("bad")


def break_at(stretches: Iterable[Stretch], breaks: Iterable[int]) -> tuple[Stretch, ...]:
    """Split stretches at the given samples; a break at a border changes nothing."""
    out: list[Stretch] = []
    at = sorted(set(breaks))
    for stretch in sorted(stretches):
        position = stretch.start_sample
        for sample in at:
            if position < sample < stretch.stop_sample:
                out.append(Stretch(start_sample=position, n_samples=sample - position))
                position = sample
        out.append(Stretch(start_sample=position, n_samples=stretch.stop_sample - position))
    return tuple(out)


def segment(n_samples: int, events: Sequence[SourceEvent]) -> tuple[tuple[Stretch, ...], tuple[LeftOut, ...]]:
    """The contiguous stretches of a recording, and the gaps that its marks make.

    Returns
    -------
    stretches : tuple of Stretch
    left_out : tuple of LeftOut
        One per gap, with its samples at the source's rate.
    """
    gaps: list[Stretch] = []
    left_out: list[LeftOut] = []
    breaks: list[int] = []
    marked = 0
    for event in sorted(events):
        start = min(max(event.start_sample, 0), n_samples)
        stop = min(max(event.start_sample + event.n_samples, start), n_samples)
        folded = event.text.casefold()
        if _is_break(event.text):
            breaks.append(start)
        elif folded.startswith("bad") and stop > max(start, marked):
            start, marked = max(start, marked), stop  # two marks over the same samples leave them out once
            gaps.append(Stretch(start_sample=start, n_samples=stop - start))
            skip = folded.startswith("bad_acq_skip")
            left_out.append(
                LeftOut(
                    kind="stretch",
                    name="all",
                    code="acquisition_skip" if skip else "annotated_bad",
                    reason="the file marks that nothing was recorded here" if skip else "marked as bad in the file",
                    start_sample=start,
                    n_samples=stop - start,
                )
            )
    return break_at(subtract(whole(n_samples), gaps), breaks), tuple(left_out)
