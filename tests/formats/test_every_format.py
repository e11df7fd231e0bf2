"""Every format that is called read is opened from a file, and every other one that is known is refused by its name."""

from __future__ import annotations

import contextlib
import importlib
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io
from support.recordings import curry_header, curry_labels, write_mef

from eegprep.errors import InputError
from eegprep.formats.decode import decode_file
from eegprep.formats.decoded import UNITS_TO_UV, Decoded
from eegprep.formats.detect import FORMATS, detect
from eegprep.formats.segments import structured
from eegprep.sources import manifest_for_path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "read-recordings.md"


def read(path: Path) -> Decoded:
    return decode_file(path, manifest_for_path(path))


def in_uv(decoded: Decoded) -> np.ndarray:
    factors = [UNITS_TO_UV.get(c.unit, np.nan) for c in decoded.channels]
    return np.asarray(decoded.signal) * np.array(factors)[:, None]


# -- one writer a format: (folder, names, signal_uv) to the path that is opened ------------------------------


def raw_of(names, signal_uv) -> mne.io.RawArray:
    return mne.io.RawArray(signal_uv * 1e-6, mne.create_info(list(names), 200.0, "eeg"), verbose="ERROR")


def fif(folder: Path, names, signal_uv, made) -> Path:
    raw_of(names, signal_uv).save(folder / "a_raw.fif", verbose="ERROR")
    return folder / "a_raw.fif"


def eeglab(folder: Path, names, signal_uv, made) -> Path:
    mne.export.export_raw(folder / "a.set", raw_of(names, signal_uv), verbose="ERROR")
    return folder / "a.set"


def fieldtrip(folder: Path, names, signal_uv, made) -> Path:
    cell = np.empty((1, 1), object)
    cell[0, 0] = signal_uv
    units = np.array([["uV"]] * len(names), object)
    labels = np.array(names, object).reshape(-1, 1)
    scipy.io.savemat(folder / "a.mat", {"data": {"trial": cell, "label": labels, "fsample": 200.0, "chanunit": units}})
    return folder / "a.mat"


def neuroscan(folder: Path, names, signal_uv, made) -> Path:
    return made["neuroscan"](folder / "a.cnt", signal_uv)


def egi_raw(folder: Path, names, signal_uv, made) -> Path:
    n, n_samples = signal_uv.shape
    head = struct.pack(">iHHHHHHiHHHHHiH", 4, 2014, 4, 8, 9, 46, 44, 0, 200, n, 1, 0, 0, n_samples, 0)
    (folder / "a.raw").write_bytes(head + signal_uv.T.astype(">f4").tobytes())
    return folder / "a.raw"


def xdf(folder: Path, names, signal_uv, made) -> Path:
    times = 100 + np.arange(signal_uv.shape[1]) / 200
    return made["xdf"](folder / "a.xdf", [("amp", "EEG", names, signal_uv, times)])


