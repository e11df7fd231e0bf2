"""Where samples, events and rejected parts come to lie after resampling."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegprep.manifest.recipe import Reference, Reject, RemoveOffset
from eegprep.recording import Stretch, merge
from eegprep.standardise import as_signal, lay_out, reference, reject_amplitude, remove_offset
from eegprep.standardise.offsets import N_RUNS, RUN_SAMPLES, spread_runs
from eegprep.standardise.resample import ratio_of
from eegprep.standardise.spans import runs_of


@given(
    lengths=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 3000)), min_size=1, max_size=20),
    sfreq_hz=st.sampled_from([100.0, 128.0, 160.0, 173.61, 250.0, 500.0, 512.0, 999.7]),
)
def test_stretches_stay_apart_and_in_order(lengths: list[tuple[int, int]], sfreq_hz: float) -> None:
    stretches, position = [], 0
    for gap, n in lengths:
        stretches.append(Stretch(start_sample=position + gap, n_samples=n))
        position += gap + n
    timeline = lay_out(stretches, position, ratio_of(sfreq_hz, 256.0))
    stop = 0
    for source, target in zip(timeline.source, timeline.stretches, strict=True):
        assert target.start_sample >= stop
        assert abs(target.n_samples - source.n_samples * 256 / sfreq_hz) <= 0.5 + 1e-6
        assert timeline.at(source.start_sample) == target.start_sample
        stop = target.stop_sample
    assert timeline.n_samples >= stop


def test_equal_trials_stay_equal_when_the_rate_does_not_divide() -> None:
    stretches = [Stretch(start_sample=375 * k, n_samples=375) for k in range(10)]
    timeline = lay_out(stretches, 3750, ratio_of(250.0, 256.0))
    assert {s.n_samples for s in timeline.stretches} == {384}
    odd = lay_out([Stretch(start_sample=101 * k, n_samples=101) for k in range(10)], 1010, ratio_of(250.0, 256.0))
    assert {s.n_samples for s in odd.stretches} == {103}


def test_an_event_in_a_gap_has_no_place() -> None:
    timeline = lay_out(
        [Stretch(start_sample=0, n_samples=100), Stretch(start_sample=200, n_samples=100)], 300, Fraction(1, 2)
    )
    assert timeline.at(50) == 25
    assert timeline.at(100) == 50
    assert timeline.at(150) is None
    assert timeline.at(300) == 150
    assert timeline.at(301) is None


def test_a_rejected_part_covers_every_output_sample_that_it_touches() -> None:
    timeline = lay_out([Stretch(start_sample=10, n_samples=1000)], 1010, Fraction(1, 2))
    assert timeline.span(Stretch(start_sample=13, n_samples=2)) == (Stretch(start_sample=6, n_samples=2),)
    assert timeline.span(Stretch(start_sample=0, n_samples=5000)) == timeline.stretches
    assert timeline.span(Stretch(start_sample=0, n_samples=10)) == ()


def test_amplitudes_beyond_the_limit_become_stretches_with_a_margin() -> None:
    values = np.zeros((2, 1000), np.float32)
    values[1, 500] = 900.0
    values[1, 510] = np.nan
    rejected = reject_amplitude(as_signal(values, ["a", "b"], 256.0), Reject(step="reject", above_uv=800.0))
    assert rejected == {"b": (Stretch(start_sample=436, n_samples=139),)}


def test_runs_and_their_union() -> None:
    assert runs_of(np.array([True, False, True, True])) == [
        Stretch(start_sample=0, n_samples=1),
        Stretch(start_sample=2, n_samples=2),
    ]
    assert merge([Stretch(start_sample=5, n_samples=5), Stretch(start_sample=0, n_samples=5)]) == (
        Stretch(start_sample=0, n_samples=10),
    )


@pytest.mark.parametrize("over", ["recording", "stretch"])
def test_an_offset_is_a_median(over: str) -> None:
    values = np.random.default_rng(0).normal(4300, 10, (3, 999))
    found = remove_offset(as_signal(values, ["a", "b", "c"], 256.0), RemoveOffset(step="remove_offset", over=over))
    np.testing.assert_allclose(found.values, values - np.median(values, axis=1, keepdims=True))


@given(st.lists(st.integers(1, 60000), min_size=1, max_size=12))
def test_runs_for_an_offset_lie_inside_the_stretches(lengths: list[int]) -> None:
    stretches, position = [], 0
    for n in lengths:
        stretches.append(Stretch(start_sample=position, n_samples=n))
        position += n + 7
    runs = list(spread_runs(stretches, N_RUNS, RUN_SAMPLES))
    assert sum(r.n_samples for r in runs) <= max(N_RUNS * RUN_SAMPLES, 0)
    for run in runs:
        assert run.n_samples > 0
        assert any(s.start_sample <= run.start_sample and run.stop_sample <= s.stop_sample for s in stretches)


def test_a_bad_electrode_does_not_reach_the_average() -> None:
    signal = as_signal(np.array([[1.0], [3.0], [1000.0]]), ["a", "b", "c"], 256.0)
    out = reference(signal, Reference(step="reference", to="average"), bad={"c"})
    np.testing.assert_array_equal(out.values, [[-1.0], [1.0], [998.0]])
    assert reference(signal, Reference(step="reference", to="keep")) is signal
