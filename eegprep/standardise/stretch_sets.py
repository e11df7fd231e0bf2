"""Sets of stretches: united, intersected, and held by all channels at once. What enters and leaves is sorted."""

from __future__ import annotations

from collections.abc import Sequence

from eegprep.recording import Stretch

__all__ = ["both", "held_by_all", "merge"]


def merge(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Sorted stretches without overlap; touching ones become one."""
    out: list[Stretch] = []
    for s in sorted(stretches):
        if out and s.start_sample <= out[-1].stop_sample:
            stop = max(out[-1].stop_sample, s.stop_sample)
            out[-1] = Stretch(start_sample=out[-1].start_sample, n_samples=stop - out[-1].start_sample)
        else:
            out.append(s)
    return tuple(out)


def both(first: Sequence[Stretch], second: Sequence[Stretch]) -> list[Stretch]:
    """What two sorted lists of stretches have in common."""
    out: list[Stretch] = []
    i = j = 0
    while i < len(first) and j < len(second):
        start = max(first[i].start_sample, second[j].start_sample)
        stop = min(first[i].stop_sample, second[j].stop_sample)
        if start < stop:
            out.append(Stretch(start_sample=start, n_samples=stop - start))
        if first[i].stop_sample < second[j].stop_sample:
            i += 1
        else:
            j += 1
    return out


def held_by_all(equal: Sequence[Sequence[Stretch]], missing: Sequence[Sequence[Stretch]], least: int) -> list[Stretch]:
    """Where every channel keeps its value (or has none) for `least` samples or longer; nothing of fewer than three."""
    if len(equal) < 3:
        return []
    common: list[Stretch] | None = None
    for held, lost in zip(equal, missing, strict=True):
        own = merge([*held, *lost])
        common = list(own) if common is None else both(common, own)
        if not common:
            return []
    return [s for s in common or [] if s.n_samples >= least]
