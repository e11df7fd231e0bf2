"""A file that holds less than its header says is refused as cut short, not taken for a shorter recording."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.formats.decode import decode_file
from eegprep.privacy import clean_message
from eegprep.sources import manifest_for_path


def read(path: Path):
    return decode_file(path, manifest_for_path(path))


def egi(path: Path, signal_uv: np.ndarray, *, version: int = 2, bits: int = 0, value_range: int = 0) -> Path:
    n, n_samples = signal_uv.shape
    head = struct.pack(">iHHHHHHiHH", version, 2014, 4, 8, 9, 46, 44, 0, 200, n)
    head += struct.pack(">HHHiH", 1, bits, value_range, n_samples, 0)
    values = signal_uv / (value_range / 2**bits) if bits else signal_uv
    kind = {2: ">i2", 4: ">f4", 6: ">f8"}[version]
    path.write_bytes(head + (np.rint(values) if version == 2 else values).T.astype(kind).tobytes())
    return path


def test_whole_files_of_writers_are_read(made, names, tmp_path: Path) -> None:
    signal = made["eeg_uv"](6, 1600)
    paths = [made["gdf"](tmp_path / "a.gdf", signal, names), made["persyst"](tmp_path, signal, names)]
    paths += [egi(tmp_path / f"{v}.raw", signal, version=v) for v in (2, 4, 6)]
    for path in paths:
        decoded = read(path)
        factor = {"V": 1e6, "uV": 1.0}[decoded.channels[0].unit]
        np.testing.assert_allclose(np.asarray(decoded.signal) * factor, signal, atol=0.51)


def test_egi_range_makes_microvolts(made, tmp_path: Path) -> None:
    """The range of an EGI file makes microvolts, whatever its reader calls the unit."""
    signal = made["eeg_uv"](6, 1600)
    decoded = read(egi(tmp_path / "a.raw", signal, bits=16, value_range=20000))
    assert {c.unit for c in decoded.channels} == {"uV"}
    np.testing.assert_allclose(np.asarray(decoded.signal), signal, atol=0.2)


@pytest.mark.parametrize("kind", ["gdf", "egi", "brainvision", "fdt", "neuroscan"])
def test_file_cut_in_the_middle_is_refused(made, names, tmp_path: Path, kind: str) -> None:
    """A file that was cut in the middle is refused as cut."""
    signal = made["eeg_uv"](6, 1600)
    if kind == "gdf":
        path = cut = made["gdf"](tmp_path / "a.gdf", signal, names)
    elif kind == "egi":
        path = cut = egi(tmp_path / "a.raw", signal)
    elif kind == "brainvision":
        path = made["brainvision"](tmp_path, "a", signal, names, header="DataPoints=1600")
        cut = tmp_path / "a.eeg"
    elif kind == "fdt":
        path, cut = tmp_path / "a.set", tmp_path / "a.fdt"
        np.ascontiguousarray(signal.T).astype("<f4").tofile(cut)
        made["eeglab"](path, names, "a.fdt", 1600)
    else:
        path = cut = made["neuroscan"](tmp_path / "a.cnt", signal, n_stated=1600)
    assert read(path).signal.shape == (6, 1600)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with pytest.raises(InputError, match="the file is truncated"):
        read(path)


def test_partial_last_frame_is_noted(made, names, tmp_path: Path) -> None:
    """Samples that end inside a frame are noted where no length is stated."""
    signal = made["eeg_uv"](6, 1600)
    paths = {
        made["brainvision"](tmp_path, "a", signal, names): "a.eeg",
        made["persyst"](tmp_path, signal, names): "g.dat",
    }
    for path, samples in paths.items():
        data = (tmp_path / samples).read_bytes()
        (tmp_path / samples).write_bytes(data[:-5])
        decoded = read(path)
        assert decoded.signal.shape == (6, 1599)
        assert any("the last frame is incomplete: 7 bytes" in n for n in decoded.notes)


def test_bytes_after_eeglab_data_are_noted(made, names, tmp_path: Path) -> None:
    """Bytes after the samples that an EEGLAB header states are noted."""
    signal = made["eeg_uv"](6, 1600)
    (tmp_path / "a.fdt").write_bytes(np.ascontiguousarray(signal.T).astype("<f4").tobytes() + bytes(100))
    made["eeglab"](tmp_path / "a.set", names, "a.fdt", 1600)
    decoded = read(tmp_path / "a.set")
    assert decoded.signal.shape == (6, 1600)
    assert any("100 bytes after the stated number" in n for n in decoded.notes)


def test_wordless_reader_error_is_explained() -> None:
    """A reader that fails without a message is given one."""
    assert clean_message(AssertionError()) == "parts of the header contradict each other"


def test_persyst_clock_jump_breaks_recording(made, names, tmp_path) -> None:
    """A Persyst clock that jumps breaks the recording, and events keep their sample."""
    times = "[SampleTimes]\n0=36000.0\n600=36003.0\n1000=36105.0\n[Comments]\n106.0,0.5,0,100,T1\n1.5,0,0,100,a,b=c\n"
    decoded = read(made["persyst"](tmp_path, made["eeg_uv"](6, 1600), names, extra=times, kind=7, skipped=24))
    assert [(s.start_sample, s.n_samples) for s in decoded.stretches] == [(0, 1000), (1000, 600)]
    assert [(e.start_sample, e.n_samples, e.text) for e in decoded.events] == [(300, 0, "a,b=c"), (1200, 100, "T1")]
    assert "CANARY" not in repr(decoded)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("SamplingRate=200", "SamplingRate=0", "no positive number in the field `samplingrate`"),
        ("DataType=0", "DataType=3", "unknown sample type"),
        ("C3-Ref=3", "C3-Ref=9", "names for 6 channels"),
        ("File=g.dat", "File=other.dat", "the data file of g.lay is missing"),
        ("[ChannelMap]", "[SampleTimes]\n0=noon\n[ChannelMap]", "no number under [SampleTimes]"),
    ],
)
def test_damaged_persyst_header_is_refused(made, names, tmp_path: Path, old, new, reason) -> None:
    """A damaged Persyst header is refused with its reason."""
    path = made["persyst"](tmp_path, made["eeg_uv"](6, 400), names)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError) as caught:
        read(path)
    assert reason in str(caught.value)


def test_persyst_is_read_as_mne_reads_it(data_dir: Path) -> None:
    import mne

    (path,) = (data_dir / "formats" / "persyst").glob("*.lay")
    decoded = read(path)
    theirs = mne.io.read_raw_persyst(path, verbose="CRITICAL")
    np.testing.assert_allclose(np.asarray(decoded.signal), theirs.get_data() * 1e6, atol=1e-9)
    assert [e.start_sample / 200 for e in decoded.events] == pytest.approx(sorted(theirs.annotations.onset))
