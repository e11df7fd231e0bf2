"""Borders: in which interval each number lies, whatever the lengths of the intervals."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eegpt.data.windows import Borders

lengths = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 10**6), st.just(10**12)), min_size=1, max_size=60)


@given(lengths.filter(sum), st.integers(0, 2**32 - 1))
def test_numbers_found_in_intervals(sizes, seed):
    """Every number is found in its interval."""
    ends = np.cumsum(np.array(sizes, dtype=np.int64))
    rng = np.random.default_rng(seed)
    borders = np.concatenate([ends - 1, ends, ends - sizes])
    numbers = np.concatenate([rng.integers(0, ends[-1], 50), borders[(borders >= 0) & (borders < ends[-1])]])
    np.testing.assert_array_equal(Borders(ends)(numbers), np.searchsorted(ends, numbers, side="right"))


def test_many_short_intervals_in_a_cell():
    """Many short intervals in one cell are found too."""
    ends = np.cumsum(np.concatenate([np.ones(5000, np.int64), [10**9]]))
    numbers = np.concatenate([np.arange(5002), [10**9]])
    np.testing.assert_array_equal(Borders(ends)(numbers), np.searchsorted(ends, numbers, side="right"))
