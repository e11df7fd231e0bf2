"""A hypnogram in a second EDF+ file gives its events to the recording whose entities it names."""

from __future__ import annotations

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation, EdfSignal

from eegprep.errors import InputError, UsageError
from eegprep.manifest.patterns import compile_pattern, match
from eegprep.manifest.schema import Manifest
from eegprep.sources import open_source


def manifest(**source) -> Manifest:
    labels = {"Sleep stage W": "wake", "Sleep stage 2": "n2"}
    return Manifest.model_validate(
        {
            "manifest": 1,
            "name": "sleep",
            "version": "1",
            "title": "t",
            "citation": "c",
            "licence": {"id": "CC0-1.0"},
            "anonymous_subjects": True,
            "source": {"files": ["SC4{subject:2}{session:1}E?-PSG.edf"], **source},
            "tasks": [
                {
                    "name": "stage",
                    "classes": ["wake", "n2"],
                    "trials": {"by": "event", "labels": labels, "length_s": 30, "stride_s": 30},
                }
            ],
        }
    )


PATTERN = {"events_file": "SC4{subject:2}{session:1}E?-Hypnogram.edf"}


def write(folder, subject: str, night: str, onset_s: float) -> None:
    signal = EdfSignal(
        np.random.default_rng(0).normal(0, 20, 100 * 120), 100, label="EEG Fpz-Cz", physical_dimension="uV"
    )
    Edf([signal]).write(folder / f"SC4{subject}{night}E0-PSG.edf")
    annotations = [
        EdfAnnotation(0, onset_s, "Sleep stage W"),
        EdfAnnotation(onset_s, 60, "Sleep stage 2"),
        EdfAnnotation(1000, 30, "Sleep stage W"),
    ]
    Edf([], annotations=annotations).write(folder / f"SC4{subject}{night}EC-Hypnogram.edf")


def test_recordings_get_their_own_events(tmp_path):
    """Each recording gets the events of its own second file."""
    write(tmp_path, "00", "1", 30)
    write(tmp_path, "01", "2", 45)
    source = open_source(manifest(**PATTERN), tmp_path)
    planned = source.plan()
    assert [(p.subject, p.session) for p in planned] == [("00", "1"), ("01", "2")]
    assert all(len(p.files) == 2 for p in planned)
    found = [[(e.start_sample, e.n_samples, e.text) for e in source.read(p).events] for p in planned]
    assert found == [
        [(0, 3000, "Sleep stage W"), (3000, 6000, "Sleep stage 2")],
        [(0, 4500, "Sleep stage W"), (4500, 6000, "Sleep stage 2")],
    ]
    assert len(source.read(planned[0]).files) == 2


def test_no_pattern_or_file_gives_no_events(tmp_path):
    """Without a pattern or a file there are no events."""
    write(tmp_path, "00", "1", 30)
    without = open_source(manifest(), tmp_path)
    assert without.read(without.plan()[0]).events == ()
    (tmp_path / "SC4001EC-Hypnogram.edf").unlink()
    absent = open_source(manifest(**PATTERN), tmp_path)
    assert absent.read(absent.plan()[0]).events == ()


def test_event_file_must_have_annotations(tmp_path):
    """A second file without annotations is one clear error."""
    write(tmp_path, "00", "1", 30)
    (tmp_path / "SC4001EC-Hypnogram.edf").write_bytes((tmp_path / "SC4001E0-PSG.edf").read_bytes())
    source = open_source(manifest(**PATTERN), tmp_path)
    with pytest.raises(InputError):
        source.read(source.plan()[0])


def test_width_in_a_pattern_is_exact():
    """A width in a pattern is kept exactly."""
    pattern = compile_pattern("SC4{subject:2}{session:1}E0.edf")
    assert match([pattern], "SC4012E0.edf") == {"subject": "01", "session": "2"}
    assert match([pattern], "SC40123E0.edf") is None
    for bad in ("{subject:0}", "{subject:ab}", "{name:2}"):
        with pytest.raises(UsageError, match="file pattern"):
            compile_pattern(bad)


@pytest.mark.parametrize(
    ("psg", "hypnogram", "late_s", "said"),
    [
        (b"02.02.7110.00.00", b"02.02.7110.00.20", 20, "begins 20 s after the recording"),
        (b"02.02.7110.00.20", b"02.02.7110.00.00", -20, "begins 20 s before the recording"),
        (b"02.02.7110.00.40", b"02.02.7110.00.00", -40, "begins 40 s before the recording"),
        (b"02.02.7110.00.00", b"02.02.7110.00.00", 0, ""),
        (b"02.02.7110.00.00", b"02.02.7100.00.00", 0, "another start"),
        (b"02.02.7110.00.00", b"03.02.7110.00.20", 0, "another start"),
        (b"02.02.7110.00.00", b"02.02.7112.00.00", 0, "another start"),
    ],
)
def test_onsets_count_from_their_own_start(tmp_path, psg: bytes, hypnogram: bytes, late_s: int, said: str):
    """A hypnogram that begins after the recording has later events; a start that no header can mean is noted only."""
    write(tmp_path, "00", "1", 30)
    for name, start in (("SC4001E0-PSG.edf", psg), ("SC4001EC-Hypnogram.edf", hypnogram)):
        data = bytearray((tmp_path / name).read_bytes())
        data[168:184] = start
        (tmp_path / name).write_bytes(data)
    source = open_source(manifest(**PATTERN), tmp_path)
    recording = source.read(source.plan()[0])
    starts = 100 * late_s, 3000 + 100 * late_s
    # the first event lasts 30 s, into the recording if it begins up to 30 s before it
    assert [e.start_sample for e in recording.events] == [max(at, 0) for at in starts if at > -3000]
    assert (recording.events[0].n_samples == 1000) == (late_s == -20)
    n_outside = 2 if late_s == -40 else 1  # one is at 1000 s
    assert f"event file: {n_outside} events outside the recording are left out" in recording.notes
    notes = [note for note in recording.notes if "recording" in note and note.startswith("event file: it")]
    assert [said in note for note in notes] == ([True] if said else [])
