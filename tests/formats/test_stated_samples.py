"""Which samples of a file are its own: missing ones, ones behind the stated number, and those of another recording."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from support.recordings import gdf_header

from eegprep.errors import InputError
from eegprep.formats.decode import decode_file
from eegprep.formats.segments import structured
from eegprep.recording import Stretch
from eegprep.sources import manifest_for_path, open_source
from eegprep.standardise.checks import check_signal


def read(path: Path):
    return decode_file(path, manifest_for_path(path))


# -- GDF: the digital minimum stands for a missing sample ---------------------------------------------------


def gdf(path: Path, digital: np.ndarray, *, kind: int = 3, low: int = -32768, high: int = 32767) -> Path:
    """GDF 2.20 at 200 Hz, one record a second, 100 µV at each end of the range."""
    n, n_records = digital.shape[0], digital.shape[1] // 200
    names = ("Fp1", "Fp2", "F3", "F4")[:n]
    head = gdf_header(names, [200] * n, n_records, limits=(-100.0, 100.0, low, high), kind=kind)
    kinds = {3: "<i2", 5: "<i4", 16: "<f4"}
    path.write_bytes(bytes(head) + digital.reshape(n, n_records, 200).transpose(1, 0, 2).astype(kinds[kind]).tobytes())
    return path


def digits(made, n_samples: int = 2000) -> np.ndarray:
    return np.rint(made["eeg_uv"](4, n_samples) * 327.0)


def missing(path: Path) -> list[list[int]]:
    decoded = read(path)
    return [np.flatnonzero(np.isnan(row)).tolist() for row in np.asarray(decoded.signal)]


@pytest.mark.parametrize("kind", [3, 5])
def test_gdf_minimum_is_a_missing_sample(made, tmp_path: Path, kind: int) -> None:
    """Five samples of all channels, three of one, a single one; the others keep their values to the step."""
    low, high = (-32768, 32767) if kind == 3 else (-(2**31), 2**31 - 1)
    values = digits(made) * (1 if kind == 3 else 65536)
    values[:, 800:805] = values[1, 1600:1603] = values[2, 10] = low
    path = gdf(tmp_path / "a.gdf", values, kind=kind, low=low, high=high)
    five = list(range(800, 805))
    assert missing(path) == [five, [*five, 1600, 1601, 1602], [10, *five], five]
    decoded = read(path)
    assert any("24 samples of 4 channels" in note for note in decoded.notes)
    signal = np.asarray(decoded.signal) * 1e6
    assert np.nanmin(signal) > -99.0


def test_gdf_range_of_twelve_bits_counts_too(made, tmp_path: Path) -> None:
    """The code is the channel's own minimum, not that of the type."""
    values = np.clip(np.rint(made["eeg_uv"](4, 2000) * 20), -2000, 2000)
    values[0, 500:503] = -2048
    path = gdf(tmp_path / "a.gdf", values, low=-2048, high=2047)
    assert missing(path) == [[500, 501, 502], [], [], []]


def test_gdf_runs_over_chunks_are_one(made, tmp_path: Path) -> None:
    """Reading in parts gives the same as reading at once."""
    values = digits(made)
    values[:, 995:1010] = -32768
    signal = read(gdf(tmp_path / "a.gdf", values)).signal
    parts = np.concatenate([signal[:, a : a + 500] for a in range(0, 2000, 500)], axis=1)
    np.testing.assert_array_equal(parts, np.asarray(signal))
    assert np.isnan(parts[:, 995:1010]).all()


def test_gdf_clipped_signal_is_not_missing(made, tmp_path: Path) -> None:
    """An amplifier that runs into its end comes near it first; the checks then call it clipped."""
    values = digits(made)
    wave = np.concatenate([np.linspace(0, -34000, 40), np.full(60, -34000), np.linspace(-34000, 0, 40)])
    values[0, 600:740] = np.clip(wave, -32768, None)
    path = gdf(tmp_path / "a.gdf", values)
    assert missing(path)[0] == []
    signal = np.asarray(read(path).signal) * 1e6
    checks = check_signal(signal, 200.0, [Stretch(start_sample=0, n_samples=2000)])
    assert [s.n_samples > 50 for s in checks.clipped[0]] == [True]
    assert checks.not_finite[0] == ()


