"""Breaks and gaps by role and by the whole text of an event; a stimulus whose name begins like one is a stimulus."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pybv
import pytest

from eegprep.formats.decoded import Decoded, SourceChannel, SourceEvent, whole
from eegprep.formats.marker_files import with_parts
from eegprep.formats.segments import cut, role_of, structured
from eegprep.recording import Stretch
from eegprep.sources import manifest_for_path, open_source

TASK = {"name": "t", "classes": ["x", "y"], "trials": {"by": "event", "labels": {"BAD_seizure": "x"}, "length_s": 1}}


def read(path: Path):
    source = open_source(manifest_for_path(path), path)
    (planned,) = source.plan()
    return source.read(planned)


def raw_of(made, names, marks, n_samples: int = 3200, **more) -> mne.io.RawArray:
    raw = mne.io.RawArray(
        made["eeg_uv"](6, n_samples) * 1e-6, mne.create_info(list(names), 200.0, "eeg"), verbose="ERROR"
    )
    onsets, durations, texts = zip(*marks, strict=True)
    return raw.set_annotations(mne.Annotations(onsets, durations, texts, **more))


def borders(recording) -> list[tuple[int, int]]:
    return [(s.start_sample, s.stop_sample) for s in recording.stretches]


def parts_left_out(recording) -> list[tuple[str, int, int]]:
    return [(x.name, x.start_sample, x.n_samples) for x in recording.left_out if x.kind == "stretch"]


@pytest.mark.parametrize(
    ("text", "n_samples", "format_name", "role"),
    [
        ("boundary", 0, "edf", "break"),
        ("Boundary ", 0, "edf", "break"),
        ("boundary", 500, "eeglab", "break"),
        ("event boundary", 0, "edf", "stimulus"),
        ("boundary crossed", 0, "edf", "stimulus"),
        ("EDGE boundary", 0, "fif", "break"),
        ("BAD boundary", 0, "fif", "break"),
        ("BAD boundary", 20, "fif", "gap"),
        ("BAD_ACQ_SKIP", 40, "fif", "gap"),
        ("BAD_ACQ_SKIP", 0, "bids", "break"),
        ("bad_muscle", 40, "fif", "gap"),
        ("BAD", 40, "fif", "gap"),
        ("bad blink", 40, "fif", "gap"),
        ("bad EOG artifact 2", 40, "fif", "gap"),
        ("bad news", 40, "fif", "stimulus"),
        ("badminton", 40, "fif", "stimulus"),
        ("Bad Hersfeld", 40, "edf", "stimulus"),
        ("bad_news", 0, "edf", "stimulus"),
        ("-99", 0, "eeglab", "break"),
        ("-99", 0, "edf", "stimulus"),
        ("99", 0, "eeglab", "stimulus"),
        ("New Segment/", 1, "brainvision", "break"),
        ("New Segment/2", 1, "fif", "break"),
        ("Stimulus/New Segment", 1, "brainvision", "stimulus"),
        ("Comment/New Segment", 1, "brainvision", "stimulus"),
        ("new segment of the film", 0, "edf", "stimulus"),
        ("Bad Interval/Bad Min-Max", 50, "fif", "gap"),
        ("Comment/BAD_blink", 50, "brainvision", "gap"),
        ("Comment/boundary", 1, "brainvision", "break"),
        ("Comment/BAD_blink", 1, "brainvision", "stimulus"),
        ("Stimulus/BAD_x", 50, "brainvision", "stimulus"),
        ("__", 0, "ant", "break"),
        ("__", 0, "edf", "stimulus"),
        ("32766", 0, "gdf", "break"),
        ("32766", 0, "edf", "stimulus"),
    ],
)
def test_role_by_whole_text(text: str, n_samples: int, format_name: str, role: str) -> None:
    assert role_of(text, n_samples, format_name) == role
    assert role_of(text, n_samples, format_name, {text}) == "stimulus", "what a task names is a stimulus"


def test_segment_goes_by_roles() -> None:
    events = [
        SourceEvent(start_sample=100, n_samples=50, text="BAD_ACQ_SKIP", role="gap"),
        SourceEvent(start_sample=300, n_samples=20, text="x", role="gap"),
        SourceEvent(start_sample=500, text="x", role="break"),
        SourceEvent(start_sample=600, n_samples=30, text="boundary"),
        SourceEvent(start_sample=990, n_samples=50, text="x", role="gap"),
    ]
    stretches, left_out = cut(whole(1000), events)
    assert [(s.start_sample, s.stop_sample) for s in stretches] == [(0, 100), (150, 300), (320, 500), (500, 990)]
    assert [(x.code, x.start_sample, x.n_samples) for x in left_out] == [
        ("acquisition_skip", 100, 50), ("annotated_bad", 300, 20), ("annotated_bad", 990, 10),
    ]  # fmt: skip
    assert cut(whole(10), []) == ((Stretch(start_sample=0, n_samples=10),), ())


def test_a_named_bad_mark_is_a_trial(made, names, tmp_path: Path) -> None:
    raw_of(made, names, [(2.0, 3.0, "BAD_seizure"), (8.0, 1.0, "BAD_x")]).save(tmp_path / "a_raw.fif", verbose="ERROR")
    manifest = made["manifest"](source={"files": ["{subject}_raw.fif"]}, tasks=[TASK])
    source = open_source(manifest, tmp_path)
    recording = source.read(source.plan()[0])
    assert [(e.start_sample, e.text) for e in recording.events] == [(400, "BAD_seizure")]
    assert borders(recording) == [(0, 1600), (1800, 3200)]


def test_bad_news_in_fif_is_a_stimulus(made, names, tmp_path: Path) -> None:
    """Nothing is left out, and a note says that the word was seen."""
    raw_of(made, names, [(2.0, 1.0, "bad news"), (4.0, 0.0, "event boundary")]).save(
        tmp_path / "a_raw.fif", verbose="ERROR"
    )
    recording = read(tmp_path / "a_raw.fif")
    assert (borders(recording), parts_left_out(recording)) == ([(0, 3200)], [])
    assert any("1 events begin with the word bad" in n for n in recording.notes)


def test_bad_mark_of_one_channel_in_fif(made, names, tmp_path: Path) -> None:
    marks = [(2.0, 3.0, "BAD_loose"), (4.0, 2.0, "BAD_loose"), (8.0, 1.0, "BAD_all")]
    raw = raw_of(made, names, marks, ch_names=[("Fp1", "C3"), ("Fp1",), ()])
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    recording = read(tmp_path / "a_raw.fif")
    assert borders(recording) == [(0, 1600), (1800, 3200)]
    assert parts_left_out(recording) == [("Fp1", 400, 600), ("C3", 400, 600), ("Fp1", 1000, 200), ("all", 1600, 200)]


def test_marks_of_unknown_channels() -> None:
    """A mark of a channel that is not there costs nothing and is noted; one of a known other rate is not noted."""
    events = (SourceEvent(start_sample=10, n_samples=20, text="BAD_x", channels=("Fp9",)),)
    decoded = Decoded(
        format="fif", sfreq_hz=100.0, channels=(SourceChannel(name="Fp1"),), signal=np.zeros((1, 100)),
        stretches=whole(100), events=events,
    )  # fmt: skip
    found = structured(decoded)
    assert (found.stretches, found.left_out) == (whole(100), ())
    assert found.notes == ("bad-segment marks name 1 unknown channels",)


def test_edf_marks_name_their_channel(made, tmp_path: Path) -> None:
    """EDF+ writes the channel behind `@@`; the text before it is the event's."""
    task = {"name": "t", "classes": ["x", "y"], "trials": {"by": "event", "labels": {"spike": "x"}, "length_s": 1}}
    made["edf"](
        tmp_path / "a.edf", made["eeg_uv"](6, 3200), annotations=[(2, 1, "BAD_loose@@Fp1"), (4, None, "spike@@C3")]
    )
    source = open_source(made["manifest"](source={"files": ["{subject}.edf"]}, tasks=[task]), tmp_path)
    recording = source.read(source.plan()[0])
    assert (borders(recording), parts_left_out(recording)) == ([(0, 3200)], [("Fp1", 400, 200)])
    assert [(e.start_sample, e.text, e.channels) for e in recording.events] == [(800, "spike", ("C3",))]


