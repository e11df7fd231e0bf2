"""Two labs' vocabularies become one: same place, same row; ids stay; conflicts are listed."""

from __future__ import annotations

from eegprep.electrodes import Electrode, Vocabulary
from eegprep.electrodes.merge import merge

BASE = Vocabulary.base()


def moved(name: str, mm: float) -> tuple[float, float, float]:
    x, y, z = BASE.position_m(name)
    return (float(x) + mm / 1000, float(y), float(z))


def test_ids_stay_and_new_rows_are_appended():
    """Ids of the first stay, and new rows are appended in order."""
    one = BASE.extend([Electrode(name="LabA", position_m=(0.0, 0.15, 0.0))])
    two = BASE.extend([Electrode(name="LabB", position_m=(0.0, 0.16, 0.0)), Electrode(name="LabC")])
    merged = merge(one, two)
    assert merged.vocabulary.names == (*one.names, "LabB", "LabC")
    assert merged.added == ("LabB", "LabC")
    assert merged.same == BASE.names
    assert not merged.conflicts


def test_new_name_at_a_place_is_the_same_row():
    """A new name at a known place is the same row."""
    merged = merge(BASE, Vocabulary([Electrode(name="Vertex", position_m=moved("Cz", 0.2))]))
    assert len(merged.vocabulary) == 138
    assert merged.vocabulary.canonical("Vertex") == "Cz"
    assert merged.aliases == (("Vertex", "Cz"),)


def test_name_at_two_places_is_a_conflict():
    """The same name at two places is a conflict and changes nothing."""
    merged = merge(BASE, Vocabulary([Electrode(name="cz", position_m=moved("Cz", 25))]))
    assert [c.code for c in merged.conflicts] == ["two_places"]
    assert "25.0 mm" in merged.conflicts[0].reason
    assert merged.vocabulary == BASE


def test_name_of_two_rows_is_a_conflict():
    """A name that leads to two rows is a conflict."""
    merged = merge(BASE, Vocabulary([Electrode(name="Vertex", aliases=("Cz", "Pz"))]))
    assert [(c.code, c.rows) for c in merged.conflicts] == [("two_rows", ("Pz", "Cz"))]
    assert merged.vocabulary == BASE


def test_missing_position_is_taken_over():
    """A row without a position takes the other's and gains its names."""
    one = Vocabulary([Electrode(name="Q1")])
    two = Vocabulary([Electrode(name="q1", aliases=("Q9",), position_m=(0.01, 0.02, 0.03), source="lab 2")])
    merged = merge(one, two).vocabulary
    assert merged[0] == Electrode(name="Q1", aliases=("Q9",), position_m=(0.01, 0.02, 0.03), source="lab 2")


def test_merging_twice_changes_nothing():
    two = BASE.extend([Electrode(name="LabB", position_m=(0.0, 0.16, 0.0))])
    once = merge(BASE, two).vocabulary
    assert merge(once, two).vocabulary == once