def test_gdf_channel_at_its_minimum_is_flat(made, tmp_path: Path) -> None:
    values = digits(made)
    values[3] = -32768
    assert missing(gdf(tmp_path / "a.gdf", values))[3] == []


def test_gdf_floats_are_missing_as_nan(made, tmp_path: Path) -> None:
    values = digits(made)
    values[1, 300:304] = np.nan
    values[2, 700] = -32768
    assert missing(gdf(tmp_path / "a.gdf", values, kind=16)) == [[], [300, 301, 302, 303], [], []]


# -- Neuroscan: what lies behind the stated number ----------------------------------------------------------


@pytest.mark.parametrize("n_bytes", [2, 4])
def test_cnt_ends_at_the_stated_number(made, tmp_path: Path, n_bytes: int) -> None:
    """1,200 samples are stated, 400 of noise follow before the table of events."""
    signal = made["eeg_uv"](6, 1600)
    signal[:, 1200:] = np.random.default_rng(0).uniform(-3000, 3000, (6, 400))
    path = made["neuroscan"](tmp_path / "a.cnt", signal, n_bytes=n_bytes, n_stated=1200)
    decoded = read(path)
    assert decoded.signal.shape == (6, 1600)
    assert max(s.stop_sample for s in decoded.stretches) == 1200
    np.testing.assert_allclose(decoded.signal[:, :1200], signal[:, :1200], atol=0.051)
    beyond = next(x for x in decoded.left_out if x.code == "beyond_header")
    assert (beyond.start_sample, beyond.n_samples) == (1200, 400)
    assert any(e.text == "7" and e.start_sample == 100 for e in decoded.events)


@pytest.mark.parametrize("n_stated", [0, 1600, 99999, 3])
def test_cnt_is_whole_where_no_number_fits(made, tmp_path: Path, n_stated: int) -> None:
    """Zero, the right number, more than there is room for, and less than a second: all of it is read."""
    path = made["neuroscan"](tmp_path / "a.cnt", made["eeg_uv"](6, 1600), n_stated=n_stated)
    decoded = structured(read(path))
    assert decoded.signal.shape == (6, 1600)
    assert not any(x.code == "beyond_header" for x in decoded.left_out)
    assert sum(s.n_samples for s in decoded.stretches) == 1600 - 60  # the rejected span


def test_cnt_without_event_table_is_noted(made, tmp_path: Path) -> None:
    """A CNT file without its event table is noted."""
    path = made["neuroscan"](tmp_path / "a.cnt", made["eeg_uv"](6, 1600))
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 886, len(data) + 1000)
    path.write_bytes(bytes(data))
    assert any("event table is beyond the end" in note for note in read(path).notes)


# -- BrainVision: frames ------------------------------------------------------------------------------------


def vamp(folder: Path, signal_uv: np.ndarray, names, *, points: int = 0) -> Path:
    n, n_samples = signal_uv.shape
    lines = ["Brain Vision V-Amp Data Header File Version 1.0", "[Common Infos]", "DataFile=a.eeg", "DataFormat=BINARY"]
    lines += ["DataOrientation=MULTIPLEXED", f"NumberOfChannels={n}", "SamplingInterval=5000"]
    lines += [f"DataPoints={points}"] if points else []
    lines += ["[Binary Infos]", "BinaryFormat=IEEE_FLOAT_32", "[Channel Infos]"]
    lines += [f"Ch{i + 1}={name},,0.1,µV" for i, name in enumerate(names)]
    (folder / "a.ahdr").write_text("\n".join([*lines, ""]), encoding="utf-8")
    frames = np.zeros((n_samples, n + 1), dtype="<f4")
    frames[:, :n] = signal_uv.T * 10
    (folder / "a.eeg").write_bytes(frames.tobytes())
    return folder / "a.ahdr"


