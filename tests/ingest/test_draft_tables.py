"""Tables with a header line and arrays: what would read them is shown, and drafted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import yaml

from eegprep.api import draft_manifest
from eegprep.errors import InputError, UsageError
from eegprep.formats.decode import decode_file
from eegprep.formats.tables.suggest import suggest
from eegprep.ingest import inspect
from eegprep.ingest.draft import draft_described
from eegprep.manifest.load import load_manifests
from eegprep.manifest.schema import Manifest
from eegprep.sources import manifest_for_path, open_source

NAMES = ["Fp1", "Cz", "O1", "O2"]


def signal(n: int = 2048, seed: int = 0) -> np.ndarray:
    values = np.cumsum(np.random.default_rng(seed).normal(size=(4, n)), axis=1)
    return values - np.convolve(np.ones(64) / 64, values[0], "same")


def csv(
    path: Path, *, time: str = "time", step: float = 1 / 128, names=NAMES, event: str = "marker", sep: str = ","
) -> Path:
    rows = [sep.join([*([time] if time else []), *names, *([event] if event else [])])]
    for i, values in enumerate(signal().T):
        fields = [f"{v:.3f}" for v in values]
        rows.append(
            sep.join([*([f"{i * step:.6f}"] if time else []), *fields, *(["3" if i == 500 else ""] if event else [])])
        )
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("time", "step", "rate"),
    [("time", 1 / 128, 128), ("Timestamp", 1 / 250, 250), ("time (ms)", 4, 250), ("t", 1953.125, 512), ("ms", 2, 500)],
)
def test_a_time_column_gives_the_rate(tmp_path: Path, time: str, step: float, rate: float) -> None:
    found = suggest(csv(tmp_path / "a.csv", time=time, step=step))
    assert found is not None
    assert (found.kind, found.sfreq_hz, found.time_column) == ("table", rate, time)
    assert (found.channels, found.event_column) == (tuple(NAMES), "marker")


@pytest.mark.parametrize("sep", [",", ";", "\t"])
def test_electrodes_alone_are_enough(tmp_path: Path, sep: str) -> None:
    found = suggest(csv(tmp_path / "a.csv", time="", event="", sep=sep))
    assert found is not None
    assert (found.channels, found.sfreq_hz, found.time_column) == (tuple(NAMES), None, "")


def test_damaged_files_suggest_nothing(tmp_path: Path) -> None:
    """Cut, empty, packed or of objects: planning goes on."""
    np.savez_compressed(tmp_path / "a.npz", X=signal())
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01\x00")
    (tmp_path / "b.csv.gz").write_bytes(b"\x1f\x8b\x08\x00" + b"x" * 60)
    (tmp_path / "empty.csv").write_bytes(b"")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object))
    (tmp_path / "a.npz").unlink()
    assert {suggest(path) for path in tmp_path.iterdir()} == {None}


def test_a_list_of_subjects_is_no_signal(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,age,score\n" + "".join(f"{i},{20 + i},{i / 3}\n" for i in range(90)))
    (tmp_path / "notes.txt").write_text("time passed, and nothing was recorded\n" * 50)
    (tmp_path / "bytes.txt").write_bytes(bytes(range(256)) * 40)
    assert [suggest(path) for path in sorted(tmp_path.iterdir())] == [None, None, None]


def test_arrays_show_shape_and_fields(tmp_path: Path) -> None:
    """Trials x channels x samples; of two dimensions the shorter one is the channels."""
    np.save(tmp_path / "three.npy", signal().reshape(4, 4, 512))
    np.save(tmp_path / "two.npy", signal().T)
    np.savez(tmp_path / "z.npz", X=signal().reshape(4, 4, 512), y=np.arange(4), fs=256, ch_names=np.array(NAMES))
    three, two, z = (suggest(path) for path in sorted(tmp_path.iterdir()))
    assert three is not None
    assert two is not None
    assert z is not None
    assert (three.n_channels, three.orientation) == (4, "row_per_channel")
    assert (two.n_channels, two.orientation) == (4, "row_per_sample")
    assert (z.variable, z.event_column, z.sfreq_hz, z.channels) == ("X", "y", 256.0, tuple(NAMES))


def test_a_matrix_of_matlab_shows_its_shape(tmp_path: Path) -> None:
    """One matrix, or the largest with its name; of three dimensions nothing is said."""
    scipy.io.savemat(tmp_path / "a.mat", {"v1p": signal().T})
    scipy.io.savemat(tmp_path / "b.mat", {"x": signal(), "fs": 256.0})
    scipy.io.savemat(tmp_path / "c.mat", {"x": signal().reshape(4, 512, 4)})
    one, named, three = (suggest(path) for path in sorted(tmp_path.iterdir()))
    assert one is not None
    assert named is not None
    assert (one.kind, one.orientation, one.n_channels, one.variable) == ("matlab", "row_per_sample", 4, "")
    assert (named.orientation, named.variable) == ("row_per_channel", "x")
    assert three is None
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    assert source.plan() == []
    assert sum("kind: matlab" in s.reason for s in source.entries()) == 2


@pytest.mark.parametrize("kind", ["csv", "npy"])
def test_the_message_shows_the_lines(tmp_path: Path, kind: str) -> None:
    """By itself and in a tree; what it shows is YAML that reads the file once the questions are answered."""
    path = tmp_path / f"s1.{kind}"
    if kind == "csv":
        csv(path)
    else:
        np.save(path, signal())
    with pytest.raises(InputError, match="a manifest must describe") as caught:
        decode_file(path, manifest_for_path(path))
    shown = (
        (caught.value.expected or "").replace("[? the names of 4]", str(NAMES)).replace("sfreq_hz: ?", "sfreq_hz: 128")
    )
    fields = yaml.safe_load(shown.replace("unit: ?", "unit: uV"))["source"]
    manifest = Manifest.model_validate({**manifest_for_path(tmp_path).model_dump(exclude_unset=True), "source": fields})
    np.testing.assert_allclose(np.asarray(decode_file(path, manifest).signal), signal(), atol=1e-3)
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    assert source.plan() == []
    assert [(s.code, f"kind: {fields['kind']}" in s.reason) for s in source.entries()] == [("needs_manifest", True)]


def test_a_draft_of_tables_reads_them(tmp_path: Path) -> None:
    """With the questions answered, the drafted manifest finds both recordings and the event."""
    for i in (1, 2):
        csv(tmp_path / f"p{i}.csv")
    found = inspect(manifest_for_path(tmp_path), tmp_path, workers=0)
    text = draft_described(found.entries, tmp_path, "ours")
    assert text is not None
    lines = []
    for line in text.splitlines():
        asked = line.startswith("#?   unit")
        lines.append(line[3:] if asked else line)
    path = tmp_path / "ours.yaml"
    path.write_text("\n".join(lines) + "\n")
    (manifest,) = load_manifests(path)
    assert (manifest.source.kind, manifest.source.sfreq_hz, manifest.source.time_column) == ("table", 128.0, "time")
    source = open_source(manifest, tmp_path)
    assert [p.files for p in source.plan()] == [("p1.csv",), ("p2.csv",)]
    decoded = decode_file(tmp_path / "p1.csv", manifest)
    assert [(e.start_sample, e.text) for e in decoded.events] == [(500, "3")]


def test_three_dimensions_are_trials_first(tmp_path: Path) -> None:
    """Without `orientation:` the second dimension is the channels; written out, the last one may be."""
    trials = signal().reshape(4, 4, 512).transpose(1, 0, 2)  # (trials, channels, samples)
    np.save(tmp_path / "a.npy", trials)
    np.save(tmp_path / "b.npy", trials.swapaxes(1, 2))
    np.save(tmp_path / "square.npy", trials[:, :, :4])
    base = manifest_for_path(tmp_path).model_dump(exclude_unset=True)

    def read(name: str, **more: str) -> np.ndarray:
        fields = {"kind": "numpy", "files": ["{subject}.npy"], "sfreq_hz": 128, "channels": NAMES, **more}
        manifest = Manifest.model_validate({**base, "source": fields})
        manifest = Manifest.model_validate_json(manifest.model_dump_json())  # as workers get it
        return np.asarray(decode_file(tmp_path / name, manifest).signal)

    expected = trials.transpose(1, 0, 2).reshape(4, -1)
    np.testing.assert_array_equal(read("a.npy"), expected)
    np.testing.assert_array_equal(read("b.npy"), expected)
    np.testing.assert_array_equal(read("b.npy", orientation="row_per_sample"), expected)
    np.testing.assert_array_equal(read("square.npy"), trials[:, :, :4].transpose(1, 0, 2).reshape(4, -1))


def test_an_error_names_electrodes_alone(tmp_path: Path) -> None:
    """Errors are stored: names of columns that are no electrodes may be anything."""
    path = csv(tmp_path / "a.csv", names=["CANARYJohn", "CANARYDoe", "x", "y"])
    with pytest.raises(InputError) as caught:
        decode_file(path, manifest_for_path(path))
    assert "CANARY" not in str(caught.value)
    assert "the names of 4" in str(caught.value)


@pytest.mark.parametrize("name", ["A B", "", "a/b", "é", "x" * 64])
def test_name_that_no_data_set_can_have_is_refused(tmp_path, name):
    (tmp_path / "rec").mkdir()
    csv(tmp_path / "rec" / "a.csv")
    with pytest.raises(UsageError, match="invalid name of a data set"):
        draft_manifest(tmp_path / "rec", name=name, out=tmp_path / "m.yaml")
    assert not (tmp_path / "m.yaml").exists()
