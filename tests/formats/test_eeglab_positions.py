"""EEGLAB files whose channels are numbered and have positions: where the nose is decides what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.formats.decode import decode_file
from eegprep.sources.implicit import manifest_for_path

NAMES = """Fp1 Fp2 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 CP5 CP1 CP2 CP6 P7 P3 Pz P4 P8 PO3 PO4 O1 Oz
O2"""
CAP = NAMES.split()
#: x (right), y (front) as EEGLAB's X, Y, by where the nose is.
FACING = {
    "+X": lambda x, y: (y, -x),
    "-X": lambda x, y: (-y, x),
    "+Y": lambda x, y: (x, y),
    "-Y": lambda x, y: (-x, -y),
}


def places(names: list[str]) -> np.ndarray:
    """Of a template brain, (n, 3) in mm."""
    from mne.channels import make_standard_montage

    found = make_standard_montage("fsaverage_1005").get_positions()["ch_pos"]
    return 1000 * np.array([found[n] for n in names])


def write_set(
    path: Path, locations: list[dict], *, nose: object, epochs: int = 1, labels: list[str] | None = None
) -> None:
    fields = sorted({k for one in locations for k in one})
    table = np.zeros(len(locations), dtype=[("labels", object), *((f, object) for f in fields)])
    for i, one in enumerate(locations):
        table[i] = ((labels or [])[i] if labels else f"Ch{i + 1}", *(one[f] for f in fields))
    n = 1000
    data = np.random.default_rng(1).normal(0, 20, (len(locations), n, epochs)).cumsum(axis=1) / 10
    events = np.zeros(epochs, dtype=[("type", object), ("latency", object), ("epoch", object)])
    for i in range(epochs):
        events[i] = ("a", float(i * n + 1), i + 1)
    cut = np.zeros(epochs, dtype=[("event", object), ("eventlatency", object), ("eventtype", object)])
    for i in range(epochs):
        cut[i] = (i + 1, 0.0, "a")
    info = {"plotrad": 0.5} if nose is None else {"nosedir": nose}
    eeg = {
        "setname": "x", "nbchan": len(locations), "trials": epochs, "pnts": n, "srate": 200.0, "xmin": 0.0,
        "xmax": (n - 1) / 200, "times": np.arange(n) * 5.0, "data": np.squeeze(data), "chanlocs": table,
        "chaninfo": info, "event": events, "icawinv": [], "icasphere": [], "icaweights": [], "icachansind": [],
        "urchanlocs": [], "ref": "common", "filename": path.name, "filepath": "",
        "epoch": cut,
    }  # fmt: skip
    savemat(path, {"EEG": eeg}, appendmat=False)


def channels(path: Path):
    return decode_file(path, manifest_for_path(path)).channels


def resolved(path: Path) -> list[str | None]:
    return [r.electrode for r in resolve_all(Vocabulary.base(), channels(path))]


def check(found: list[str | None]) -> None:
    """No electrode is another one, and nine of ten are found."""
    assert all(f in (None, name) for f, name in zip(found, CAP, strict=True))
    assert sum(f is not None for f in found) >= 0.9 * len(CAP)


def at(names: list[str], nose: str, unit: float = 1.0) -> list[dict]:
    turned = [(*FACING[nose](x, y), z) for x, y, z in places(names)]
    return [{"X": unit * x, "Y": unit * y, "Z": unit * z} for x, y, z in turned]


@pytest.mark.parametrize("nose", FACING)
@pytest.mark.parametrize("unit", [1.0, 0.1, 0.001], ids=["mm", "cm", "m"])
def test_nosedir_gives_the_electrodes(tmp_path: Path, nose: str, unit: float) -> None:
    write_set(tmp_path / "s.set", at(CAP, nose, unit), nose=nose)
    check(resolved(tmp_path / "s.set"))


@pytest.mark.parametrize("nose", ["+Y", "-Y"])
def test_nosedir_of_epochs(tmp_path: Path, nose: str) -> None:
    write_set(tmp_path / "s.set", at(CAP, nose), nose=nose, epochs=2)
    check(resolved(tmp_path / "s.set"))


@pytest.mark.parametrize("nose", [None, "", np.zeros((0, 0))], ids=["absent", "empty", "matrix"])
def test_nosedir_is_x_by_default(tmp_path: Path, nose: object) -> None:
    write_set(tmp_path / "s.set", at(CAP, "+X"), nose=nose)
    check(resolved(tmp_path / "s.set"))


def test_unknown_nosedir_gives_none(tmp_path: Path) -> None:
    write_set(tmp_path / "s.set", at(CAP, "+X"), nose="+Z")
    assert set(resolved(tmp_path / "s.set")) == {None}


def test_wrong_nosedir_gives_none(tmp_path: Path) -> None:
    """A file that says +X and has its nose on +Y: nothing fits, so nothing is taken."""
    write_set(tmp_path / "s.set", at(CAP, "+Y"), nose="+X")
    assert set(resolved(tmp_path / "s.set")) == {None}


@pytest.mark.parametrize("names", [CAP[::3], CAP[:12], ["T7", "T8", "Cz"]])
def test_few_positions_of_a_template(tmp_path: Path, names: list[str]) -> None:
    write_set(tmp_path / "s.set", at(names, "+X"), nose="+X")
    found = resolve_all(Vocabulary.base(), channels(tmp_path / "s.set"))
    assert {(r.electrode, r.code) for r in found} == {(None, "no_near_electrode")}


def test_polar_angles_alone_give_none(tmp_path: Path) -> None:
    none = np.zeros((0, 0))
    rows = [{"theta": 10.0 * i, "radius": 0.3, "X": none, "Y": none, "Z": none} for i in range(30)]
    write_set(tmp_path / "s.set", rows, nose="+X")
    assert set(resolved(tmp_path / "s.set")) == {None}


def test_names_go_before_positions(tmp_path: Path) -> None:
    """Names are believed though the positions are another's."""
    write_set(tmp_path / "s.set", at(CAP[::-1], "+X"), nose="+X", labels=CAP)
    assert resolved(tmp_path / "s.set") == CAP