@pytest.mark.parametrize("points", [0, 1601])
def test_vamp_frames_hold_one_value_more(made, names, tmp_path: Path, points: int) -> None:
    """1,601 frames of 7 values: no rest is left, with or without a stated number."""
    signal = made["eeg_uv"](6, 1601)
    decoded = read(vamp(tmp_path, signal, names, points=points))
    assert not any("last frame is incomplete" in note for note in decoded.notes)
    assert decoded.left_out == ()
    np.testing.assert_allclose(np.asarray(decoded.signal) * 1e6, signal, atol=1e-3)


def test_cut_vamp_file_is_noted_by_its_frame(made, names, tmp_path: Path) -> None:
    """A cut V-Amp file is noted by its frame."""
    path = vamp(tmp_path, made["eeg_uv"](6, 1600), names)
    samples = tmp_path / "a.eeg"
    samples.write_bytes(samples.read_bytes()[:-8])
    assert any("frame is incomplete: 20 bytes" in note for note in read(path).notes)


def test_brainvision_ends_at_its_data_points(made, names, tmp_path: Path) -> None:
    signal = made["eeg_uv"](6, 1600)
    decoded = read(made["brainvision"](tmp_path, "a", signal, names, header="DataPoints=1200"))
    assert max(s.stop_sample for s in decoded.stretches) == 1200
    assert [x.n_samples for x in decoded.left_out] == [400]


def test_brainvision_32_bit_size_is_checked(made, names, tmp_path: Path) -> None:
    """The size of a 32-bit BrainVision file is checked."""
    signal = made["eeg_uv"](6, 1600)
    path = made["brainvision"](tmp_path, "a", signal, names, header="DataPoints=1600")
    path.write_text(path.read_text(encoding="utf-8").replace("INT_16", "INT_32"), encoding="utf-8")
    with pytest.raises(InputError, match="truncated"):
        read(path)
    (tmp_path / "a.eeg").write_bytes(np.rint(signal.T * 10).astype("<i4").tobytes())
    np.testing.assert_allclose(np.asarray(read(path).signal) * 1e6, signal, atol=0.051)


@pytest.mark.parametrize(("points", "cut"), [("", 0), ("DataPoints=1600", 0), ("DataPoints=1200", 0), ("", 10)])
def test_vectorized_samples_need_exact_size(made, names, tmp_path: Path, points: str, cut: int) -> None:
    """Where channels follow one another, a wrong length shifts all but the first: it is refused."""
    signal = made["eeg_uv"](6, 1600)
    path = made["brainvision"](tmp_path, "a", signal, names, header=points)
    path.write_text(path.read_text(encoding="utf-8").replace("MULTIPLEXED", "VECTORIZED"), encoding="utf-8")
    data = np.rint(signal * 10).astype("<i2").tobytes()
    (tmp_path / "a.eeg").write_bytes(data[: len(data) - cut])
    if cut or "1200" in points:
        with pytest.raises(InputError, match="the layout of the samples is ambiguous"):
            read(path)
    else:
        np.testing.assert_allclose(np.asarray(read(path).signal) * 1e6, signal, atol=0.051)


# -- headers that name another recording's files ------------------------------------------------------------


def set_and_fdt(folder: Path, stem: str, signal_uv: np.ndarray, names, made, *, named: str) -> Path:
    signal_uv.T.astype("<f4").tofile(folder / f"{stem}.fdt")
    made["eeglab"](folder / f"{stem}.set", names, named, signal_uv.shape[1])
    return folder / f"{stem}.set"


