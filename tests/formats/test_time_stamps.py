"""Time stamps go before headers: gaps, wrong rates and jitter in EDF+, tables, XDF and FieldTrip."""

from __future__ import annotations

import gzip
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from eegprep.errors import InputError
from eegprep.formats.decode import decode_file
from eegprep.formats.decoded import SourceEvent, whole
from eegprep.formats.edf.read import read_edf
from eegprep.formats.segments import cut
from eegprep.formats.tables.time_column import time_clock
from eegprep.formats.xdf import read_xdf
from eegprep.sources import manifest_for_path, open_source

EVEN = np.arange(4000) / 200
AFTER = np.arange(4000) >= 1500


@pytest.mark.parametrize(
    ("times", "breaks"),
    [
        (EVEN, []),
        (EVEN * 1000 + 1.6e12, []),
        (EVEN + AFTER / 200, [1500]),
        (EVEN + AFTER * 0.1, [1500]),
        (EVEN + AFTER * 3.0, [1500]),
        (EVEN - AFTER * 5.0, [1500]),
        (EVEN + np.random.default_rng(0).normal(0, 0.001, 4000), []),
        (EVEN + np.random.default_rng(0).normal(0, 0.001, 4000) + AFTER * 0.1, [1500]),
        (np.floor(EVEN * 10) / 10, []),
        (np.floor(EVEN * 10) / 10 + AFTER * 1.0, [1500]),
        (np.maximum.accumulate(np.where(AFTER & (np.arange(4000) < 1510), EVEN[1510], EVEN)), []),
        (np.where(np.arange(4000) % 7 == 3, np.nan, EVEN + AFTER * 0.1), [1500]),
    ],
    ids=["even", "ms", "one", "0.1s", "3s", "back", "jitter", "jitter+gap", "packets", "lost packets", "late", "nan"],
)
def test_time_column_shows_missing_rows(times, breaks) -> None:
    """A time column shows missing rows and not late ones."""
    assert time_clock(times, 200.0, Path("x"))[:2] == (breaks, [])


@pytest.mark.parametrize(("factor", "refused"), [(1.02, False), (1.08, True), (0.5, True)])
def test_time_column_of_other_rate_is_noted(factor: float, refused: bool) -> None:
    """A time column of another rate is noted or refused."""
    if refused:
        with pytest.raises(InputError, match="contradicts the stated"):
            time_clock(EVEN * factor, 200.0, Path("x"))
    else:
        assert "196.1 Hz" in time_clock(EVEN * factor, 200.0, Path("x"))[1][0]


def with_duration(path: Path, seconds: str) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[:244] + seconds.encode().ljust(8) + data[252:])
    return path


def test_edf_stamps_win_over_the_duration(made, tmp_path: Path) -> None:
    """A continuous EDF file whose time stamps contradict the duration takes the stamps."""
    path = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 2000), annotations=[(4.5, None, "T1")])
    decoded = read_edf(with_duration(path, "0.5"))
    assert (decoded.sfreq_hz, len(decoded.stretches)) == (200.0, 1)
    assert any("the latter are used" in n for n in decoded.notes)
    assert [e.start_sample for e in decoded.events] == [900]


def test_equal_gaps_in_edf_d_stay_gaps(made, tmp_path: Path) -> None:
    """Equal gaps in EDF+D are gaps and not another rate."""
    starts = [2.0 * k for k in range(10)]
    path = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 2000), kind="EDF+D", record_starts=starts)
    decoded = read_edf(path)
    assert (decoded.sfreq_hz, len(decoded.stretches)) == (200.0, 10)


def test_stamps_of_few_decimals_are_no_gaps(made, tmp_path: Path) -> None:
    # records of 0.3333 s at 600 Hz, stamps rounded to milliseconds: off by up to a whole sample
    starts = [round(k * 0.3333333, 3) for k in range(12)]
    path = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 12 * 1000), sfreq_hz=1000, record_starts=starts)
    decoded = read_edf(with_duration(path, "0.333333"))
    assert len(decoded.stretches) == 1
    assert decoded.sfreq_hz == pytest.approx(3000, rel=1e-3)


def test_electrodes_decide_the_rate(made, tmp_path) -> None:
    """The rate of a sleep file is that of its electrodes, although other sensors outnumber them."""
    others = [
        (name, 50, np.arange(50 * 8)) for name in ("Chest", "Abdo", "Leg L", "Leg R", "Flow", "Snore", "Body", "X")
    ]
    path = made["edf"](tmp_path / "a.edf", made["eeg_uv"](2, 1600), names=("C3-A2", "C4-A1"), extra=others)
    decoded = read_edf(path)
    assert decoded.sfreq_hz == 200.0
    assert [c.name for c in decoded.channels if c.sfreq_hz is None] == ["C3-A2", "C4-A1"]
    brought = [c.name for c in decoded.channels if c.sfreq_hz == 50.0]
    assert brought == ["Chest", "Abdo", "Leg L", "Leg R", "Flow", "Snore"]
    assert [x.name for x in decoded.left_out] == ["Body", "X"]


def test_overlapping_marks_count_once() -> None:
    """Two marks over the same samples leave them out once."""
    marks = [(100, 50, "BAD_ACQ_SKIP"), (100, 50, "BAD_ACQ_SKIP"), (120, 60, "bad blink"), (130, 5, "BAD_x")]
    events = [SourceEvent(start_sample=a, n_samples=n, text=t, role="gap") for a, n, t in marks]
    stretches, left_out = cut(whole(1000), events)
    assert sum(s.n_samples for s in stretches) + sum(x.n_samples or 0 for x in left_out) == 1000
    assert [(x.start_sample, x.n_samples) for x in left_out] == [(100, 50), (150, 30)]


