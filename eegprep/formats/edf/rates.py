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
from scipy.signal import upfirdn

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.resolve import resolve
from eegprep.electrodes.vocabulary import KINDS

_ZEROS, _BETA, _CUTOFF = 24, 8.6, 0.94


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
    filter_, width = _filter(ratio), half_width(ratio)
    up, down = ratio.denominator, ratio.numerator
    for a, b in parts:
        begin, end = max(a, start), min(b, stop)
        if begin >= end:
            continue
        low, high = math.ceil(a * ratio), max(math.ceil(a * ratio), math.ceil(b * ratio) - 1)
        i0, i1 = begin * down // up - width, (end - 1) * down // up + width
        near = own[np.clip(np.clip(np.arange(i0, i1 + 1), low, high) - first, 0, len(own) - 1)]
        # where sample `begin` is in the filtered signal before downsampling; zeros delay it to a sample that is kept
        at = begin * down + (width - i0) * up
        delayed = np.concatenate((np.zeros(-at % down), filter_))
        place = -(-at // down)
        out[begin - start : end - start] = upfirdn(delayed, near, up, down)[place : place + end - begin]
    return out


@functools.lru_cache(maxsize=16)
def _filter(ratio: Fraction) -> NDArray[np.float64]:
    """The filter at `ratio.denominator` times the channel's own rate; each of its phases has the sum 1."""
    up, width = ratio.denominator, half_width(ratio)
    cutoff = _CUTOFF * min(1.0, 1 / float(ratio))
    distance = np.arange(-width * up, width * up) / up
    inside = np.clip(1 - (distance / width) ** 2, 0, None)
    phases = (np.sinc(cutoff * distance) * np.i0(_BETA * np.sqrt(inside)) * (inside > 0)).reshape(2 * width, up)
    out: NDArray[np.float64] = (phases / phases.sum(axis=0)).ravel()
    return out