def test_an_eeglab_header_takes_its_own_fdt(made, names, tmp_path: Path) -> None:
    """A copied header still names the samples of the recording it came from."""
    raw, clean = made["eeg_uv"](6, 1600), made["eeg_uv"](6, 1600, seed=1)
    set_and_fdt(tmp_path, "raw", raw, names, made, named="raw.fdt")
    path = set_and_fdt(tmp_path, "clean", clean, names, made, named="raw.fdt")
    decoded = read(path)
    np.testing.assert_allclose(np.asarray(decoded.signal) * 1e6, clean, atol=1e-3)
    assert any("names the data file of another recording" in note for note in decoded.notes)
    np.testing.assert_allclose(np.asarray(read(tmp_path / "raw.set").signal) * 1e6, raw, atol=1e-3)
    assert not read(tmp_path / "raw.set").notes


def test_eeglab_hdf5_does_likewise(made, names, tmp_path: Path) -> None:
    """An EEGLAB file in HDF5 does likewise."""
    h5py = pytest.importorskip("h5py")
    made["eeg_uv"](6, 1600).T.astype("<f4").tofile(tmp_path / "raw.fdt")
    made["eeg_uv"](6, 1600, seed=1).T.astype("<f4").tofile(tmp_path / "clean.fdt")
    with h5py.File(tmp_path / "clean.set", "w", userblock_size=512) as file:
        for name, value in {"nbchan": 6.0, "pnts": 1600.0, "trials": 1.0}.items():
            file[f"EEG/{name}"] = np.array([[value]])
        file["EEG/data"] = np.array([[ord(c)] for c in "raw.fdt"], dtype=np.uint16)
        file["EEG/data"].attrs["MATLAB_class"] = np.bytes_("char")
    from eegprep.formats.aliases import own_samples

    found = own_samples(tmp_path / "clean.set")
    assert found is not None
    assert (found[0].parent / "raw.fdt").resolve() == (tmp_path / "clean.fdt").resolve()


def test_fdt_of_the_wrong_size_is_not_taken(made, names, tmp_path: Path) -> None:
    """Where only the named file has the stated size, it is meant."""
    raw = made["eeg_uv"](6, 1600)
    set_and_fdt(tmp_path, "raw", raw, names, made, named="raw.fdt")
    path = set_and_fdt(tmp_path, "other", made["eeg_uv"](6, 1600, seed=1), names, made, named="raw.fdt")
    (tmp_path / "other.fdt").write_bytes(b"\0" * 100)
    np.testing.assert_allclose(np.asarray(read(path).signal) * 1e6, raw, atol=1e-3)


def test_a_renamed_pair_of_eeglab_is_read(made, names, tmp_path: Path) -> None:
    signal = made["eeg_uv"](6, 1600)
    path = set_and_fdt(tmp_path, "new", signal, names, made, named="old.fdt")
    np.testing.assert_allclose(np.asarray(read(path).signal) * 1e6, signal, atol=1e-3)


@pytest.mark.parametrize("kind", ["DataFile", "MarkerFile", "lay"])
def test_two_files_that_could_be_meant(made, names, tmp_path: Path, kind: str) -> None:
    """BrainVision and Persyst go by the header; one that was copied names another subject's samples or markers."""
    signal = made["eeg_uv"](6, 1600)
    if kind == "lay":
        first = made["persyst"](tmp_path, signal, names)
        path = tmp_path / "s2.lay"
        shutil.copy(first, path)
        shutil.copy(tmp_path / "g.dat", tmp_path / "s2.dat")
    else:
        made["brainvision"](tmp_path, "s1", signal, names)
        path = made["brainvision"](tmp_path, "s2", signal, names)
        (tmp_path / "s1.vmrk").write_text("Brain Vision Data Exchange Marker File, Version 1.0\n")
        (tmp_path / "s2.vmrk").write_text("Brain Vision Data Exchange Marker File, Version 1.0\n")
        text = path.read_text(encoding="utf-8").replace("DataFormat", "MarkerFile=s2.vmrk\nDataFormat")
        ending = {"DataFile": "eeg", "MarkerFile": "vmrk"}[kind]
        path.write_text(text.replace(f"{kind}=s2.{ending}", f"{kind}=s1.{ending}"), encoding="utf-8")
    with pytest.raises(InputError, match="the files that belong to s2") as caught:
        read(path)
    assert "move" in (caught.value.todo or "")


