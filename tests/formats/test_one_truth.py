"""One event out of many witnesses: merged where they agree, reported where they do not."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import mne
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegprep.formats.decoded import SourceEvent
from eegprep.formats.events import one_truth, same_moment
from eegprep.ingest.trials import cut_trials
from eegprep.sources import open_source
from eegprep.standardise.timeline import lay_out

RATE = 200.0


def events(witness: str, *marks: tuple[int, str], n_samples: int = 0) -> list[SourceEvent]:
    return [SourceEvent(start_sample=at, n_samples=n_samples, text=text, witness=witness) for at, text in marks]


def truth(*witnesses: list[SourceEvent], names: Sequence[str] | dict[str, str] = ("1", "2"), rate: float = RATE):
    meanings = names if isinstance(names, dict) else {name: name for name in names}
    found, notes = one_truth([e for one in witnesses for e in one], meanings, rate)
    return [(e.start_sample, e.n_samples, e.text) for e in found], notes


def test_one_event_of_three_witnesses() -> None:
    """The trigger channel's sample and the annotation's duration are kept."""
    found, notes = truth(
        events("stim:STI 014", (100, "1"), (300, "2")),
        events("annotations", (101, "1"), (299, "2.0"), n_samples=40),
        events("events file", (100, "+1"), (300, "2")),
    )
    assert found == [(100, 40, "1"), (300, 40, "2")]
    assert notes == ()


def test_only_in_one_witness() -> None:
    """All events are kept, and the note says how many each witness has and how many it has alone."""
    stim = [(100 * k, "1") for k in range(1, 241)]
    found, notes = truth(events("stim:STI 014", *stim), events("annotations", *stim[2:]))
    assert len(found) == 240
    assert notes == (
        "stim channel STI 014: 240 events, annotations: 238; 2 only in stim channel STI 014; all are used",
    )


@pytest.mark.parametrize("shift", [7, -7, 1234])
def test_shifted_witnesses(shift: int) -> None:
    """The same events at other times are one set of trials, at the trigger channel's times."""
    stim = [(2000 + 137 * k + k * k, "12"[k % 2]) for k in range(60)]
    found, notes = truth(events("stim:T", *stim), events("annotations", *[(at + shift, text) for at, text in stim]))
    assert [(at, text) for at, _, text in found] == stim
    later = "later" if shift > 0 else "earlier"
    assert notes == (
        f"annotations has the events of stim channel T {abs(shift)} samples {later} (60 and 60); the latter are used",
    )


def test_shifted_and_some_missing() -> None:
    """A clock of its own is seen though a few events are missing on either side."""
    stim = [(2000 + 137 * k + k * k, "1") for k in range(60)]
    found, notes = truth(events("stim:T", *stim[3:]), events("annotations", *[(at + 500, t) for at, t in stim[:-2]]))
    assert [(at, text) for at, _, text in found] == stim[3:]
    assert len(notes) == 1
    assert "500 samples later" in notes[0]


def test_unsteady_delay_is_reported() -> None:
    """A photodiode's events and the triggers of the same stimuli: the chosen file of events holds."""
    stim = [(1000 * k, "1") for k in range(1, 30)]
    delayed = [(at + 8 + k % 5, text) for k, (at, text) in enumerate(stim)]
    found, notes = truth(events("stim:T", *stim), events("events file", *delayed))
    assert [(at, text) for at, _, text in found] == delayed
    assert len(notes) == 1
    assert "stim channel T has the events of events file 10 samples earlier" in notes[0]


def test_other_events_of_one_name_stay() -> None:
    """Two lists of different events that share a name are both kept, and the note says so."""
    found, notes = truth(
        events("stim:T", (100, "1"), (350, "1"), (420, "1")),
        events("annotations", (1000, "1"), (1077, "1"), (5000, "1")),
    )
    assert len(found) == 6
    assert len(notes) == 1
    assert "3 only in" in notes[0]


def test_listed_twice_by_one_witness() -> None:
    """Exactly the same event again is taken once and counted; one sample apart are two."""
    found, notes = truth(events("annotations", (100, "1"), (100, "1.0"), (101, "1"), (100, "2")))
    assert found == [(100, 0, "1"), (100, 0, "2"), (101, 0, "1")]
    assert notes == ("duplicate events (same label and sample) are kept once: 1",)


