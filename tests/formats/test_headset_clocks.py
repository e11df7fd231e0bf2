"""Pauses and lost packets of consumer headsets: a time of the file has the sample that was recorded then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import eegprep
from eegprep.formats.decode import decode_file
from eegprep.formats.decoded import Decoded
from eegprep.formats.tables.time_column import time_clock
from eegprep.sources import manifest_for_path

RATE = 250
Made = dict[str, Callable]


def times_of(n: int, pauses: dict[int, float], rate: float = RATE) -> np.ndarray:
    """When each row was recorded, with pauses before some rows."""
    steps = np.full(n, 1 / rate)
    for row, lasts_s in pauses.items():
        steps[row] += lasts_s
    return np.cumsum(steps) - steps[0]


def in_packets(times: np.ndarray, n: int = 10, *, stall: tuple[int, int] = (0, 0)) -> np.ndarray:
    """The times at which rows arrive, `n` at once; those of a stall arrive with its last one."""
    arrived = times[np.minimum(np.arange(times.size) // n * n + n - 1, times.size - 1)]
    arrived = np.minimum(arrived, times + n / RATE)
    arrived[stall[0] : stall[1]] = times[stall[1]]
    return arrived


def openbci(path: Path, times: np.ndarray, counter: np.ndarray, *, signal: np.ndarray | None = None) -> Path:
    """The columns of OpenBCI's GUI from version 5."""
    signal = np.zeros((4, times.size)) if signal is None else signal
    head = ["%OpenBCI Raw EXG Data", "%Number of channels = 4", f"%Sample Rate = {RATE} Hz"]
    columns = ["Sample Index", *(f"EXG Channel {i}" for i in range(4)), "Timestamp", "Marker Channel"]
    rows = [
        f"{k}, {', '.join(f'{v:.3f}' for v in row)}, {1.6e9 + t:.6f}, 0.0"
        for k, row, t in zip(counter, signal.T, times, strict=True)
    ]
    path.write_text("\n".join([*head, ", ".join(columns), *rows]) + "\n")
    return path


def muse(path: Path, times: np.ndarray, signal: np.ndarray | None = None) -> Path:
    signal = np.zeros((4, times.size)) if signal is None else signal
    lines = ["TimeStamp,RAW_TP9,RAW_AF7,RAW_AF8,RAW_TP10,HeadBandOn,Elements"]
    for t, row in zip(times + 36000, signal.T, strict=True):
        clock = f"{int(t // 3600):02d}:{int(t // 60 % 60):02d}:{t % 60:06.3f}"
        lines.append(f"2020-01-01 {clock},{','.join(f'{800 + v:.3f}' for v in row)},1,")
    path.write_text("\n".join(lines) + "\n")
    return path


def read(path: Path) -> Decoded:
    return decode_file(path, manifest_for_path(path))


def sample_at(decoded: Decoded, at_s: float) -> int | None:
    """The stored sample of a time of the file, as tables and intervals find it."""
    if decoded.clock is None:
        return round(at_s * decoded.sfreq_hz)
    place = decoded.clock.place(at_s)
    return None if place is None else place[0]


def stored(decoded: Decoded, n_rows: int) -> list[int]:
    """The stored sample of each row: those that are not filled in."""
    known = np.flatnonzero(np.isfinite(np.asarray(decoded.signal)[0]))
    assert known.size == n_rows
    return known.tolist()


#: A counter that gives two rows one number is of no use; the others wrap around after 255.
COUNTERS = {
    "none": lambda n, lost: np.arange(n) // 2 % 101,
    "counts": lambda n, lost: (np.arange(n) + np.cumsum(lost)) % 256,
    "stops": lambda n, lost: np.arange(n) % 256,
    "restarts": lambda n, lost: np.where(np.arange(n) < 3000, np.arange(n), np.arange(n) - 3000) % 256,
}


@pytest.mark.parametrize("counter", list(COUNTERS))
@pytest.mark.parametrize("pause_s", [0.6, 5.0, 700.0])
@pytest.mark.parametrize("packets", [False, True])
def test_openbci_times_count_pauses(tmp_path: Path, counter: str, pause_s: float, packets: bool) -> None:
    """Whatever the packet counter does in a pause, later times have their rows."""
    times = times_of(6000, {3000: pause_s})
    numbers = COUNTERS[counter](6000, np.where(np.arange(6000) == 3000, round(pause_s * RATE), 0))
    decoded = read(openbci(tmp_path / "a.txt", in_packets(times) if packets else times, numbers))
    rows = stored(decoded, 6000)
    for row in (100, 2900, 3200, 5900):
        found = sample_at(decoded, times[row])
        assert found is not None
        assert abs(found - rows[row]) <= (5 if packets else 0)
    assert rows[3000] in {s.start_sample for s in decoded.stretches}


