"""Where events lie: known samples in every format that can be written here, and in the store after resampling."""

from __future__ import annotations

import datetime
import shutil
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from xml.sax.saxutils import escape

import mne
import numpy as np
import pytest

from eegprep.formats.decode import decode_file
from eegprep.formats.decoded import Decoded, SourceEvent
from eegprep.formats.edf.read import read_edf
from eegprep.formats.mne import read_with_mne
from eegprep.formats.neuroscan import read_neuroscan
from eegprep.formats.segments import structured
from eegprep.formats.wholeness import check_whole
from eegprep.ingest.trials import cut_trials
from eegprep.manifest.labels import event_label
from eegprep.manifest.schema import Manifest
from eegprep.recording import STANDARD_SFREQ_HZ, Stretch
from eegprep.sources import manifest_for_path, open_source
from eegprep.standardise.timeline import lay_out

#: 0-based samples of a recording of 1600; the first and the last are where off-by-one errors show.
AT = (0, 1, 300, 701, 1599)
RATE = 200.0
NAMES = ("C3", "C4", "O1", "O2", "Fp1", "Fp2")


def raw_of(made, *, first_samp: int = 0, dated: bool = False) -> mne.io.RawArray:
    info = mne.create_info(list(NAMES), RATE, "eeg")
    raw = mne.io.RawArray(made["eeg_uv"](6, 1600) * 1e-6, info, first_samp=first_samp, verbose="ERROR")
    if dated:
        raw.set_meas_date(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
    return raw.set_annotations(mne.Annotations([at / RATE for at in AT], 0.0, [f"E{at}" for at in AT]))


def fif(made, folder: Path) -> Path:
    raw_of(made).save(folder / "p_raw.fif", verbose="ERROR")
    return folder / "p_raw.fif"


def fif_cut(made, folder: Path) -> Path:
    raw_of(made, first_samp=12345).save(folder / "p_raw.fif", verbose="ERROR")
    return folder / "p_raw.fif"


def fif_dated(made, folder: Path) -> Path:
    raw_of(made, first_samp=12345, dated=True).save(folder / "p_raw.fif", verbose="ERROR")
    return folder / "p_raw.fif"


def fif_cropped(made, folder: Path) -> Path:
    """Two seconds and a half are cut off in front, after the events were set."""
    info = mne.create_info(list(NAMES), RATE, "eeg")
    raw = mne.io.RawArray(made["eeg_uv"](6, 2100) * 1e-6, info, verbose="ERROR")
    raw.set_annotations(mne.Annotations([(at + 500) / RATE for at in AT], 0.0, [f"E{at}" for at in AT]))
    raw.crop(2.5).save(folder / "p_raw.fif", verbose="ERROR")
    return folder / "p_raw.fif"


def fif_with_list(made, folder: Path) -> Path:
    raw_of(made, first_samp=777).set_annotations(None).save(folder / "p_raw.fif", verbose="ERROR")
    mne.write_events(folder / "p-eve.fif", np.array([[at + 777, 0, at + 1] for at in AT]), verbose="ERROR")
    return folder / "p_raw.fif"


def edf(made, folder: Path) -> Path:
    marks = [(at / RATE, None, f"E{at}") for at in AT]
    return made["edf"](folder / "p.edf", made["eeg_uv"](6, 1600), annotations=marks, names=NAMES)


def edf_by_mne(made, folder: Path) -> Path:
    mne.export.export_raw(folder / "p.edf", raw_of(made), verbose="ERROR")
    return folder / "p.edf"


def bdf(made, folder: Path) -> Path:
    marks = [(at / RATE, None, f"E{at}") for at in AT]
    return made["edf"](folder / "p.bdf", made["eeg_uv"](6, 1600), annotations=marks, names=NAMES, bdf=True)


def eeglab(made, folder: Path) -> Path:
    mne.export.export_raw(folder / "p.set", raw_of(made), verbose="ERROR")
    return folder / "p.set"


def eeglab_by_hand(made, folder: Path) -> Path:
    """Latencies count from 1, and have fractions after resampling."""
    events = np.zeros(len(AT), dtype=[("type", object), ("latency", object), ("duration", object)])
    events["type"] = [f"E{at}" for at in AT]
    events["latency"], events["duration"] = [at + 1 + 0.3 for at in AT], 0.0
    made["eeglab"](folder / "p.set", NAMES, made["eeg_uv"](6, 1600), 1600, event=events)
    return folder / "p.set"


def neuroscan(made, folder: Path) -> Path:
    path = made["neuroscan"](folder / "p.cnt", made["eeg_uv"](6, 1600))
    data = path.read_bytes()
    (table,) = struct.unpack_from("<I", data, 886)
    marks = b"".join(struct.pack("<HBBi", at + 1, 0, 0, 900 + 75 * 6 + at * 12) for at in AT)
    path.write_bytes(data[:table] + struct.pack("<BII", 1, len(marks), 0) + marks)
    return path


def gdf(made, folder: Path, rate: float = RATE) -> Path:
    """Positions count from 1, at the rate that the table of events states."""
    path = made["gdf"](folder / "p.gdf", made["eeg_uv"](6, 1600), NAMES)
    table = b"\x01" + len(AT).to_bytes(3, "little") + struct.pack("<f", rate)
    table += struct.pack(f"<{len(AT)}I", *[round(at * rate / RATE) + 1 for at in AT])
    path.write_bytes(path.read_bytes() + table + struct.pack(f"<{len(AT)}H", *[at + 1 for at in AT]))
    return path


def gdf_at_another_rate(made, folder: Path) -> Path:
    return gdf(made, folder, 1000.0)


def persyst(made, folder: Path) -> Path:
    comments = "".join(f"{at / RATE:.6f},0,0,100,E{at}\n" for at in AT)
    return made["persyst"](
        folder, made["eeg_uv"](6, 1600), NAMES, extra=f"[SampleTimes]\n0=36000\n[Comments]\n{comments}"
    )


WRITERS = [
    fif, fif_cut, fif_dated, fif_cropped, fif_with_list, edf, edf_by_mne, bdf, eeglab, eeglab_by_hand, neuroscan, gdf,
    gdf_at_another_rate, persyst,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS, ids=lambda w: w.__name__)
def test_events_are_at_their_samples(made, tmp_path: Path, write: Callable[..., Path]) -> None:
    """From the first sample to the last; codes that can't be zero are one more than the sample."""
    path = write(made, tmp_path)
    decoded: Decoded = decode_file(path, made["manifest"](source={"files": [path.name]}))
    own = [e for e in decoded.events if not e.text.casefold().startswith(("bad", "boundary"))]
    names = {f"E{at}": at for at in AT} | {str(at + 1): at for at in AT}
    assert [(e.start_sample, names[event_label(e.text)]) for e in own] == [(at, at) for at in AT]


def test_events_of_edf_with_gaps(made, tmp_path: Path) -> None:
    """Records that do not follow each other: an event keeps its place within its own record."""
    starts = [0.0, 1.0, 5.0, 6.0, 100.0, 101.0, 102.0, 103.0]
    marks = [(0.5, None, "a"), (5.25, None, "b"), (100.0, None, "c"), (103.995, None, "d")]
    path = made["edf"](
        tmp_path / "p.edf", made["eeg_uv"](6, 1600), kind="EDF+D", record_starts=starts, annotations=marks, names=NAMES
    )
    decoded = read_edf(path)
    assert [(e.start_sample, e.text) for e in decoded.events] == [(100, "a"), (450, "b"), (800, "c"), (1599, "d")]


def test_edf_that_begins_in_a_second(made, tmp_path: Path) -> None:
    """The first record may start a fraction behind the header's time; onsets count from the header's."""
    starts = [0.4 + k for k in range(8)]
    path = made["edf"](
        tmp_path / "p.edf", made["eeg_uv"](6, 1600), record_starts=starts, annotations=[(2.4, 1.0, "a")], names=NAMES
    )
    assert [(e.start_sample, e.n_samples) for e in read_edf(path).events] == [(400, 200)]


@pytest.mark.parametrize("rate", [100.0, 128.0, 200.0, 250.0, 500.0, 512.0, 1000.0, 2048.0, 5000.0])
def test_trials_after_resampling(rate: float) -> None:
    """A trial begins at the store's sample nearest to the event's time, in every stretch."""
    ratio = Fraction(STANDARD_SFREQ_HZ) / Fraction(rate)
    n = int(60 * rate)
    border = int(20 * rate) + 7
    timeline = lay_out(
        (Stretch(start_sample=0, n_samples=border), Stretch(start_sample=border, n_samples=n - border)), n, ratio
    )
    for at in (0, 1, 333, int(10.5 * rate) + 1, border, border + 1, border + 1234, n - 1):
        placed = timeline.at(at)
        assert placed is not None
        assert abs(placed - at * STANDARD_SFREQ_HZ / rate) <= 1.0
        inside = at if at < border else at - border
        start = 0 if at < border else timeline.stretches[1].start_sample
        assert abs(placed - start - inside * STANDARD_SFREQ_HZ / rate) <= 0.5


@pytest.mark.parametrize("n_samples", [0, 1])
def test_an_instant_of_one_sample(made, tmp_path: Path, n_samples: int) -> None:
    """BrainVision and GDF give instants one sample: with a stride they still have their window."""
    rule = {"by": "event", "labels": {"1": "a", "2": "b"}, "length_s": 1, "stride_s": 0.5}
    manifest: Manifest = made["manifest"](
        source={"files": ["{subject}.edf"]}, tasks=[{"name": "t", "classes": ["a", "b"], "trials": rule}]
    )
    made["edf"](tmp_path / "p.edf", made["eeg_uv"](6, 1600), names=NAMES, annotations=[(1.5, n_samples / RATE, "1")])
    source = open_source(manifest, tmp_path)
    recording = source.read(source.plan()[0])
    assert [e.n_samples for e in recording.events] == [n_samples]
    timeline = lay_out(recording.stretches, recording.n_samples, Fraction(1))
    assert [t.start_sample for t in cut_trials(recording, manifest, timeline, {})[0]] == [300]


def mff(folder: Path, keys: str) -> Path:
    """An MFF folder of one epoch and two channels, with one event whose keys are given as XML."""
    path = folder / "p.mff"
    path.mkdir()
    spaces = 'xmlns="http://www.egi.com/{}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'

    def write(name: str, root: str, space: str, body: str) -> None:
        text = f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><{root} {spaces.format(space)}>{body}</{root}>'
        (path / name).write_text(text)

    begin = "2020-01-01T10:00:{:09.6f}+00:00"
    write("info.xml", "fileInfo", "info_mff", f"<mffVersion>3</mffVersion><recordTime>{begin.format(0)}</recordTime>")
    kind = "<generalInformation><fileDataType><EEG><sensorLayoutName>Geodesic 2</sensorLayoutName></EEG>"
    write("info1.xml", "dataInfo", "info_n_mff", f"{kind}</fileDataType></generalInformation>")
    epoch = "<beginTime>0</beginTime><endTime>4000000</endTime><firstBlock>1</firstBlock><lastBlock>1</lastBlock>"
    write("epochs.xml", "epochs", "epochs_mff", f"<epoch>{epoch}</epoch>")
    sensors = "".join(f"<sensor><name/><number>{i}</number><type>0</type></sensor>" for i in (1, 2))
    write(
        "sensorLayout.xml", "sensorLayout", "sensorLayout_mff", f"<name>Geodesic 2</name><sensors>{sensors}</sensors>"
    )
    events = "".join(
        f"<event><beginTime>{begin.format(at)}</beginTime><duration>1000</duration><code>{escape(code)}</code>"
        f"<keys>{keys}</keys></event>"
        for at, code in ((1.0, "stm+"), (2.5, "resp"))
    )
    write("Events_1.xml", "eventTrack", "event_mff", f"<name>E</name><trackType>STIM</trackType>{events}")
    n_channels, n = 2, 800
    size = 16 + 8 * n_channels + 4
    head = struct.pack("<4i", 1, size, 4 * n_channels * n, n_channels)
    head += struct.pack("<2i", *[4 * n * i for i in range(n_channels)]) + struct.pack("<2i", *[(200 << 8) | 32] * 2)
    samples = np.random.default_rng(0).normal(0, 10, (n_channels, n)).astype("<f4")
    (path / "signal1.bin").write_bytes(head + struct.pack("<i", 0) + samples.tobytes())
    return path


KEY = "<key><keyCode>cel#</keyCode><data dataType='{}'>{}</data></key>"


@pytest.mark.parametrize(
    ("keys", "unread"),
    [
        (KEY.format("short", "1"), 0),
        (KEY.format("long", "G2"), 2),
        (KEY.format("short", "70000"), 2),
        (KEY.format("double", "1.5"), 2),
        (KEY.format("short", ""), 2),
        ("<key><keyCode>cel#</keyCode></key>", 2),
        (KEY.format("long", "G2") + KEY.format("short", "3"), 2),
    ],
)
def test_mff_keys_of_a_wrong_type(tmp_path: Path, keys: str, unread: int) -> None:
    """The events are read without such a key, with a note."""
    decoded = read_with_mne(mff(tmp_path, keys), "egi_mff")
    assert [(e.start_sample, e.text) for e in decoded.events] == [(200, "stm+"), (500, "resp")]
    notes = [n for n in decoded.notes if "have values of the wrong type" in n]
    assert notes == (
        [f"{unread} entries of the events have values of the wrong type and were ignored"] if unread else []
    )


def test_an_event_is_what_it_says() -> None:
    """The witness is not part of what an event is: two witnesses of one event are equal."""
    first = SourceEvent(start_sample=1, text="a", witness="annotations")
    assert first == SourceEvent(start_sample=1, text="a", witness="stim:STI 014")


def test_a_lost_table_of_neuroscan(made, tmp_path: Path) -> None:
    """The header points to a table that is not there, or is of an unknown kind: noted."""
    path = neuroscan(made, tmp_path)
    data = path.read_bytes()
    (table,) = struct.unpack_from("<I", data, 886)
    path.write_bytes(data[:table] + b"\x09" + data[table + 1 :])
    assert "the event table has an unknown type and was ignored" in read_neuroscan(path).notes
    path.write_bytes(data[: table - 120])
    note = "the event table named in the header is missing: events are unknown"
    assert note in read_neuroscan(path).notes


def test_nihon_kohden_without_its_log(tmp_path: Path) -> None:
    """The .LOG file holds the events; its suffix may be in small letters."""
    path = tmp_path / "p.EEG"
    head = bytearray(b"EEG-1100A V01.00".ljust(2048, b"\0"))
    struct.pack_into("<I", head, 0x92, 0x400)  # the control block, which names no block of data
    path.write_bytes(head)
    assert check_whole(path, "nihon_kohden")[0] == ("there is no .LOG file, so its events are unknown",)
    (tmp_path / "p.log").touch()
    assert check_whole(path, "nihon_kohden")[0] == ()


@pytest.mark.parametrize(("version", "second"), [("3", 1_000_000), ("2", 1_000_000_000)])
def test_mff_events_last(data_dir: Path, tmp_path: Path, version: str, second: int) -> None:
    """Durations are in microseconds, before version 3 in nanoseconds; one millisecond is an instant."""
    path = tmp_path / "a.mff"
    shutil.copytree(data_dir / "formats" / "egi" / "test_egi_multiepoch_eprime.mff", path)
    info = path / "info.xml"
    info.write_text(info.read_text().replace("<mffVersion>3<", f"<mffVersion>{version}<"))
    (file,) = path.glob("Events*.xml")
    text = file.read_text().replace("<duration>1000<", f"<duration>{second // 1000}<")
    at = text.rindex("<duration>", 0, text.rindex("<code>AM40<"))
    file.write_text(text[:at] + text[at:].replace(f"<duration>{second // 1000}<", f"<duration>{second}<", 1))
    events = [e for e in decode_file(path, manifest_for_path(path)).events if e.text == "AM40"]
    assert [e.n_samples for e in events] == [0, 0, 0, 250]


@pytest.mark.parametrize("rate", [128.0, 200.0, 250.0, 300.0, 333.3, 512.0, 1000.0, 1024.0, 2048.0])
def test_boundaries_of_eeglab_lie_between_two_samples(made, tmp_path: Path, rate: float) -> None:
    """What was cut out before sample 101 (from 1) has the latency 100.5, so the break is before sample 100 (from 0)."""
    at = [100, 249, 250, 333, 777, 1001, 1500, 1598]
    events = np.zeros(2 * len(at), dtype=[("type", object), ("latency", object), ("duration", object)])
    events["type"] = ["boundary", "E"] * len(at)
    events["latency"] = [latency for a in at for latency in (a + 0.5, a + 1.0)]
    events["duration"] = 7.0
    made["eeglab"](tmp_path / "p.set", NAMES, made["eeg_uv"](6, 1600), 1600, event=events, srate=rate)
    decoded = structured(decode_file(tmp_path / "p.set", manifest_for_path(tmp_path)))
    assert [s.start_sample for s in decoded.stretches] == [0, *at]
    assert [e.start_sample for e in decoded.events if e.text == "E"] == at
