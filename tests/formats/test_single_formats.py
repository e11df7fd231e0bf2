"""Formats by their first bytes; Neuroscan, text tables, headsets, arrays and XDF, whole and damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import mne
import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.formats.decode import decode_file
from eegprep.formats.detect import detect
from eegprep.formats.edf.annotations import parse_records
from eegprep.formats.neuroscan import read_neuroscan
from eegprep.formats.segments import structured
from eegprep.formats.tables.text import read_table
from eegprep.formats.xdf import read_xdf
from eegprep.sources import manifest_for_path, open_source


@pytest.mark.parametrize(
    ("head", "name", "expected"),
    [
        (b"0       X X X X", "a.rec", "edf"),
        (b"\xffBIOSEMI", "a.edf", "bdf"),
        (b"GDF 2.20", "a.bin", "gdf"),
        (b"\x00\x00\x00\x64\x00\x00\x00\x1f\x00\x00\x00\x14", "a_raw.fif", "fif"),
        (b"Version 3.0\x00", "a.cnt", "neuroscan"),
        (b"RIFF\x00\x00\x00\x00CNT LIST", "a.cnt", "ant"),
        (b"RF64\x00\x00\x00\x00\x00\x00\x00\x00CNT LIST", "a.cnt", "ant"),
        (b"Brain Vision Data Exchange Header File Version 1.0\r\n", "a.vhdr", "brainvision"),
        (b"BrainVision Data Exchange Header File Version 2.0\n", "a.vhdr", "brainvision"),
        (b"XDF:", "a.dat", "xdf"),
        (b"EEG-1100A V01.00", "a.EEG", "nihon_kohden"),
        (struct.pack(">iHHHHHHiHH", 4, 2014, 4, 8, 9, 46, 44, 0, 250, 256).ljust(64, b"\0"), "a.raw", "egi_raw"),
        (b"\x93NUMPY\x01\x00", "a.npy", "numpy"),
        (b"%OpenBCI Raw EXG Data\n", "a.txt", "openbci"),
        (b"TimeStamp,Delta_TP9,RAW_TP9\n", "a.csv", "muse"),
        (b"Read me\n", "README", None),
        (b"time,value\n1,2\n", "a.csv", None),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "a.wav", None),
    ],
)
def test_the_first_bytes_say_what_a_file_is(tmp_path: Path, head: bytes, name: str, expected: str | None) -> None:
    path = tmp_path / name
    path.write_bytes(head)
    found = detect(path)
    assert (None if found is None else found.name) == expected


def test_signature_wins_over_suffix(made, tmp_path: Path) -> None:
    """A file with a wrong suffix is read by its signature."""
    path = made["edf"](tmp_path / "a.cnt", made["eeg_uv"](6, 400))
    assert decode_file(path, manifest_for_path(path)).format == "edf"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.edf", b"", "a.edf is empty"),
        ("a.edf", b"PK\x03\x04 a zip file", "a.edf is not EDF"),
        ("a.cnt", b"nothing of the sort", "a.cnt is not Neuroscan CNT"),
        ("a.set", b"MATLAB 5.0 MAT-file" + b"\x01" * 300, "cannot be read"),
        ("a.vhdr", b"Brain Vision Data Exchange Header File Version 1.0\n[Common", "cannot be read as BrainVision"),
        ("a_raw.fif", b"\x00\x00\x00\x64\x00\x00\x00\x1f\x00\x00\x00\x14" + b"\x07" * 40, "cannot be read as FIF"),
        ("a.xdf", b"XDF:\x01\xff\xff", "XDF"),
    ],
)
def test_no_recording_is_refused_by_name(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    """What is no recording is refused by name."""
    (tmp_path / name).write_bytes(data)
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    (planned,) = source.plan()
    with pytest.raises(InputError) as caught:
        source.read(planned)
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["../secret.eeg", "..\\secret.eeg", "/etc/passwd"])
def test_header_names_no_file_elsewhere(tmp_path: Path, name: str) -> None:
    """A header cannot name files in other folders."""
    folder = tmp_path / "lab"
    folder.mkdir()
    (tmp_path / "secret.eeg").write_bytes(b"\0" * 4000)
    header = f"Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile={name}\n"
    (folder / "a.vhdr").write_text(header + "NumberOfChannels=1\nSamplingInterval=5000\n")
    source = open_source(manifest_for_path(folder), folder)
    assert source.plan()[0].files == ("a.vhdr",)
    with pytest.raises(InputError, match="names a file in another folder"):
        source.read(source.plan()[0])


@pytest.mark.parametrize("n_bytes", [2, 4])
def test_neuroscan_sample_size_is_found(made, tmp_path, n_bytes: int) -> None:
    """Neuroscan samples are found although the header does not state their size."""
    signal = np.rint(made["eeg_uv"](4, 3000) * 10) / 10
    decoded = structured(read_neuroscan(made["neuroscan"](tmp_path / "a.cnt", signal, n_bytes=n_bytes)))
    np.testing.assert_allclose(np.asarray(decoded.signal), signal, atol=1e-6)
    assert [(e.start_sample, e.n_samples, e.text) for e in decoded.events] == [(100, 0, "7"), (200, 60, "BAD_rejected")]
    assert [(s.start_sample, s.stop_sample) for s in decoded.stretches] == [(0, 200), (260, 3000)]


def test_neuroscan_is_read_as_mne_reads_it(data_dir: Path) -> None:
    path = data_dir / "formats" / "neuroscan" / "scan41_short.cnt"
    ours = read_neuroscan(path)
    theirs = mne.io.read_raw_cnt(path, data_format="int16", preload=True, verbose="CRITICAL")
    assert [c.name for c in ours.channels] == theirs.ch_names
    np.testing.assert_allclose(np.asarray(ours.signal), theirs.get_data() * 1e6, rtol=1e-6, atol=1e-9)
    marks = list(zip(theirs.annotations.onset, theirs.annotations.description, strict=True))
    # MNE places events one sample earlier, and takes the mark of a pause for an event 0
    found = [(e.start_sample / 400 - 1 / 400, "0" if e.role == "break" else e.text) for e in ours.events]
    assert [text for _, text in found] == [text for _, text in marks]
    assert [at for at, _ in found] == pytest.approx([at for at, _ in marks])


def test_neuroscan_pauses_are_where_the_signal_jumps(data_dir: Path) -> None:
    """The marks of pauses show that an event's place is the first sample after it."""
    decoded = read_neuroscan(data_dir / "formats" / "neuroscan" / "test.cnt")
    steps = np.abs(np.diff(np.asarray(decoded.signal), axis=1)).sum(axis=0)
    at = [e.start_sample for e in decoded.events if e.role == "break"]
    assert len(at) == 12
    assert np.median(steps[np.array(at) - 1]) > 50 * np.median(steps)
    assert max(np.median(steps[np.array(at) + d]) for d in (-3, -2, 0, 1)) < 5 * np.median(steps)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_neuroscan_events_of_every_table(made, tmp_path: Path, kind: int) -> None:
    """A pause (0xE) and a reset (0xB) break the recording; a stimulus keeps its code while a key is pressed."""
    signal = made["eeg_uv"](4, 3000)
    path = made["neuroscan"](tmp_path / "a.cnt", signal)
    data = path.read_bytes()
    (table,) = struct.unpack_from("<I", data, 886)
    marks = [(7, 0, 0, 100), (0, 0, 0xE0, 500), (0, 0, 3, 700), (9, 0, 3, 800), (0, 5, 0, 900), (0, 0, 0xB0, 1200)]
    rows = [
        struct.pack("<HBBi", code, keyboard, key, at if kind == 3 else 900 + 75 * 4 + at * 8) + bytes(11) * (kind > 1)
        for code, keyboard, key, at in marks
    ]
    path.write_bytes(data[:table] + struct.pack("<BII", kind, sum(map(len, rows)), 0) + b"".join(rows))
    decoded = structured(read_neuroscan(path))
    assert [s.start_sample for s in decoded.stretches] == [0, 500, 1200]
    assert [(e.start_sample, e.text) for e in decoded.events if e.role == "stimulus"] == [
        (100, "7"), (700, "KeyPad Response 3"), (800, "9"), (800, "KeyPad Response 3"), (900, "Keyboard Response 5"),
    ]  # fmt: skip


