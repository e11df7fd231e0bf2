"""Tables of BIDS that break its rules: read where their meaning is certain, else they cost their own facts alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from eegprep.errors import UsageError
from eegprep.formats.tables.tsv import numbers, rows_of
from eegprep.sources import open_source
from eegprep.sources.side_table import named_columns

TASK = {"name": "t", "classes": ["a", "b"], "trials": {"by": "event", "labels": {"a": "a", "b": "b"}, "length_s": 1}}
OWN = [(500, "a"), (1100, "b")]
GOOD = "onset\tduration\ttrial_type\n2.5\t0\ta\n5.5\t0\tb\n"


def read(made, root: Path, events: bytes | str | None = None, **tables: bytes | str):
    """A recording of 20 s at 200 Hz with its own a at 2.5 s and b at 5.5 s, and tables beside it."""
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    eeg = root / "sub-01" / "eeg"
    eeg.mkdir(parents=True)
    marks = [(2.5, None, "a"), (5.5, None, "b")]
    made["edf"](eeg / "sub-01_task-x_eeg.edf", made["eeg_uv"](6, 4000), annotations=marks)
    for kind, text in {"events": events, **tables}.items():
        if text is not None:
            data = text.encode() if isinstance(text, str) else text
            (eeg / f"sub-01_task-x_{kind}.{'json' if kind in ('eeg', 'coordsystem') else 'tsv'}").write_bytes(data)
    source = open_source(made["manifest"](source={"kind": "bids"}, tasks=[TASK]), root)
    (planned,) = source.plan()
    return source.read(planned)


def found(recording) -> list[tuple[int, str]]:
    return [(e.start_sample, e.text) for e in recording.events]


@pytest.mark.parametrize(
    "table",
    [
        GOOD,
        "Onset\tDuration\tTrial_Type\n2.5\t0\ta\n5.5\t0\tb\n",
        "onset,duration,trial_type\n2.5,0,a\n5.5,0,b\n",
        'onset,duration,trial_type\n"2,5",0,a\n"5,5",0,b\n',
        "onset;duration;trial_type\n2,5;0;a\n5,5;0;b\n",
        "onset  duration  trial_type\n2.5  0  a\n5.5  0  b\n",
        "onset\tduration\ttrial_type\n2,5\t0\ta\n5,5\t0\tb\n",
        GOOD.encode("utf-16"),
        GOOD.encode("utf-16-le"),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        "onset\tduration\ttrial_type\n5.5\t0\tb\n2.5\t0\ta\n",
        'onset\tduration\ttrial_type\n"2.5"\t"0"\t"a"\n5.5\t0\tb\n',
        "onset\tvalue\n2.5\ta\n5.5\tb\n",
        "onset\tonset\ttrial_type\n2.5\t2.5\ta\n5.5\t5.5\tb\n",
        "onset\tduration\ttrial_type\tsample\n500\t0\ta\t500\n1100\t0\tb\t1100\n",
        "onset\tduration\ttrial_type\n500\t0\ta\n1100\t0\tb\n",
        "onset\tduration\ttrial_type\n2500\t0\ta\n5500\t0\tb\n",
    ],
)
def test_table_is_read_where_certain(made, tmp_path: Path, table) -> None:
    recording = read(made, tmp_path, table)
    assert found(recording) == OWN
    assert not any("ignored" in n for n in recording.notes)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("", "it contains no events"),
        ("onset\tduration\ttrial_type\n", "it contains no events"),
        ("time\tduration\ttrial_type\n1\t0\ta\n", "no column `onset`"),
        ("onset\tonset\ttrial_type\n1\t7\ta\n", "several columns `onset`"),
        ("onset\tduration\n1\t0\n2\t0\n", "names no event"),
        ("onset\tduration\ttrial_type\nn/a\t0\ta\nn/a\t0\tb\n", "2 of its 2 rows"),
        ("onset\tduration\ttrial_type\n1s\t0\ta\n2s\t0\tb\n3\t0\tb\n", "2 of its 3 rows"),
        ("onset  duration  trial_type\n1  0  left hand\n2  0  b\n", "rows differ in length"),
        ("onset,duration,trial_type\n2,5,0,a\n5,5,0,b\n", "rows differ in length"),
        ("onset\tduration\ttrial_type\n2,500\t0\ta\n5,500\t0\tb\n", None),
        ("onset\tduration\ttrial_type\n1\t0\t0\ta\n2\t0\t0\tb\n", "more fields than its first line"),
        ("onset\tduration\ttrial_type\n700\t0\ta\n900\t0\tb\n", "outside the recording of 20 s"),
        (b"\xff\xfeo\x00n\x00s", "encoding"),
    ],
)
def test_table_that_is_not_costs_itself(made, tmp_path: Path, table, reason) -> None:
    """The file's own events stand, and a note says why the table does not."""
    recording = read(made, tmp_path, table)
    assert found(recording) == OWN
    assert reason is None or any("events.tsv was ignored" in n and reason in n for n in recording.notes)


