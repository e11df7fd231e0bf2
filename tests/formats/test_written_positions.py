"""Positions in FIF, BrainVision and BIDS files whose channels are only numbered: the electrode or none."""

from __future__ import annotations

import json
from pathlib import Path

import mne
import numpy as np
import pytest

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.formats.decode import decode_file
from eegprep.sources.implicit import manifest_for_path

BASE = Vocabulary.base()
NAMES = """Fp1 Fp2 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 CP5 CP1 CP2 CP6 P7 P3 Pz P4 P8 PO3 PO4 O1 Oz
O2"""
CAP = NAMES.split()


def numbered(names: list[str], montage: str) -> mne.io.RawArray:
    """Noise in channels 1, 2, ... at the places of `names`."""
    places = mne.channels.make_standard_montage(montage).get_positions()
    chosen = {f"Ch{i}": places["ch_pos"][n] for i, n in enumerate(names)}
    landmarks = {k: places[k] for k in ("nasion", "lpa", "rpa")}
    data = np.random.default_rng(0).normal(0, 2e-5, (len(names), 2000))
    raw = mne.io.RawArray(data, mne.create_info(list(chosen), 200.0, "eeg"), verbose="ERROR")
    made = mne.channels.make_dig_montage(chosen, **landmarks, coord_frame=places["coord_frame"])
    return raw.set_montage(made, verbose="ERROR")


def check(path: Path, names: list[str], least: int) -> None:
    found = resolve_all(BASE, decode_file(path, manifest_for_path(path)).channels)
    electrodes = [r.electrode for r in found]
    assert all(e in (None, n) for e, n in zip(electrodes, names, strict=True)), electrodes
    assert sum(e is not None for e in electrodes) >= least
    assert {r.code for r in found} <= {"position", "no_near_electrode"}


@pytest.mark.parametrize(
    ("montage", "least"), [("colin27_1005", 30), ("fsaverage_1005", 26), ("spherical_1005", 0), ("easycap-M1", 0)]
)
def test_fif_of_any_template(tmp_path: Path, montage: str, least: int) -> None:
    """Templates with landmarks of their own, and spheres whose landmarks MNE fills in."""
    names = [n for n in CAP if n in mne.channels.make_standard_montage(montage).ch_names]
    numbered(names, montage).save(tmp_path / "x_raw.fif", verbose="ERROR")
    check(tmp_path / "x_raw.fif", names, least)


@pytest.mark.parametrize("n", [3, 12, 15])
def test_fif_of_few_electrodes(tmp_path: Path, n: int) -> None:
    numbered(CAP[:n], "fsaverage_1005").save(tmp_path / "x_raw.fif", verbose="ERROR")
    check(tmp_path / "x_raw.fif", CAP[:n], 0)


@pytest.mark.parametrize("montage", ["easycap-M1", "spherical_1005"])
def test_brainvision_coordinates(tmp_path: Path, montage: str) -> None:
    """Radius, theta and phi of an ideal sphere, as the maker writes them."""
    names = [n for n in CAP if n in mne.channels.make_standard_montage(montage).ch_names]
    places = mne.channels.make_standard_montage(montage).get_positions()["ch_pos"]
    lines = []
    for i, name in enumerate(names, 1):
        x, y, z = places[name] / np.linalg.norm(places[name])
        theta = np.degrees(np.arccos(z)) * (-1 if x < 0 else 1)
        phi = np.degrees(np.arctan2(y, x)) - (0 if x >= 0 else 180 if y > 0 else -180)
        lines.append(f"Ch{i}=1,{theta:.0f},{phi:.0f}")
    header = f"""Brain Vision Data Exchange Header File Version 1.0

[Common Infos]
DataFile=x.eeg
MarkerFile=x.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels={len(names)}
SamplingInterval=5000

[Binary Infos]
BinaryFormat=INT_16

[Channel Infos]
""" + "\n".join(f"Ch{i}={i},,0.1,µV" for i in range(1, len(names) + 1))
    (tmp_path / "x.vhdr").write_text(header + "\n\n[Coordinates]\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "x.vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n\n[Common Infos]\nDataFile=x.eeg\n\n[Marker Infos]\n"
    )
    samples = np.random.default_rng(0).normal(0, 200, (2000, len(names))).astype("<i2")
    (tmp_path / "x.eeg").write_bytes(samples.tobytes())
    found = resolve_all(BASE, decode_file(tmp_path / "x.vhdr", manifest_for_path(tmp_path / "x.vhdr")).channels)
    assert all(r.electrode in (None, n) for r, n in zip(found, names, strict=True))


@pytest.mark.parametrize("unit", ["m", "cm", "mm"])
@pytest.mark.parametrize("frame", ["CapTrak", "EEGLAB", "fsaverage", "Other"])
def test_bids_frames_and_units(tmp_path: Path, frame: str, unit: str) -> None:
    """The frame and unit of coordsystem.json; of frames that are not known no position is taken."""
    from edfio import Edf, EdfSignal

    from eegprep.sources import open_source

    places = mne.channels.make_standard_montage("fsaverage_1005").get_positions()["ch_pos"]
    folder = tmp_path / "sub-01" / "eeg"
    folder.mkdir(parents=True)
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    generator = np.random.default_rng(0)
    signals = [
        EdfSignal(
            generator.normal(0, 20, 2000), 200, label=f"Ch{i}", physical_dimension="uV", physical_range=(-300, 300)
        )
        for i, row in enumerate(generator.normal(0, 20, (len(CAP), 2000)))
    ]
    Edf(signals).write(folder / "sub-01_task-x_eeg.edf")
    factor = {"m": 1.0, "cm": 100.0, "mm": 1000.0}[unit]
    rows = ["name\tx\ty\tz"]
    for i, name in enumerate(CAP):
        x, y, z = factor * places[name]
        x, y = (y, -x) if frame == "EEGLAB" else (x, y)
        rows.append(f"Ch{i}\t{x:.6f}\t{y:.6f}\t{z:.6f}")
    (folder / "sub-01_electrodes.tsv").write_text("\n".join(rows) + "\n")
    (folder / "sub-01_coordsystem.json").write_text(
        json.dumps({"EEGCoordinateSystem": frame, "EEGCoordinateUnits": unit})
    )
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    found = resolve_all(BASE, source.read(source.plan()[0]).channels)
    assert all(r.electrode in (None, n) for r, n in zip(found, CAP, strict=True))
    assert sum(r.electrode is not None for r in found) >= (26 if frame in ("CapTrak", "EEGLAB") else 0)
    assert frame in ("CapTrak", "EEGLAB") or {r.code for r in found} == {"unnamed"}