def test_annotation_lists_are_parsed() -> None:
    """Time-stamped annotations are parsed, and a missing time stamp is noticed."""
    lists = parse_records(
        [
            [b"+0\x14\x14\x00+0.5\x151.25\x14one\x14two\x14\x00\x00\x00"],
            [b"+1\x14\x14\x00"],
            [b"\x00\x00+2\x14\x14\x00"],
        ]
    )
    assert lists.starts == (0.0, 1.0, None)
    assert [(a.onset_s, a.duration_s, a.text) for a in lists.annotations] == [(0.5, 1.25, "one"), (0.5, 1.25, "two")]


def read_rows(made, tmp_path: Path, text: str, **source: object):
    (tmp_path / "p.csv").write_text(text)
    described = {"kind": "table", "files": ["{subject}.csv"], "sfreq_hz": 100, "unit": "uV", **source}
    opened = open_source(made["manifest"](source=described), tmp_path)
    return opened.decode(opened.plan()[0])


def rows(n: int = 200, *, rate: float = 100.0, gap_at: int = -1) -> list[str]:
    shift = [3.0 if 0 <= gap_at <= i else 0.0 for i in range(n)]
    return [f"{i / rate + shift[i]:.4f},{np.sin(i):.3f},{np.cos(i):.3f}" for i in range(n)]