def test_openbci_late_rows_are_no_pause(tmp_path: Path) -> None:
    """Rows that were held back for 0.6 s lose nothing: no time is added, and no round of the counter."""
    times = times_of(6000, {})
    path = openbci(tmp_path / "a.txt", in_packets(times, stall=(3000, 3150)), np.arange(6000) % 256)
    decoded = read(path)
    assert decoded.signal.shape[1] == 6000
    assert decoded.clock is None
    assert [sample_at(decoded, t) for t in times[[100, 3100, 5900]]] == [100, 3100, 5900]


def test_openbci_lost_packets_and_a_pause(tmp_path: Path) -> None:
    """Lost packets are filled in and take their time; the pause that the counter does not know of is a break."""
    times = times_of(6000, {1000: 40 / RATE, 3000: 20.0})
    lost = np.where(np.arange(6000) == 1000, 40, 0)
    decoded = read(openbci(tmp_path / "a.txt", times, COUNTERS["counts"](6000, lost)))
    rows = stored(decoded, 6000)
    assert [sample_at(decoded, t) for t in times[[500, 1500, 3500]]] == [rows[500], rows[1500], rows[3500]]


def test_a_counter_alone_tells_a_long_break(tmp_path: Path) -> None:
    """A loss of more than ten minutes is not filled in, but takes its time."""
    names = "COUNTER INTERPOLATED AF3 F7 Pz T8"
    n_lost = 700 * 128
    rows = [f"{(i + n_lost * (i >= 600)) % (1 << 32)},0,1,2,3,4" for i in range(1200)]
    (tmp_path / "a.csv").write_text(
        "\n".join([f"title:x, sampling:128, labels:{names}", *rows, f"{(1 << 32) - 1},0,1,2,3,4"])
    )
    decoded = read(tmp_path / "a.csv")
    assert decoded.clock is not None
    assert decoded.clock.place(700 + 800 / 128) == (800, 0)


@pytest.mark.parametrize("pause_s", [0.5, 8.0, 60.0])
def test_muse_times_count_pauses(tmp_path: Path, pause_s: float) -> None:
    """A pause changes neither the sampling rate nor the rows of later times."""
    times = times_of(15360, {7680: pause_s}, 256)
    decoded = read(muse(tmp_path / "a.csv", times))
    assert decoded.sfreq_hz == 256.0
    assert [sample_at(decoded, t) for t in times[[100, 7600, 7700, 15000]]] == [100, 7600, 7700, 15000]
    assert [s.start_sample for s in decoded.stretches] == [0, 7680]


@pytest.mark.parametrize("kind", ["openbci", "muse"])
def test_intervals_of_a_paused_headset(made: Made, tmp_path: Path, kind: str) -> None:
    """An interval after a pause has the signal of its time."""
    rate = {"openbci": RATE, "muse": 256}[kind]
    times = times_of(rate * 60, {rate * 30: 40.0}, rate)
    signal = made["eeg_uv"](4, times.size) + 150.0 * ((times >= 90) & (times < 95))
    if kind == "openbci":
        openbci(tmp_path / "s.txt", times, COUNTERS["none"](times.size, 0), signal=signal)
        channels = {f"EXG Channel {i}": {"electrode": name} for i, name in enumerate(("Fp1", "Fp2", "C3", "C4"))}
    else:
        muse(tmp_path / "s.csv", times, signal)
        channels = {f"{name}": {"electrode": name} for name in ("TP9", "AF7", "AF8", "TP10")}
    rule = {"by": "interval", "intervals": {"*": [{"label": "b", "from_s": 90, "to_s": 95}]}}
    manifest = made["manifest"](
        source={"kind": "files", "files": ["{subject}.*"]},
        channels=channels,
        tasks=[{"name": "t", "classes": ["a", "b"], "trials": rule}],
    )
    opened = eegprep.open_store(eegprep.ingest(manifest, tmp_path, out=tmp_path / "store", workers=0).out)
    (info,) = opened.infos()
    assert [(t.start_sample, t.n_samples) for t in info.trials] == [(50 * 256, 5 * 256)]


def test_late_rows_of_a_table_are_no_pause() -> None:
    """In a table too, and the rate is measured without pauses of any length."""
    times = times_of(15000, {4000: 0.2, 8000: 3600.0, 12000: 0.2})
    stalled = times.copy()
    stalled[2000:2150] = times[2150]
    _, _, clock = time_clock(stalled, RATE, Path("x"))
    assert clock is not None
    for row in (100, 1900, 2500, 3900, 4100, 7900, 8100, 11900, 12100, 14900):
        assert clock.place(float(times[row] - times[0])) == (row, 0)
