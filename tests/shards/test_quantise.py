"""Microvolt to int16: nothing clips, the step is far under the noise, the way back is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegprep.recording import Stretch
from eegprep.shards.build.quantise import STEPS_PER_SIGMA, largest_usable, quantise, scale_for, usable


@given(st.floats(min_value=0, max_value=1e12, allow_subnormal=False))
def test_scale_is_the_smallest_that_fits(peak_uv):
    """The scale is the smallest power of two at which the peak fits."""
    scale = scale_for(peak_uv)
    assert np.frexp(scale)[0] == 0.5
    assert scale * 32767 >= peak_uv
    assert scale == 2.0**-40 or scale / 2 * 32767 < peak_uv


def test_peak_that_is_no_number_is_a_bug():
    """A peak that is no number is a bug that shows."""
    with pytest.raises(ValueError, match="nan"):
        scale_for(float("nan"))


@given(st.floats(1e-3, 1e4), st.integers(0, 2**32 - 1))
def test_rounding_is_at_most_half_a_step(amplitude_uv, seed):
    """Rounding is at most half a step, and nothing clips."""
    signal = (np.random.default_rng(seed).standard_normal(500) * amplitude_uv).astype(np.float32)
    scale = scale_for(float(np.abs(signal).max()))
    steps = quantise(signal, scale)
    assert np.abs(steps.astype(int)).max() <= 32767
    assert np.abs(steps * np.float64(scale) - signal).max() <= scale / 2


@given(st.floats(1e-3, 1e4))
def test_usable_peak_leaves_enough_steps(sigma_uv):
    """A usable peak leaves enough steps in a sigma."""
    peak = largest_usable(sigma_uv)
    assert scale_for(peak) * STEPS_PER_SIGMA <= sigma_uv


@given(
    st.lists(st.sampled_from([0.0, 1.0, -30.0, float("nan"), 1e9, float("-inf")]), min_size=1, max_size=60),
    st.integers(1, 70),
)
def test_usable_parts_are_the_good_runs(values, chunk):
    """The usable parts are exactly the runs of good samples."""
    signal = np.array(values, dtype=np.float32)
    parts = list(
        usable(
            lambda s: signal[s.start_sample : s.stop_sample], Stretch(start_sample=0, n_samples=len(signal)), 1.0, chunk
        )
    )
    good = np.abs(signal) <= largest_usable(1.0)
    covered = np.zeros(len(signal), bool)
    for stretch, peak in parts:
        piece = signal[stretch.start_sample : stretch.stop_sample]
        assert peak == np.abs(piece).max()
        assert not covered[stretch.start_sample : stretch.stop_sample].any()
        covered[stretch.start_sample : stretch.stop_sample] = True
        assert stretch.start_sample == 0 or not good[stretch.start_sample - 1]
        assert stretch.stop_sample == len(signal) or not good[stretch.stop_sample]
    np.testing.assert_array_equal(covered, good)
