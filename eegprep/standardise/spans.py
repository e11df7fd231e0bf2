"""Runs of samples: found in a mask, joined where they touch, dropped where they are short."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import Stretch


def runs_of(bad: NDArray[np.bool_]) -> list[Stretch]:
    """The runs of True in (n_samples,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(np.int8)))
    return [Stretch(start_sample=int(a), n_samples=int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def merge(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Sorted, with what overlaps or touches joined."""
    out: list[Stretch] = []
    for s in sorted(stretches):
        if s.n_samples <= 0:
            continue
        if out and s.start_sample <= out[-1].stop_sample:
            stop = max(out[-1].stop_sample, s.stop_sample)
            out[-1] = Stretch(start_sample=out[-1].start_sample, n_samples=stop - out[-1].start_sample)
        else:
            out.append(s)
    return tuple(out)


def drop_short(kept: Sequence[Stretch], n_samples: int) -> tuple[Stretch, ...]:
    """The stretches of `kept` that are shorter than `n_samples`: what has to be rejected as well."""
    return tuple(s for s in kept if s.n_samples < n_samples)