def test_two_names_that_disagree() -> None:
    """Codes and names of one class: how many of each, and how many are the same events."""
    stim = [(100 * k, "1") for k in range(1, 11)]
    names = {"1": "a", "go": "a"}
    _, notes = truth(events("stim:T", *stim), events("annotations", *[(at, "go") for at, _ in stim[:8]]), names=names)
    assert notes == ("annotations: 8 events 'go', stim channel T: 10 events '1'; 8 of them are the same",)
    assert not truth(events("stim:T", *stim), events("annotations", *[(at, "go") for at, _ in stim]), names=names)[1]
    assert not truth(events("stim:T", *stim), events("annotations", (150, "go"), (250, "go")), names=names)[1]


def test_only_named_texts_leave() -> None:
    """What no task names is neither returned nor spoken of."""
    found, notes = truth(events("annotations", (5, "Jane coughed"), (9, "1")), events("stim:T", (5, "7")))
    assert found == [(9, 0, "1")]
    assert notes == ()


def test_a_code_of_one_channel() -> None:
    """Where two trigger channels use one code, the manifest may name the channel."""
    two = [events("stim:A", (100, "1")), events("stim:B", (500, "1"))]
    assert truth(*two, names=("A/1",))[0] == [(100, 0, "A/1")]
    assert truth(*two, names=("B/1", "1"))[0] == [(100, 0, "1"), (500, 0, "B/1")]


def test_two_trigger_channels_have_one_clock() -> None:
    """A response after each stimulus on a second channel is an event of its own, though it has the same code."""
    stim = [(1000 * k, "1") for k in range(1, 20)]
    found, notes = truth(events("stim:A", *stim), events("stim:B", *[(at + 90, t) for at, t in stim]))
    assert len(found) == 38
    assert notes == (
        "stim channel A: 19 events, stim channel B: 19; "
        "19 only in stim channel A, 19 only in stim channel B; all are used",
    )


def test_tolerance_is_a_sample_and_half_a_ms() -> None:
    """Written times have milliseconds, which are two samples at 2048 Hz and none at 256 Hz."""
    assert [same_moment(rate) for rate in (128, 256, 500, 1000, 2048, 5000)] == [1, 1, 1, 2, 2, 4]


@given(st.lists(st.tuples(st.integers(0, 100_000), st.sampled_from("12")), max_size=30, unique=True), st.integers(1, 4))
def test_copies_add_nothing(marks: list[tuple[int, str]], copies: int) -> None:
    """However many witnesses tell the same, every event is there once, and nobody disagrees."""
    names = ["stim:T", "annotations", "events file", "events.tsv"][:copies]
    found, notes = truth(*[events(name, *marks) for name in names])
    assert [(at, text) for at, _, text in found] == sorted(marks)
    assert notes == ()


def task(labels: dict[str, str]) -> dict:
    return {"name": "t", "classes": ["a", "b"], "trials": {"by": "event", "labels": labels, "length_s": 0.5}}


def trials_of(made, folder: Path, files: str, labels: dict[str, str]):
    manifest = made["manifest"](source={"files": [files]}, tasks=[task(labels)])
    source = open_source(manifest, folder)
    recording = source.read(source.plan()[0])
    timeline = lay_out(recording.stretches, recording.n_samples, Fraction(1))
    trials, left_out = cut_trials(recording, manifest, timeline, {})
    return [(t.start_sample, t.label) for t in trials], left_out, recording.notes


def fif(made, folder: Path, annotations: list[tuple[float, str]], stim: list[tuple[int, int]], first_samp: int = 0):
    info = mne.create_info(["C3", "C4", "O1", "STI 014"], RATE, ["eeg"] * 3 + ["stim"])
    data = np.vstack([made["eeg_uv"](3, 3000) * 1e-6, np.zeros(3000)])
    for at, code in stim:
        data[3, at : at + 10] = code
    raw = mne.io.RawArray(data, info, first_samp=first_samp, verbose="ERROR")
    if annotations:
        raw.set_annotations(mne.Annotations([a for a, _ in annotations], 0.0, [t for _, t in annotations]))
    raw.save(folder / "p_raw.fif", verbose="ERROR")
    return raw