def test_time_column_jump_breaks_stretch(made, tmp_path: Path) -> None:
    """A table's time column breaks the stretch where it jumps."""
    text = "\n".join(["t,C3,C4", *rows(gap_at=120)])
    decoded = read_rows(made, tmp_path, text, time_column="t", channels=["C3", "C4"])
    assert [(s.start_sample, s.n_samples) for s in decoded.stretches] == [(0, 120), (120, 80)]


def test_time_column_against_rate_is_refused(made, tmp_path: Path) -> None:
    """A table's time column that contradicts the sampling rate is refused."""
    with pytest.raises(InputError, match="contradicts the stated sampling rate"):
        read_rows(made, tmp_path, "\n".join(["t,C3,C4", *rows(rate=250)]), time_column="t", channels=["C3", "C4"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("C3,C4\n1,2\n3\n", "is not a table of 2 columns"),
        ("C3,C4\n1,2\nJohn,4\n", "column 'C3' of p.csv contains text"),
        ("C3,C5\n1,2\n", "has no column 'C4'"),
    ],
)
def test_damaged_table_text_is_not_repeated(made, tmp_path: Path, text: str, reason: str) -> None:
    """A damaged table is refused, and its text is not repeated."""
    with pytest.raises(InputError) as caught:
        read_rows(made, tmp_path, text, channels=["C3", "C4"])
    assert reason in str(caught.value)
    assert "John" not in str(caught.value)


def test_table_of_channel_rows_is_transposed(made, tmp_path: Path) -> None:
    """A table with one row per channel is transposed."""
    decoded = read_rows(made, tmp_path, "name,1,2,3\nC3,1,2,3\nC4,4,5,6\n", orientation="row_per_channel")
    assert [c.name for c in decoded.channels] == ["C3", "C4"]
    np.testing.assert_array_equal(np.asarray(decoded.signal), [[1, 2, 3], [4, 5, 6]])


def test_headerless_table_takes_stated_names(tmp_path: Path) -> None:
    """A table without a header takes the manifest's names."""
    (tmp_path / "a.txt").write_text("  1.5   2\n 3  4e0\n")
    table = read_table(tmp_path / "a.txt", names=["C3", "C4"])
    np.testing.assert_array_equal(table.numbers("C4"), [2.0, 4.0])


def test_electrode_files_have_one_length(made, tmp_path: Path) -> None:
    """The files of one recording's electrodes must have one length."""
    (tmp_path / "p_C3.txt").write_text("1\n2\n3\n")
    (tmp_path / "p_C4.txt").write_text("1\n2\n")
    source = {"kind": "table", "files": ["{subject}_{channel}.txt"], "sfreq_hz": 100, "unit": "uV"}
    opened = open_source(made["manifest"](source=source), tmp_path)
    with pytest.raises(InputError, match="differ in length"):
        opened.read(opened.plan()[0])


def test_openbci_without_rate_is_refused(tmp_path: Path) -> None:
    """OpenBCI text without a sampling rate is refused."""
    (tmp_path / "a.txt").write_text("%OpenBCI Raw EXG Data\nSample Index, EXG Channel 0\n0, 1.0\n")
    with pytest.raises(InputError, match="does not state its sampling rate"):
        decode_file(tmp_path / "a.txt", manifest_for_path(tmp_path))


def test_muse_rows_need_a_constant_rate(tmp_path: Path) -> None:
    """Muse rows at one per second are no signal; rows at a constant rate are."""
    for step, accepted in ((1 / 256, True), (1.0, False)):
        lines = ["TimeStamp,RAW_TP9,RAW_AF7,Elements"]
        for i in range(600):
            t = i * step
            clock = f"2017-11-02 12:{int(t // 60):02d}:{t % 60:06.3f}"
            lines.append(f"{clock},{800 + i % 7},{810 + i % 5}" + (",/muse/elements/blink" if i == 3 else ""))
        path = tmp_path / "m.csv"
        path.write_text("\n".join(lines) + "\n")
        if accepted:
            decoded = decode_file(path, manifest_for_path(path))
            assert (decoded.sfreq_hz, [c.name for c in decoded.channels]) == (256.0, ["TP9", "AF7"])
        else:
            with pytest.raises(InputError, match="rows per second"):
                decode_file(path, manifest_for_path(path))


