"""Markers of XDF files: numbers, several channels, regular trigger streams, and what is not read."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from eegprep.formats.decoded import Decoded
from eegprep.formats.xdf import read_xdf
from eegprep.manifest.labels import event_label

RATE = 200
FORMATS = {"int8": "<i1", "int16": "<i2", "int32": "<i4", "int64": "<i8", "float32": "<f4", "double64": "<f8"}


@dataclass(frozen=True)
class Stream:
    """One stream as it is written: `rows` (n_samples, n_channels)."""

    kind: str
    format: str
    rate: float
    times: Sequence[float]
    rows: Sequence[Sequence[object]]
    labels: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


def chunk(tag: int, content: bytes) -> bytes:
    return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content


def value(item: object, format_name: str) -> bytes:
    if format_name != "string":
        return np.array(item).astype(FORMATS[format_name]).tobytes()
    data = str(item).encode()
    return b"\x04" + struct.pack("<I", len(data)) + data


def write(path: Path, *streams: Stream) -> Decoded:
    out = b"XDF:" + chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')
    for i, s in enumerate(streams, 1):
        kinds = s.kinds or ("",) * len(s.labels)
        channels = "".join(
            f"<channel><label>{n}</label><type>{k}</type></channel>" for n, k in zip(s.labels, kinds, strict=True)
        )
        info = f"<info><name>s{i}</name><type>{s.kind}</type><channel_count>{len(s.rows[0])}</channel_count>"
        info += f"<nominal_srate>{s.rate}</nominal_srate><channel_format>{s.format}</channel_format>"
        info += f"<desc><channels>{channels}</channels></desc></info>"
        out += chunk(2, struct.pack("<I", i) + info.encode())
        body = b"".join(
            b"\x08" + struct.pack("<d", t) + b"".join(value(v, s.format) for v in row)
            for t, row in zip(s.times, s.rows, strict=True)
        )
        out += chunk(3, struct.pack("<I", i) + b"\x04" + struct.pack("<I", len(s.rows)) + body)
    path.write_bytes(out)
    return read_xdf(path)


def eeg(made, *more: np.ndarray, kinds: tuple[str, ...] = (), start: float = 0.0) -> Stream:
    rows = np.vstack([made["eeg_uv"](3, 2000), *more]).T
    labels = ("C3", "C4", "O1", "TRG")[: rows.shape[1]]
    return Stream("EEG", "float32", RATE, start + np.arange(2000) / RATE, rows, labels, kinds)


def found(decoded: Decoded) -> list[tuple[int, str]]:
    return [(e.start_sample, e.text) for e in decoded.events]


@pytest.mark.parametrize("format_name", [*FORMATS, "string"])
def test_markers_of_every_type(made, tmp_path: Path, format_name: str) -> None:
    """Whole numbers, floats and texts give the same labels at the same samples."""
    marks = Stream("Markers", format_name, 0, [3.0, 7.001, 9.0], [[1], [2], [0]])
    decoded = write(tmp_path / "p.xdf", eeg(made), marks)
    assert [(at, event_label(text)) for at, text in found(decoded)] == [(600, "1"), (1400, "2"), (1800, "0")]
    assert decoded.notes == ()


@pytest.mark.parametrize("kind", ["Markers", "marker", "Trigger", "stim", "Events"])
def test_types_that_hold_codes(made, tmp_path: Path, kind: str) -> None:
    """Names that programs give streams of codes."""
    decoded = write(tmp_path / "p.xdf", eeg(made), Stream(kind, "int32", 0, [3.0], [[5]]))
    assert found(decoded) == [(600, "5")]


@pytest.mark.parametrize("kind", ["Gaze", "Mouse", "", "MoCap"])
def test_other_numbers_are_no_events(made, tmp_path: Path, kind: str) -> None:
    """Positions that come at no regular rate are not codes; the recording says that a stream was not read."""
    decoded = write(tmp_path / "p.xdf", eeg(made), Stream(kind, "float32", 0, [3.0, 4.0], [[0.5], [0.7]]))
    assert found(decoded) == []
    assert decoded.notes == ("irregular numeric streams that are not marker streams were ignored: 1",)


def test_every_channel_of_a_marker(made, tmp_path: Path) -> None:
    """A marker of several channels is an event by each of its entries; empty ones are none."""
    texts = Stream("Markers", "string", 0, [3.0, 7.0], [["trial", "left"], ["rest", ""]])
    assert found(write(tmp_path / "p.xdf", eeg(made), texts)) == [(600, "left"), (600, "trial"), (1400, "rest")]
    numbers = Stream("Markers", "int16", 0, [3.0], [[7, 12]])
    assert sorted(found(write(tmp_path / "q.xdf", eeg(made), numbers))) == [(600, "12"), (600, "7")]


def test_a_trigger_stream_at_a_rate(made, tmp_path: Path) -> None:
    """A trigger channel in a stream of its own, at another rate and clock offset than the EEG's."""
    codes = np.zeros((5000, 1), dtype=np.int64)
    codes[1500:1510], codes[3500:3600] = 1, 2
    stream = Stream("Stim", "int32", 500, np.arange(5000) / 500, codes.tolist())
    decoded = write(tmp_path / "p.xdf", eeg(made), stream)
    assert found(decoded) == [(600, "1"), (1400, "2")]
    assert len({e.witness for e in decoded.events}) == 1


