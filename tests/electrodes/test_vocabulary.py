"""The base vocabulary is what its table says, its ids never move, and its positions are MNE's."""

from __future__ import annotations

import hashlib
import importlib.resources

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eegprep.electrodes import Electrode, Vocabulary
from eegprep.electrodes.build import TABLES, vocabulary_from_tables
from eegprep.errors import InputError, UsageError

BASE = Vocabulary.base()


@pytest.mark.parametrize("name", sorted(TABLES))
def test_shipped_files_are_those_of_tables(name, tmp_path):
    """The shipped files are what the tables say, and the base is the beginning of the extended vocabulary."""
    made = vocabulary_from_tables(*TABLES[name])
    assert made.names[:138] == BASE.names
    shipped = importlib.resources.files("eegprep.electrodes") / f"{name}.parquet"
    with importlib.resources.as_file(shipped) as path:
        assert Vocabulary.from_parquet(path) == made
        made_by = pq.ParquetFile(path).metadata.created_by
        made.to_parquet(tmp_path / "again.parquet")
        same_writer = pq.ParquetFile(tmp_path / "again.parquet").metadata.created_by == made_by
        if same_writer:
            assert path.read_bytes() == (tmp_path / "again.parquet").read_bytes()


def test_no_id_of_the_base_ever_moves():
    """No id of the base vocabulary ever moves."""
    text = "\n".join(f"{i} {name}" for i, name in enumerate(BASE.names))
    assert len(BASE) == 138
    assert hashlib.sha256(text.encode()).hexdigest() == IDS
    assert (BASE.id_of("Fp1"), BASE.id_of("Cz"), BASE.id_of("Fpz"), BASE.id_of("M2")) == (0, 25, 129, 137)


IDS = "4db44791d3fbcff1bc74afbb544599e588a37568967a13755646e4bef056be05"


def test_base_positions_are_those_of_mne():
    """Base positions and their order are those of MNE."""
    from mne.channels import get_builtin_montages, make_standard_montage
    from mne.channels.montage import transform_to_head

    template = "colin27_1005" if "colin27_1005" in get_builtin_montages() else "standard_1005"
    head_m = transform_to_head(make_standard_montage(template)).get_positions()["ch_pos"]
    cap = tuple(make_standard_montage("brainproducts-RNP-BA-128").ch_names)
    assert BASE.names == (*cap, "T9", "T10", "PO5", "PO6", "CB1", "CB2", "M1", "M2")
    for electrode in BASE:
        if electrode.source.startswith("estimate"):
            continue
        np.testing.assert_allclose(electrode.position_m, head_m[electrode.name], atol=0.00006)
    between = (np.array(BASE.position_m("PO9")) + BASE.position_m("I1")) / 2
    np.testing.assert_allclose(BASE.position_m("CB1"), between, atol=0.0001)


def test_old_names_and_case_give_one_row():
    """Old names and other case lead to the same row."""
    for old, new in {"T3": "T7", "t4": "T8", "T5": "P7", "T6": "P8", "FPZ": "Fpz", "cfc3": "FCC3h"}.items():
        assert BASE.canonical(old) == new
        assert old in BASE
    with pytest.raises(UsageError, match="did you mean 'POz'"):
        BASE.id_of("POzz")


def test_nearest_is_by_distance_in_metres():
    """Nearest is by distance in metres and can be restricted."""
    (first, distance_m), second = BASE.nearest("C3", 2)
    expected = np.linalg.norm(BASE.position_m("C3") - BASE.position_m(first))
    assert distance_m == pytest.approx(expected)
    assert distance_m <= second[1]
    assert BASE.nearest(BASE.position_m("Oz"))[0] == ("Oz", 0.0)
    assert BASE.nearest("C3", 1, among=["C3", "C4", "Pz"])[0][0] == "Pz"


def test_a_lab_adds_rows_and_no_id_moves(tmp_path):
    bigger = BASE.extend([Electrode(name="AF1", position_m=(-0.01, 0.11, 0.06), source="lab")])
    assert [bigger.id_of(n) for n in BASE.names] == list(range(138))
    assert bigger.id_of("AF1") == 138
    bigger.to_parquet(tmp_path / "v.parquet")
    assert Vocabulary.from_parquet(tmp_path / "v.parquet") == bigger
    with pytest.raises(UsageError, match="duplicate name"):
        BASE.extend([Electrode(name="t3")])


@pytest.mark.parametrize("name", ["../x", "a/b", "a.b", "", "x" * 40, "Fp1-REF", "1a", "Cz\n"])
def test_name_that_leaves_folder_is_refused(name):
    """A name that could leave its folder is refused."""
    with pytest.raises(UsageError, match="invalid electrode name"):
        BASE.extend([Electrode(name=name)])


def test_equal_vocabularies_give_equal_bytes(tmp_path):
    BASE.to_parquet(tmp_path / "a.parquet")
    Vocabulary.from_parquet(tmp_path / "a.parquet").to_parquet(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["name"]), "no column name"),
        (lambda t: t.set_column(0, "id", pa.array([1] * 138)), "not 0, 1, 2"),
        (lambda t: t.set_column(3, "x_m", pa.array([30.0] * 138)), "not on a head"),
        (lambda t: t.set_column(3, "x_m", pa.array(["left"] * 138)), "wrong type"),
        (lambda t: t.set_column(1, "name", pa.array([None] * 138, pa.string())), "has no name"),
    ],
)
def test_foreign_table_is_checked(tmp_path, change, message):
    pq.write_table(change(BASE.to_table()), tmp_path / "v.parquet")
    with pytest.raises(InputError) as caught:
        Vocabulary.from_parquet(tmp_path / "v.parquet")
    assert message in str(caught.value)


def test_file_that_is_no_parquet_is_an_error(tmp_path):
    """A file that is not Parquet is one clear error."""
    (tmp_path / "v.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a Parquet file"):
        Vocabulary.from_parquet(tmp_path / "v.parquet")
    with pytest.raises(UsageError, match="vocabulary not found"):
        Vocabulary.from_parquet(tmp_path / "absent.parquet")
