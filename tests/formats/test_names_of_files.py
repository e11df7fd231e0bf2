"""A recording is read whatever its file is called, packed or not; and only files of its own folder are."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import mne
import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.formats import aliases
from eegprep.formats.decode import decode_file
from eegprep.sources import manifest_for_path, open_source


def raw_of(signal_uv: np.ndarray, names: tuple[str, ...]) -> mne.io.RawArray:
    info = mne.create_info(list(names), 200.0, "eeg")
    return mne.io.RawArray(signal_uv * 1e-6, info, verbose="ERROR")


def read(path: Path):
    return decode_file(path, manifest_for_path(path))


def write(kind: str, folder: Path, signal: np.ndarray, made, names) -> Path:
    if kind == "fif":
        raw_of(signal, names).save(folder / "a_raw.fif", verbose="ERROR")
        return folder / "a_raw.fif"
    if kind == "eeglab":
        made["eeglab"](folder / "a.set", names, signal, signal.shape[1])
        return folder / "a.set"
    if kind == "fdt":
        np.ascontiguousarray(signal.T).astype("<f4").tofile(folder / "a.fdt")
        made["eeglab"](folder / "a.set", names, "a.fdt", signal.shape[1])
        return folder / "a.set"
    if kind == "brainvision":
        return made["brainvision"](folder, "a", signal, names)
    if kind == "neuroscan":
        return made["neuroscan"](folder / "a.cnt", signal)
    return made["edf"](folder / "a.edf", signal)


@pytest.mark.parametrize("kind", ["fif", "eeglab", "fdt", "brainvision", "neuroscan", "edf"])
@pytest.mark.parametrize("name", ["upper", "none", "other"])
def test_reader_gets_the_suffix_it_needs(made, names, tmp_path: Path, kind: str, name: str) -> None:
    """A reader that insists on a suffix gets it."""
    path = write(kind, tmp_path, made["eeg_uv"](6, 1600), made, names)
    expected = np.asarray(read(path).signal)
    renamed = {
        "upper": path.with_suffix(path.suffix.upper()),
        "none": path.with_suffix(""),
        "other": tmp_path / "a.bin",
    }
    path.rename(renamed[name])
    decoded = read(renamed[name])
    np.testing.assert_array_equal(np.asarray(decoded.signal), expected)
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    assert [p.files[0] for p in source.plan()] == [renamed[name].name]


@pytest.mark.parametrize("kind", ["fif", "eeglab", "neuroscan", "edf"])
def test_gzip_is_read_and_leaves_no_file(
    made, names, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording packed with gzip is read, and nothing of it stays on the disk."""
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    path = write(kind, tmp_path, made["eeg_uv"](6, 1600), made, names)
    expected = np.asarray(read(path).signal)
    packed = tmp_path / f"{path.name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    decoded = read(packed)
    np.testing.assert_array_equal(np.asarray(decoded.signal), expected)
    del decoded
    assert list(own.iterdir()) == []


def test_gzip_beyond_the_limit_is_refused(made, tmp_path: Path, monkeypatch) -> None:
    """A packed file that unpacks to more than the limit is refused."""
    plain = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 400))
    (tmp_path / "b.edf.gz").write_bytes(gzip.compress(plain.read_bytes()))
    monkeypatch.setattr(aliases, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(InputError, match="too large to decompress"):
        read(tmp_path / "b.edf.gz")


def test_cut_gzip_is_refused_by_its_own_name(made, tmp_path: Path) -> None:
    """A packed file that was cut is refused by its own name."""
    plain = made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 400))
    packed = gzip.compress(plain.read_bytes())
    (tmp_path / "b.edf.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"b\.edf\.gz cannot be decompressed"):
        read(tmp_path / "b.edf.gz")


def test_error_names_the_users_file(tmp_path: Path) -> None:
    """An error names the file as the user knows it."""
    (tmp_path / "run").write_bytes(b"GDF 2.20" + b"\x07" * 400)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "run")
    assert caught.value.what.startswith("run")
    assert caught.value.where == str(tmp_path / "run")


def test_eeglab_samples_stay_in_their_folder(made, names, tmp_path: Path) -> None:
    """An EEGLAB header cannot name samples in another folder."""
    folder = tmp_path / "lab"
    folder.mkdir()
    np.ascontiguousarray(made["eeg_uv"](6, 1600).T).astype("<f4").tofile(tmp_path / "secret.fdt")
    made["eeglab"](folder / "a.set", names, "../secret.fdt", 1600)
    with pytest.raises(InputError, match="names a file in another folder"):
        read(folder / "a.set")


@pytest.mark.parametrize("naming", ["neuromag", "bids"])
def test_later_fif_parts_are_no_recordings(made, names, tmp_path: Path, naming: str) -> None:
    """Later parts of a split FIF file are no recordings, even where the first is missing."""
    name = "p_raw.fif" if naming == "neuromag" else "sub-1_task-x_eeg.fif"
    long = raw_of(np.tile(made["eeg_uv"](6, 4000), (1, 40)), names)
    long.save(tmp_path / name, split_size="2MB", split_naming=naming, verbose="CRITICAL")
    files = sorted(p.name for p in tmp_path.iterdir())
    first = name if naming == "neuromag" else "sub-1_task-x_split-01_eeg.fif"
    (planned,) = open_source(manifest_for_path(tmp_path), tmp_path).plan()
    assert planned.files[0] == first
    assert sorted(planned.files) == files
    (tmp_path / first).unlink()
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    assert source.plan() == []
    assert {e.path: e.code for e in source.entries()} == dict.fromkeys(sorted({*files} - {first}), "part_missing")


def test_names_like_fif_parts_are_recordings(made, names, tmp_path: Path) -> None:
    """Recordings that are only numbered like parts of a FIF file are recordings."""
    for i, name in enumerate(("rec.fif", "rec-1.fif", "rec-2.fif")):
        raw_of(made["eeg_uv"](6, 800, seed=i), names).save(tmp_path / name, verbose="CRITICAL")
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    assert len(source.plan()) == 3
    assert {source.read(p).n_samples for p in source.plan()} == {800}