def test_renamed_brainvision_pair_says_so(made, names, tmp_path: Path) -> None:
    """A renamed pair of BrainVision files says so."""
    path = made["brainvision"](tmp_path, "old", made["eeg_uv"](6, 1600), names)
    path = path.rename(tmp_path / "new.vhdr")
    (tmp_path / "old.eeg").rename(tmp_path / "new.eeg")
    with pytest.raises(InputError, match="is missing") as caught:
        read(path)
    assert caught.value.todo == "the files seem to have been renamed: correct the name in the header"


def test_headers_may_share_their_samples(made, names, tmp_path: Path) -> None:
    """Several headers of one data file are no doubt: no other file could be meant."""
    signal = made["eeg_uv"](6, 1600)
    first = made["brainvision"](tmp_path, "s1", signal, names)
    shutil.copy(first, tmp_path / "other.vhdr")
    np.testing.assert_allclose(np.asarray(read(tmp_path / "other.vhdr").signal) * 1e6, signal, atol=0.051)


# -- MEF3 and FieldTrip -------------------------------------------------------------------------------------


def test_depth_contacts_are_no_scalp_names() -> None:
    """C3 and F4 are contacts too; without Cz or Fp1 nothing says scalp."""
    from eegprep.formats.decoded import Decoded, SourceChannel, whole
    from eegprep.formats.mne import _scalp_by_names

    def kinds(*names: str) -> set[str]:
        channels = tuple(SourceChannel(name=n, kind="seeg", unit="V") for n in names)
        decoded = Decoded(
            format="mef", sfreq_hz=200.0, channels=channels, signal=np.zeros((len(names), 10)), stretches=whole(10)
        )
        return {c.kind for c in _scalp_by_names(decoded).channels}

    assert kinds("Fp1", "Cz", "O1", "O2") == {"eeg"}
    assert kinds("Fp1", "Cz", "O1", "DC1") == {"eeg", "seeg"}
    assert kinds("C3", "C4", "F3", "F4") == {"seeg"}
    assert kinds("Cz", "Fz", *(f"LA{i}" for i in range(1, 9))) == {"seeg"}


@pytest.mark.parametrize("kind", ["alone", "cfg", "fields"])
def test_fieldtrip_is_read_however_saved(made, names, tmp_path: Path, kind: str) -> None:
    """One structure; the structure beside cfg and hdr; its fields as the file's variables."""
    signal = made["eeg_uv"](6, 1600)
    cell = np.empty((1, 1), object)
    cell[0, 0] = signal
    data = {"trial": cell, "label": np.array(names, object).reshape(-1, 1), "fsample": 200.0}
    content = {
        "alone": {"data": data},
        "cfg": {"cfg": {"trl": [1.0]}, "data": data, "hdr": {"Fs": 1.0}},
        "fields": data,
    }
    scipy.io.savemat(tmp_path / "s1.mat", content[kind])
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    assert [p.files for p in source.plan()] == [("s1.mat",)]
    decoded = read(tmp_path / "s1.mat")
    np.testing.assert_allclose(np.asarray(decoded.signal), signal)
    assert [c.name for c in decoded.channels] == list(names)
    assert decoded.sfreq_hz == 200.0


