"""Times in an interrupted recording: an event has the sample that was recorded then, or none and a note."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eegprep
from eegprep.formats.clock import Clock
from eegprep.formats.decoded import Decoded
from eegprep.formats.edf.read import read_edf
from eegprep.formats.persyst import read_persyst
from eegprep.formats.tables.time_column import time_clock
from eegprep.sources.bids_tables import with_events
from eegprep.sources.events_file import with_events as with_events_file

RATE = 200
NAMES = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
Made = dict[str, Callable]
#: Ten seconds, nothing for 90 s, ten seconds.
STARTS = [float(k) for k in range(10)] + [100.0 + k for k in range(10)]


def placed(decoded: Decoded) -> list[tuple[int, int, str]]:
    return [(e.start_sample, e.n_samples, e.text) for e in decoded.events]


def lost(decoded: Decoded) -> bool:
    return any("nothing was recorded" in note for note in decoded.notes)


def interrupted(
    made: Made, path: Path, annotations: list[tuple[float, float, str]], starts: list[float] = STARTS
) -> Path:
    signal = made["eeg_uv"](6, RATE * len(starts))
    return made["edf"](path, signal, kind="EDF+D", record_starts=starts, annotations=annotations)


def test_edf_events_in_a_gap_are_left_out(made: Made, tmp_path: Path) -> None:
    """An event of the pause is not moved to the first sample behind it."""
    path = interrupted(made, tmp_path / "a.edf", [(2.5, 0, "a"), (50, 0, "gap"), (10, 0, "end"), (105.5, 0, "b")])
    decoded = read_edf(path)
    assert placed(decoded) == [(500, 0, "a"), (3100, 0, "b")]
    assert "2 events at times at which nothing was recorded, or the clock ran twice, are left out" in decoded.notes


def test_edf_durations_do_not_count_a_gap(made: Made, tmp_path: Path) -> None:
    """An event that lasts over the pause ends where its time ends, not 90 s of stored signal later."""
    path = interrupted(made, tmp_path / "a.edf", [(9.0, 93, "over"), (9.5, 20, "into"), (101, 2, "b")])
    assert placed(read_edf(path)) == [(1800, 600, "over"), (1900, 100, "into"), (2200, 400, "b")]


def test_edf_clock_that_was_set_back(made: Made, tmp_path: Path) -> None:
    """Parts stored in another order than that of time; a time that two parts have is nobody's."""
    back = [10.0 + k for k in range(10)] + [float(k) for k in range(10)]
    path = interrupted(made, tmp_path / "a.edf", [(2.5, 0, "a"), (12.5, 0, "b")], back)
    assert placed(read_edf(path)) == [(500, 0, "b"), (2500, 0, "a")]
    twice = [float(k) for k in range(10)] + [5.0 + k for k in range(10)]
    path = interrupted(made, tmp_path / "b.edf", [(2.5, 0, "a"), (7.5, 0, "twice"), (12.5, 0, "b")], twice)
    decoded = read_edf(path)
    assert placed(decoded) == [(500, 0, "a"), (3500, 0, "b")]
    assert lost(decoded)


def persyst(made: Made, folder: Path, times: str, comments: str) -> Decoded:
    """40 s of six channels with these sample times and comments."""
    (made["eeg_uv"](6, 8000) * 10).astype("<i2").T.tofile(folder / "a.dat")
    channels = "".join(f"{name}={i}\n" for i, name in enumerate(NAMES, 1))
    (folder / "a.lay").write_text(
        "[FileInfo]\nFile=a.dat\nFileType=Interleaved\nSamplingRate=200\nHeaderLength=0\nCalibration=0.1\n"
        f"WaveformCount=6\nDataType=0\n[ChannelMap]\n{channels}[SampleTimes]\n{times}[Comments]\n{comments}"
    )
    return read_persyst(folder / "a.lay")


