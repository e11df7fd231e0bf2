"""Channels of other kinds: the rows of the vocabulary, and the names that data sets and devices give them."""

from __future__ import annotations

import pytest

from eegprep.electrodes import Vocabulary, dump_vocabulary, load_vocabulary, parse_vocabulary, resolve, resolve_all
from eegprep.electrodes.resolve import NamedChannel
from eegprep.errors import InputError
from eegprep.manifest.schema import ChannelRule

KINDS = ("eeg", "eog", "emg", "ecg", "respiration", "other")
ALL = Vocabulary.base(KINDS)
NAMES = {
    "sleep_edf": {
        "EEG Fpz-Cz": "Fpz-Cz", "EOG horizontal": "EOGH-unknown", "Resp oro-nasal": "RESPflow-unknown",
        "EMG submental": "EMGchin-unknown", "Temp rectal": None, "Event marker": None,
    },
    "hmc": {
        "EEG F4-M1": "F4-M1", "EMG chin": "EMGchin-unknown", "EOG E1-M2": "EOGL-M2", "EOG E2-M2": "EOGR-M2",
        "ECG": "ECG-unknown",
    },
    "isruc": {
        "LOC-A2": "EOGL-A2", "ROC-A1": "EOGR-A1", "E1-M2": "EOGL-M2", "E2-M1": "EOGR-M1", "X1": None, "SaO2": None,
        "DC3": None,
    },
    "shhs": {
        "EOG(L)": "EOGL-unknown", "EOG(R)": "EOGR-unknown", "EMG": "EMG-unknown", "AIRFLOW": "RESPflow-unknown",
        "THOR RES": "RESPthorax-unknown", "ABDO RES": "RESPabdomen-unknown", "EEG(sec)": None, "H.R.": None,
        "POSITION": None, "LIGHT": None,
    },
    "cap": {
        "ROC-LOC": "EOGR-EOGL", "LOC / A1": "EOGL-A1", "EOG dx": "EOGR-unknown", "EMG1-EMG2": "EMG1-EMG2",
        "CHIN1-CHIN2": "EMGchin1-EMGchin2", "CHIN-0": "EMGchin-unknown", "ECG1-ECG2": "ECG1-ECG2", "ekg": "ECG-unknown",
        "DX1-DX2": "EMGlegR-EMGlegR2", "SX1-SX2": "EMGlegL-EMGlegL2", "TIB Sx": "EMGlegL-unknown",
        "TERMISTORE": "RESPflow-unknown", "TORACE": "RESPthorax-unknown", "addominale": "RESPabdomen-unknown",
        "PLETH": "Pleth-unknown", "HR": None, "MIC": None,
    },
    "mesa": {
        "EKG": "ECG-unknown", "EOG-L": "EOGL-unknown", "Pres": "RESPpressure-unknown", "Flow": "RESPflow-unknown",
        "Snore": "Snore-unknown", "Thor": "RESPthorax-unknown", "Leg": "EMGleg-unknown", "Therm": "RESPflow-unknown",
        "EKG_Off": None, "EOG-L_Off": None, "DHR": None, "SpO2": None,
    },
    "others": {
        "ECG ECG": "ECG-unknown", "EKG EKG": "ECG-unknown", "vEOG": "EOGV-unknown", "HEOG": "EOGH-unknown",
        "EKG1-EKG2": "ECG1-ECG2", "ECG II": "ECGII-unknown", "ECG V2": "ECGV2-unknown", "LEOG": "EOGL-unknown",
        "ECG-RA": "ECG-unknown", "Left leg": "EMGlegL-unknown", "LAT1-LAT2": "EMGlegL-EMGlegL2", "ATL1": None,
    },
}  # fmt: skip


def full(resolution) -> str | None:
    return resolution.electrode and f"{resolution.electrode}-{resolution.reference or 'unknown'}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [p for names in NAMES.values() for p in names.items()],
)
def test_names_of_sleep_laboratories(name, expected):
    """Names of Sleep-EDF, HMC, ISRUC, SHHS, CAP, MESA and others give their rows; unknown ones none."""
    assert full(resolve(ALL, name, kinds=KINDS)) == expected


@pytest.mark.parametrize("name", [n for names in NAMES.values() for n in names])
def test_eeg_alone_keeps_no_other_kind(name):
    """By default no channel of another kind is kept, and the reason names the option that keeps it."""
    kept, default = resolve(ALL, name, kinds=KINDS), resolve(Vocabulary.base(), name)
    if kept.electrode is None or kept.kind == "eeg":
        assert (default.electrode, default.code) == (kept.electrode, kept.code)
        assert "--kinds" not in default.reason
    else:
        assert default.electrode is None
        assert f"--kinds eeg,{kept.kind} keeps it" in default.reason


