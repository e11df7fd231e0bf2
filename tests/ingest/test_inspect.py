"""`eegprep inspect`: every file, channel and second is accounted for, and nothing is written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.commands import run_command


def inspect(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`eegprep inspect` without workers; `test_tables_fit_the_terminal` has one."""
    return run_command("eegprep", "inspect", "--workers", 0, *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def lab(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good files, a copy under another subject, a damaged one, and a read-me."""
    folder = tmp_path_factory.mktemp("inspect") / "lab"
    for subject in ("a", "b"):
        (folder / subject).mkdir(parents=True)
    signal = made["eeg_uv"](6, 4000)
    signal[3, 1000:1400] = signal[3, 1000]
    names = ("EEG Fp1", "Fp2", "T3", "C4", "ECG", "strange")
    made["edf"](folder / "a" / "1.edf", signal, names=names)
    made["edf"](folder / "a" / "2.edf", made["eeg_uv"](6, 4000, seed=3), names=names)
    (folder / "b" / "1.edf").write_bytes((folder / "a" / "1.edf").read_bytes())
    (folder / "b" / "cut.edf").write_bytes((folder / "a" / "1.edf").read_bytes()[:9000])
    (folder / "README").write_text("read me")
    return folder


def test_json_accounts_for_everything(lab: Path) -> None:
    """JSON accounts for every file, channel and second."""
    before = sorted(lab.rglob("*"))
    result = inspect(lab, "--json")
    assert result.returncode == 1, result.stderr
    told = json.loads(result.stdout)
    assert sorted(lab.rglob("*")) == before
    by_file = {r["file"]: r for r in told["recordings"]}
    assert sorted(by_file) == ["a/1.edf", "a/2.edf", "b/1.edf", "b/cut.edf"]
    assert "truncated" in by_file["b/cut.edf"]["error"]["what"]
    assert [(s["path"], s["code"]) for s in told["skipped"]] == [("README", "foreign")]
    assert told["files"] == {"recording": 3, "sidecar": 0, "refused": 1, "no_recording": 0, "foreign": 1}
    channels = {c["name"]: c for c in by_file["a/1.edf"]["channels"]}
    assert {n: c["electrode"] for n, c in channels.items()} == {
        "EEG Fp1": "Fp1", "Fp2": "Fp2", "T3": "T7", "C4": "C4", "ECG": None, "strange": None,
    }  # fmt: skip
    assert (channels["ECG"]["code"], channels["strange"]["code"]) == ("ecg", "unknown_name")
    assert channels["C4"]["flat_s"] == pytest.approx(2.0)
    for channel in channels.values():
        assert channel["hours_kept"] + channel["hours_left_out"] == pytest.approx(20 / 3600)
    assert channels["C4"]["hours_left_out"] == pytest.approx(2 / 3600)
    assert "typical for EEG" in by_file["a/1.edf"]["units_evidence"]
    duplicates = {by_file[f]["duplicate_of"] for f in ("a/1.edf", "b/1.edf")}
    assert len(duplicates) == 2
    assert "" in duplicates
    assert told["totals"]["refused"] == told["totals"]["duplicates"] == 1


def test_good_file_exits_0_with_reasons(lab: Path) -> None:
    """The table shows reasons, and the exit code is 0 for a good file."""
    result = inspect(lab / "a" / "1.edf")
    assert result.returncode == 0, result.stderr
    for word in (
        "T7",
        "ECG",
        "T3 is an alias of T7",
        "4 of 6",
        "2.0 s",
        "1 recordings (0 refused, 0 of them without an electrode, 0 duplicates); to be stored: 1",
    ):
        assert word in result.stdout
    assert result.stderr == ""


def test_tree_is_summed_up_by_channel(lab: Path) -> None:
    """A tree is summed up by channel, and `--channels` shows all."""
    assert inspect(lab).stdout.count("channels of a/") == 0
    assert inspect(lab, "--channels").stdout.count("channels of a/") == 2


def test_missing_or_empty_path_is_reported(tmp_path: Path) -> None:
    """A missing path and an empty folder say so."""
    missing = inspect(tmp_path / "nowhere")
    assert (missing.returncode, "Traceback" in missing.stderr) == (2, False)
    empty = inspect(tmp_path)
    assert empty.returncode == 1
    assert "contains no recordings" in empty.stdout


def test_manifest_rules_hold_in_inspect(made, tmp_path: Path) -> None:
    """A manifest beside its files is inspected with its rules."""
    made["edf"](tmp_path / "s1.edf", made["eeg_uv"](6, 2000), unit="")
    manifest = made["manifest"](
        source={"files": ["{subject}.edf"], "unit": "uV"}, channels={"C3": {"leave_out": "a broken lead"}}
    )
    from eegprep.manifest import dump_manifest

    (tmp_path / "made.yaml").write_text(dump_manifest(manifest))
    told = json.loads(inspect(tmp_path / "made.yaml", "--json").stdout)
    (recording,) = told["recordings"]
    assert recording["key"] == "s1/-/-"
    channels = {c["name"]: c for c in recording["channels"]}
    assert "a broken lead" in channels["C3"]["reason"]
    assert channels["C4"]["electrode"] == "C4"
    assert "the manifest states uV" in recording["units_evidence"]


def test_file_without_unit_keeps_no_channel(made, tmp_path: Path) -> None:
    """A file without a unit keeps no channel and says why."""
    generator = np.random.default_rng(0)
    made["edf"](tmp_path / "s1.edf", generator.standard_normal((6, 2000)), unit="")
    result = inspect(tmp_path, "--json")
    assert result.returncode == 1
    told = json.loads(result.stdout)
    (recording,) = told["recordings"]
    assert {c["code"] for c in recording["channels"]} == {"no_unit"}
    assert (recording["usable"], told["totals"]["without_electrode"]) == (False, 1)


def test_catalogue_set_is_found_in_data_dir(data_dir: Path, monkeypatch, tmp_path) -> None:
    """A data set of the catalogue is found under `EEGPT_DATA`."""
    monkeypatch.setenv("EEGPT_DATA", str(data_dir))
    result = inspect("eegmmidb", "--partial", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    totals = json.loads(result.stdout)["totals"]
    n_files = len([*(data_dir / "eegmmidb").glob("*.edf")])
    assert (totals["recordings"], totals["channels_kept"], totals["duplicates"]) == (n_files, 64 * n_files, 0)


def test_part_of_a_set_is_refused_as_a_whole(data_dir: Path) -> None:
    """A part of a data set is refused as a whole, as by ingest."""
    result = inspect("eegmmidb", "--source", data_dir / "eegmmidb")
    assert result.returncode == 1
    assert "data set refused: the number of subjects in the folder does not match" in result.stdout
    n_channels = 64 * len([*(data_dir / "eegmmidb").glob("*.edf")])
    assert f"{n_channels} of {n_channels} channels" in result.stdout


def test_files_with_equal_notes_get_one_line(made, tmp_path: Path) -> None:
    """Many files with the same note get one line with the range of its numbers."""
    for k in range(5):
        made["edf"](tmp_path / f"s{k}.edf", made["eeg_uv"](6, 4000, seed=k))
    out = inspect(tmp_path).stdout
    (line,) = [x for x in out.splitlines() if x.startswith("unit: ")]
    assert "and 4 more" in line
    assert " to " in line
    assert "typical for EEG" in line


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_the_terminal(made, tmp_path: Path, columns: int) -> None:
    """In a terminal no line of a table is wider than the window, and no number is cut."""
    import pty

    made["edf"](tmp_path / "recording-of-a-long-name-with-many-words.edf", made["eeg_uv"](6, 4000))
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "_eegpt_cli.prep", "inspect", str(tmp_path)],
        stdout=follower,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": str(columns), "TERM": "xterm"},
    )
    os.close(follower)
    told = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:
            break
        if not piece:
            break
        told += piece
    os.close(leader)
    assert process.wait(timeout=60) == 0
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", told.decode()).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("channels of"))
    table = lines[: first + 8]
    assert max(map(len, table)) <= columns
    assert "…" not in told.decode()
    assert sum("0.33" in line for line in table) >= 7
