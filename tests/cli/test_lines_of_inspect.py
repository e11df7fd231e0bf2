"""Lines of `inspect` that stand for many files: the numbers in them become ranges."""

from __future__ import annotations

import pytest

from cli.inspect import _ranges


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (["fit -0.30 of 8", "fit -0.22 of 8"], "fit -0.30 to -0.22 of 8"),
        (["fit -0.30", "fit 0.10", "fit 0"], "fit -0.30 to 0.10"),
        (["4-30 Hz: 3.5 µV", "4-30 Hz: 12 µV"], "4-30 Hz: 3.5 to 12 µV"),
        (["Fp1-2, 1e-06", "Fp1-2, 1e-06"], "Fp1-2, 1e-06"),
    ],
)
def test_ranges_keep_their_signs(texts: list[str], line: str) -> None:
    """A figure below zero is not shown as one above it."""
    assert _ranges(texts) == line