@pytest.mark.parametrize("kind", ["boundary", -99.0, -99])
def test_eeglab_boundary_is_a_break(made, names, tmp_path: Path, kind) -> None:
    """Its duration is what was cut out, so no sample is left out, whatever it says."""
    events = np.array(
        [(kind, 1600.5, 500.0), (kind if kind == "boundary" else 7.0, 3200.5, np.nan)],
        dtype=[("type", object), ("latency", object), ("duration", object)],
    )
    made["eeglab"](tmp_path / "a.set", names, made["eeg_uv"](6, 4000), 4000, event=events)
    recording = read(tmp_path / "a.set")
    assert borders(recording) == (
        [(0, 1600), (1600, 3200), (3200, 4000)] if kind == "boundary" else [(0, 1600), (1600, 4000)]
    )
    assert parts_left_out(recording) == []


def brainvision(made, names, folder: Path, markers: list[str]) -> Path:
    pybv.write_brainvision(
        data=made["eeg_uv"](6, 3200) * 1e-6, sfreq=200, ch_names=list(names), fname_base="a", folder_out=folder,
    )  # fmt: skip
    lines = [f"Mk{i}={m}" for i, m in enumerate(["New Segment,,1,1,0,0", *markers], start=1)]
    head = "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nDataFile=a.eeg\n[Marker Infos]\n"
    (folder / "a.vmrk").write_text(head + "\n".join(lines) + "\n")
    return folder / "a.vhdr"


