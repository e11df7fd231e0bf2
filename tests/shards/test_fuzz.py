"""Mutated shard sets: whatever the bytes, one of our errors or a set that is whole, and nothing written.

The targets are those of `benchmarks/fuzz_coverage.py`; hypothesis feeds them here, and atheris for a moment where it is
installed. `benchmarks/attack` mutates shard sets by the thousand.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eegprep.errors import EEGPTError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
cuts = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=40)), min_size=1, max_size=4)


def mutated(data: bytes, places) -> bytes:
    out = bytearray(data)
    for where, length, new in places:
        at = int(where * len(out))
        out[at : at + length] = new
    return bytes(out)


@pytest.fixture(scope="module")
def target(synthetic, fuzz, tmp_path_factory):
    return fuzz.Target(tmp_path_factory.mktemp("fuzz"), synthetic.small_store(n_subjects=2, n_samples=4200))


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 7), places=cuts)
def test_mutations_are_read_or_refused(target, fuzz, number, places):
    """No mutation does more than be refused."""
    name = fuzz.FILES[number]
    before = target.listing()
    target.try_bytes(name, mutated(target.original(name), places))
    assert target.listing() == before


@pytest.fixture(scope="module")
def readers(fuzz, tmp_path_factory):
    made = fuzz.targets(tmp_path_factory.mktemp("readers"))
    assert tuple(made) == fuzz.NAMES
    return made


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 7), places=cuts, alone=st.binary(max_size=200))
def test_index_readers_only_refuse(readers, number, places, alone):
    """No reader of the index does more than refuse."""
    honest, read = list(readers.values())[number]
    for data in (mutated(honest, places), alone):
        try:
            read(data)
        except EEGPTError as error:
            str(error)


def test_every_reader_takes_its_honest_file(readers):
    for honest, read in readers.values():
        read(honest)


def test_coverage_fuzzer_finds_nothing():
    """A fuzzer that follows the branches finds nothing in a moment."""
    pytest.importorskip("atheris", reason="atheris is not installed: the coverage-guided fuzzer did not run")
    program = [sys.executable, str(BENCHMARKS / "fuzz_coverage.py"), "--seconds", "2", "--target", "footer"]
    done = subprocess.run([*program, "--target", "sums"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| none |") == 2
