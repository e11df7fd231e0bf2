"""GDF: channels of several rates, and events that another event ends."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from support.recordings import gdf_header

from eegprep.formats.decode import decode_file
from eegprep.formats.decoded import Decoded
from eegprep.sources import manifest_for_path

NAMES = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
Made = dict[str, Callable]


def gdf(
    path: Path,
    rows: Sequence[np.ndarray],
    counts: Sequence[int],
    names: Sequence[str] = NAMES,
    *,
    events: Sequence[tuple[int, int]] = (),
    event_rate: float = 200.0,
) -> Path:
    """GDF 2.20 of int16, one record a second; `counts` are the samples of each channel in a record."""
    n_records = rows[0].size // counts[0]
    head = gdf_header(names, counts, n_records, limits=(-3276.8, 3276.7, -32768, 32767), kind=3)
    body = b"".join(
        np.rint(10 * row[k * c : (k + 1) * c]).astype("<i2").tobytes()
        for k in range(n_records)
        for row, c in zip(rows, counts, strict=True)
    )
    table = b"\x01" + len(events).to_bytes(3, "little") + struct.pack("<f", event_rate)
    table += b"".join(struct.pack("<I", sample + 1) for sample, _ in events)
    table += b"".join(struct.pack("<H", code) for _, code in events)
    path.write_bytes(bytes(head) + body + table)
    return path


def read(path: Path) -> Decoded:
    return decode_file(path, manifest_for_path(path))


@pytest.mark.parametrize(("name", "other"), [("resp", 50), ("EMG", 500)])
def test_electrodes_keep_their_rate(made: Made, tmp_path: Path, name: str, other: int) -> None:
    """Samples are those of the file however they are read, and events stay at them."""
    signal = made["eeg_uv"](5, 4000) + np.linspace(0, 800, 4000)
    rows = [*signal[:2], np.linspace(-300, 300, other * 20), *signal[2:]]
    path = gdf(
        tmp_path / "a.gdf", rows, [200, 200, other, 200, 200, 200], ("Fp1", "Fp2", name, "C3", "C4", "O1"),
        events=[(1001, 769), (3003, 770)],
    )  # fmt: skip
    decoded = read(path)
    assert (decoded.sfreq_hz, [c.name for c in decoded.channels]) == (200.0, ["Fp1", "Fp2", "C3", "C4", "O1"])
    np.testing.assert_allclose(np.asarray(decoded.signal) * 1e6, signal, atol=0.051)
    for start, stop in ((0, 1), (150, 1250), (3900, 4000), (3999, 5000), (200, 400)):
        np.testing.assert_allclose(decoded.signal[:, start:stop] * 1e6, signal[:, start:stop], atol=0.051)
    assert [(e.start_sample, e.n_samples, e.text) for e in decoded.events] == [(1001, 1, "769"), (3003, 1, "770")]
    (left_out,) = decoded.left_out
    assert (left_out.name, left_out.code) == (name, "other_rate")
    assert left_out.reason == f"sampled at {other} Hz, the recording at 200 Hz"


def test_an_event_lasts_until_its_end(made: Made, tmp_path: Path) -> None:
    """A code with the highest bit ends the last event of its code that has not ended; ends alone change nothing."""
    marks = [(100, 769), (150, 770), (300, 769 | 0x8000), (500, 769), (620, 770 | 0x8000), (700, 771 | 0x8000)]
    path = gdf(tmp_path / "a.gdf", made["eeg_uv"](6, 4000), [200] * 6, events=marks)
    found = {(e.start_sample, e.text): e.n_samples for e in read(path).events}
    assert {key: n for key, n in found.items() if int(key[1]) < 0x8000} == {
        (100, "769"): 200,
        (150, "770"): 470,
        (500, "769"): 1,
    }
    assert len(found) == 6