def test_persyst_events_in_a_gap(made: Made, tmp_path: Path) -> None:
    """Onsets in a .lay file count on the clock of [SampleTimes]."""
    comments = "2.5,0,0,100,a\n15,0,0,100,gap\n9,93,0,100,over\n105.5,0,0,100,b\n"
    decoded = persyst(made, tmp_path, "0=1000.0\n2000=1100.0\n", comments)
    assert placed(decoded) == [(500, 0, "a"), (1800, 600, "over"), (3100, 0, "b")]
    assert lost(decoded)


def test_persyst_clock_at_midnight(made: Made, tmp_path: Path) -> None:
    """Times of day begin again at midnight: no pause, and later events keep their places."""
    times = "0=86390.0\n1000=86395.0\n2000=0.0\n3000=5.0\n5000=75.0\n"
    decoded = persyst(made, tmp_path, times, "2.5,0,0,100,a\n12,1,0,100,b\n50,0,0,100,gap\n86,0,0,100,c\n")
    assert placed(decoded) == [(500, 0, "a"), (2400, 200, "b"), (5200, 0, "c")]
    assert [s.start_sample for s in decoded.stretches] == [0, 5000]


@pytest.mark.parametrize(
    ("onsets", "own", "samples"),
    [
        ((2.5, 105.5, 50), True, [500, 3100]),
        ((2.5, 105.5, 50), False, [500, 3100]),
        ((2.5, 15.5, 12.5), True, [500, 2500, 3100]),  # as a program writes that does not know of the pause
        ((2.5, 105.5), True, [500, 3100]),
    ],
)
def test_bids_onsets_count_on_the_clock(
    made: Made, tmp_path: Path, onsets: tuple[float, ...], own: bool, samples: list[int]
) -> None:
    """A table's seconds are those of the acquisition, unless the file's own events show that they leave out pauses."""
    decoded = read_edf(interrupted(made, tmp_path / "a.edf", [(2.5, 0, "a"), (105.5, 0, "b")] if own else []))
    table = tmp_path / "events.tsv"
    table.write_text("onset\tduration\ttrial_type\n" + "".join(f"{t}\t0\tx{t}\n" for t in onsets))
    found = with_events(decoded, table)
    assert [e.start_sample for e in found.events] == samples
    assert lost(found) == (50 in onsets)
    assert any("onsets in events.tsv" in note for note in found.notes)


def test_file_of_events_counts_on_the_clock(made: Made, tmp_path: Path) -> None:
    """So do the onsets of a scoring beside the recording."""
    decoded = read_edf(interrupted(made, tmp_path / "a.edf", []))
    scored = [(2.5, 1, "a"), (50, 30, "gap"), (105.5, 1, "b")]
    found = with_events_file(
        decoded, made["edf"](tmp_path / "b.edf", made["eeg_uv"](6, 400), annotations=scored), "a.edf"
    )
    assert placed(found) == [(500, 200, "a"), (3100, 200, "b")]
    assert lost(found)


@given(
    lengths=st.lists(st.integers(5, 400), min_size=1, max_size=6),
    gaps_s=st.lists(st.floats(0.1, 50), min_size=6, max_size=6),
    at=st.integers(0, 2000),
)
def test_every_sample_has_its_own_time(lengths: list[int], gaps_s: list[float], at: int) -> None:
    """The time of a sample leads back to it, whatever the pauses are."""
    samples = np.cumsum([0, *lengths])
    starts = np.cumsum([0.0, *(n / RATE + g for n, g in zip(lengths, gaps_s, strict=False))])[:-1]
    clock = Clock(starts.tolist(), samples.tolist(), RATE, 0.5 / RATE)
    at %= int(samples[-1])
    part = int(np.searchsorted(samples, at, side="right")) - 1
    place = clock.place(float(starts[part]) + (at - int(samples[part])) / RATE)
    assert place == (at, 0)
    assert clock.breaks == samples[1:-1].tolist()
    assert math.isclose(clock.end_s, starts[-1] + lengths[-1] / RATE)


