"""MEF3: pauses between blocks, and records on the clock of the recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.recordings import eeg_uv, write_mef

from eegprep.errors import InputError
from eegprep.formats.decode import decode_file
from eegprep.formats.segments import structured
from eegprep.sources import manifest_for_path

pytest.importorskip("pymef")
NAMES = ("Fp1", "Fp2", "Cz", "C4", "O1", "O2")
PAUSE_US = 5_000_000


def read(path: Path):
    return structured(decode_file(path, manifest_for_path(path)))


@pytest.mark.parametrize("segments", [False, True])
def test_pauses_break_and_shift_no_event(tmp_path: Path, segments: bool) -> None:
    """The times of the blocks jump at sample 1000; events after it count the pause, as the records do."""
    signal = eeg_uv(6, 2000)
    records = [
        ("Note", 300 * 5000, 0, "one"),
        ("Note", 1300 * 5000 + PAUSE_US, 0, "two"),
        ("EDFA", 1700 * 5000 + PAUSE_US, 500_000, "three"),
        ("Note", 1000 * 5000 + PAUSE_US // 2, 0, "in the pause"),
        ("Note", 9000 * 5000, 0, "after the end"),
    ]
    path = write_mef(tmp_path / "a.mefd", signal, NAMES, pauses=[(1000, PAUSE_US)], segments=segments, records=records)
    decoded = read(path)
    assert [(s.start_sample, s.stop_sample) for s in decoded.stretches] == [(0, 1000), (1000, 2000)]
    assert [(e.start_sample, e.n_samples, e.text) for e in decoded.events if e.role == "stimulus"] == [
        (300, 0, "Note: one"), (1300, 0, "Note: two"), (1700, 100, "EDFA: three"),
    ]  # fmt: skip
    assert decoded.clock is not None
    assert decoded.clock.place(1300 / 200 + 5) == (1300, 0)
    notes = " ".join(decoded.notes)
    assert "1 events at times at which nothing was recorded" in notes
    assert "1 events lie outside the recording" in notes
    rows = [[c.name for c in decoded.channels].index(name) for name in NAMES]
    np.testing.assert_allclose(np.asarray(decoded.signal)[rows] * 1e6, signal, atol=0.051)


def test_without_a_pause_there_is_one_stretch(tmp_path: Path) -> None:
    records = [("Note", 1300 * 5000, 0, "two")]
    decoded = read(write_mef(tmp_path / "a.mefd", eeg_uv(6, 2000), NAMES, pauses=[(1000, 0)], records=records))
    assert [(s.start_sample, s.stop_sample) for s in decoded.stretches] == [(0, 2000)]
    assert [(e.start_sample, e.text) for e in decoded.events] == [(1300, "Note: two")]
    assert decoded.clock is None
    assert not any("outside" in note for note in decoded.notes)


def test_channels_with_other_pauses_are_refused(tmp_path: Path) -> None:
    """Their samples of one number are of different times."""
    own = {"Cz": [(800, PAUSE_US)]}
    path = write_mef(tmp_path / "a.mefd", eeg_uv(6, 2000), NAMES, pauses=[(1000, PAUSE_US)], own_pauses=own)
    with pytest.raises(InputError, match="interrupted at different times"):
        read(path)
