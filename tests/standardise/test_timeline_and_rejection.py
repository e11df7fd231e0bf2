"""Where samples, events and rejected parts come to lie after resampling."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegprep.manifest.recipe import Recipe
from eegprep.recording import Stretch, merge
from eegprep.standardise import apply_recipe, as_signal, lay_out
from eegprep.standardise.measure import StreamMeasure
from eegprep.standardise.offsets import N_RUNS, RUN_SAMPLES, spread_runs
from eegprep.standardise.resample import ratio_of
from eegprep.standardise.spans import runs_of


def recipe(*steps: dict[str, object]) -> Recipe:
    """`steps`, then a resampling to 256 Hz, which changes nothing in signals of that rate."""
    return Recipe.model_validate({"name": "small", "steps": [*steps, {"step": "resample"}]})


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


def test_equal_trials_stay_equal_in_length() -> None:
    """Equal trials stay equal when the rate does not divide."""
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


def test_rejected_part_covers_all_it_touches() -> None:
    """A rejected part covers every output sample that it touches."""
    timeline = lay_out([Stretch(start_sample=10, n_samples=1000)], 1010, Fraction(1, 2))
    assert timeline.span(Stretch(start_sample=13, n_samples=2)) == (Stretch(start_sample=6, n_samples=2),)
    assert timeline.span(Stretch(start_sample=0, n_samples=5000)) == timeline.stretches
    assert timeline.span(Stretch(start_sample=0, n_samples=10)) == ()


@pytest.mark.parametrize("chunk", [1000, 505, 64, 1])
def test_large_amplitudes_have_a_margin(chunk: int) -> None:
    """Samples beyond the limit and missing ones become one stretch with a margin, whatever the size of chunks."""
    values = np.zeros((2, 1000), np.float32)
    values[1, 500] = 900.0
    values[1, 510] = np.nan
    measure = StreamMeasure(2, 1000, 800.0, 256.0)
    for start in range(0, 1000, chunk):
        measure.add(start, values[:, start : start + chunk])
    assert measure.too_large(0) == ()
    assert measure.too_large(1) == (Stretch(start_sample=436, n_samples=139),)


def test_reject_removes_nothing_in_memory() -> None:
    """`apply_recipe` gives the whole signal: what `reject` finds is for who has a place to write it."""
    signal = as_signal(np.array([[0.0, 900.0, 0.0]]), ["a"], 256.0)
    out = apply_recipe(signal, recipe({"step": "reject", "above_uv": 800.0}))
    np.testing.assert_array_equal(out.values, signal.values)


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
    found = apply_recipe(as_signal(values, ["a", "b", "c"], 256.0), recipe({"step": "remove_offset", "over": over}))
    np.testing.assert_allclose(found.values, values - np.median(values, axis=1, keepdims=True), rtol=0, atol=1e-5)


@given(st.lists(st.integers(1, 60000), min_size=1, max_size=12))
def test_offset_runs_lie_inside_stretches(lengths: list[int]) -> None:
    """Runs for an offset lie inside the stretches."""
    stretches, position = [], 0
    for n in lengths:
        stretches.append(Stretch(start_sample=position, n_samples=n))
        position += n + 7
    runs = list(spread_runs(stretches, N_RUNS, RUN_SAMPLES))
    assert sum(r.n_samples for r in runs) <= max(N_RUNS * RUN_SAMPLES, 0)
    for run in runs:
        assert run.n_samples > 0
        assert any(s.start_sample <= run.start_sample and run.stop_sample <= s.stop_sample for s in stretches)


def test_bad_electrode_is_not_averaged() -> None:
    """The average reference leaves a bad electrode out and is subtracted from it all the same."""
    signal = as_signal(np.array([[1.0], [3.0], [1000.0]]), ["a", "b", "c"], 256.0)
    out = apply_recipe(signal, recipe({"step": "reference", "to": "average"}), bad={"c"})
    np.testing.assert_array_equal(out.values, [[-1.0], [1.0], [998.0]])
    kept = apply_recipe(signal, recipe({"step": "reference", "to": "keep"}), bad={"c"})
    np.testing.assert_array_equal(kept.values, signal.values)
