"""Runs of samples: found in a mask, joined if they touch, dropped if they are too short."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import Stretch


def runs_of(bad: NDArray[np.bool_]) -> list[Stretch]:
    """The runs of True in (n_samples,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(np.int8)))
    return [Stretch(start_sample=int(a), n_samples=int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def drop_short(kept: Sequence[Stretch], n_samples: int) -> tuple[Stretch, ...]:
    """The stretches of `kept` that are shorter than `n_samples`: they must be rejected as well."""
    return tuple(s for s in kept if s.n_samples < n_samples)
