"""Trigger channels: one rule for what is an event, physical codes in EDF and BDF, BioSemi's Status."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest
from edfio import Bdf, BdfSignal, Edf, EdfSignal

from eegprep.formats.decoded import Decoded
from eegprep.formats.edf.read import read_edf
from eegprep.formats.events import nearest_sample, trigger_events
from eegprep.formats.mne import read_with_mne
from eegprep.recording import Stretch

RATE = 256


def found(decoded: Decoded) -> list[tuple[int, str]]:
    return [(e.start_sample, e.text) for e in decoded.events]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0, 5, 5, 0, 7, 0], [(2, "5"), (5, "7")]),
        ([0, 5, 3, 3, 0], [(1, "5"), (2, "3")]),  # from one code to another without a zero
        ([0, 1, 3, 2, 0], [(1, "1"), (2, "3"), (3, "2")]),
        ([4, 4, 4, 4, 0, 2, 0], [(5, "2")]),  # it began before the recording
        ([4, 4, 4, 4, 4], []),
        ([4, 0, 2, 0, 0], [(0, "4"), (2, "2")]),  # a pulse of one sample at the first sample
        ([4, 4, 0, 2, 2, 0], [(0, "4"), (3, "2")]),  # as long as the other pulses
        ([4, 0, 0, 0], [(0, "4")]),
        ([0, -3, 0], [(1, "-3")]),
        ([0.0, 0.9999, 0.0, np.nan, 2.0001], [(1, "1"), (4, "2")]),
        ([0, 0, 0, 9], [(3, "9")]),
        ([], []),
    ],
)
@pytest.mark.parametrize("cut", [1, 2, 100])
def test_changes_to_a_code_are_events(values: list[float], expected: list[tuple[int, str]], cut: int) -> None:
    """The rule does not depend on how the channel is cut into blocks."""
    data = np.array(values, dtype=np.float64)
    events, notes = trigger_events([data[a : a + cut] for a in range(0, max(len(data), 1), cut)], "T")
    assert [(e.start_sample, e.text) for e in events] == expected
    assert all(e.witness == "stim:T" and e.n_samples == 0 for e in events)
    assert bool(notes) == (len(values) > 0 and values[0] != 0 and expected[:1] != [(0, "4")])


def test_a_signal_is_no_trigger_channel() -> None:
    """A photodiode or a stimulation waveform under a trigger's name gives no events, and a note."""
    events, notes = trigger_events([np.arange(30_000) % 1000], "Stim")
    assert events == []
    assert notes == ["a trigger channel changes at most samples, so it contains no codes and was ignored"]


def pulses(codes: dict[float, int], seconds: int = 10, rate: int = RATE) -> np.ndarray:
    """A trigger channel with pulses of 20 samples, by second."""
    out = np.zeros(seconds * rate)
    for at, code in codes.items():
        out[round(at * rate) : round(at * rate) + 20] = code
    return out


def edfio_file(
    path: Path, signal_uv: np.ndarray, codes: np.ndarray, physical: tuple[float, float], name: str = "STI 014"
) -> Path:
    eeg = [
        EdfSignal(row, RATE, label=name, physical_dimension="uV")
        for name, row in zip(("C3", "C4", "O1", "O2"), signal_uv, strict=True)
    ]
    Edf([*eeg, EdfSignal(codes, RATE, label=name, physical_range=physical)]).write(path)
    return path


@pytest.mark.parametrize("physical", [(0, 2), (0, 255), (-1, 2), (0, 65535), (-32768, 32767), (-100, 100)])
@pytest.mark.parametrize("name", ["STI 014", "STI101", "Trigger", "TRIG", "Status", "Event", "Marker", "Stim"])
def test_codes_are_physical_values(made, tmp_path: Path, physical: tuple[int, int], name: str) -> None:
    """Whatever range a writer stores the codes in, the events are those that MNE finds in the physical values."""
    codes = pulses({3.0: 1, 7.0: 2})
    path = edfio_file(tmp_path / "p.edf", made["eeg_uv"](4, 10 * RATE), codes, physical, name)
    assert found(read_edf(path)) == [(3 * RATE, "1"), (7 * RATE, "2")]


