"""What devices put around an electrode's name, inputs that are numbered by letter, and places that the table lacks."""

from __future__ import annotations

import pytest

from eegprep.electrodes import Electrode, Vocabulary, resolve_all
from eegprep.electrodes.naming import is_ten_five
from eegprep.electrodes.resolve import NamedChannel, resolve

BASE = Vocabulary.base()
CAP = "Fp1 Fp2 F3 F4 C3 C4 P3 P4 O1 O2 F7 F8 T3 T4 T5 T6 Fz Cz Pz"


@pytest.mark.parametrize(
    ("name", "electrode", "reference"),
    [
        ("BrainVision RDA_Fp1", "Fp1", None),
        ("Brain Vision RDA:Fp1", "Fp1", None),
        ("obci_eeg1_Fp1", "Fp1", None),
        ("OpenBCI-Fp1", "Fp1", None),
        ("actiCHamp-0_Cz", "Cz", None),
        ("LiveAmp Cz", "Cz", None),
        ("g.USBamp_C3", "C3", None),
        ("EEG1_C3", "C3", None),
        ("EEG 01 C3", "C3", None),
        ("Ch3: C3", "C3", None),
        ("3-C3", "C3", None),
        ("Channel_C3", "C3", None),
        ("C3_EEG", "C3", None),
        ("C3 raw", "C3", None),
        ("eeg_C3 (uV)", "C3", None),
        ("EEG T3", "T7", None),
        ("EEG Fp1-Ref", "Fp1", "REF"),
        ("EEG FP1-LE", "Fp1", "LE"),
        ("Fp1-A2", "Fp1", "A2"),
        ("RDA_Fp1-A2", "Fp1", "A2"),
        ("EEG F3 - EEG A2", "F3", "A2"),
        ("EEG F3-EEG C3", "F3", "C3"),
        ("C3-0V", "C3", "0V"),
        ("C3-mean", "C3", "AVG"),
    ],
)
def test_decorations_come_off(name: str, electrode: str, reference: str | None) -> None:
    found = resolve(BASE, name)
    assert (found.electrode, found.reference) == (electrode, reference)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("alpha_C3", "derived"),
        ("obci_eeg1_alpha_C3", "derived"),
        ("imp_C3", "device"),
        ("BrainVision RDA_impedance C3", "device"),
        ("RDA_EOG", "eog"),
        ("obci_eeg1_3", "unnamed"),
        ("EEG-7", "unnamed"),
        ("Ch 12", "unnamed"),
        ("C3_csd", "unknown_name"),
        ("filtered_C3", "unknown_name"),
        ("C3 C4", "unknown_name"),
    ],
)
def test_computed_channels_stay_out(name: str, code: str) -> None:
    """A word that says that something was computed is no decoration, and a number is no place behind one."""
    found = resolve(BASE, name)
    assert (found.electrode, found.code) == (None, code)


NOT_SHIPPED = """AF1 AF2 AF5 AF6 AF9 AF10 PO1 PO2 FT11 FT12 F11 F12 TP11 TP12 P11 T11 C1h CCP1 FFC1
TPP7 AFF1 AFFz Fp1h"""


@pytest.mark.parametrize("name", NOT_SHIPPED.split())
def test_ten_five_outside_vocabulary(name: str) -> None:
    """A true reason, no hint at another place, whatever stands around the name and wherever it was measured."""
    near = tuple(BASE.position_m("AFp1"))
    for found in (resolve(BASE, name), resolve(BASE, f"EEG {name}-REF"), resolve(BASE, name, position_m=near)):
        assert (found.electrode, found.code) == (None, "outside_vocabulary")
        assert "did you mean" not in found.reason
        assert "138 electrodes; extend it with --vocabulary" in found.reason


def test_extended_vocabulary_has_them() -> None:
    own = BASE.extend([Electrode(name="AF1")])
    assert resolve(own, "AF1").electrode == "AF1"
    assert "139" in resolve(own, "AF2").reason


def test_ten_five_names_are_mnes() -> None:
    """MNE's list of the system, the vocabulary and the rule agree; old 10-20 names and ear lobes are aside."""
    from mne.channels import make_standard_montage

    other = {"A1", "A2", "M1", "M2", "T3", "T4", "T5", "T6"}
    names = set(make_standard_montage("colin27_1005").ch_names)
    assert {n for n in names if not is_ten_five(n)} == names & other
    assert {n for n in BASE.names if not is_ten_five(n)} == {"CB1", "CB2", "M1", "M2"}
    assert not any(
        is_ten_five(n) for n in ("A1", "C7", "T1", "FC9", "FT3", "F13", "Q1", "O3", "E5", "CB1", "F0", "F03")
    )


def _inputs(letters: str, numbers: int) -> list[str]:
    return [f"{a}{i}" for a in letters for i in range(1, numbers + 1)]


@pytest.mark.parametrize(
    "names",
    [
        _inputs("AB", 32),
        _inputs("ABCDEFGH", 32),
        _inputs("ABCDEFGHI", 8),
        _inputs("ABCDEFGHI", 2),
        _inputs("AB", 4),
        _inputs("BCD", 8),
        _inputs("ABCDEFGHIJKLMNOP", 8),
        _inputs("CFPT", 12),
        [f"EEG {n}" for n in _inputs("ABCDEFGHI", 8)],
        [n.lower() for n in _inputs("ABCDEFGHI", 8)],
    ],
    ids=["ribbons", "eight", "grid", "two-columns", "few", "no-A", "sixteen", "shafts", "prefix", "lower"],
)
def test_lettered_inputs_are_no_places(names: list[str]) -> None:
    """A1, A2, C3, F4, I1, I2, O1, P8 are inputs where the others of such a system are there."""
    found = resolve_all(BASE, [NamedChannel(name=n) for n in names])
    assert {r.code for r in found} == {"numbered"}


def test_grid_keeps_what_is_named() -> None:
    """Mastoids, eyes and vertex beside numbered inputs keep their names."""
    names = [*_inputs("AB", 32), "M1", "EXG1", "Cz", "Status"]
    found = {r.channel: r for r in resolve_all(BASE, [NamedChannel(name=n) for n in names])}
    assert (found["M1"].electrode, found["Cz"].electrode) == ("M1", "Cz")
    assert (found["EXG1"].code, found["Status"].code) == ("aux", "stim")


@pytest.mark.parametrize(
    "extra", [["A1", "A2", "T1", "T2"], ["I1", "I2", "F9", "F10"], ["X1", "X2", "X3", "X4", "X5", "X6"], ["F11", "F12"]]
)
def test_ten_twenty_is_not_lettered(extra: list[str]) -> None:
    cap = CAP.split()
    found = resolve_all(BASE, [NamedChannel(name=n) for n in [*cap, *extra]])
    assert all(r.electrode is not None for r in found[: len(cap)])
    assert "numbered" not in {r.code for r in found if not r.channel.startswith("X")}