def test_such_a_refusal_names_no_other_file(made, names, tmp_path: Path) -> None:
    """Errors are stored under public names, which are known for the recording's own files only."""
    made["brainvision"](tmp_path, "CANARYOther", made["eeg_uv"](6, 1600), names)
    path = made["brainvision"](tmp_path, "s2", made["eeg_uv"](6, 1600), names)
    path.write_text(path.read_text(encoding="utf-8").replace("s2.eeg", "CANARYOther.eeg"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read(path)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("stated", [5, 7])
def test_brainvision_counts_its_channels(made, names, tmp_path: Path, stated: int) -> None:
    """A number of channels that is not that of the list would shift every sample to another channel."""
    path = made["brainvision"](tmp_path, "a", made["eeg_uv"](6, 1600), names)
    path.write_text(
        path.read_text(encoding="utf-8").replace("NumberOfChannels=6", f"NumberOfChannels={stated}"), encoding="utf-8"
    )
    with pytest.raises(InputError, match="how many channels"):
        read(path)


@pytest.mark.parametrize("trials", [1, 2])
@pytest.mark.parametrize("n_named", [0, 5, 6])
def test_eeglab_names_each_row(made, names, tmp_path: Path, trials: int, n_named: int) -> None:
    """With five names for six rows nobody knows whose a row is; without any, rows are numbered."""
    signal = made["eeg_uv"](6, 800)
    labels = np.array([(n,) for n in names[:n_named]], dtype=[("labels", object)]) if n_named else []
    header = {"setname": "a", "nbchan": 6, "trials": trials, "pnts": 800 // trials, "srate": 200.0, "chanlocs": labels}
    header |= {key: [] for key in ("event", "epoch", "urevent", "icaweights", "icawinv", "icasphere", "icaact")}
    header |= {"xmin": 0.0, "xmax": (800 // trials - 1) / 200, "ref": "common", "comments": ""}
    header["data"] = signal if trials == 1 else signal.reshape(6, 2, 400).transpose(0, 2, 1)
    scipy.io.savemat(tmp_path / "a.set", {"EEG": header}, appendmat=False)
    if n_named == 5:
        with pytest.raises(InputError, match="which channel each row"):
            read(tmp_path / "a.set")
    else:
        np.testing.assert_allclose(np.asarray(read(tmp_path / "a.set").signal) * 1e6, signal, atol=1e-3)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("elec_names=[Fp1,", "elec_names=[", "5 names, num_channels=6"),
        ("elec_names=[Fp1,", "elec_names=[Fz,Fp1,", "7 names, num_channels=6"),
        ("sample_bytes=2", "sample_bytes=4", "sample_bytes=4"),
        ("sample_bytes=2\n", "elec_names=[Fp1,Fp2,C3,C4,O1,O2]", "no end"),
    ],
)
def test_nicolet_header_that_contradicts_itself(made, names, tmp_path: Path, old: str, new: str, words: str) -> None:
    """Frames of another width give each channel the samples of others."""
    lines = ["start_ts=2015-01-01 12:00:00.000", "num_samples=1600", "sample_freq=200", "conversion_factor=0.1"]
    lines += ["num_channels=6", f"elec_names=[{','.join(names)}]", "sample_bytes=2"]
    samples = np.rint(made["eeg_uv"](6, 3200).T * 10).astype("<i2")
    (tmp_path / "a.data").write_bytes(samples.tobytes())
    (tmp_path / "a.head").write_text("\n".join([*lines, ""]))
    assert read(tmp_path / "a.data").signal.shape == (6, 1600)
    (tmp_path / "a.head").write_text("\n".join([*lines, ""]).replace(old, new))
    with pytest.raises(InputError, match=words):
        read(tmp_path / "a.data")


@pytest.mark.parametrize("variables", [("ALLEEG",), ("EEG",), ("EEG", "ALLEEG")])
def test_several_data_sets_in_a_file_of_eeglab(made, names, tmp_path: Path, variables: tuple[str, ...]) -> None:
    """A study saved as one file: which of them is meant is not certain."""
    for stem in "ab":
        made["eeglab"](tmp_path / f"{stem}.set", names, made["eeg_uv"](6, 800), 800)
    one, other = (scipy.io.loadmat(tmp_path / f"{stem}.set")["EEG"] for stem in "ab")
    several = np.concatenate([one, other], axis=1)
    content = {name: one if name == "EEG" and len(variables) > 1 else several for name in variables}
    (tmp_path / "both").mkdir()
    scipy.io.savemat(tmp_path / "both" / "all.set", content)
    with pytest.raises(InputError, match="holds 2 data sets"):
        read(tmp_path / "both" / "all.set")
    assert read(tmp_path / "a.set").signal.shape == (6, 800)