def test_the_same_events_as_mne_finds(made, tmp_path: Path) -> None:
    """What MNE itself writes with `export_raw` and finds again; it cuts 2.9998 to 2, which is the code 3."""
    info = mne.create_info(["C3", "C4", "O1", "STI 014"], RATE, ["eeg", "eeg", "eeg", "stim"])
    data = np.vstack([made["eeg_uv"](3, 10 * RATE) * 1e-6, pulses({1.0: 3, 4.5: 200, 8.25: 17})])
    raw = mne.io.RawArray(data, info, verbose="ERROR")
    mne.export.export_raw(tmp_path / "p.edf", raw, verbose="ERROR")
    again = mne.io.read_raw_edf(tmp_path / "p.edf", stim_channel="STI 014", verbose="ERROR")
    theirs = mne.find_events(again, stim_channel="STI 014", shortest_event=1, verbose="ERROR")
    ours = found(read_edf(tmp_path / "p.edf"))
    assert ours == [(256, "3"), (1152, "200"), (2112, "17")]
    assert [at for at, _ in ours] == [int(at) for at, _, _ in theirs]


def test_a_range_that_means_nothing(made, tmp_path: Path) -> None:
    """Where physical values are no codes, the digital numbers are, and the recording says so."""
    signal = made["eeg_uv"](6, 1600)
    codes = np.zeros(1600, dtype=np.int64)
    codes[300:310], codes[900:910] = 1, 4
    path = made["edf"](tmp_path / "p.edf", signal, extra=[("Trigger", 200, codes)])
    decoded = read_edf(path)  # the header says -3276.7 to 3276.7 for -32767 to 32767: a code of 1 would be 0.1
    assert found(decoded) == [(300, "1"), (900, "4")]
    assert any("digital" in note for note in decoded.notes)


def test_a_constant_channel_has_no_events(made, tmp_path: Path) -> None:
    """All zeros in a range that does not begin at zero: nothing, and no note."""
    path = edfio_file(tmp_path / "p.edf", made["eeg_uv"](4, 10 * RATE), np.zeros(10 * RATE), (0, 1))
    decoded = read_edf(path)
    assert decoded.events == ()
    assert decoded.notes == ()


def test_a_faster_trigger_channel(made, tmp_path: Path) -> None:
    """Its events lie at the recording's nearest sample, halves upwards."""
    codes = np.zeros(8 * 1000, dtype=np.int64)
    for at in (1000, 2002, 3003, 4004):
        codes[at] = 70
    path = made["edf"](tmp_path / "p.edf", made["eeg_uv"](6, 1600), extra=[("Trigger", 1000, codes * 10)])
    assert [e.start_sample for e in read_edf(path).events] == [200, 400, 601, 801]
    assert [nearest_sample(i, 200, 1000) for i in (0, 2, 3, 5, 7, 8)] == [0, 0, 1, 1, 1, 2]