def test_brainvision_goes_by_marker_types(made, names, tmp_path: Path) -> None:
    markers = ["New Segment,,801,1,0,0", "Stimulus,New Segment,1601,1,0", "Comment,New Segment,1801,1,0"]
    assert borders(read(brainvision(made, names, tmp_path, markers))) == [(0, 800), (800, 3200)]


def test_brainvision_marks_of_one_channel(made, names, tmp_path: Path) -> None:
    markers = ["Bad Interval,Bad Min-Max,801,100,2", "Bad Interval,Userdefined,2001,100,0", "Comment,BAD_x,1201,50,3"]
    recording = read(brainvision(made, names, tmp_path, markers))
    assert borders(recording) == [(0, 2000), (2100, 3200)]
    assert parts_left_out(recording) == [(names[1], 800, 100), (names[2], 1200, 50), ("all", 2000, 100)]


@pytest.mark.filterwarnings("ignore:events. you specified")
def test_annotations_that_pybv_wrote(made, names, tmp_path: Path) -> None:
    """pybv writes annotations of MNE as comments, and one that names two channels as two markers."""
    events = [
        {"onset": 800, "duration": 200, "description": "BAD_blink", "type": "Comment", "channels": "all"},
        {"onset": 2000, "duration": 100, "description": "BAD_x", "type": "Comment", "channels": list(names[:2])},
    ]
    pybv.write_brainvision(
        data=made["eeg_uv"](6, 3200) * 1e-6, sfreq=200, ch_names=list(names), fname_base="a", folder_out=tmp_path,
        events=events,
    )  # fmt: skip
    recording = read(tmp_path / "a.vhdr")
    assert borders(recording) == [(0, 800), (1000, 3200)]
    assert parts_left_out(recording) == [("all", 800, 200), (names[0], 2000, 100), (names[1], 2000, 100)]


def ant(n_samples: int, marks=()) -> Decoded:
    return Decoded(
        format="ant", sfreq_hz=1000.0, channels=(SourceChannel(name="Fp1"),), signal=np.zeros((1, n_samples)),
        stretches=whole(n_samples), events=tuple(SourceEvent(start_sample=s, text=t) for s, t in marks),
    )  # fmt: skip


@pytest.mark.parametrize("lines", ["0 0 3828\r\n0 0 3431\r\n", "0 0 3828\n0 0 3828\n0 0 3431\n"])
def test_ant_parts_of_the_seg_file(tmp_path: Path, lines: str) -> None:
    (tmp_path / "a.seg").write_bytes(("NumberSegments=      3\r\n" + lines).encode())
    found = structured(with_parts(ant(11087), tmp_path / "a.cnt"))
    assert ([s.n_samples for s in found.stretches], found.notes) == ([3828, 3828, 3431], ())


@pytest.mark.parametrize("text", ["NumberSegments=3\n0 0 100\n", "NumberSegments=2\n0 0 20000\n", "", "x\ny\n"])
def test_ant_seg_that_does_not_fit(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.seg").write_text(text)
    found = structured(with_parts(ant(11087), tmp_path / "a.cnt"))
    assert (found.stretches, len(found.notes)) == (whole(11087), 1)


def test_ant_pairs_of_impedance_marks(tmp_path: Path) -> None:
    """Measured before the stop and after the start; one mark alone, or two far apart, are no break."""
    marks = [(0, "impedance"), (3824, "impedance"), (3828, "impedance"), (7000, "impedance"), (9000, "1")]
    assert [s.n_samples for s in structured(with_parts(ant(11087, marks), tmp_path / "a.cnt")).stretches] == [
        3828,
        7259,
    ]


def test_ant_discontinuity_trigger() -> None:
    assert [s.n_samples for s in structured(ant(1000, [(400, "__"), (600, "1")])).stretches] == [400, 600]


def test_ant_parts_of_a_real_recording(data_dir: Path) -> None:
    recording = read(data_dir / "formats" / "ant" / "test_CA_208.cnt")
    assert len(recording.stretches) == 1


def test_a_gap_over_a_break_is_whole(tmp_path: Path) -> None:
    """A gap that reaches over a break of the time stamps is left out on both sides, no sample twice."""
    decoded = Decoded(
        format="edf", sfreq_hz=100.0, channels=(SourceChannel(name="Fp1"),), signal=np.zeros((1, 100)),
        stretches=(Stretch(start_sample=0, n_samples=40), Stretch(start_sample=50, n_samples=50)),
        events=(SourceEvent(start_sample=30, n_samples=40, text="BAD_x"),),
    )  # fmt: skip
    found = structured(decoded)
    assert borders(found) == [(0, 30), (70, 100)]
    assert parts_left_out(found) == [("all", 30, 10), ("all", 50, 20)]
