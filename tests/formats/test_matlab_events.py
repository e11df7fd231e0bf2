"""Events in MATLAB files and arrays: lists of samples, one list per trial, and trigger channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from pydantic import ValidationError
from support.recordings import eeg_uv, make_manifest

from eegprep.errors import EEGPTError, InputError, UsageError
from eegprep.sources import open_source

NAMES = ["C3", "Cz", "C4"]
AT, CODES = np.array([101.0, 301.0, 701.0]), np.array([1.0, 2.0, 1.0])
EVENTS = {"position": "pos", "text": "code"}
FOUND = [(100, "1"), (300, "2"), (700, "1")]


def read(folder: Path, content: dict[str, Any], **source: Any):
    scipy.io.savemat(folder / "s1.mat", content)
    return opened(folder, kind="matlab", files=["{subject}.mat"], **source)


def opened(folder: Path, values: dict[str, Any] | None = None, **source: Any):
    rule = {"by": "event", "labels": {"1": "a", "2": "b"}, "length_s": 0.1}
    task = {"name": "t", "classes": ["a", "b"], "trials": rule}
    base = {"sfreq_hz": 200, "unit": "uV", "channels": NAMES, "orientation": "row_per_channel"}
    fields = {} if values is None else {"trial_values": values}
    found = open_source(make_manifest(source={**base, **source}, tasks=[task], **fields), folder)
    return found.read(found.plan()[0])


def events(recording) -> list[tuple[int, str]]:
    return [(e.start_sample, e.text) for e in recording.events]


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (3,)])
@pytest.mark.parametrize("kind", ["f8", "u4", "i2"])
def test_positions_of_any_shape(tmp_path: Path, shape: tuple[int, ...], kind: str) -> None:
    content = {"x": eeg_uv(3, 2000), "pos": AT.astype(kind).reshape(shape), "code": CODES.astype(kind)}
    assert events(read(tmp_path, content, variable="x", event_variables=EVENTS)) == FOUND


def test_positions_of_version_7_3(tmp_path: Path) -> None:
    """MATLAB's HDF5 files have their dimensions the other way round."""
    with h5py.File(tmp_path / "s1.mat", "w", userblock_size=512) as file:
        for name, value in {"x": eeg_uv(3, 2000), "pos": AT[None], "code": CODES[:, None]}.items():
            file[name] = value.T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    data = (tmp_path / "s1.mat").read_bytes()
    (tmp_path / "s1.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + data[128:])
    found = opened(tmp_path, kind="matlab", files=["{subject}.mat"], variable="x", event_variables=EVENTS)
    assert events(found) == FOUND


def test_halves_are_rounded_upwards(tmp_path: Path) -> None:
    """Also after an even number: latencies of a resampled recording."""
    content = {"x": eeg_uv(3, 2000), "pos": np.array([100.5, 301.5, 702.5]), "code": CODES}
    found = events(read(tmp_path, content, variable="x", event_variables=EVENTS))
    assert [at for at, _ in found] == [100, 301, 702]


def runs(n: int = 2) -> np.ndarray:
    cells = np.empty(n, dtype=object)
    cells[:] = [{"X": eeg_uv(3, 2000 + k, seed=k), "trial": AT + 10 * k, "y": CODES[: 3 - k]} for k in range(n)]
    cells[-1]["trial"] = cells[-1]["trial"][: cells[-1]["y"].size]
    return cells


def as_structs(cells: np.ndarray) -> np.ndarray:
    """A struct array instead of a cell array of structs."""
    structs = np.zeros((1, cells.size), dtype=[(name, object) for name in cells[0]])
    for k, cell in enumerate(cells):
        for name, value in cell.items():
            structs[0, k][name] = value
    return structs


@pytest.mark.parametrize("data", [runs(), as_structs(runs())], ids=["cells", "structs"])
def test_each_run_of_a_file_has_its_own_events(tmp_path: Path, data: np.ndarray) -> None:
    """The cells of BNCI's files; only those of the first cell were read."""
    where = {"position": "data.{trial}.trial", "text": "data.{trial}.y"}
    found = read(tmp_path, {"data": data}, variable="data.{trial}.X", event_variables=where)
    assert [(s.start_sample, s.stop_sample) for s in found.stretches] == [(0, 2000), (2000, 4001)]
    assert events(found) == [*FOUND, (2110, "1"), (2310, "2")]


@pytest.mark.parametrize("data", [runs(), as_structs(runs())], ids=["cells", "structs"])
def test_each_run_of_a_file_has_its_own_value(tmp_path: Path, data: np.ndarray) -> None:
    """`{trial}` in `trial_values: variables`; only that of the first was read."""
    for column, expected in ((1, ["1", "1"]), (2, ["2", "2"])):
        values = {"variables": {"what": {"variable": "data.{trial}.y", "column": column}}}
        found = read(tmp_path, {"data": data}, variable="data.{trial}.X", values=values)
        assert [found.trial_values[number]["what"] for number in "12"] == expected
    values = {"variables": {"what": {"variable": "data.{trial}.y"}}}
    with pytest.raises(InputError, match="3 values of trial 1"):
        read(tmp_path, {"data": data}, variable="data.{trial}.X", values=values)


@pytest.mark.parametrize(
    ("variable", "where"),
    [
        ("data.{trial}.X", {"position": "data.1.trial", "text": "data.1.y"}),
        ("data.{trial}.X", {"position": "data.{trial}.trial", "text": "data.1.y"}),
        ("data.1.X", {"position": "data.{trial}.trial", "text": "data.{trial}.y"}),
    ],
)
def test_events_of_one_run_are_not_those_of_all(tmp_path: Path, variable: str, where: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="in which trial"):
        read(tmp_path, {"data": runs()}, variable=variable, event_variables=where)


@pytest.mark.parametrize(
    ("position", "words"),
    [
        (AT / 200, "as if they were seconds"),
        (np.array([2.0, 5.0, 9.0]), "as if they were seconds"),
        (np.array([101.0, np.nan, 301.0]), "not numbers"),
        (np.array([101.0, 301.0, 2001.0]), "samples 100 to 2000"),
        (np.array([0.0, 301.0, 401.0]), "samples -1 to 400"),
    ],
)
def test_what_is_no_sample_number_is_refused(tmp_path: Path, position: np.ndarray, words: str) -> None:
    content = {"x": eeg_uv(3, 2000), "pos": position, "code": CODES}
    with pytest.raises(InputError, match=words):
        read(tmp_path, content, variable="x", event_variables=EVENTS)


def test_a_trigger_channel_is_no_list_of_samples(tmp_path: Path) -> None:
    channel = np.zeros(2000)
    channel[[100, 300, 700]] = [1, 2, 1]
    content = {"x": eeg_uv(3, 2000), "trigger": channel}
    with pytest.raises(InputError, match="one value for each sample"):
        read(tmp_path, content, variable="x", event_variables={"position": "trigger", "text": "trigger", "first": 0})
    assert events(read(tmp_path, content, variable="x", event_column="trigger")) == FOUND
    with pytest.raises(InputError, match="no variable nowhere"):
        read(tmp_path, content, variable="x", event_column="nowhere")


@pytest.mark.parametrize("kind", ["matlab", "npy", "npz"])
def test_a_trigger_channel_among_the_samples(tmp_path: Path, kind: str) -> None:
    channel = np.zeros(2000)
    channel[[100, 300, 700]] = [1, 2, 1]
    x = np.vstack([eeg_uv(3, 2000), channel])
    described = {"channels": [*NAMES, "TRIG"], "event_column": "TRIG"}
    if kind == "matlab":
        found = read(tmp_path, {"x": x}, variable="x", **described)
    else:
        np.save(tmp_path / "s1.npy", x) if kind == "npy" else np.savez(tmp_path / "s1.npz", x=x)
        found = opened(tmp_path, kind="numpy", files=["{subject}." + kind], **described)
    assert events(found) == FOUND
    assert [c.kind for c in found.channels] == ["unknown"] * 3 + ["stim"]


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_labels_that_are_missing_are_refused(tmp_path: Path, kind: str) -> None:
    """An `event_column` that a file lacks was ignored, and with it the trials of that file."""
    x = eeg_uv(3, 2000)
    np.save(tmp_path / "s1.npy", x) if kind == "npy" else np.savez(tmp_path / "s1.npz", x=x)
    with pytest.raises(EEGPTError, match="y"):
        opened(tmp_path, kind="numpy", files=["{subject}." + kind], event_column="y", variable="x")


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "matlab", "files": ["{subject}.mat"], "time_column": "t"},
        {"kind": "numpy", "files": ["{subject}.npy"], "time_column": "t"},
        {"kind": "files", "files": ["{subject}.edf"], "event_column": "t"},
        {"kind": "table", "files": ["{subject}.csv"], "time_column": "t", "orientation": "row_per_channel"},
        {"kind": "table", "files": ["{subject}.csv"], "event_column": "t", "orientation": "row_per_channel"},
        {"kind": "table", "files": ["{subject}_{channel}.csv"], "time_column": "t"},
    ],
)
def test_a_column_that_would_not_be_read_is_refused(source: dict[str, Any]) -> None:
    """A time column that is ignored hides the pauses of a recording."""
    with pytest.raises(ValidationError, match="require"):
        make_manifest(source=source)