def nihon_kohden(folder: Path, names, signal_uv, made, *, n_blocks: int = 1) -> Path:
    """One control block; 16 bits offset by 0x8000, 6400 µV over 2**16 steps."""
    n, n_samples = signal_uv.shape
    version = b"EEG-1100C V01.00"
    head = bytearray(0x1800)
    head[:16] = head[0x81:0x91] = version
    head[0x91], head[0x17FE] = 1, 1
    struct.pack_into("<I", head, 0x92, 0x1800)
    control = bytearray(64 + 20 * n_blocks)
    control[17] = n_blocks
    steps = np.rint(signal_uv / (6399.902 / 65535)).astype(np.int32) + 0x8000
    frames = np.concatenate([steps, np.zeros((1, n_samples), dtype=np.int32)]).T.astype("<u2")
    body = b""
    for k, part in enumerate(np.split(frames, n_blocks)):
        struct.pack_into("<I", control, 18 + 20 * k, 0x1800 + len(control) + len(body))
        block = bytearray(0x27 + 10 * n)
        struct.pack_into("<HI", block, 0x1A, 200, 10 * len(part) // 200)
        block[0x26] = n
        for i in range(n):
            block[0x27 + 10 * i] = i  # Fp1, Fp2, F3, F4, C3, C4 by number
        body += bytes(block) + part.tobytes()
    (folder / "a.eeg").write_bytes(bytes(head) + bytes(control) + body)
    (folder / "a.21E").write_text("[ELECTRODE]\n" + "".join(f"{i:04d}={name}\n" for i, name in enumerate(names)))
    pnt = bytearray(256)
    pnt[:16] = version
    pnt[0x40:0x4E] = b"20200101120000"
    (folder / "a.pnt").write_bytes(pnt)
    return folder / "a.eeg"


def nicolet(folder: Path, names, signal_uv, made) -> Path:
    n, n_samples = signal_uv.shape
    lines = ["start_ts=2015-01-01 12:00:00.000", f"num_samples={n_samples}", "sample_freq=200", "conversion_factor=0.1"]
    lines += [f"num_channels={n}", f"elec_names=[{','.join(names)}]", "pat_id=0", "adm_id=0", "rec_id=0"]
    lines += ["duration_in_sec=8", "sample_bytes=2"]
    (folder / "a.head").write_text("\n".join(lines) + "\n")
    (folder / "a.data").write_bytes(np.rint(signal_uv.T * 10).astype("<i2").tobytes())
    return folder / "a.data"


def curry_8(folder: Path, names, signal_uv, made) -> Path:
    (folder / "a.cdt").write_bytes(signal_uv.T.astype("<f4").tobytes())
    (folder / "a.cdt.dpa").write_text(curry_header(names, signal_uv.shape[1]) + curry_labels(names))
    return folder / "a.cdt"


def curry_7(folder: Path, names, signal_uv, made) -> Path:
    (folder / "a.dat").write_bytes(signal_uv.T.astype("<f4").tobytes())
    (folder / "a.dap").write_text(curry_header(names, signal_uv.shape[1]))
    (folder / "a.rs3").write_text(curry_labels(names))
    return folder / "a.dat"


def eximia(folder: Path, names, signal_uv, made) -> Path:
    """64 channels of the device's own names; the first six of EEG are written."""
    frames = np.zeros((signal_uv.shape[1], 64), dtype="<i2")
    frames[:, 4:10] = np.rint(signal_uv.T / 0.07629510948348212)
    (folder / "a.nxe").write_bytes(frames.tobytes())
    return folder / "a.nxe"


def mef(folder: Path, names, signal_uv, made) -> Path:
    pytest.importorskip("pymef")
    return write_mef(folder / "a.mefd", signal_uv, names)


def nedf(folder: Path, names, signal_uv, made) -> Path:
    n, n_samples = signal_uv.shape
    montage = "".join(f"<C{i}>{name}</C{i}>" for i, name in enumerate(names))
    text = f"<made><NEDFversion>1.4</NEDFversion><EEGSettings><TotalNumberOfChannels>{n}</TotalNumberOfChannels>"
    text += "<EEGSamplingRate>200</EEGSamplingRate>" + f"<NumberOfRecordsOfEEG>{n_samples}</NumberOfRecordsOfEEG>"
    text += f"<EEGMontage>{montage}</EEGMontage></EEGSettings>"
    text += "<NumberOfChannelsOfAccelerometer>3</NumberOfChannelsOfAccelerometer></made>"
    steps = np.rint(signal_uv * 1e-6 * 6 * 8388607 / 2.4).astype(">i4").T.copy()
    wide = np.dtype([("eeg", "u1", (n, 3)), ("trig", ">i4")])
    blocks = np.zeros(n_samples // 5, dtype=np.dtype([("acc", ">u2", (3,)), ("data", wide, (5,))]))
    blocks["data"]["eeg"] = steps.view(np.uint8).reshape(-1, 5, n, 4)[..., 1:]
    (folder / "a.nedf").write_bytes(text.encode().ljust(10240, b"\0") + blocks.tobytes())
    return folder / "a.nedf"


def bci2000(folder: Path, names, signal_uv, made) -> Path:
    """Gain 0.1 microvolt and offset 5; StimulusCode is 3 from sample 400 to 500, across a byte's border."""
    n, n_samples = signal_uv.shape
    body = "[ State Vector Definition ] \r\nRunning 1 0 0 0\r\nStimulusCode 8 0 0 4\r\nSourceTime 16 0 2 0\r\n"
    body += "[ Parameter Definition ] \r\nSource:Online int SamplingRate= 200Hz 256Hz 1 % // rate\r\n"
    body += f"Source list ChannelNames= {n} {' '.join(names)} // names\r\n"
    body += f"Source list SourceChGain= {n} {' '.join(['0.1muV'] * n)} // gains\r\n"
    body += f"Source list SourceChOffset= {n} {' '.join(['5'] * n)} // offsets\r\n"
    body += "Storage string SubjectName= CANARYJohnDoe // name\r\n\r\n"
    first = "BCI2000V= 1.1 HeaderLen= {:6d} SourceCh= {} StatevectorLen= 4 DataFormat= int32 \r\n"
    size = len(first.format(0, n)) + len(body)
    frames = np.zeros(n_samples, dtype=[("x", "<i4", (n,)), ("s", "<u4")])
    frames["x"] = np.rint(signal_uv.T * 10) + 5
    frames["s"] = 1 + (np.arange(n_samples, dtype=np.uint32) % 65536 << 16)
    frames["s"][400:500] += 3 << 4
    (folder / "a.dat").write_bytes((first.format(size, n) + body).encode() + frames.tobytes())
    return folder / "a.dat"


def openbci(folder: Path, names, signal_uv, made) -> Path:
    lines = ["%OpenBCI Raw EEG Data", "%Number of channels = 8", "%Sample Rate = 200.0 Hz", "%Other Columns = EEG data"]
    for i, row in enumerate(signal_uv.T):
        values = ", ".join(f"{v:.2f}" for v in (*row, 0.0, 0.0))
        lines.append(f"{i % 256}, {values}, 0.0, 0.0, 1.0, 16:43:{i // 200:02d}.138, {1552855427138 + 5 * i}")
    (folder / "a.txt").write_text("\n".join(lines) + "\n")
    return folder / "a.txt"


def muse(folder: Path, names, signal_uv, made) -> Path:
    lines = ["TimeStamp,RAW_TP9,RAW_AF7,RAW_AF8,RAW_TP10,HeadBandOn,Elements"]
    for i, row in enumerate(signal_uv[:4].T):
        lines.append(f"2020-01-01 10:00:{i / 256:06.3f}," + ",".join(f"{v + 800:.4f}" for v in row) + ",1,")
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    return folder / "a.csv"


def emotiv(folder: Path, names, signal_uv, made) -> Path:
    title = (
        f"title:x, recorded:01.01.20, sampling:128, subject:x, labels:COUNTER INTERPOLATED {' '.join(names)}, chan:8"
    )
    rows = [f"{i % 129},0," + ",".join(f"{v + 4200:.4f}" for v in row) for i, row in enumerate(signal_uv.T)]
    (folder / "a.csv").write_text("\n".join([title, *rows]) + "\n")
    return folder / "a.csv"


WRITERS: dict[str, Callable[..., Path]] = {
    "edf": lambda folder, names, x, made: made["edf"](folder / "a.edf", x),
    "bdf": lambda folder, names, x, made: made["edf"](folder / "a.bdf", x, bdf=True),
    "gdf": lambda folder, names, x, made: made["gdf"](folder / "a.gdf", x, names),
    "brainvision": lambda folder, names, x, made: made["brainvision"](folder, "a", x, names),
    "persyst": lambda folder, names, x, made: made["persyst"](folder, x, names),
    "matlab": fieldtrip,
    "curry": curry_8,
    "emotiv_csv": emotiv,
    **{
        f.__name__: f
        for f in (
            fif, eeglab, neuroscan, egi_raw, xdf, nihon_kohden, nicolet, eximia, mef, nedf, bci2000, openbci, muse,
        )
    },
}  # fmt: skip
#: Formats that nobody's tool writes here, by their files among the real recordings.
REAL = {"ant": "ant/*.cnt", "egi_mff": "egi/*.mff"}
#: Formats that only a manifest opens; the conformance test of all sources does.
DESCRIBED = {"ts", "numpy"}


def test_each_format_has_a_file_here() -> None:
    assert {f.name for f in FORMATS.values() if not f.convert} == {*WRITERS, *REAL, *DESCRIBED}


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_written_file_is_read(made, names, tmp_path: Path, name: str) -> None:
    """The samples come back in microvolt, under the names that the file gives."""
    signal = made["eeg_uv"](6, 1600)
    path = WRITERS[name](tmp_path, names, signal, made)
    found = detect(path)
    assert found is not None
    assert found.name == name
    decoded = read(path)
    n = 4 if name == "muse" else 6
    rows = list(range(4, 10)) if name == "eximia" else list(range(n))
    if name == "mef":  # its folders have no order
        rows = [[c.name for c in decoded.channels].index(one) for one in names]
    offset = {"muse": 800.0, "emotiv_csv": 4200.0}.get(name, 0.0)
    assert decoded.signal.shape[1] == 1600
    np.testing.assert_allclose(in_uv(decoded)[rows] - offset, signal[:n], atol=0.11)
    if name not in ("muse", "eximia", "egi_raw", "openbci", "edf", "bdf", "persyst"):
        assert [decoded.channels[row].name.upper() for row in rows] == [n.upper() for n in names]
    assert sum(s.n_samples for s in decoded.stretches) >= 1500
    assert "CANARY" not in repr(decoded.notes)


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(REAL))
def test_a_real_file_is_read(data_dir: Path, name: str) -> None:
    path = sorted((data_dir / "formats").glob(REAL[name]))[0]
    found = detect(path)
    assert found is not None
    assert found.name == name
    decoded = read(path)
    assert decoded.channels
    assert np.isfinite(np.asarray(decoded.signal[:, :100])).all()


def test_curry_7_is_opened_by_either_file(made, names, tmp_path: Path) -> None:
    """.dat and .dap lead to the same samples; in a tree they are one recording."""
    signal = made["eeg_uv"](6, 1600)
    path = curry_7(tmp_path, names, signal, made)
    for opened in (path, path.with_suffix(".dap")):
        np.testing.assert_allclose(in_uv(read(opened)), signal, atol=0.01)
    from eegprep.sources import open_source

    source = open_source(manifest_for_path(tmp_path), tmp_path)
    assert [p.files for p in source.plan()] == [("a.dap", "a.dat", "a.rs3")]


def test_curry_epochs_keep_their_labels(made, names, tmp_path: Path) -> None:
    signal = made["eeg_uv"](6, 1600)
    path = curry_8(tmp_path, names, signal, made)
    header = path.with_suffix(".cdt.dpa")
    text = header.read_text().replace("NumTrials = 1", "NumTrials = 4").replace("NumSamples = 1600", "NumSamples = 400")
    for what, rows in (("LABELS", ["a", "b", "a", "b"]), ("INFORMATION", [f"1 4 {i} 1 1 0 0" for i in (1, 2, 1, 2)])):
        lines = "\n".join(rows)
        text += f"\nEPOCH_{what} START\nEPOCH_{what} END\n\nEPOCH_{what} START_LIST\n{lines}\nEPOCH_{what} END_LIST\n"
    header.write_text(text)
    decoded = read(path)
    assert [label for _, label in decoded.trial_labels] == ["a", "b", "a", "b"]
    assert {s.n_samples for s in decoded.stretches} == {400}
    np.testing.assert_allclose(in_uv(decoded), signal, atol=0.01)


@pytest.mark.parametrize("n_blocks", [2, 4, 5])
def test_nihon_kohden_blocks_are_parts(made, names, tmp_path: Path, n_blocks: int) -> None:
    """Any samples can be read, and the recording breaks exactly between the blocks."""
    signal = made["eeg_uv"](6, 8000)
    decoded = structured(read(nihon_kohden(tmp_path, names, signal, made, n_blocks=n_blocks)))
    starts = [8000 // n_blocks * k for k in range(n_blocks)]
    assert [s.start_sample for s in decoded.stretches] == starts
    for start, stop in ((0, 8000), (100, 7900), (starts[1] - 1, starts[1] + 1), (starts[1], 8000), (50, starts[1])):
        np.testing.assert_allclose(decoded.signal[:, start:stop] * 1e6, signal[:, start:stop], atol=0.1)


def test_nihon_kohden_midline_is_eeg(made, tmp_path: Path) -> None:
    """Z alone is another input; FZ is an electrode."""
    decoded = read(nihon_kohden(tmp_path, ("FZ", "CZ", "Pz", "Z", "DC01", "$A1"), made["eeg_uv"](6, 1600), made))
    assert [c.kind for c in decoded.channels] == ["eeg", "eeg", "eeg", "misc", "misc", "misc"]
    assert {c.unit for c in decoded.channels[:3]} == {"V"}


def curry_events(path: Path, rows: Sequence[tuple[int, int, int, str]]) -> None:
    """An event file: samples, codes, durations, remarks."""
    numbers = "\n".join(f"{at}\t0\t{code}\t3\t{at}\t{at + lasts}\t0\t0\t0\t0\t0" for at, code, lasts, _ in rows)
    remarks = "\n".join(remark for *_, remark in rows)
    text = "".join(
        f"{name} START\n   ListNrRows = {len(rows)}\n{name} END\n{name} START_LIST\n{lines}\n{name} END_LIST\n\n"
        for name, lines in (("NUMBER_LIST", numbers), ("REMARK_LIST", remarks))
    )
    path.write_text("FILE_DESCRIPTION START\nFILE_DESCRIPTION END\n\n" + text)


@pytest.mark.parametrize(("write", "ending"), [(curry_8, ".cef"), (curry_8, ".ceo"), (curry_7, ".cef")])
def test_curry_events_have_their_own_remarks(made, names, tmp_path: Path, write, ending: str) -> None:
    """Comments share a code; each keeps its text and its duration, and all can be named by the code."""
    path = write(tmp_path, names, made["eeg_uv"](6, 1600), made)
    file = path.with_name(path.name + ending) if path.suffix == ".cdt" else path.with_suffix(ending)
    marks = [(100, 7, 0, "closed"), (300, 7, 50, "open"), (500, 1, 0, ""), (700, 2, 0, "go"), (900, 7, 0, "")]
    curry_events(file, marks)
    found = [(e.start_sample, e.n_samples, e.text) for e in read(path).events]
    assert found == [
        (100, 0, "7"), (100, 0, "closed"), (300, 50, "7"), (300, 50, "open"), (500, 0, "1"), (700, 0, "go"),
        (900, 0, "7"),
    ]  # fmt: skip


@pytest.mark.parametrize(("field", "word"), [("DataSampOrder = SAMP", "CHAN"), ("DataByteOrder = INTEL", "MOTOROLA")])
def test_curry_samples_in_another_order(made, names, tmp_path: Path, field: str, word: str) -> None:
    """Samples channel after channel were read as if they were multiplexed."""
    path = curry_8(tmp_path, names, made["eeg_uv"](6, 1600), made)
    header = path.with_suffix(".cdt.dpa")
    header.write_text(header.read_text().replace(field, f"{field.split()[0]} = {word}"))
    with pytest.raises(InputError, match="samples in this order cannot be read"):
        read(path)


def test_two_versions_of_curry_are_not_mixed(made, names, tmp_path: Path) -> None:
    """The reader goes by the stem, and would take the other recording's header."""
    signal = made["eeg_uv"](6, 1600)
    paths = [curry_7(tmp_path, names, signal, made), curry_8(tmp_path, names, signal[:, :800], made)]
    for path in paths:
        with pytest.raises(InputError, match="two headers of the same name"):
            read(path)


SIZED = {"curry": "a.cdt", "nicolet": "a.data", "nedf": "a.nedf", "nihon_kohden": "a.eeg"}


@pytest.mark.parametrize("name", sorted(SIZED))
def test_cut_file_of_known_size_is_cut(made, names, tmp_path: Path, name: str) -> None:
    """A cut file of known size is called cut."""
    path = WRITERS[name](tmp_path, names, made["eeg_uv"](6, 1600), made)
    cut = tmp_path / SIZED[name]
    cut.write_bytes(cut.read_bytes()[:-2000])
    with pytest.raises(InputError, match="truncated"):
        read(path)


# -- packages, and readers' own errors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "install"), [("curry", "curryreader"), ("mef", '".[mef]" in a clone of eegpt'), ("nedf", "defusedxml")]
)
def test_a_missing_package_says_install(made, names, tmp_path: Path, monkeypatch, name: str, install: str) -> None:
    path = WRITERS[name](tmp_path, names, made["eeg_uv"](6, 1600), made)
    monkeypatch.setitem(__import__("sys").modules, FORMATS[name].package, None)
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.todo == f"install it: python -m pip install {install}"
    assert "copy" not in str(caught.value)


@pytest.mark.parametrize("name", [f.name for f in FORMATS.values() if f.package])
def test_packages_are_those_of_the_project(name: str) -> None:
    """What a message tells to install is what pyproject.toml lists."""
    text = (DOCS.parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"{FORMATS[name].package}>=' in text


def test_a_readers_own_error_blames_no_copy(made, names, tmp_path: Path) -> None:
    """Nothing proves that a file which its reader does not take was damaged."""
    path = WRITERS["brainvision"](tmp_path, names, made["eeg_uv"](6, 1600), made)
    path.write_text(path.read_text(encoding="utf-8").replace("INT_16", "UINT_16"), encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read as BrainVision") as caught:
        read(path)
    assert "again" not in str(caught.value)


# -- recognised, not read -----------------------------------------------------------------------------------

HEADS = {
    "blackrock": ("a.ns3", b"NEURALCD\x02\x03"),
    "neuralynx": ("a.ncs", b"######## Neuralynx Data File Header\r\n"),
    "neuroscan_epochs": ("a.eeg", b"Version 3.0\0"),
    "besa": ("a.foc", b"BCF1"),
    "micromed": ("a.trc", b"* MICROMED  Brain-Quick file *"),
    "neuroprax": ("a.eeg", b"V3.0"),
    "deltamed": ("a.coh", b""),
    "compumedics": ("a.sdy", b""),
    "stellate": ("a.sig", b""),
    "natus": ("a.erd", b""),
    "nicolet_e": ("a.e", b""),
    "cadwell": ("a.ez3", b""),
    "embla": ("a.ebm", b"Embla data file"),
    "tmsi": ("a.poly5", b"\x1fPOLY SAMPLE FILEversion 2.03"),
    "easy": ("a.easy", b""),
    "wfdb": ("a.hea", b"a 19 250 5000\n"),
    "intan": ("a.rhd", b"\x02\x27\x91\xc6"),
    "open_ephys": ("a.continuous", b"header.format = 'Open Ephys Data Format';"),
    "plexon": ("a.plx", b"PLEX"),
    "opensignals": ("a.txt", b"# OpenSignals Text File Format\n"),
    "gtec": ("a.hdf5", b""),
    "nwb": ("a.nwb", b""),
    "spm": ("a.mat", b""),
}


def test_each_known_format_has_a_head_here() -> None:
    assert {f.name for f in FORMATS.values() if f.convert} == set(HEADS)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_a_format_not_read_is_named(tmp_path: Path, name: str) -> None:
    """By its title, with what to do, and never as damaged."""
    file, head = HEADS[name]
    path = tmp_path / file
    if name in ("gtec", "nwb"):
        h5py = importlib.import_module("h5py")
        with h5py.File(path, "w") as content:
            content.create_group("AsynchronData")
            content.create_group("RawData")
    elif name == "spm":
        scipy.io.savemat(path, {"D": {"type": "continuous"}})
    else:
        path.write_bytes(head.ljust(8192, b"\x01"))
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.what == f"{file} is {FORMATS[name].title}, which is recognised but not supported"
    assert caught.value.todo == FORMATS[name].convert
    assert len(caught.value.todo) > 10


def test_small_file_of_such_suffix_is_none(tmp_path: Path) -> None:
    """A signature of a download is called .sig too."""
    (tmp_path / "SHA256SUMS.sig").write_bytes(b"\x89\x01" * 100)
    assert detect(tmp_path / "SHA256SUMS.sig") is None


def test_neuroscan_epochs_are_not_continuous(tmp_path: Path) -> None:
    """They begin with the same words; 20 sweeps of 500 points without a table of events."""
    head = bytearray(8192)
    head[:12] = b"Version 3.0\0"
    struct.pack_into("<HHHH", head, 362, 20, 20, 20, 500)
    (tmp_path / "a.cnt").write_bytes(bytes(head))
    found = detect(tmp_path / "a.cnt")
    assert found is not None
    assert found.name == "neuroscan_epochs"


@pytest.mark.parametrize("head", ["QI-403A   V01.00", "EEG-2100  V02.00", "DAE-2100D V01.30", "EEG-1200A V01.00"])
def test_all_nihon_kohden_heads_are_known(tmp_path: Path, head: str) -> None:
    (tmp_path / "a.eeg").write_bytes(head.encode().ljust(200, b"\0"))
    found = detect(tmp_path / "a.eeg")
    assert found is not None
    assert found.name == "nihon_kohden"


# -- the documentation --------------------------------------------------------------------------------------


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    text = DOCS.read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1]
    lines = [line for line in re.split(r"\n## ", text)[0].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_docs_list_each_format_that_is_read() -> None:
    """One row a format, by its title and its suffixes, and no others."""
    listed = {(row[0], row[1]) for row in rows_of("What is read")}
    assert listed == {(f.title, " ".join(f.suffixes)) for f in FORMATS.values() if not f.convert}


def test_the_docs_list_each_format_not_read() -> None:
    listed = {(row[0], row[1], row[2]) for row in rows_of("Recognised, not read")}
    assert listed == {(f.title, " ".join(f.suffixes), f.convert) for f in FORMATS.values() if f.convert}


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_header_numbers_replaced_by_others(made, names, tmp_path: Path, name: str) -> None:
    """Whatever stands in place of a number: the file is read, or refused with an error of ours."""
    path = WRITERS[name](tmp_path, names, made["eeg_uv"](6, 1600), made)
    files = sorted(f for f in tmp_path.rglob("*") if f.is_file())
    header = path if path.is_file() else files[0]
    data = header.read_bytes()
    places = list(re.finditer(rb"\d[\d.]*", data[:3000]))
    for place in places[:: len(places) // 20 + 1]:
        size = place.end() - place.start()
        for other in (b"", b"0", b"x", b"1.2.3.4", b"-1", b"1e999", b"nan", b"9" * size):
            new = other[:size].ljust(size) if other else b" " * size
            header.write_bytes(data[: place.start()] + new + data[place.end() :])
            with contextlib.suppress(InputError):
                decoded = read(path)
                np.asarray(decoded.signal[:, :100])
