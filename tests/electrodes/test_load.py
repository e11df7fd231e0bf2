"""A lab's own vocabulary: a whole table or rows on top of the shipped one, and how names resolve against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eegprep.electrodes import (
    Electrode,
    Vocabulary,
    dump_vocabulary,
    load_vocabulary,
    parse_vocabulary,
    resolve_all,
)
from eegprep.electrodes.resolve import NamedChannel, resolve
from eegprep.errors import InputError, UsageError

BASE = Vocabulary.base()


def written(tmp_path: Path, text: str, name: str = "lab.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_vocabulary_is_the_default() -> None:
    """Without a file the shipped vocabulary holds."""
    assert load_vocabulary() is BASE


def test_rows_of_a_lab_are_appended(tmp_path: Path) -> None:
    """A lab's rows are appended, and its names for known electrodes become aliases."""
    text = "name,aliases,x_m,y_m,z_m,source\nAF1,LabAF1 X7,-0.018,0.113,0.067,our cap\nM1,LeftMastoid,,,,\n"
    vocabulary = load_vocabulary(written(tmp_path, text))
    assert vocabulary.names == (*BASE.names, "AF1")
    assert vocabulary.canonical("x7") == "AF1"
    assert vocabulary.canonical("leftmastoid") == "M1"
    assert vocabulary[len(BASE)].source == "our cap"
    assert load_vocabulary(written(tmp_path, text.replace(",", "\t"), "lab.tsv")) == vocabulary


def test_names_of_a_lab_go_first(tmp_path: Path) -> None:
    """Channels resolve against a lab's names before the words for other signals."""
    text = "name,aliases,x_m,y_m,z_m\nAF1,AUX3 RAW_1,-0.018,0.113,0.067\nEar,A1,,,\n"
    vocabulary = load_vocabulary(written(tmp_path, text))
    channels = [NamedChannel(name=n) for n in ("aux3", "A1", "AUX4", "Cz-Ear")]
    found = resolve_all(vocabulary, channels)
    assert [(r.electrode, r.reference) for r in found] == [("AF1", None), ("Ear", None), (None, None), ("Cz", "Ear")]
    assert resolve(vocabulary, "RAW_1").electrode == "AF1"
    assert resolve(vocabulary, "sensor", position_m=(-0.018, 0.113, 0.068)).electrode == "AF1"
    assert resolve(BASE, "aux3").electrode is None
    assert resolve(BASE, "A1").code == "earlobe"


def test_numbered_cap_stays_numbered(tmp_path: Path) -> None:
    """A numbered cap stays a numbered cap although a lab has an A1."""
    vocabulary = load_vocabulary(written(tmp_path, "name\nA1\n"))
    found = resolve_all(vocabulary, [NamedChannel(name=f"A{i}") for i in range(1, 33)])
    assert {r.code for r in found} == {"numbered"}


def test_whole_vocabulary_is_taken_as_is(tmp_path: Path) -> None:
    """A whole vocabulary is taken as it is."""
    small = Vocabulary([Electrode(name="Left", aliases=("C3",)), Electrode(name="Right")])
    small.to_parquet(tmp_path / "v.parquet")
    assert load_vocabulary(tmp_path / "v.parquet") == small
    assert resolve(load_vocabulary(tmp_path / "v.parquet"), "c3").electrode == "Left"


@pytest.mark.parametrize(
    ("text", "name", "error", "says"),
    [
        ("name,x_m,y_m,z_m\nC3,0.07,0,0.1\n", "v.csv", UsageError, "C3 is"),
        ("name,aliases\nZ1,C3 C4\n", "v.csv", UsageError, "match 2 rows"),
        ("name\nmy electrode\n", "v.csv", UsageError, "invalid electrode name"),
        ("name\nZ1\nz1\n", "v.csv", UsageError, "duplicate name"),
        ("name,x_m,y_m,z_m\nZ1,70,0,100\n", "v.csv", InputError, "between -0.3 and 0.3"),
        ("name,x_m,y_m,z_m\nZ1,0.1,,\n", "v.csv", InputError, "three numbers"),
        ("name,x_m,y_m,z_m\nZ1,nan,0,0\n", "v.csv", InputError, "between -0.3 and 0.3"),
        ("electrode,x\nZ1,1\n", "v.csv", InputError, "does not have the columns"),
        ("name,x\nZ1,1\n", "v.csv", InputError, "not x"),
        ("name,aliases\nZ1\n", "v.csv", InputError, "line 2"),
        ("name\n", "v.csv", InputError, "has no rows"),
        ("", "v.csv", InputError, "no header line"),
        ("name\nZ1\n", "v.xlsx", UsageError, ".parquet"),
        ("name\nZ1\n", "v.parquet", InputError, "not a Parquet file"),
    ],
)
def test_invalid_vocabulary_is_refused(tmp_path: Path, text, name, error, says) -> None:
    """What is no vocabulary is refused with its reason."""
    with pytest.raises(error) as caught:
        load_vocabulary(written(tmp_path, text, name))
    assert says in str(caught.value)


def test_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    """A missing file is wrong usage."""
    for name in ("v.csv", "v.parquet"):
        with pytest.raises(UsageError, match="vocabulary not found"):
            load_vocabulary(tmp_path / name)


def test_vocabulary_round_trips_as_text() -> None:
    """A vocabulary survives as text, and equal ones give equal text."""
    larger = BASE.extend([Electrode(name="AF1", aliases=("X7",), position_m=(-0.018, 0.113, 0.067), source="§")])
    for vocabulary in (BASE, larger, Vocabulary([Electrode(name="Left")])):
        assert parse_vocabulary(dump_vocabulary(vocabulary)) == vocabulary
    assert dump_vocabulary(larger) != dump_vocabulary(BASE)