@pytest.mark.parametrize("kind", ["Trigger", "stim", "Markers"])
def test_a_trigger_channel_of_the_eeg(made, tmp_path: Path, kind: str) -> None:
    """A channel of the EEG stream whose type is that of triggers."""
    codes = np.zeros((1, 2000))
    codes[0, 600:620], codes[0, 1400:1420] = 1, 2
    decoded = write(tmp_path / "p.xdf", eeg(made, codes, kinds=("EEG", "EEG", "EEG", kind)))
    assert found(decoded) == [(600, "1"), (1400, "2")]
    assert [c.kind for c in decoded.channels] == ["eeg", "eeg", "eeg", "stim"]


def test_markers_outside_are_counted(made, tmp_path: Path) -> None:
    """Before, behind and in a gap of the EEG there is no sample for a marker."""
    marks = Stream("Markers", "int32", 0, [1.0, 103.0, 150.0], [[1], [2], [3]])
    decoded = write(tmp_path / "p.xdf", eeg(made, start=100.0), marks)
    assert found(decoded) == [(600, "2")]
    assert decoded.notes == ("markers at times without EEG samples are left out: 2",)


def test_times_count_a_lost_second(made, names, tmp_path: Path) -> None:
    """A time after missing samples has the sample that was recorded then."""
    times = 1000 + np.arange(4000) / 200 + (np.arange(4000) >= 1500)
    decoded = read_xdf(made["xdf"](tmp_path / "a.xdf", [("amp", "EEG", names, made["eeg_uv"](6, 4000), times)]))
    assert decoded.clock is not None
    assert [decoded.clock.place(at) for at in (5.0, 8.0, 12.0)] == [(1000, 0), None, (2200, 0)]


@pytest.mark.parametrize("jitter_s", [0.0, 0.0004])
@pytest.mark.parametrize("n_lost", [7, 20, 45])
def test_a_short_loss_moves_no_marker(made, names, tmp_path: Path, jitter_s: float, n_lost: int) -> None:
    """Less than a quarter of a second is missing: the recording breaks there, and markers stay at their samples."""
    times = 1000 + (np.arange(4000) + n_lost * (np.arange(4000) >= 1500)) / 200
    stamps = times + np.random.default_rng(0).normal(0, jitter_s, 4000)
    at = [200, 1400, 1600, 3900]
    streams = [("amp", "EEG", names, made["eeg_uv"](6, 4000), stamps)]
    streams.append(("trigger", "Markers", ("m",), np.zeros((1, 4000)), times))
    streams[1][3][0, at] = 7
    decoded = read_xdf(made["xdf"](tmp_path / "a.xdf", streams))
    assert [s.start_sample for s in decoded.stretches] == [0, 1500]
    assert decoded.sfreq_hz == 200.0
    assert all(abs(e.start_sample - a) <= 1 for e, a in zip(decoded.events, at, strict=True))
    assert decoded.clock is not None
    place = decoded.clock.place((3900 + n_lost) / 200)
    assert place is not None
    assert abs(place[0] - 3900) <= 1


def test_a_channel_called_trigger_has_events(made, names, tmp_path: Path) -> None:
    """Amplifiers give their trigger channel the type of the others."""
    signal = made["eeg_uv"](6, 4000)
    signal[5] = 0
    signal[5, 700:710] = 3
    times = 1000 + np.arange(4000) / 200
    path = made["xdf"](tmp_path / "a.xdf", [("amp", "EEG", (*names[:5], "TRIGGER"), signal, times)])
    decoded = read_xdf(path)
    assert [(e.start_sample, e.text) for e in decoded.events] == [(700, "3")]
    assert decoded.channels[5].kind == "stim"


def test_chunks_that_begin_early_are_jitter(made, names, tmp_path: Path) -> None:
    """Stamps that step back between chunks, and rows that were held back, break nothing."""
    times = 1000 + np.arange(4000) / 200
    stamps = times + 0.02 * (np.arange(4000) // 8 % 2)
    stamps[2000:2030] = times[2030]
    decoded = read_xdf(made["xdf"](tmp_path / "a.xdf", [("amp", "EEG", names, made["eeg_uv"](6, 4000), stamps)]))
    assert [s.n_samples for s in decoded.stretches] == [4000]
    assert (decoded.sfreq_hz, decoded.clock) == (200.0, None)