@pytest.mark.parametrize("labels", [{"1": "a", "2": "b"}, {"go": "a", "stop": "b"}, {"1": "a", "go": "a", "2": "b"}])
def test_a_name_and_a_code_are_one_trial(made, tmp_path: Path, labels: dict[str, str]) -> None:
    """Trigger channel, named annotations and a file of events of the same moments: one trial each, by any name."""
    raw = fif(made, tmp_path, [(1.5, "go"), (5.0, "stop"), (9.0, "go")], [(300, 1), (1000, 2), (1800, 1)])
    mne.write_events(tmp_path / "p-eve.fif", mne.find_events(raw, verbose="ERROR"), verbose="ERROR")
    trials, left_out, notes = trials_of(made, tmp_path, "{subject}_raw.fif", labels)
    assert trials == [(300, "a"), (1000, "b"), (1800, "a")]
    assert left_out == ()
    assert notes == ()


def test_two_classes_at_one_moment(made, tmp_path: Path) -> None:
    """Witnesses that contradict each other give no trial, and each is listed with the reason."""
    fif(made, tmp_path, [(1.5, "go"), (5.0, "go")], [(300, 1), (1000, 2)])
    trials, left_out, _ = trials_of(made, tmp_path, "{subject}_raw.fif", {"1": "a", "2": "b", "go": "a"})
    assert trials == [(300, "a")]
    assert sorted((x.code, x.name) for x in left_out) == [("contradictory", "t: 2"), ("contradictory", "t: go")]


@pytest.mark.parametrize("counted", ["from the acquisition", "from the file"])
@pytest.mark.parametrize("with_stim", [True, False])
def test_events_beside_a_cut_fif(made, tmp_path: Path, counted: str, with_stim: bool) -> None:
    """A file of events counts from the start of the acquisition, as in MNE; one that counts from the file is seen."""
    fif(made, tmp_path, [], [(300, 1), (1000, 2)] if with_stim else [], first_samp=5000)
    first = 5000 if counted == "from the acquisition" else 0
    mne.write_events(tmp_path / "p-eve.fif", np.array([[300 + first, 0, 1], [1000 + first, 0, 2]]), verbose="ERROR")
    trials, _, notes = trials_of(made, tmp_path, "{subject}_raw.fif", {"1": "a", "2": "b"})
    assert trials == [(300, "a"), (1000, "b")]
    assert bool(notes) == (first == 0)


@pytest.mark.parametrize("end", ["-eve.fif", "_eve.fif"])
def test_an_unreadable_file_of_events(made, tmp_path: Path, end: str) -> None:
    """It costs its own events, with a note."""
    fif(made, tmp_path, [(1.5, "go")], [])
    (tmp_path / f"p{end}").write_bytes(b"no events")
    trials, _, notes = trials_of(made, tmp_path, "{subject}_raw.fif", {"go": "a"})
    assert trials == [(300, "a")]
    assert any("event file" in note for note in notes)


def test_egi_events_come_by_their_name(made, tmp_path: Path) -> None:
    """EGI .raw: a trigger channel for each event, named by it; five DIN inputs are five names, not five times `1`."""
    signal = np.rint(made["eeg_uv"](4, 1000) * 10).astype(">i2")
    names = [b"DIN1", b"DIN2"]
    lines = np.zeros((2, 1000), dtype=">i2")
    lines[0, 100:103] = lines[0, 400] = lines[1, 700] = 1
    head = struct.pack(">iHHHHHHiHHHHHiH", 2, 2020, 1, 1, 1, 1, 1, 0, 200, 4, 1, 16, 6554, 1000, 2)
    (tmp_path / "p.raw").write_bytes(head + b"".join(names) + np.vstack([signal, lines]).T.tobytes())
    trials, _, _ = trials_of(made, tmp_path, "{subject}.raw", {"DIN1": "a", "DIN2": "b"})
    assert trials == [(100, "a"), (400, "a"), (700, "b")]
