"""JSON side-cars of BIDS complete each other key by key, the nearest first; from a folder and from an address."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.recordings import eeg_uv, write_edf

from eegprep.errors import InputError
from eegprep.manifest import parse_manifest
from eegprep.remote.listing import ListedFile, Listing
from eegprep.remote.mirror import LISTING
from eegprep.sources.bids import BIDSSource
from eegprep.sources.remote import RemoteBIDSSource

MANIFEST = """\
manifest: 1
name: bids
version: "1"
title: Side-cars
citation: made for a test
licence: {id: CC0-1.0}
anonymous_subjects: true
source: {kind: bids}
"""
EEG = "sub-01/ses-a/eeg/"
STEM = f"{EEG}sub-01_ses-a_task-odd"
ROOT = {"EEGReference": "Cz", "PowerLineFrequency": 50}
TABLE = "name\tx\ty\tz\nC3\t40\t20\t100\n"


@pytest.fixture(params=["folder", "address"])
def opened(request: pytest.FixtureRequest, tmp_path: Path):
    """The source of a tree with one recording of 10 s at 200 Hz and the given side-cars."""

    def open_tree(side_cars: dict[str, object]) -> BIDSSource:
        (tmp_path / EEG).mkdir(parents=True)
        write_edf(tmp_path / f"{STEM}_eeg.edf", eeg_uv(6, 2000))
        (tmp_path / "dataset_description.json").write_text("{}")
        for name, content in side_cars.items():
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        if request.param == "folder":
            return BIDSSource(parse_manifest(MANIFEST), tmp_path)
        files = [p for p in tmp_path.rglob("*") if p.is_file()]
        listed = [ListedFile(path=p.relative_to(tmp_path).as_posix(), n_bytes=p.stat().st_size) for p in files]
        listing = Listing(address="https://example.org/set", files=tuple(sorted(listed, key=lambda f: f.path)))
        (tmp_path / LISTING).write_text(listing.to_json())
        return RemoteBIDSSource(parse_manifest(MANIFEST), tmp_path)

    return open_tree


def read(source: BIDSSource):
    (planned,) = source.plan()
    return source.read(planned)


@pytest.mark.parametrize(
    ("side_cars", "reference", "line_hz"),
    [
        ({"task-odd_eeg.json": ROOT, f"{STEM}_eeg.json": {"RecordingDuration": 10}}, "Cz", 50),
        ({"eeg.json": ROOT, f"{STEM}_eeg.json": {"PowerLineFrequency": 60}}, "Cz", 60),
        ({"eeg.json": ROOT, f"{STEM}_eeg.json": {"EEGReference": "FCz"}}, "FCz", 50),
        ({"eeg.json": ROOT, f"{STEM}_eeg.json": {"EEGReference": "n/a"}}, "", 50),
        ({"eeg.json": ROOT, "sub-01/sub-01_eeg.json": {"EEGReference": "FCz"}, f"{STEM}_eeg.json": {}}, "FCz", 50),
        ({"eeg.json": ROOT, f"{EEG}sub-01_eeg.json": {"EEGReference": "Oz"}, f"{STEM}_eeg.json": {"x": 1}}, "Oz", 50),
        ({"eeg.json": ROOT, "task-odd_eeg.json": {"PowerLineFrequency": 60}}, "Cz", 60),
        ({"task-rest_eeg.json": ROOT, f"{STEM}_eeg.json": {"PowerLineFrequency": 60}}, "", 60),
        ({"sub-01/ses-a/sub-01_ses-a_eeg.json": ROOT}, "Cz", 50),
    ],
)  # fmt: skip
def test_nearer_keys_override_one_by_one(opened, side_cars, reference, line_hz) -> None:
    """What the nearest file does not state is inherited; a table of another task is not."""
    recording = read(opened(side_cars))
    assert (recording.reference, recording.line_freq_hz) == (reference, line_hz)


@pytest.mark.parametrize("damage", ["{", "[1]", '"Cz"', ""])
@pytest.mark.parametrize("near", [True, False])
def test_damaged_file_costs_itself_alone(opened, damage, near) -> None:
    """The other levels stand, and a note says that one was ignored."""
    names = ["eeg.json", f"{STEM}_eeg.json"]
    damaged, whole = reversed(names) if near else names
    recording = read(opened({damaged: damage, whole: ROOT}))
    assert (recording.reference, recording.line_freq_hz) == ("Cz", 50)
    assert recording.notes.count("eeg.json is not valid JSON and was ignored") == 1


def test_rate_and_duration_of_two_files(opened) -> None:
    """A rate and a duration that contradict the signal are found together; the error names the file with the rate."""
    said = {"eeg.json": {"SamplingFrequency": 100}, f"{STEM}_eeg.json": {"RecordingDuration": 20}}
    with pytest.raises(InputError, match="contradicts its description") as found:
        read(opened(said))
    assert Path(str(found.value.where)).name == "eeg.json"


@pytest.mark.parametrize("named", ["", "_space-CapTrak"])
def test_frame_and_units_are_inherited(opened, named) -> None:
    """`coordsystem.json` is inherited likewise, within one space."""
    recording = read(
        opened(
            {
                "coordsystem.json": {"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "m"},
                f"{EEG}sub-01_ses-a{named}_coordsystem.json": {"EEGCoordinateUnits": "mm"},
                f"{EEG}sub-01_ses-a{named}_electrodes.tsv": TABLE,
            }
        )
    )
    (place,) = (c.position_m for c in recording.channels if c.position_m is not None)
    np.testing.assert_allclose(place, (0.04, 0.02, 0.1))


@pytest.mark.parametrize("spaces", [("ACPC", "CapTrak"), ("CapTrak", "ACPC")])
def test_spaces_are_not_mixed(opened, spaces) -> None:
    """Electrodes of one space never get the frame or the units of another."""
    table, other = spaces
    recording = read(
        opened(
            {
                f"{EEG}sub-01_ses-a_space-{other}_coordsystem.json": {
                    "EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "mm",
                },
                f"{EEG}sub-01_ses-a_space-{table}_electrodes.tsv": TABLE,
            }
        )
    )  # fmt: skip
    assert all(c.position_m is None for c in recording.channels)


@pytest.mark.parametrize("damaged", ["coordsystem.json", f"{EEG}sub-01_ses-a_coordsystem.json"])
def test_damaged_frame_gives_no_position(opened, damaged) -> None:
    """A damaged file may state another unit, so no position is guessed, and a note says so."""
    frame = {"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "mm"}
    frames = {"coordsystem.json": frame, f"{EEG}sub-01_ses-a_coordsystem.json": frame}
    recording = read(opened({**frames, damaged: "{", f"{STEM}_electrodes.tsv": TABLE}))
    assert all(c.position_m is None for c in recording.channels)
    assert "coordsystem.json is not valid JSON, so electrodes.tsv was ignored" in recording.notes


def test_tables_of_tsv_are_not_merged(opened) -> None:
    """Of two TSV files only the nearest applies, whole."""
    far, near = "name\ttype\tunits\nC3\tMISC\tuV\nC4\tEOG\tuV\n", "name\ttype\tunits\nC3\tEEG\tuV\n"
    recording = read(opened({"channels.tsv": far, f"{STEM}_channels.tsv": near}))
    assert {c.kind for c in recording.channels if c.name == "C4"} == {"unknown"}


def test_length_at_an_address_is_inherited(tmp_path: Path) -> None:
    """The description and the length before the signal is fetched use inherited keys."""
    (tmp_path / EEG).mkdir(parents=True)
    tables = {"eeg.json": {"SamplingFrequency": 200, **ROOT}, f"{STEM}_eeg.json": {"RecordingDuration": 7200}}
    for name, content in tables.items():
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "dataset_description.json").write_text("{}")
    names = ["dataset_description.json", f"{STEM}_eeg.edf", *tables]
    listing = Listing(address="https://example.org/set", files=tuple(ListedFile(path=n, n_bytes=10) for n in names))
    (tmp_path / LISTING).write_text(listing.to_json())
    source = RemoteBIDSSource(parse_manifest(MANIFEST), tmp_path)
    (planned,) = source.plan()
    assert source.hours(planned) == 2
    assert source.description(planned)["PowerLineFrequency"] == 50
    (tmp_path / "eeg.json").write_text("{")
    assert source.description(planned) == {"RecordingDuration": 7200}