#: Each is 30 s, a pause of 60 s, 30 s: 90 s on the clock is the sample at 30 s.
PAUSED = [float(k) for k in range(30)] + [90.0 + k for k in range(30)]
BETWEEN = {"from_s": 95, "to_s": 115, "length_s": 5}
RULES = [
    {"by": "interval", "intervals": {"*": [{"label": "b", "from_s": 95, "to_s": 115}]}, "length_s": 5},
    {"by": "run", "labels": {"r": "b"}, **BETWEEN},
    {"by": "attribute", "attribute": "group", "labels": {"g": "b"}, **BETWEEN},
]


def paused(made: Made, folder: Path, kind: str) -> dict[str, object]:
    """A paused recording of a kind, and the manifest's source."""
    signal = made["eeg_uv"](6, RATE * 60)
    if kind == "edf":
        made["edf"](folder / "s_r.edf", signal, kind="EDF+D", record_starts=PAUSED)
        return {"kind": "files", "files": ["{subject}_{run}.edf"]}
    times = np.repeat(PAUSED, RATE) + np.tile(np.arange(RATE) / RATE, 60) + 7.0
    table = np.vstack([times, signal]).T
    np.savetxt(folder / "s_r.csv", table, "%.4f", ",", header=",".join(["time", *NAMES]), comments="")
    source: dict[str, object] = {"kind": "table", "files": ["{subject}_{run}.csv"], "sfreq_hz": RATE, "unit": "uV"}
    return source | {"channels": list(NAMES), "time_column": "time"}


@pytest.mark.parametrize("kind", ["edf", "table"])
@pytest.mark.parametrize("workers", [0, 1])
def test_intervals_count_on_the_clock(made: Made, tmp_path: Path, kind: str, workers: int) -> None:
    """Times of an interval and of a part of a run are times of the file: a pause counts."""
    source = paused(made, tmp_path, kind)
    (tmp_path / "subjects.csv").write_text("id,group\ns,g\n")
    tasks = [{"name": f"t{i}", "classes": ["a", "b"], "trials": rule} for i, rule in enumerate(RULES)]
    subjects = {"file": "subjects.csv", "id_column": "id", "attributes": {"group": "group"}}
    manifest = made["manifest"](source=source, tasks=tasks, subjects=subjects, anonymous_subjects=True)
    summary = eegprep.ingest(manifest, tmp_path, out=tmp_path / "store", workers=workers)
    (info,) = eegprep.open_store(summary.out).infos()
    for task in tasks:
        starts = [t.start_sample / 256 for t in info.trials if t.task == task["name"]]
        assert starts == [35.0, 40.0, 45.0, 50.0]


def test_an_interval_over_a_pause_has_what_was_recorded(made: Made, tmp_path: Path) -> None:
    """An interval that contains the pause gives both sides, without a trial across."""
    rule = {"by": "interval", "intervals": {"*": [{"label": "b", "from_s": 20, "to_s": 100}]}}
    task = {"name": "t", "classes": ["a", "b"], "trials": rule}
    manifest = made["manifest"](source=paused(made, tmp_path, "edf"), tasks=[task])
    (info,) = eegprep.open_store(eegprep.ingest(manifest, tmp_path, out=tmp_path / "store", workers=0).out).infos()
    assert [(t.start_sample / 256, t.n_samples / 256) for t in info.trials] == [(20, 10), (30, 10)]


def test_a_time_column_that_goes_back_is_no_clock(made: Made, tmp_path: Path) -> None:
    """A time column that begins again breaks the recording, and its rows stay in order."""
    times = np.concatenate([np.arange(2000), np.arange(2000)]) / RATE
    breaks, _, clock = time_clock(times, RATE, tmp_path)
    assert (breaks, clock) == ([2000], None)
