"""EDF and BDF: the same samples as MNE, gaps and mixed rates seen, every kind of damage refused with its own reason."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.formats.edf.read import read_edf
from eegprep.recording import Stretch


@pytest.mark.parametrize("bdf", [False, True])
def test_samples_and_events_equal_mne(made, tmp_path: Path, bdf: bool) -> None:
    """Samples and events are those that MNE reads."""
    path = tmp_path / ("a.bdf" if bdf else "a.edf")
    marks = [(1.0, 0.5, "T1"), (3.25, None, "T2")]
    made["edf"](path, made["eeg_uv"](6, 2000), bdf=bdf, annotations=marks)
    ours = read_edf(path)
    reader = mne.io.read_raw_bdf if bdf else mne.io.read_raw_edf
    theirs = reader(path, preload=True, verbose="ERROR")
    assert [c.name for c in ours.channels] == theirs.ch_names
    assert ours.sfreq_hz == theirs.info["sfreq"]
    np.testing.assert_allclose(np.asarray(ours.signal), theirs.get_data() * 1e6, atol=1e-9)
    found = [(e.start_sample / ours.sfreq_hz, e.n_samples / ours.sfreq_hz, e.text) for e in ours.events]
    assert found == [(1.0, 0.5, "T1"), (3.25, 0.0, "T2")]
    assert found == list(
        zip(theirs.annotations.onset, theirs.annotations.duration, theirs.annotations.description, strict=True)
    )


def test_a_part_equals_the_whole(made, tmp_path: Path) -> None:
    """A part is read as the same samples as the whole."""
    signal = read_edf(made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 1600))).signal
    whole = np.asarray(signal)
    for start, stop in ((0, 1), (199, 201), (137, 1203), (1600, 1600), (1599, 5000)):
        np.testing.assert_array_equal(signal[:, start:stop], whole[:, start:stop])
    np.testing.assert_array_equal(signal[[2, 0], 10:20], whole[[2, 0], 10:20])


def test_gap_between_records_breaks_stretch(made, tmp_path) -> None:
    """Records that do not follow each other break the stretch, and events keep their sample."""
    starts = [0.0, 1.0, 2.0, 7.0, 8.0]
    path = made["edf"](
        tmp_path / "d.edf", made["eeg_uv"](6, 1000), kind="EDF+D", record_starts=starts, annotations=[(7.5, None, "T1")]
    )
    decoded = read_edf(path)
    assert decoded.stretches == (
        Stretch(start_sample=0, n_samples=600),
        Stretch(start_sample=600, n_samples=400),
    )
    assert [e.start_sample for e in decoded.events] == [700]


def test_false_continuous_file_is_broken_too(made, tmp_path: Path) -> None:
    """A file that calls itself continuous but jumps is broken as well and says so."""
    path = made["edf"](tmp_path / "c.edf", made["eeg_uv"](6, 600), record_starts=[0.0, 1.0, 4.0])
    decoded = read_edf(path)
    assert len(decoded.stretches) == 2
    assert any("though the header calls the file continuous" in n for n in decoded.notes)


def test_channels_of_other_rate_are_left_out(made, tmp_path) -> None:
    """Unknown channels of another rate are left out with both rates and do not change the others."""
    signal = made["eeg_uv"](6, 1000)
    plain = read_edf(made["edf"](tmp_path / "a.edf", signal))
    slow = read_edf(made["edf"](tmp_path / "b.edf", signal, extra=[("Light", 25, np.arange(125))]))
    assert [(x.name, x.code) for x in slow.left_out] == [("Light", "other_rate")]
    assert "25 Hz" in slow.left_out[0].reason
    assert "200 Hz" in slow.left_out[0].reason
    np.testing.assert_array_equal(np.asarray(slow.signal), np.asarray(plain.signal))


def test_header_range_and_unit_are_evidence(made, tmp_path: Path) -> None:
    """The range and unit of the header are kept as evidence."""
    channel = read_edf(made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 400), unit="mV")).channels[0]
    assert (channel.unit, channel.digital_max, channel.physical_max) == ("mV", 32767, 3276.7)
    assert channel.unit_evidence == "the header says mV"


def damaged(data: bytes, how: str) -> bytes:
    if how == "cut":
        return data[: len(data) - 777]
    if how == "cut in header":
        return data[:500]
    if how == "line ends":
        return data.replace(b"\n", b"\r\n")
    if how == "no number":
        return data[:236] + b"none    " + data[244:]
    if how == "nan":
        return data[:244] + b"nan     " + data[252:]
    if how == "signals":
        return data[:252] + b"3   " + data[256:]
    if how == "no records":
        return data[:236] + b"0       " + data[244:]
    if how == "no duration":
        return data[:244] + b"0       " + data[252:]
    n_header = int(data[184:192])  # the first time stamp
    at = data.index(b"+0\x14", n_header)
    return data[:at] + b"?" + data[at + 1 :]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("cut", "truncated"),
        ("cut in header", "the header is truncated"),
        ("line ends", "line endings were converted"),
        ("no number", "no number in the field `number of records`"),
        ("nan", "no number in the field `duration of a record`"),
        ("signals", "bytes for 3 signals"),
        ("no records", "contains no record"),
        ("no duration", "records have no duration"),
        ("time stamp", "time stamp of record 0 is missing"),
    ],
)
def test_each_damage_has_its_own_reason(made, tmp_path: Path, how: str, reason: str) -> None:
    """Each kind of damage is refused with its own reason."""
    path = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 4000))
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(InputError, match=r".") as caught:
        read_edf(path)
    assert reason in str(caught.value)


def test_unclosed_file_is_read_with_a_note(made, tmp_path: Path) -> None:
    """A file that was never closed is read to its last whole record and says so."""
    path = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 4000))
    data = path.read_bytes()
    path.write_bytes((data[:236] + b"-1      " + data[244:])[:-777])
    decoded = read_edf(path)
    assert decoded.signal.shape == (6, 3800)
    assert any("the last record is incomplete" in n for n in decoded.notes)


def test_edf_of_annotations_alone_is_refused(made, tmp_path: Path) -> None:
    """An EDF file of annotations alone is refused as such."""
    path = made["edf"](tmp_path / "a.edf", np.zeros((0, 400)), names=())
    with pytest.raises(InputError, match="only annotations, no signal"):
        read_edf(path)


def test_real_recordings_equal_mne(data_dir: Path) -> None:
    """Real recordings are read as MNE reads them."""
    for relative in (
        "eegmat/Subject00_2.edf",
        "eegmmidb/S001R03.edf",
        "formats/bdf/test.bdf",
        "formats/edf/short_psg.edf",
    ):
        path = data_dir / relative
        ours = read_edf(path)
        theirs = (mne.io.read_raw_bdf if path.suffix == ".bdf" else mne.io.read_raw_edf)(path, verbose="ERROR")
        assert ours.sfreq_hz == theirs.info["sfreq"]
        scale = {"uV": 1.0, "mV": 1e3, "V": 1e6}
        for row, channel in enumerate(ours.channels):
            if channel.unit and channel.kind != "stim" and channel.sfreq_hz is None:
                volts = theirs.get_data(picks=[theirs.ch_names.index(channel.name)])[0]
                np.testing.assert_allclose(ours.signal[[row], :][0] * scale[channel.unit], volts * 1e6, atol=1e-6)


def test_random_header_bytes_never_crash(made, tmp_path: Path) -> None:
    """Random bytes in a header are read or refused and never crash."""
    plain = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 600), annotations=[(1.0, None, "T1")]).read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for case in range(150):
        data = bytearray(plain)
        for at in generator.integers(8, 2048, generator.integers(1, 6)):
            data[at] = generator.integers(256)
        if case % 5 == 0:
            data = data[: generator.integers(1, len(data))]
        path = tmp_path / "b.edf"
        path.write_bytes(bytes(data))
        try:
            np.asarray(read_edf(path).signal)
        except InputError:
            refused += 1
    assert 30 < refused < 150


@pytest.mark.parametrize(("least", "most", "kept"), [(-32768, 65535, True), (-1, 8388607, False)])
def test_a_range_wider_than_the_samples(made, tmp_path: Path, least: int, most: int, kept: bool) -> None:
    """A digital range of 24 bits in a file of 16 says nothing of a step: the channel has no unit."""
    path = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 800))
    data = bytearray(path.read_bytes())
    at = 256 + 7 * (16 + 80 + 8 + 8 + 8)
    data[at : at + 8] = str(least).ljust(8).encode()
    data[at + 56 : at + 64] = str(most).ljust(8).encode()
    path.write_bytes(data)
    first, second = read_edf(path).channels[:2]
    assert (first.unit, second.unit) == ("uV" if kept else "", "uV")
    assert kept or "does not fit 16 bits" in first.unit_evidence


def test_a_count_with_decimals_is_damage(made, tmp_path: Path) -> None:
    """Half a record is not one record: nothing is cut off because a field of the header is damaged."""
    path = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 800))
    data = bytearray(path.read_bytes())
    data[236:244] = b"1.5     "
    path.write_bytes(data)
    with pytest.raises(InputError, match="header is damaged"):
        read_edf(path)


def test_annotations_by_another_capital(made, tmp_path: Path) -> None:
    """`EDF annotations` is the annotation signal too, not a channel of another rate."""
    path = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 800), annotations=[(1.5, 0, "a")])
    path.write_bytes(path.read_bytes().replace(b"EDF Annotations", b"EDF annotations"))
    decoded = read_edf(path)
    assert [(e.start_sample, e.text) for e in decoded.events] == [(300, "a")]
    assert decoded.left_out == ()
