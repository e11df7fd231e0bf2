"""Arrays of three dimensions whose axes are in another order than the manifest says."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from eegprep.errors import InputError
from eegprep.sources import open_source

RATE, N_TRIALS, N_SAMPLES = 200, 60, 300


def trials(made, *, line_uv: float = 0.0, offset_uv: float = 0.0) -> np.ndarray:
    """(trials, channels, samples): consecutive parts of one recording with drift."""
    n = N_TRIALS * N_SAMPLES
    signal = made["eeg_uv"](6, n) + offset_uv + 30 * np.sin(2 * np.pi * np.arange(n) / (20 * RATE))
    signal = signal + line_uv * np.sin(2 * np.pi * 50 * np.arange(n) / RATE)
    return signal.reshape(6, N_TRIALS, N_SAMPLES).swapaxes(0, 1)


def read(made, names, path: Path, **more: str) -> np.ndarray:
    kind = "matlab" if path.suffix == ".mat" else "numpy"
    source = {"kind": kind, "files": ["{subject}" + path.suffix], "sfreq_hz": RATE, "unit": "uV", **more}
    opened = open_source(made["manifest"](source=source | {"channels": list(names)}), path.parent)
    return np.asarray(opened.read(opened.plan()[0]).signal)


def save(path: Path, array: np.ndarray) -> Path:
    if path.suffix == ".mat":
        scipy.io.savemat(path, {"X": array})
    else:
        np.save(path, array)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".mat"])
@pytest.mark.parametrize("offset_uv", [0.0, 4000.0])
def test_samples_along_the_first_axis_are_refused(made, names, tmp_path: Path, suffix: str, offset_uv: float) -> None:
    """Samples x channels x trials is not read as one trial for each sample."""
    path = save(tmp_path / f"a{suffix}", trials(made, offset_uv=offset_uv).transpose(2, 1, 0))
    with pytest.raises(InputError, match="seem to be in another order"):
        read(made, names, path)


def test_a_wrong_orientation_is_refused(made, names, tmp_path: Path) -> None:
    """`row_per_sample` for samples x trials x channels is refused, too."""
    path = save(tmp_path / "a.npy", trials(made).transpose(2, 0, 1))
    with pytest.raises(InputError, match="axes of the array"):
        read(made, names, path, orientation="row_per_sample")


@pytest.mark.parametrize(("line_uv", "offset_uv"), list(itertools.product([0.0, 200.0], [0.0, 4000.0])))
def test_trials_along_the_first_axis_are_read(made, names, tmp_path: Path, line_uv: float, offset_uv: float) -> None:
    """Trials of one recording are read, also if line noise repeats itself from trial to trial."""
    array = trials(made, line_uv=line_uv, offset_uv=offset_uv)
    expected = array.swapaxes(0, 1).reshape(6, -1)
    np.testing.assert_allclose(read(made, names, save(tmp_path / "a.npy", array)), expected)


def test_overlapping_trials_are_read(made, names, tmp_path: Path) -> None:
    """Windows that overlap by all but one sample are read."""
    signal = made["eeg_uv"](6, 1000)
    array = np.stack([signal[:, k : k + N_SAMPLES] for k in range(64)])
    assert read(made, names, save(tmp_path / "a.npy", array)).shape == (6, 64 * N_SAMPLES)


def test_nanoseconds_are_times(made, names, tmp_path: Path) -> None:
    """A time column of whole nanoseconds since 1970 has more digits than a float and is read."""
    signal = made["eeg_uv"](6, 2000)
    times = 1_600_000_000_123_456_789 + np.arange(2000) * 5_000_000 + 3_000_000_000 * (np.arange(2000) >= 1000)
    lines = [",".join([str(t), *(f"{v:.3f}" for v in row)]) for t, row in zip(times, signal.T, strict=True)]
    (tmp_path / "a.csv").write_text("time," + ",".join(names) + "\n" + "\n".join(lines) + "\n")
    source = {"kind": "table", "files": ["{subject}.csv"], "sfreq_hz": RATE, "unit": "uV", "channels": list(names)}
    opened = open_source(made["manifest"](source=source | {"time_column": "time"}), tmp_path)
    assert [s.start_sample for s in opened.read(opened.plan()[0]).stretches] == [0, 1000]


@pytest.mark.parametrize("kind", [np.int64, np.float64, np.str_])
def test_a_label_of_every_sample_gives_events(made, names, tmp_path: Path, kind: type) -> None:
    """An array of labels as long as the recording is read as an event column; one of another length is refused."""
    codes = np.zeros(2000, dtype=int)
    codes[400], codes[800:1300] = 1, 2
    x = made["eeg_uv"](6, 2000).T
    source = {"kind": "numpy", "files": ["{subject}.npz"], "sfreq_hz": RATE, "unit": "uV", "channels": list(names)}
    rule = {"by": "event", "labels": {"1": "a", "2": "b"}, "length_s": 1}
    task = {"name": "t", "classes": ["a", "b"], "trials": rule}
    manifest = made["manifest"](source=source | {"variable": "x", "event_column": "y"}, tasks=[task])
    np.savez(tmp_path / "p.npz", x=x, y=codes.astype(kind))
    opened = open_source(manifest, tmp_path)
    events = opened.read(opened.plan()[0]).events
    assert [(e.start_sample, e.n_samples, e.text) for e in events] == [(400, 0, "1"), (800, 500, "2")]
    np.savez(tmp_path / "p.npz", x=x, y=codes[:1500].astype(kind))
    with pytest.raises(InputError, match="1500 labels for 2000 samples"):
        opened.read(opened.plan()[0])
