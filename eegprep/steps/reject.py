"""Find what is no signal: flat, clipped, too large. Rejected samples stay in place; they become gaps between blocks.

Flat and clipped are judged on the samples as recorded (a filter hides both), whatever the place of the step in
the recipe; `above_uv` is judged on what the steps made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eegprep.manifest.recipe import Reject
from eegprep.recording import Stretch, seconds_to_samples
from eegprep.steps.arrays import sfreq_of, values_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["reject_amplitude", "runs_of", "merge", "drop_short"]


def reject_amplitude(signal: xr.DataArray, step: Reject) -> dict[str, tuple[Stretch, ...]]:
    """Per electrode, the samples beyond `step.above_uv`, widened by a quarter of a second on either side."""
    if step.above_uv is None:
        return {}
    values, margin = values_of(signal), seconds_to_samples(0.25, sfreq_of(signal))
    out = {}
    for electrode, row in zip(signal.electrode.values, values, strict=True):
        runs = [
            Stretch(
                start_sample=max(r.start_sample - margin, 0),
                n_samples=min(r.stop_sample + margin, row.size) - max(r.start_sample - margin, 0),
            )
            for r in runs_of(~(np.abs(row) <= step.above_uv))
        ]
        if runs:
            out[str(electrode)] = merge(runs)
    return out


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