def test_broken_rows_are_counted(made, tmp_path: Path) -> None:
    rows = "1\t0\ta\nn/a\t0\tb\n2\t0\tn/a\n1_0\t0\ta\n3\t0\tb\n-1\t0\ta\n99\t0\ta\n"
    recording = read(made, tmp_path, "onset\tduration\ttrial_type\n" + rows)
    assert found(recording) == [(-200, "a"), (200, "a"), (600, "b"), (19800, "a")]
    assert "events.tsv: 3 of 7 rows have no onset, no name or cannot be read" in recording.notes
    assert "events.tsv: 2 events are outside the recording of 20 s" in recording.notes
    assert "events.tsv is used; 2 of the 2 events in the file are missing in it" in recording.notes


@pytest.mark.parametrize("first", ["2.5\t0\ta\n", "1\t0\ta\n2\t0\ta\n3\t0\ta\n4\t0\ta\n6\t0\ta\n"])
def test_table_of_a_longer_recording(made, tmp_path: Path, first: str) -> None:
    """A recording that was cut after its table was written keeps the events that it still holds."""
    rest = "".join(f"{t}\t0\tb\n" for t in range(30, 60, 2))
    recording = read(made, tmp_path, "onset\tduration\ttrial_type\n" + first + rest)
    inside = [int(200 * float(line.split("\t")[0])) for line in first.splitlines()]
    assert [s for s, _ in found(recording) if s < 4000] == inside
    assert "events.tsv: 15 events are outside the recording of 20 s" in recording.notes


def test_table_of_breaks_keeps_own_events(made, tmp_path: Path) -> None:
    """A table that lists nothing but breaks must not take the file's stimuli away."""
    recording = read(made, tmp_path, "onset\tduration\ttrial_type\n8\t0\tboundary\n")
    assert found(recording) == OWN
    assert [s.n_samples for s in recording.stretches] == [1600, 2400]


def test_boundary_of_the_table_is_a_break(made, tmp_path: Path) -> None:
    table = "onset\tduration\tvalue\n7.75\tn/a\tb\n8\tn/a\tboundary\n"
    recording = read(made, tmp_path, table)
    assert [(s.start_sample, s.n_samples) for s in recording.stretches] == [(0, 1600), (1600, 2400)]


def test_structure_of_the_file_stays(made, tmp_path: Path) -> None:
    """The table says what the subject did; breaks and gaps that only the file knows are kept."""
    (tmp_path / "dataset_description.json").write_text("{}")
    eeg = tmp_path / "sub-01" / "eeg"
    eeg.mkdir(parents=True)
    marks = [(2.5, None, "b"), (8, None, "boundary"), (12, 2, "BAD_x")]
    made["edf"](eeg / "sub-01_task-x_eeg.edf", made["eeg_uv"](6, 4000), annotations=marks)
    (eeg / "sub-01_task-x_events.tsv").write_text("onset\tduration\ttrial_type\n2.5\t0\ta\n8\t0\tboundary\n")
    source = open_source(made["manifest"](source={"kind": "bids"}, tasks=[TASK]), tmp_path)
    recording = source.read(source.plan()[0])
    assert found(recording) == [(500, "a")]
    assert [(s.start_sample, s.stop_sample) for s in recording.stretches] == [(0, 1600), (1600, 2400), (2800, 4000)]


def test_bad_acq_skip_of_the_table_is_a_gap(made, tmp_path: Path) -> None:
    recording = read(made, tmp_path, "onset\tduration\ttrial_type\n2.5\t0\ta\n8\t2\tBAD_ACQ_SKIP\n9\t0\ta\n")
    assert [(s.start_sample, s.stop_sample) for s in recording.stretches] == [(0, 1600), (2000, 4000)]
    assert [(x.name, x.code, x.start_sample, x.n_samples) for x in recording.left_out] == [
        ("all", "acquisition_skip", 1600, 400)
    ]


def test_bad_mark_of_a_channel_column(made, tmp_path: Path) -> None:
    """BIDS names the channels of an event in `channel`, separated by what events.json says, else by commas."""
    table = "onset\tduration\ttrial_type\tchannel\n2.5\t0\ta\tn/a\n8\t2\tBAD_loose\tFp1, c3,Xx\n"
    recording = read(made, tmp_path, table)
    assert [s.n_samples for s in recording.stretches] == [4000]
    assert [(x.name, x.start_sample, x.n_samples) for x in recording.left_out] == [
        ("Fp1", 1600, 400),
        ("C3", 1600, 400),
    ]
    assert "bad-segment marks name 1 unknown channels" in recording.notes


