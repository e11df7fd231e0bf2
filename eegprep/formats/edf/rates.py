"""Channels of another rate than the electrodes, at the electrodes' rate and with exact times.

Sample j of a channel is at j / its own rate after the start of its part of the recording, as are the electrodes'
samples at theirs. Values between samples come from a windowed sinc (Kaiser), whose support is finite: reading in parts
gives the same as reading everything. At the ends of a part the outermost sample is repeated.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.resolve import resolve
from eegprep.electrodes.vocabulary import KINDS

_ZEROS, _BETA, _CUTOFF = 24, 8.6, 0.94
_AT_ONCE = 1 << 12


def is_other_kind(label: str, kind: str) -> bool:
    """Whether a label is that of a channel that `--kinds` can keep beside EEG."""
    found = resolve(Vocabulary.base(KINDS), label, kind=kind, kinds=KINDS)
    return found.electrode is not None and found.kind != "eeg"


def half_width(ratio: Fraction) -> int:
    """Samples of the channel's own rate that are needed on either side; `ratio` is own rate / electrodes' rate."""
    return math.ceil(_ZEROS * max(1.0, float(ratio)))


def interpolate(
    own: NDArray[np.float64], first: int, ratio: Fraction, parts: Sequence[tuple[int, int]], start: int, stop: int
) -> NDArray[np.float64]:
    """The channel at the electrodes' samples `start` to `stop`, (stop - start,).

    Parameters
    ----------
    own : (n,) array
        The channel's own samples from sample `first`; `half_width(ratio)` more on either side where they exist.
    ratio : Fraction
        Own rate / electrodes' rate.
    parts : sequence of (int, int)
        The contiguous parts of the recording, at the electrodes' rate.
    """
    out = np.empty(stop - start)
    offsets, weights = _kernel(ratio)
    for a, b in parts:
        low, high = math.ceil(a * ratio), max(math.ceil(a * ratio), math.ceil(b * ratio) - 1)
        for begin in range(max(a, start), min(b, stop), _AT_ONCE):
            place = np.arange(begin, min(b, stop, begin + _AT_ONCE), dtype=np.int64) * ratio.numerator
            at = place[:, None] // ratio.denominator + offsets
            near = own[np.clip(np.clip(at, low, high) - first, 0, len(own) - 1)]
            out[begin - start : begin - start + len(place)] = np.einsum(
                "nk,nk->n", near, weights[place % ratio.denominator]
            )
    return out


@functools.lru_cache(maxsize=16)
def _kernel(ratio: Fraction) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Offsets of own samples, and their weights for each fraction of a sample, (ratio.denominator, n_offsets)."""
    width = half_width(ratio)
    offsets = np.arange(1 - width, width + 1)
    cutoff = _CUTOFF * min(1.0, 1 / float(ratio))
    distance = np.arange(ratio.denominator)[:, None] / ratio.denominator - offsets
    inside = np.clip(1 - (distance / width) ** 2, 0, None)
    out: NDArray[np.float64] = np.sinc(cutoff * distance) * np.i0(_BETA * np.sqrt(inside)) * (inside > 0)
    return offsets, out / out.sum(axis=1, keepdims=True)
