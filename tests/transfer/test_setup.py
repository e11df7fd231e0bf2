"""Electrodes are matched by name; what is unknown is refused, mapped or left out, and said."""

from __future__ import annotations

import pytest

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.vocabulary import Electrode
from eegprep.errors import RefusedError
from eegpt.transfer.setup import map_electrodes

ENCODER = Vocabulary(
    [
        Electrode(name="Cz", position_m=(0.0, 0.0, 0.1)),
        Electrode(name="Fz", position_m=(0.0, 0.06, 0.08)),
        Electrode(name="T7", aliases=("T3",), position_m=(-0.08, 0.0, 0.0)),
    ]
)
TRIALS = Vocabulary(
    [
        Electrode(name="T3", position_m=(-0.08, 0.0, 0.0)),
        Electrode(name="Cz", position_m=(0.0, 0.0, 0.1)),
        Electrode(name="FCz", position_m=(0.0, 0.03, 0.095)),
        Electrode(name="Nowhere"),
    ]
)


def test_ids_follow_names_and_aliases():
    found = map_electrodes(TRIALS, ENCODER, ["Cz", "T3"])
    assert found.id_of.tolist() == [2, 0, -1, -1]
    assert found.notes == ()


def test_unknown_electrodes_are_refused():
    with pytest.raises(RefusedError) as caught:
        map_electrodes(TRIALS, ENCODER, ["Cz", "FCz"])
    assert caught.value.exit_code == 3
    assert "FCz" in str(caught.value)


def test_unknown_electrodes_map_to_nearest():
    """The nearest free electrode is taken, and a note says so."""
    found = map_electrodes(TRIALS, ENCODER, ["Cz", "FCz"], unknown="nearest")
    assert found.id_of.tolist() == [-1, 0, 1, -1]  # Cz is nearer, but the recording has it already
    assert found.notes == ("FCz: mapped to Fz, 34 mm away",)


def test_unknown_electrodes_can_be_left_out():
    found = map_electrodes(TRIALS, ENCODER, ["Cz", "FCz"], unknown="leave_out")
    assert found.id_of.tolist() == [-1, 0, -1, -1]
    assert found.notes == ("FCz: left out, unknown to the encoder",)


def test_nearest_needs_a_position():
    with pytest.raises(RefusedError, match="Nowhere has no position"):
        map_electrodes(TRIALS, ENCODER, ["Nowhere"], unknown="nearest")
