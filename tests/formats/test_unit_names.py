"""Units are known in every spelling that is met, in whatever encoding; other quantities are no EEG."""

from __future__ import annotations

from pathlib import Path

import pytest

from eegprep.formats.edf.read import read_edf
from eegprep.formats.unit_names import is_other_quantity, unit_of
from eegprep.sources import manifest_for_path, open_source


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("uV", "uV"), ("UV", "uV"), ("µV", "uV"), ("μV", "uV"), ("ÂµV", "uV"), ("Î¼V", "uV"), (" uV ", "uV"),
        ("uVolt", "uV"), ("microvolts", "uV"), ("MicroV", "uV"), ("mkV", "uV"), ("muV", "uV"), ("[uV]", "uV"),
        ("uV/bit", "uV"), ("mV", "mV"), ("Millivolts", "mV"), ("V", "V"), ("Volts", "V"), ("nV", "nV"),
        ("", ""), ("%", ""), ("counts", ""), ("n/a", ""), ("°C", ""), ("uS", ""),
    ],
)  # fmt: skip
def test_spellings_of_units(text: str, unit: str) -> None:
    assert unit_of(text) == unit


def test_other_quantities_are_told_apart() -> None:
    """Quantities that are no voltage are told from units that are only unknown."""
    assert all(is_other_quantity(t) for t in ("%", "degC", "°C", "bpm", "Hz", "mmHg", "Bool", "uS", "l/min", "g"))
    assert not any(is_other_quantity(t) for t in ("uV", "mV", "", "n/a", "counts", "?"))


@pytest.mark.parametrize("text", ["µV", "μV"])
def test_utf_8_micro_sign_in_edf_is_read(made, tmp_path: Path, text: str) -> None:
    """A micro sign in UTF-8 leaves an EDF channel EEG."""
    path = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 1600))
    path.write_bytes(path.read_bytes().replace(b"uV      ", text.encode().ljust(8)))
    assert {(c.kind, c.unit) for c in read_edf(path).channels} == {("unknown", "uV")}


def test_greek_mu_is_a_micro_sign(made, tmp_path: Path) -> None:
    """A Greek mu in a BrainVision header means micro, as the other micro sign does."""
    signal = made["eeg_uv"](6, 1600)
    made["brainvision"](tmp_path, "a", signal, unit="μV")
    made["brainvision"](tmp_path, "b", signal, unit="µV")
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    greek, plain = (source.read(p) for p in sorted(source.plan(), key=lambda p: p.files))
    assert {c.kind for c in greek.channels} == {"eeg"}
    assert abs(greek.signal[:, :100] - plain.signal[:, :100]).max() < 1e-9


def test_reversed_digital_range_has_no_step(made, tmp_path: Path) -> None:
    """A reversed digital range says nothing of the size of a step."""
    path = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 1600))
    data = bytearray(path.read_bytes())
    at = 256 + 7 * (16 + 80 + 8 + 8 + 8)
    data[at : at + 8], data[at + 56 : at + 64] = data[at + 56 : at + 64], data[at : at + 8]
    path.write_bytes(bytes(data))
    first, second = read_edf(path).channels[:2]
    assert (first.unit, second.unit) == ("", "uV")
    assert "inverted" in first.unit_evidence
