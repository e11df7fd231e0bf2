"""The marker file that a BrainVision header names: absent, unreadable, or another recording's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pybv import write_brainvision

from eegprep.errors import InputError
from eegprep.formats.decode import decode_file
from eegprep.formats.decoded import Decoded
from eegprep.formats.segments import structured


@pytest.fixture
def header(made, tmp_path: Path) -> Path:
    marks = [{"onset": at, "duration": 1, "type": "Stimulus", "description": code} for at, code in ((300, 1), (700, 2))]
    write_brainvision(
        data=made["eeg_uv"](3, 1600) * 1e-6, sfreq=200, ch_names=["C3", "C4", "O1"], fname_base="p",
        folder_out=tmp_path, events=marks,
    )  # fmt: skip
    return tmp_path / "p.vhdr"


def read(made, header: Path) -> Decoded:
    return decode_file(header, made["manifest"](source={"files": ["{subject}.vhdr"]}))


def refused(made, header: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read(made, header)
    return caught.value


def test_markers_are_at_their_samples(made, header: Path) -> None:
    """Positions count from 1 in the file."""
    decoded = read(made, header)
    assert [(e.start_sample, e.text) for e in decoded.events] == [(300, "Stimulus/S  1"), (700, "Stimulus/S  2")]
    assert "Mk1=Stimulus,S  1,301,1,0" in header.with_suffix(".vmrk").read_text()


def test_a_missing_marker_file_is_refused(made, header: Path) -> None:
    """Without it nothing says where the recording was interrupted."""
    header.with_suffix(".vmrk").unlink()
    error = refused(made, header)
    assert error.what == "the marker file of p.vhdr is missing"
    assert error.todo == "copy the .vmrk file too, under its original name"


def test_a_renamed_marker_file(made, header: Path) -> None:
    """The header names the old name; the message names the file that lies there."""
    header.write_text(header.read_text().replace("MarkerFile=p.vmrk", "MarkerFile=old.vmrk"))
    assert refused(made, header).todo == "correct `MarkerFile=` if p.vmrk is its marker file"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Brain Vision Data Exchange Marker File", "<html>", "first line"),
        ("Mk1=Stimulus,S  1,301,1,0", "Mk2=Stimulus,S  1,x,1,0", "1 of 2 markers"),
        ("Mk1=Stimulus,S  1,301,1,0", "Mk1=Stimulus", "1 of 2 markers"),
    ],
)
def test_an_unreadable_marker_file(made, header: Path, old: str, new: str, reason: str) -> None:
    """It is refused as what it is, and its text is not repeated."""
    markers = header.with_suffix(".vmrk")
    text = markers.read_text()
    assert old in text
    markers.write_text(text.replace(old, new))
    error = refused(made, header)
    assert error.what == "the marker file of p.vhdr cannot be read"
    assert reason in (error.found or "")


def test_an_empty_marker_file(made, header: Path) -> None:
    """As an unreadable one."""
    header.with_suffix(".vmrk").write_bytes(b"")
    assert "cannot be read" in refused(made, header).what


def test_markers_of_another_recording(made, header: Path) -> None:
    """A marker file that names another data file is used with a note: files are renamed by hand."""
    markers = header.with_suffix(".vmrk")
    markers.write_text(markers.read_text().replace("DataFile=p.eeg", "DataFile=Jane.eeg"))
    decoded = read(made, header)
    assert len(decoded.events) == 2
    assert decoded.notes == (
        "the marker file names another data file than the header: it may belong to another recording",
    )


def test_no_marker_file_is_named(made, header: Path) -> None:
    """A header may do without; the recording says that nothing is known of its events."""
    lines = [line for line in header.read_text().splitlines() if not line.startswith("MarkerFile")]
    header.write_text("\n".join([*lines, ""]))
    decoded = read(made, header)
    assert decoded.events == ()
    assert decoded.notes == ("the header names no marker file, so events and interruptions are unknown",)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
def test_byte_order_marks_and_line_ends(made, header: Path, encoding: str) -> None:
    """Neither makes a marker file unreadable."""
    markers = header.with_suffix(".vmrk")
    markers.write_bytes(markers.read_text().replace("\r\n", "\n").replace("\n", "\r\n").encode(encoding))
    assert len(read(made, header).events) == 2


def test_a_suffix_in_capitals(made, header: Path) -> None:
    """The header is then read through another name, its marker file with it."""
    header = header.rename(header.with_suffix(".VHDR"))
    assert len(read(made, header).events) == 2
    assert np.asarray(read(made, header).signal).shape == (3, 1600)


@pytest.mark.parametrize(("kind", "starts"), [("MARKERBASED", [0, 400, 800, 1200]), ("NOTSEGMENTED", [0])])
def test_segments_break_without_markers(made, header: Path, kind: str, starts: list[int]) -> None:
    """An export of segments breaks between them, also if its markers were not exported."""
    text = header.read_text().replace(
        "[Binary Infos]", f"SegmentationType={kind}\nSegmentDataPoints=400\n[Binary Infos]"
    )
    header.write_text(text)
    assert [s.start_sample for s in structured(read(made, header)).stretches] == starts


def test_an_average_is_no_recording(made, header: Path) -> None:
    """Averages are refused, as those of FIF are."""
    header.write_text(header.read_text().replace("[Binary Infos]", "Averaged=YES\nAveragedSegments=20\n[Binary Infos]"))
    assert refused(made, header).what == "p.vhdr contains averages, not a recording"