def test_lasting_bad_mark_without_duration(made, tmp_path: Path) -> None:
    recording = read(made, tmp_path, "onset\tduration\ttrial_type\n2.5\t0\ta\n8\tn/a\tBAD_x\n")
    assert len(recording.stretches) == 1
    assert "1 BAD marks have no duration; nothing was left out" in recording.notes


def test_channels_in_latin_1_with_commas(made, tmp_path: Path) -> None:
    """A µ in Latin-1 is still the unit's; a name that is listed twice with two statuses says nothing."""
    rows = "Name,Type,Units,Status\nFp1,EEG,µV,bad\nFp2,EEG,µV,good\nFp2,EEG,µV,bad\n"
    recording = read(made, tmp_path, channels=rows.encode("latin-1"))
    assert {c.name: c.status for c in recording.channels}["Fp1"] == "bad"
    assert {c.name: c.status for c in recording.channels}["Fp2"] == "good"
    assert "channels.tsv: 1 rows are invalid or contradictory and were ignored" in recording.notes


@pytest.mark.parametrize(
    ("tables", "note"),
    [
        ({"channels": "label\ttype\nFp1\tEEG\n"}, "channels.tsv was ignored: it has no column `name`"),
        ({"channels": b"\xff\xfen\x00a"}, "channels.tsv was ignored"),
        ({"eeg": b"\xff\xfe{"}, "eeg.json is not valid JSON and was ignored"),
        ({"eeg": "[" * 100_000}, "eeg.json is not valid JSON and was ignored"),
        ({"electrodes": "name\tx\ty\tz\n", "coordsystem": "{"}, "coordsystem.json is not valid JSON"),
        (
            {
                "electrodes": "x\ty\tz\n1\t2\t3\n",
                "coordsystem": '{"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "m"}',
            },
            "electrodes.tsv was ignored: it has no column `name`",
        ),
    ],
)
def test_other_tables_cost_themselves(made, tmp_path: Path, tables, note) -> None:
    recording = read(made, tmp_path, **tables)
    assert found(recording) == OWN
    assert any(note in n for n in recording.notes)


def test_a_link_to_nowhere_costs_itself(made, tmp_path: Path) -> None:
    """As in a DataLad clone whose tables were not fetched."""
    read(made, tmp_path)
    (tmp_path / "sub-01" / "eeg" / "sub-01_task-x_events.tsv").symlink_to("nowhere")
    source = open_source(made["manifest"](source={"kind": "bids"}, tasks=[TASK]), tmp_path)
    recording = source.read(source.plan()[0])
    assert found(recording) == OWN
    refused = [(e.path, e.kind) for e in source.entries() if e.kind == "refused"]
    assert refused == [("sub-01/eeg/sub-01_task-x_events.tsv", "refused")]


def test_positions_with_decimal_commas(made, tmp_path: Path) -> None:
    frame = '{"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "m"}'
    rows = "name\tx\ty\tz\nFp1\t-0,029\t0,085\t0,001\n"
    recording = read(made, tmp_path, electrodes=rows, coordsystem=frame)
    assert {c.name: c.position_m for c in recording.channels}["Fp1"] == (-0.029, 0.085, 0.001)


def test_a_stray_quote_swallows_no_rows(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text('onset\ttrial_type\n1\t"open\n2\tb\n')
    assert rows_of(tmp_path / "t.tsv", ("onset", "trial_type"), "onset") == (
        [{"onset": "1", "trial_type": '"open'}, {"onset": "2", "trial_type": "b"}],
        0,
    )


def test_commas_that_may_mean_either() -> None:
    assert numbers(["2,5", "1,250"]) == [2.5, 1.25]
    assert numbers(["1,250"], longest=20.0) == [1.25]
    with pytest.raises(ValueError, match="separate thousands"):
        numbers(["1,250", "2,500"])


def test_a_stated_table_in_utf_16(tmp_path: Path) -> None:
    """participants.tsv and others that a manifest names are read in any encoding, or refused with the reason."""
    (tmp_path / "p.tsv").write_bytes("id\tgroup\ns1\tx\n".encode("utf-16"))
    assert named_columns(tmp_path / "p.tsv", "\t", ["id", "group"], "the table") == [{"id": "s1", "group": "x"}]
    (tmp_path / "p.tsv").write_bytes(b"\xff\xfei")
    with pytest.raises(UsageError, match="cannot be read"):
        named_columns(tmp_path / "p.tsv", "\t", ["id"], "the table")