def biosemi(path: Path, signal_uv: np.ndarray, status: np.ndarray, *, label: str = "Status") -> Path:
    """A BDF file as BioSemi's ActiView writes it: Status last, its physical range its digital one."""
    n_channels, n_samples = signal_uv.shape
    names = [*("C3", "C4", "O1", "O2")[:n_channels], label]
    n = len(names)

    def column(texts: list[object], width: int) -> bytes:
        return b"".join(str(t).encode().ljust(width) for t in texts)

    head = b"\xffBIOSEMI" + b" " * 160 + b"01.01.0101.01.01" + column([256 * (n + 1)], 8) + column(["24BIT"], 44)
    head += column([n_samples // RATE], 8) + column([1], 8) + column([n], 4)
    head += column(names, 16) + column(["x"] * n, 80) + column(["uV"] * n_channels + ["Boolean"], 8)
    head += column([-262144] * n_channels + [-8388608], 8) + column([262143] * n_channels + [8388607], 8)
    head += column([-8388608] * n, 8) + column([8388607] * n, 8) + column([""] * n, 80)
    head += column([RATE] * n, 8) + column([""] * n, 32)
    rows = np.vstack([np.rint(signal_uv * 32), status]).astype("<i4")
    packed = rows.reshape(n, -1, RATE).transpose(1, 0, 2).copy().view(np.uint8).reshape(-1, 4)[:, :3]
    path.write_bytes(head + packed.tobytes())
    return path


IN_RANGE, NEW_EPOCH, MK2, LOW_BATTERY = 1 << 20, 1 << 16, 1 << 23, 1 << 22


def test_status_bits_are_no_events(made, tmp_path: Path) -> None:
    """CMS in range, battery and device bits come and go; the triggers are the low 16 bits."""
    status = np.full(10 * RATE, IN_RANGE - MK2)
    status[500:600] -= IN_RANGE
    status[700:900] += LOW_BATTERY
    status[768:790] += 1
    status[1792:1800] += 0xFFFF
    decoded = read_edf(biosemi(tmp_path / "p.bdf", made["eeg_uv"](4, 10 * RATE), status))
    assert found(decoded) == [(768, "1"), (1792, "65535")]
    assert decoded.stretches == (Stretch(start_sample=0, n_samples=2560),)
    assert decoded.notes == ()


def test_a_new_epoch_breaks_the_recording(made, tmp_path: Path) -> None:
    """Bit 16 is set at the first sample of each part; the first of all is no break, and none is an event."""
    status = np.full(12 * RATE, IN_RANGE)
    status[:1] += NEW_EPOCH
    status[8 * RATE : 8 * RATE + 1] += NEW_EPOCH
    status[7 * RATE : 7 * RATE + 10] += 1
    decoded = read_edf(biosemi(tmp_path / "p.bdf", made["eeg_uv"](4, 12 * RATE), status))
    assert found(decoded) == [(1792, "1")]
    assert [(s.start_sample, s.n_samples) for s in decoded.stretches] == [(0, 2048), (2048, 1024)]
    assert decoded.notes == ("the Status channel says that the recording was interrupted 1 time",)


@pytest.mark.parametrize("first", [0, 300])
def test_an_epoch_bit_that_stays_set(made, tmp_path: Path, first: int) -> None:
    """Only where it is set anew a part begins."""
    status = np.zeros(4 * RATE, dtype=np.int64)
    status[first:] += NEW_EPOCH
    decoded = read_edf(biosemi(tmp_path / "p.bdf", made["eeg_uv"](4, 4 * RATE), status))
    assert [s.start_sample for s in decoded.stretches] == ([0, 300] if first else [0])


def test_another_bdf_channel_has_no_bits(made, tmp_path: Path) -> None:
    """A trigger channel of a BDF file that is not Status keeps its whole value, and breaks nothing."""
    codes = np.zeros(4 * RATE, dtype=np.int64)
    codes[300:310] = 70000
    decoded = read_edf(biosemi(tmp_path / "p.bdf", made["eeg_uv"](4, 4 * RATE), codes, label="Trigger"))
    assert found(decoded) == [(300, "70000")]
    assert len(decoded.stretches) == 1


def test_a_scaled_status_channel(made, tmp_path: Path) -> None:
    """Status as edfio and MNE write it to BDF: small codes over the whole digital range set no bit of BioSemi's."""
    eeg = [
        BdfSignal(row, RATE, label=f"C{i}", physical_dimension="uV") for i, row in enumerate(made["eeg_uv"](3, 2560))
    ]
    codes = pulses({3.0: 1, 7.0: 200})
    Bdf([*eeg, BdfSignal(codes, RATE, label="Status", physical_range=(0, 255))]).write(tmp_path / "p.bdf")
    decoded = read_edf(tmp_path / "p.bdf")
    assert found(decoded) == [(768, "1"), (1792, "200")]
    assert len(decoded.stretches) == 1


def test_neuromag_lines_are_read_together(made, tmp_path: Path) -> None:
    """STI 014 holds the codes; the lines STI 001 to STI 016 on their own are parts of them."""
    info = mne.create_info(["C3", "C4", "STI 001", "STI 002", "STI 014"], 200.0, ["eeg"] * 2 + ["stim"] * 3)
    stim = np.zeros((3, 1600))
    stim[0, 300:320] = stim[1, 700:720] = 5
    stim[2, 300:320], stim[2, 700:720] = 1, 2
    raw = mne.io.RawArray(np.vstack([made["eeg_uv"](2, 1600) * 1e-6, stim]), info, verbose="ERROR")
    raw.save(tmp_path / "p_raw.fif", verbose="ERROR")
    assert found(read_with_mne(tmp_path / "p_raw.fif", "fif")) == [(300, "1"), (700, "2")]