@pytest.mark.parametrize(
    ("kind", "name", "row"),
    [
        ("veog", "EXG1", "EOGV"), ("heog", "EXG2", "EOGH"), ("eog", "EXG3", "EOG"), ("eog", "EOG L", "EOGL"),
        ("ecg", "EXG4", "ECG"), ("emg", "EXG5", "EMG"), ("resp", "Belt", "RESP"), ("ppg", "A", "Pleth"),
        ("misc", "EOG", None), ("stim", "ECG", None), ("eog", "Fp1", "EOG"),
    ],
)  # fmt: skip
def test_types_of_files_come_first(kind, name, row):
    """A type from the file (BIDS, MNE) decides the kind, and the row if the name says no more."""
    assert resolve(ALL, name, kind=kind, kinds=KINDS).electrode == row


def test_only_asked_kinds_are_kept():
    """A kind that is not asked for is left out although the vocabulary has its row."""
    found = resolve_all(ALL, [NamedChannel(name=n) for n in ("C3", "EOG", "ECG", "E1", "E2")], kinds=("eeg", "eog"))
    assert [r.electrode for r in found] == ["C3", "EOG", None, "EOGL", "EOGR"]
    assert "--kinds eeg,ecg" in found[2].reason


def test_same_name_twice_keeps_the_first():
    """Two EOG channels with the same name: the first is kept, the other is a duplicate of it."""
    channels = [NamedChannel(name="EOG"), NamedChannel(name="EOG"), NamedChannel(name="C3")]
    found = resolve_all(ALL, channels, kinds=KINDS)
    assert [r.code for r in found] == ["matched", "duplicate", "matched"]
    assert "'EOG'" in found[1].reason


def test_rules_may_name_other_kinds():
    """A manifest maps a channel to a row of another kind, which is kept if the kind is."""
    rules = {"X1": ChannelRule(electrode="EMGchin", reference="EMGchin2")}
    channels = [NamedChannel(name="X1"), NamedChannel(name="C3")]
    kept = resolve_all(ALL, channels, rules=rules, kinds=KINDS)[0]
    assert (kept.electrode, kept.reference, kept.kind) == ("EMGchin", "EMGchin2", "emg")
    out = resolve_all(Vocabulary.base(), channels, rules=rules)[0]
    assert out.electrode is None
    assert "--kinds eeg,emg" in out.reason


def test_other_kinds_come_after_the_138():
    """Other kinds and the 10-05 system are appended; no id of the base moves, and each name is there once."""
    base, extended = Vocabulary.base(), Vocabulary.extended()
    assert len(base) == 138
    assert ALL.names[:138] == base.names
    assert extended.names[: len(ALL)] == ALL.names
    assert {row.kind for row in list(ALL)[138:]} == set(KINDS) - {"eeg"}
    eeg = [row for row in extended if row.kind == "eeg"]
    assert 330 <= len(eeg) <= 345
    assert all(row.position_m is not None for row in eeg)
    assert load_vocabulary("extended") == extended


def test_kind_survives_text_and_tables(tmp_path):
    """A row's kind survives the text for workers and Parquet, and a lab's table may state it."""
    assert parse_vocabulary(dump_vocabulary(ALL)) == ALL
    ALL.to_parquet(tmp_path / "all.parquet")
    assert load_vocabulary(tmp_path / "all.parquet") == ALL
    table = tmp_path / "own.tsv"
    table.write_text("name\tkind\nEMGneck\temg\nLab1\t\n")
    own = load_vocabulary(table)
    assert [own.kind_of(n) for n in ("EMGneck", "Lab1", "Cz")] == ["emg", "eeg", "eeg"]
    assert own.with_kinds(("eeg", "emg")).id_of("EMGneck") == 138
    assert resolve(own, "EMGneck").electrode is None
    assert resolve(own, "EMGneck", kinds=("eeg", "emg")).electrode == "EMGneck"
    table.write_text("name\tkind\nX1x\tmuscle\n")
    with pytest.raises(InputError, match="unknown kind"):
        load_vocabulary(table)


def test_extended_names_need_the_extended_vocabulary():
    """A 10-05 position outside the 138 is refused by name with the option, and kept in the extended vocabulary."""
    out = resolve(Vocabulary.base(), "CCP1")
    assert (out.electrode, out.code) == (None, "outside_vocabulary")
    assert "--vocabulary extended" in out.reason
    assert resolve(Vocabulary.extended(), "CCP1").electrode == "CCP1"


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (("HEOGL", "HEOGR"), ("EOGL", "EOGR")),
        (("HEOG_L", "HEOG_R", "VEOGU", "VEOGL"), ("EOGL", "EOGR", "EOGV", "EOG")),
        (("HEOG-L", "HEOG-R"), ("EOGL", "EOGR")),
        (("HEOG left", "HEOG right", "VEOG upper", "VEOG lower"), ("EOGL", "EOGR", "EOGV", "EOG")),
        (("HEOG", "VEOG"), ("EOGH", "EOGV")),
    ],
)
def test_both_sides_of_the_eyes_are_kept(names, rows):
    """Left and right (upper and lower) electrodes are not taken for one derivation, of which one would be dropped."""
    found = resolve_all(ALL, [NamedChannel(name=n) for n in names], kinds=("eeg", "eog"))
    assert tuple(r.electrode for r in found) == rows