def test_xdf_stream_breaks_at_a_lost_second(made, names, tmp_path: Path) -> None:
    """An XDF stream that lacks a second is broken there."""
    times = 1000 + EVEN + AFTER * 1.0
    decoded = read_xdf(made["xdf"](tmp_path / "a.xdf", [("amp", "EEG", names, made["eeg_uv"](6, 4000), times)]))
    assert [s.n_samples for s in decoded.stretches] == [1500, 2500]
    assert decoded.sfreq_hz == 200.0
    assert {c.unit for c in decoded.channels} == {"uV"}


def test_manifest_names_one_of_two_streams(made, names, tmp_path: Path) -> None:
    """Of two EEG streams the manifest names one."""
    streams = [(n, "EEG", names, made["eeg_uv"](6, 4000, seed=i), 1000 + EVEN) for i, n in enumerate("AB")]
    path = made["xdf"](tmp_path / "a.xdf", streams)
    with pytest.raises(InputError, match="2 EEG streams") as caught:
        decode_file(path, manifest_for_path(path))
    assert "source: variable:" in str(caught.value)
    manifest = made["manifest"](source={"files": ["{subject}.xdf"], "variable": "B"})
    np.testing.assert_allclose(np.asarray(decode_file(path, manifest).signal), streams[1][3], atol=1e-4)


def test_cut_xdf_file_says_so(made, names, tmp_path: Path) -> None:
    """An XDF file that ends inside a chunk says so."""
    path = made["xdf"](tmp_path / "a.xdf", [("amp", "EEG", names, made["eeg_uv"](6, 4000), 1000 + EVEN)], cut=100)
    decoded = read_xdf(path)
    assert decoded.signal.shape == (6, 3000)
    assert any("the last part of" in n for n in decoded.notes)
    (tmp_path / "b.xdf").write_bytes(gzip.compress(path.read_bytes()))
    assert decode_file(tmp_path / "b.xdf", manifest_for_path(path)).signal.shape == (6, 3000)


def fieldtrip(path: Path, trial: np.ndarray, labels, **fields: object) -> Path:
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = trial
    data = {"trial": cell, "label": np.array(labels, dtype=object).reshape(-1, 1), "fsample": 200.0}
    scipy.io.savemat(path, {"data": {**data, **fields}})
    return path


def test_fieldtrip_time_wins_over_fsample(made, names, tmp_path: Path) -> None:
    """FieldTrip's time goes before a stale fsample."""
    times = np.empty((1, 1), dtype=object)
    times[0, 0] = EVEN[None, :1600]
    path = fieldtrip(tmp_path / "a.mat", made["eeg_uv"](6, 1600), names, time=times, fsample=512.0)
    decoded = decode_file(path, manifest_for_path(path))
    assert decoded.sfreq_hz == pytest.approx(200.0)
    assert any("`fsample` 512 Hz" in n for n in decoded.notes)


def test_fieldtrip_labels_must_fit_trials(made, names, tmp_path: Path) -> None:
    """FieldTrip trials with another number of rows than labels are refused."""
    path = fieldtrip(tmp_path / "a.mat", made["eeg_uv"](6, 1600), names[:4])
    with pytest.raises(InputError, match="do not match `label`"):
        decode_file(path, manifest_for_path(path))


def test_a_cell_array_of_matrices_is_trials(made, names, tmp_path: Path) -> None:
    cell = np.empty((1, 2), dtype=object)
    cell[0, 0], cell[0, 1] = made["eeg_uv"](6, 500), made["eeg_uv"](6, 700)
    scipy.io.savemat(tmp_path / "p.mat", {"x": cell})
    source = {"kind": "matlab", "files": ["{subject}.mat"], "sfreq_hz": 200, "unit": "uV", "channels": list(names)}
    manifest = made["manifest"](source={**source, "orientation": "row_per_channel"})
    decoded = decode_file(tmp_path / "p.mat", manifest)
    assert [s.n_samples for s in decoded.stretches] == [500, 700]


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("{:%Y-%m-%d %H:%M:%S.%f}", "2021-03-04T10:00:00"),
        ("{:%Y-%m-%dT%H:%M:%S.%f}", "2021-03-04T10:00:00"),
        ("{:%H:%M:%S.%f}", "2021-03-04T10:00:00"),
        ("{:%H:%M:%S.%f}", "2021-03-04T23:59:58"),
        ("{:%H:%M:%S,%f}", "2021-03-04T10:00:00"),
    ],
)
def test_clock_times_show_a_pause(made, names, tmp_path: Path, form: str, begins: str) -> None:
    """A column of dates or times of day is a time column: a pause breaks the recording, midnight does not."""
    signal = made["eeg_uv"](6, 2000)
    seconds = np.arange(2000) / 200 + 3.0 * (np.arange(2000) >= 1200)
    clock = [datetime.fromisoformat(begins) + timedelta(seconds=float(s)) for s in seconds]
    lines = [";".join([form.format(t), *(f"{v:.3f}" for v in row)]) for t, row in zip(clock, signal.T, strict=True)]
    (tmp_path / "a.csv").write_text(";".join(["when", *names]) + "\n" + "\n".join(lines) + "\n")
    source = {"kind": "table", "files": ["{subject}.csv"], "sfreq_hz": 200, "unit": "uV", "channels": list(names)}
    opened = open_source(made["manifest"](source=source | {"time_column": "when"}), tmp_path)
    assert [s.start_sample for s in opened.read(opened.plan()[0]).stretches] == [0, 1200]
