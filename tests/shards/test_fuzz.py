"""Mutated shard sets: whatever the bytes, one of our errors or a set that is whole, and nothing written.

The short version of `benchmarks/fuzz.py`, which runs the same inputs by the hundred thousand.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def target(synthetic, fuzz, tmp_path_factory):
    return fuzz.Target(tmp_path_factory.mktemp("fuzz"), synthetic.small_store(n_subjects=2, n_samples=4200))


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, 7),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=40)), min_size=1, max_size=4),
)
def test_no_mutation_does_more_than_be_refused(target, fuzz, number, cuts):
    name = fuzz.FILES[number]
    data = bytearray(target.original(name))
    for where, length, new in cuts:
        at = int(where * len(data))
        data[at : at + length] = new
    before = target.listing()
    target.try_bytes(name, bytes(data))
    assert target.listing() == before
