"""In which of many intervals does a number lie? A table lookup in place of a binary search.

What enters: the sorted ends of intervals that begin at 0 and follow each other. What leaves: for many numbers at
once, the interval of each. A binary search of random numbers waits for memory at every step; here the range is cut
into about four equal cells an interval, a table says in which interval each cell begins, and the few numbers that
lie behind a border inside their cell move on. Where very short intervals crowd into a cell, those numbers are
searched for after all, so no distribution of lengths is slow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Borders"]

_CELLS_PER_INTERVAL = 4
_STEPS = 3


class Borders:
    """Call it with numbers, 0 <= i < ends[-1], for the interval of each: `searchsorted(ends, i, side="right")`.

    Parameters
    ----------
    ends : ndarray, (n,) int64
        One past the last number of each interval, not decreasing.
    """

    def __init__(self, ends: NDArray[np.int64]) -> None:
        self._ends = ends
        total = int(ends[-1]) if len(ends) else 0
        self._shift = max(0, (total // max(1, _CELLS_PER_INTERVAL * len(ends))).bit_length() - 1)
        # The interval of a cell's first number is the count of ends at or before it.
        cell = (ends + ((1 << self._shift) - 1)) >> self._shift
        self._first = np.cumsum(np.bincount(cell, minlength=1), dtype=np.int32)

    def __call__(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) int64 to (N,) int64."""
        found = self._first[numbers >> self._shift].astype(np.int64)
        for _ in range(_STEPS):
            behind = self._ends[found] <= numbers
            if not behind.any():
                return found
            found += behind
        behind = self._ends[found] <= numbers
        if behind.any():
            found[behind] = np.searchsorted(self._ends, numbers[behind], side="right")
        return found