def test_numpy_files_are_never_unpickled(made, tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    source = {"kind": "numpy", "files": ["{subject}.npy"], "sfreq_hz": 100, "unit": "uV", "channels": ["C3"]}
    opened = open_source(made["manifest"](source=source), tmp_path)
    with pytest.raises(InputError, match="cannot be read as a NumPy array"):
        opened.read(opened.plan()[0])


@pytest.mark.parametrize("shape", [(5, 100), (4,), (2, 2, 2, 100)])
def test_array_of_other_shape_is_refused(made, tmp_path: Path, shape) -> None:
    """An array of another shape than the manifest says is refused."""
    np.save(tmp_path / "p.npy", np.zeros(shape))
    source = {"kind": "numpy", "files": ["{subject}.npy"], "sfreq_hz": 100, "unit": "uV", "channels": ["C3", "C4"]}
    opened = open_source(made["manifest"](source={**source, "orientation": "row_per_channel"}), tmp_path)
    with pytest.raises(InputError, match=r"the shape of a signal|the number of channels"):
        opened.read(opened.plan()[0])


def test_rate_against_manifest_is_refused(made, tmp_path: Path) -> None:
    """A sampling rate that contradicts the manifest is refused."""
    made["edf"](tmp_path / "p.edf", made["eeg_uv"](6, 400))
    opened = open_source(made["manifest"](source={"files": ["{subject}.edf"], "sfreq_hz": 256}), tmp_path)
    with pytest.raises(InputError, match="the sampling rate does not match the manifest"):
        opened.read(opened.plan()[0])


def test_xdf_clock_reset_breaks_stretch(data_dir: Path) -> None:
    """A clock reset in XDF breaks the stretch, and the measured rate holds."""
    decoded = read_xdf(data_dir / "formats" / "xdf" / "clock_resets.xdf")
    assert len(decoded.stretches) == 2
    assert decoded.sfreq_hz == pytest.approx(92.67, abs=0.01)
    assert any("the header states 100 Hz" in n for n in decoded.notes)
    assert len(decoded.events) == 175


def test_split_fif_is_one_recording(made, tmp_path: Path) -> None:
    """A split FIF recording is one recording with all its files."""
    info = mne.create_info(["C3", "C4"], 500.0, "eeg")
    raw = mne.io.RawArray(made["eeg_uv"](2, 700_000) * 1e-6, info, verbose="CRITICAL")
    raw.save(tmp_path / "p_raw.fif", split_size="2MB", verbose="CRITICAL")
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    (planned,) = source.plan()
    assert len(planned.files) >= 3
    assert [e.path for e in source.entries() if e.kind == "recording"] == [planned.files[0]]
    assert {e.path for e in source.entries() if e.kind == "sidecar"} == set(planned.files[1:])
    assert source.read(planned).signal.shape == (2, 700_000)


@pytest.mark.parametrize("value", [b"\x00\x00\x1e\x61", b"\xff\xff\xff\xff", b"\x7f\xc0\x00\x00", b"\x00\x00\x00\x00"])
@pytest.mark.parametrize("field", [2, 3, 4, 5, 6, 18, 19])
def test_fif_channel_with_a_wrong_field(field: int, value: bytes, tmp_path: Path) -> None:
    """Kind, range, calibration, coil, position, unit and its power of ten: decoded, or an error of ours."""
    path = tmp_path / "a_raw.fif"
    info = mne.create_info(["Fp1", "Cz"], 128.0, "eeg")
    mne.io.RawArray(np.random.default_rng(0).normal(0, 1e-5, (2, 1280)), info, verbose="CRITICAL").save(
        path, verbose="CRITICAL"
    )
    data = path.read_bytes()
    at = data.index(struct.pack(">iii", 2, 2, 2)) + 4 * field  # the second channel: number, number, kind EEG
    path.write_bytes(data[:at] + value + data[at + 4 :])
    try:
        decoded = decode_file(path, manifest_for_path(path))
    except InputError:
        return
    assert [c.name for c in decoded.channels] == ["Fp1", "Cz"]
    assert decoded.signal[:, :].shape == (2, 1280)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("back_to", [0, 20])
def test_fif_tags_in_a_loop_are_refused(back_to: int, tmp_path: Path) -> None:
    """A tag that names an earlier one as the next keeps MNE's readers busy for ever."""
    path = tmp_path / "a_raw.fif"
    info = mne.create_info(["Fp1", "Cz"], 128.0, "eeg")
    mne.io.RawArray(np.zeros((2, 1280)), info, verbose="CRITICAL").save(path, verbose="CRITICAL")
    data = path.read_bytes()
    places = [0]
    while len(places) < 12:
        _, _, size, after = struct.unpack(">iIii", data[places[-1] : places[-1] + 16])
        places.append(after if after > 0 else places[-1] + 16 + size)
    target = places[3] if back_to else 16 + struct.unpack(">i", data[8:12])[0]
    path.write_bytes(data[: places[8] + 12] + struct.pack(">i", target) + data[places[8] + 16 :])
    with pytest.raises(InputError, match="form a loop"):
        decode_file(path, manifest_for_path(path))
