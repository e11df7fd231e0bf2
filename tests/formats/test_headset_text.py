"""Text of consumer headsets: columns without names, lost packets, rows that are events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.formats.decode import decode_file
from eegprep.formats.detect import detect
from eegprep.formats.segments import structured
from eegprep.sources import manifest_for_path


def read(path: Path):
    return decode_file(path, manifest_for_path(path))


def events(decoded) -> list[tuple[int, str]]:
    return [(e.start_sample, e.text) for e in decoded.events]


# -- OpenBCI before version 5 -------------------------------------------------------------------------------


def openbci(
    path: Path, signal_uv: np.ndarray, *, head: tuple[str, ...] = (), clocks: int = 2, rate: float = 250.0, index=None
) -> Path:
    lines = ["%OpenBCI Raw EEG Data", *head, f"%Sample Rate = {rate} Hz", "%First Column = SampleIndex"]
    for i, row in enumerate(signal_uv.T):
        number = i % 256 if index is None else index[i]
        clock = [f"16:43:{i // 250:02d}.{i % 250 * 4:03d}", str(1552855427138 + 4 * i)][:clocks]
        lines.append(", ".join([str(number), *(f"{v:.2f}" for v in row), "0.104", "0.038", "1.010", *clock]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("n", [4, 8, 16])
@pytest.mark.parametrize("clocks", [0, 1, 2])
@pytest.mark.parametrize("stated", [True, False])
def test_boards_are_known_by_their_columns(made, tmp_path: Path, n: int, clocks: int, stated: bool) -> None:
    """Ganglion, Cyton and Daisy, with and without clocks, with and without the number of channels."""
    signal = made["eeg_uv"](n, 600)
    head = (f"%Number of channels = {n}",) if stated else ()
    decoded = read(openbci(tmp_path / "a.txt", signal, head=head, clocks=clocks))
    assert [c.name for c in decoded.channels] == [f"EXG Channel {i}" for i in range(n)]
    assert decoded.sfreq_hz == 250.0
    assert {c.unit for c in decoded.channels} == {"uV"}
    np.testing.assert_allclose(np.asarray(decoded.signal), signal, atol=0.006)


def test_ganglion_rows_as_wide_as_cyton(made, tmp_path: Path) -> None:
    """The first Ganglion files fill four columns with zeros."""
    signal = np.concatenate([made["eeg_uv"](4, 600), np.zeros((4, 600))])
    decoded = read(openbci(tmp_path / "a.txt", signal, head=("%",), clocks=0, rate=256.0))
    assert len(decoded.channels) == 4


def test_a_width_of_no_board_is_refused(made, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which of its 9 columns are channels"):
        read(openbci(tmp_path / "a.txt", made["eeg_uv"](5, 600), clocks=0))


def test_openbci_index_shows_lost_packets(made, tmp_path: Path) -> None:
    """40 samples are lost before row 300; what follows keeps its time."""
    index = [(i if i < 300 else i + 40) % 256 for i in range(600)]
    signal = made["eeg_uv"](8, 600)
    decoded = read(openbci(tmp_path / "a.txt", signal, index=index))
    assert decoded.signal.shape[1] == 640
    np.testing.assert_allclose(decoded.signal[:, 340:], signal[:, 300:], atol=0.006)
    assert [(s.start_sample, s.n_samples) for s in decoded.stretches] == [(0, 300), (340, 300)]


def test_uneven_index_is_not_used(made, tmp_path: Path) -> None:
    """Ganglion gives two rows one number."""
    index = [i // 2 % 101 for i in range(600)]
    decoded = read(openbci(tmp_path / "a.txt", made["eeg_uv"](4, 600), index=index))
    assert [s.n_samples for s in decoded.stretches] == [600]


def test_openbci_stamps_show_pauses(made, tmp_path: Path) -> None:
    """Pauses of an OpenBCI recording are found by their time stamps."""
    path = openbci(tmp_path / "a.txt", made["eeg_uv"](4, 600), index=[i // 2 % 101 for i in range(600)])
    rows = path.read_text().splitlines()
    late = [r.rsplit(",", 1) for r in rows[303:]]
    path.write_text("\n".join([*rows[:303], *(f"{a}, {int(b) + 5000}" for a, b in late)]) + "\n")
    assert [s.n_samples for s in read(path).stretches] == [300, 300]


def test_clock_in_first_row_is_no_header(made, tmp_path: Path) -> None:
    """A manifest that names the columns of such a table finds them."""
    from eegprep.formats.tables.text import read_table

    (tmp_path / "a.csv").write_text("".join(f"{i},1.5,16:43:47.{i:03d},2019-03-17\n" for i in range(30)))
    table = read_table(tmp_path / "a.csv", names=["idx", "Fp1", "clock", "day"])
    assert table.names == ("idx", "Fp1", "clock", "day")
    assert table.numbers("idx").size == 30


# -- Emotiv -------------------------------------------------------------------------------------------------

NAMES = ("AF3", "F7", "Pz", "T8")


def emotiv(path: Path, counter, *, marker=None, interpolated=None, rate: int = 128, n: int | None = None) -> Path:
    n = len(counter)
    signal = np.random.default_rng(0).normal(4200, 10, (4, n))
    title = f"title:x, sampling:{rate}, subject:x, labels:COUNTER INTERPOLATED {' '.join(NAMES)} MARKER, chan:7"
    rows = []
    for i in range(n):
        values = ",".join(f"{v:.3f}" for v in signal[:, i])
        rows.append(f"{counter[i]},{(interpolated or {}).get(i, 0)},{values},{(marker or {}).get(i, 0)}")
    path.write_text("\n".join([title, *rows]) + "\n")
    return path


def counter_of(n: int, period: int, lost: dict[int, int]) -> list[int]:
    out, at = [], 0
    for i in range(n):
        at += lost.get(i, 0)
        out.append(at % period)
        at += 1
    return out


@pytest.mark.parametrize("period", [128, 129, 256])
@pytest.mark.parametrize("place", [500, 640, 645])
def test_lost_packets_become_a_gap(tmp_path: Path, period: int, place: int) -> None:
    """64 are lost in the middle, also just where the counter begins again; markers behind them keep their time."""
    counter = counter_of(1216, period, {place: 64})
    decoded = read(emotiv(tmp_path / "a.csv", counter, marker={384: 1, 832: 2}))
    assert decoded.signal.shape[1] == 1280
    assert [(s.start_sample, s.stop_sample) for s in decoded.stretches] == [(0, place), (place + 64, 1280)]
    assert events(decoded) == [(384, "1"), (896, "2")]
    gap = next(x for x in decoded.left_out if x.code == "gap")
    assert (gap.start_sample, gap.n_samples) == (place, 64)


def test_several_losses_add_up(tmp_path: Path) -> None:
    counter = counter_of(1000, 129, {100: 2, 400: 30, 401: 5})
    decoded = read(emotiv(tmp_path / "a.csv", counter, marker={900: 3}))
    assert decoded.signal.shape[1] == 1037
    assert events(decoded) == [(937, "3")]


def test_an_even_counter_breaks_nothing(tmp_path: Path) -> None:
    decoded = read(emotiv(tmp_path / "a.csv", counter_of(1000, 129, {})))
    assert [s.n_samples for s in decoded.stretches] == [1000]
    assert decoded.notes == ()


def test_repeated_packet_breaks_without_gap(tmp_path: Path) -> None:
    """A repeated packet breaks the stretch without a gap."""
    counter = counter_of(500, 128, {})
    decoded = read(emotiv(tmp_path / "a.csv", [*counter[:300], counter[299], *counter[300:]]))
    assert decoded.signal.shape[1] == 501
    assert [s.n_samples for s in decoded.stretches] == [300, 201]


def test_interpolated_samples_are_missing(tmp_path: Path) -> None:
    decoded = read(emotiv(tmp_path / "a.csv", counter_of(600, 128, {}), interpolated={200: 1, 201: 1}))
    assert np.flatnonzero(np.isnan(np.asarray(decoded.signal)[2])).tolist() == [200, 201]
    assert any("2 samples are marked as interpolated" in note for note in decoded.notes)


def emotiv_3(
    path: Path, *, titled: bool = True, lost_s: float = 0.0, marks: str = "MarkerIndex,MarkerValueInt"
) -> Path:
    """EmotivPRO 3: names in the second line, time stamps; a loss of so many seconds before row 512."""
    title = "title:x, start timestamp:1577836800.0, headset type:INSIGHT, channels:9, sampling rate:128, version:2.1,"
    rows = [f"Timestamp,EEG.Counter,EEG.Interpolated,EEG.AF3,EEG.T7,EEG.Pz,EEG.T8,EEG.RawCq,{marks}"]
    for i in range(1024):
        late = round(lost_s * 128) if i >= 512 else 0
        values = ",".join(f"{4200 + v:.2f}" for v in np.sin(np.arange(4) + i / 5))
        mark = {100: "1,7", 700: "2,7"}.get(i, ",")
        rows.append(f"{1577836800 + (i + late) / 128:.6f},{(i + late) % 128},0,{values},0,{mark}")
    path.write_text("\n".join([title, *rows] if titled else rows) + "\n")
    return path


@pytest.mark.parametrize("titled", [True, False])
def test_emotivpro_3_is_read(tmp_path: Path, titled: bool) -> None:
    """With its title, or the table alone, whose stamps give the rate."""
    path = emotiv_3(tmp_path / "a.csv", titled=titled)
    found = detect(path)
    assert found is not None
    assert found.name == "emotiv_csv"
    decoded = read(path)
    assert (decoded.sfreq_hz, decoded.signal.shape) == (128.0, (4, 1024))
    assert [c.name for c in decoded.channels] == ["AF3", "T7", "Pz", "T8"]
    assert events(decoded) == [(100, "7"), (700, "7")]


def test_stamps_count_whole_rounds_of_losses(tmp_path: Path) -> None:
    """2.5 s are 320 samples, of which the counter shows 64."""
    decoded = read(emotiv_3(tmp_path / "a.csv", lost_s=2.5))
    assert decoded.signal.shape[1] == 1344
    assert events(decoded) == [(100, "7"), (1020, "7")]


def test_marker_index_serves_without_values(tmp_path: Path) -> None:
    """A marker index serves where there are no marker values."""
    decoded = read(emotiv_3(tmp_path / "a.csv", marks="MarkerIndex,MarkerType"))
    assert events(decoded) == [(100, "1"), (700, "2")]


def test_emotiv_without_rate_asks_for_it(tmp_path: Path) -> None:
    """Emotiv columns without a sampling rate ask for it."""
    rows = ["Timestamp,COUNTER,INTERPOLATED,AF3,F7", *(f"{i},{i},0,4200.0,4201.0" for i in range(100))]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(InputError, match="does not state its sampling rate"):
        read(tmp_path / "a.csv")


# -- Muse ---------------------------------------------------------------------------------------------------


def muse(path: Path, *, start_s: float = 36000.0, elements=(), off=range(0), n: int = 1024) -> Path:
    signal = np.random.default_rng(0).normal(800, 10, (4, n))
    lines = ["TimeStamp,RAW_TP9,RAW_AF7,RAW_AF8,RAW_TP10,HeadBandOn,Battery,Elements"]
    for i in range(n):
        at = (start_s + i / 256) % 86400
        stamp = f"2020-01-01 {int(at // 3600):02d}:{int(at // 60 % 60):02d}:{at % 60:06.3f}"
        lines += [f"{stamp},,,,,,,{text}" for place, text in elements if place == i]
        lines.append(f"{stamp},{','.join(f'{v:.4f}' for v in signal[:, i])},{int(i not in off)},80")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_muse_rows_of_events_are_no_samples(tmp_path: Path) -> None:
    elements = [(100, "/muse/elements/blink"), (100, "/muse/elements/jaw_clench"), (500, "/Marker/1")]
    decoded = read(muse(tmp_path / "a.csv", elements=elements))
    assert decoded.signal.shape == (4, 1024)
    assert np.isfinite(np.asarray(decoded.signal)).all()
    assert events(decoded) == [(100, elements[0][1]), (100, elements[1][1]), (500, "/Marker/1")]
    assert decoded.sfreq_hz == 256.0
    assert [s.n_samples for s in decoded.stretches] == [1024]


def test_a_headband_that_is_off_leaves_out(tmp_path: Path) -> None:
    decoded = structured(read(muse(tmp_path / "a.csv", off=range(300, 400))))
    assert [(s.start_sample, s.stop_sample) for s in decoded.stretches] == [(0, 300), (400, 1024)]
    assert [(x.start_sample, x.n_samples) for x in decoded.left_out] == [(300, 100)]


def test_muse_past_midnight_is_one_stretch(tmp_path: Path) -> None:
    """A Muse recording that runs past midnight is one stretch."""
    decoded = read(muse(tmp_path / "a.csv", start_s=86398.0))
    assert [s.n_samples for s in decoded.stretches] == [1024]
