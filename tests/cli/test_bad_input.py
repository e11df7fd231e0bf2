"""What a user gets wrong: one clear error, its exit code, no traceback and no half output."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import mne
import numpy as np
import pytest
from support.commands import run_command as run

ELECTRODES = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"]


def refused(result: subprocess.CompletedProcess[str], exit_code: int, *words: str) -> None:
    assert result.returncode == exit_code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stdout + result.stderr


def write_edf(path: Path, *, seed: int, seconds: int = 20) -> None:
    generator = np.random.default_rng(seed)
    signal_v = np.cumsum(generator.standard_normal((len(ELECTRODES), 200 * seconds)), axis=1)
    signal_v -= np.apply_along_axis(lambda row: np.convolve(row, np.ones(200) / 200, mode="same"), 1, signal_v)
    raw = mne.io.RawArray(signal_v * 5e-6, mne.create_info(ELECTRODES, 200.0, "eeg"), verbose="error")
    mne.export.export_raw(path, raw, physical_range=(-3000.0, 3000.0), verbose="error")


@pytest.fixture(scope="module")
def edf_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab") / "edf"
    folder.mkdir()
    for i in range(4):
        write_edf(folder / f"s{i:02d}.edf", seed=i)
    return folder


@pytest.fixture(scope="module")
def shard_set(edf_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shard-set")
    assert (made := run("eegprep", "ingest", edf_folder, "--out", folder / "store")).returncode == 0, made.stderr
    assert (made := run("eegprep", "shard", folder / "store", "--out", folder / "shards")).returncode == 0, made.stderr
    return folder / "shards"


def test_edf_folder_becomes_a_shard_set(shard_set: Path) -> None:
    """A folder of EDF files becomes a verified shard set."""
    result = run("eegprep", "verify", shard_set, "--deep")
    assert result.returncode == 0, result.stderr
    assert sorted(p.name for p in (shard_set / "shards").iterdir()) == sorted(ELECTRODES)


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    refused(run("eegprep", "ingest", tmp_path / "no.edf", "--out", tmp_path / "store"), 2, "no.edf", "to do:")
    assert not (tmp_path / "store").exists()


def test_unknown_dataset_names_the_nearest(tmp_path: Path) -> None:
    """An unknown data set is wrong usage, and the error names the nearest."""
    refused(run("eegprep", "ingest", "eegmatt", "--out", tmp_path / "store"), 2, "eegmatt", "eegmat")
    assert not (tmp_path / "store").exists()


def test_file_that_is_no_eeg_fails_alone(tmp_path: Path) -> None:
    """A file that is no EEG fails alone and leaves no recording."""
    (tmp_path / "notes.edf").write_text("this is no recording\n" * 100, encoding="utf-8")
    result = run("eegprep", "ingest", tmp_path / "notes.edf", "--out", tmp_path / "store")
    refused(result, 1, "notes.edf")
    assert not list((tmp_path / "store").glob("recordings/*"))


def test_a_broken_file_does_not_end_the_run(edf_folder: Path, tmp_path: Path) -> None:
    """One broken file does not end the run."""
    mixed = tmp_path / "mixed"
    shutil.copytree(edf_folder, mixed)
    (mixed / "s99.edf").write_bytes((edf_folder / "s00.edf").read_bytes()[:200])
    result = run("eegprep", "ingest", mixed, "--out", tmp_path / "store")
    refused(result, 1, "s99.edf")
    assert len(list((tmp_path / "store" / "recordings").glob("*.json"))) == 4
    assert len(list((tmp_path / "store" / "quarantine").glob("*.json"))) == 1


def damaged(shard_set: Path, tmp_path: Path) -> tuple[Path, Path]:
    copy = tmp_path / "damaged"
    shutil.copytree(shard_set, copy)
    return copy, sorted(copy.glob("shards/*/*.tar"))[0]


def test_truncated_shard_is_refused_by_name(shard_set: Path, tmp_path: Path) -> None:
    """A truncated shard is refused by name."""
    copy, shard = damaged(shard_set, tmp_path)
    shard.write_bytes(shard.read_bytes()[:-5000])
    refused(run("eegprep", "verify", copy), 3, shard.name)


def test_one_flipped_byte_is_refused_by_name(shard_set: Path, tmp_path: Path) -> None:
    copy, shard = damaged(shard_set, tmp_path)
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    refused(run("eegprep", "verify", copy, "--deep"), 3, shard.name)


def test_unfinished_shard_set_is_refused(shard_set: Path, tmp_path: Path) -> None:
    """A shard set that is not complete is refused."""
    copy, _ = damaged(shard_set, tmp_path)
    (copy / "SHA256SUMS").unlink()
    refused(run("eegprep", "verify", copy), 2, "SHA256SUMS", "again to resume")


def test_training_refuses_other_folders(tmp_path: Path) -> None:
    """Training refuses a folder that is not a shard set."""
    result = run("eegpt", "train", "--shards", tmp_path, "--out", tmp_path / "run", "--size", "base")
    assert result.returncode in (2, 3)
    refused(result, result.returncode, str(tmp_path))
    assert not (tmp_path / "run").exists()


def test_misspelt_manifest_key_has_its_line(tmp_path: Path) -> None:
    """A misspelt key of a manifest is named with its line."""
    manifest = tmp_path / "mine.yaml"
    manifest.write_text(
        "manifest: 1\nname: mine\nversion: 1.0.0\ntitle: Mine\ncitation: nobody\nlicense: {id: CC0-1.0}\n"
        "source: {kind: files, files: ['*.edf']}\n",
        encoding="utf-8",
    )
    refused(run("eegprep", "manifest", "validate", manifest), 2, "license", "licence", "mine.yaml")
    refused(run("eegprep", "ingest", manifest, "--source", tmp_path, "--out", tmp_path / "store"), 2, "license")
    assert not (tmp_path / "store").exists()


def test_errors_come_as_json_when_asked_for(tmp_path: Path) -> None:
    result = run("eegprep", "ingest", tmp_path / "no.edf", "--out", tmp_path / "store", "--json")
    assert result.returncode == 2
    error = json.loads(result.stdout)
    assert error["exit_code"] == 2
    assert "no.edf" in error["what"] + str(error["where"])


@pytest.mark.parametrize(("command", "words"), [("eegprep", ("ingset",)), ("eegpt", ("trian",))])
def test_a_misspelt_command_is_wrong_usage(command: str, words: tuple[str, ...]) -> None:
    refused(run(command, *words), 2, words[0])
