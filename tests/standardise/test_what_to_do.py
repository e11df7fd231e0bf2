"""Advice that can be followed: what a person is told where no channel of a recording got in."""

from __future__ import annotations

import pytest

from eegprep.standardise.channels import _todo


@pytest.mark.parametrize(
    ("codes", "said", "not_said"),
    [
        (["flat"], "leave the recording out", "name the electrodes"),
        (["flat", "marked_bad", "zeros"], "leave the recording out", "name the electrodes"),
        (["flat", "unknown_name"], "name the electrodes", "leave the recording out"),
        (["flat", "no_unit"], "state `unit:`", "name the electrodes"),
    ],
)
def test_names_are_asked_for_where_unknown(codes: list[str], said: str, not_said: str) -> None:
    """Naming electrodes that have a name helps nobody whose signal is flat."""
    assert said in _todo(codes)
    assert not_said not in _todo(codes)
