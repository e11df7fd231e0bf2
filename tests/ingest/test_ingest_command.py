"""`eegprep ingest` as typed: what it prints, how it ends, what it leaves."""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml

from eegprep.manifest import dump_manifest
from eegprep.manifest.schema import Manifest
from eegprep.store import Store

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`run(*arguments)` -> exit code, standard output, standard error; in an empty working folder."""
    errors = importlib.import_module("_eegpt_cli.errors")
    command = importlib.import_module("_eegpt_cli.ingest")
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.delenv("EEGPT_DATA", raising=False)

    def call(*arguments: object) -> tuple[int, str, str]:
        app = typer.Typer(pretty_exceptions_enable=False)
        command.register(app)
        app.callback()(lambda: None)
        monkeypatch.setattr("sys.argv", ["eegprep", "ingest", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            errors.run(app)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def manifest_file(manifest: Manifest, tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(dump_manifest(manifest), encoding="utf-8")
    return path


def test_manifest_and_folder_make_a_store(run: Run, manifest_file: Path, folder: Path) -> None:
    """A manifest with its folder becomes a store."""
    code, out, err = run(manifest_file, "--source", folder, "--workers", "0")
    assert code == 0, err
    assert out.startswith("stores/toy: 6 recordings of 3 subjects, 3 electrodes, 0.04 h")
    assert "task state: 30 trials" in out
    assert "left out, channel, ecg: 6" in err
    assert err.startswith("plan: 6 recordings, 0.")
    assert "6 of them already done" in run(manifest_file, "--source", folder, "--workers", "0")[2]
    assert (Path("stores/toy") / "lock.yaml").is_file()


def test_stdout_holds_json_alone(run: Run, manifest_file: Path, folder: Path) -> None:
    """JSON is all that goes to standard output."""
    code, out, _ = run(manifest_file, "--source", folder, "--workers", "0", "--json")
    assert code == 0
    assert json.loads(out)["trials"] == {"hand": 12, "state": 30, "who": 6}


def test_failed_recordings_exit_with_1(run: Run, manifest_file: Path, folder: Path) -> None:
    """Failed recordings are listed, and the exit code is 1."""
    (folder / "s1_2.edf").write_bytes(b"not EEG at all")
    code, out, err = run(manifest_file, "--source", folder, "--workers", "0")
    assert code == 1
    assert "5 recordings" in out
    assert "1 recordings failed" in err
    assert "toy/s1/-/2" in err
    assert str(folder / "s1_2.edf") in err


def test_an_unknown_data_set_gets_a_hint(run: Run) -> None:
    code, _, err = run("eegmatt")
    assert code == 2
    assert "did you mean 'eegmat'" in err
    assert not Path("stores").exists()


def test_a_missing_path_is_named(run: Run, tmp_path: Path) -> None:
    code, _, err = run(tmp_path / "nowhere.edf")
    assert code == 2
    assert "nowhere.edf" in err
    assert run(tmp_path / "nowhere.yaml")[0] == 2
    assert not Path("stores").exists()


def test_a_missing_source_folder_is_named(run: Run, manifest_file: Path, tmp_path: Path) -> None:
    code, _, err = run(manifest_file, "--source", tmp_path / "gone")
    assert code == 2
    assert "gone" in err
    assert not Path("stores/toy").exists()


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(5000), b"0       half a header"])
def test_file_that_is_no_eeg_leaves_no_store(run: Run, tmp_path: Path, content: bytes) -> None:
    """A file that is no EEG leaves no store."""
    path = tmp_path / "picture.edf"
    path.write_bytes(content)
    code, _, err = run(path, "--workers", "0")
    assert code == 1
    assert "picture.edf" in err
    assert "Traceback" not in err
    assert not list(Path("stores").glob("*"))


def test_misspelt_manifest_key_is_refused(run: Run, manifest_file: Path, folder: Path) -> None:
    """A manifest with a misspelt key is refused."""
    data = yaml.safe_load(manifest_file.read_text(encoding="utf-8"))
    data["licens"] = data.pop("licence")
    manifest_file.write_text(yaml.safe_dump(data), encoding="utf-8")
    code, _, err = run(manifest_file, "--source", folder)
    assert code == 2
    assert "licens" in err
    assert not Path("stores").exists()


def test_unknown_recipe_is_refused_first(run: Run, manifest_file: Path, folder: Path) -> None:
    """A recipe that does not exist is refused before anything begins."""
    code, _, err = run(manifest_file, "--source", folder, "--recipe", "defualt")
    assert code == 2
    assert "did you mean 'default'" in err
    assert not Path("stores").exists()


def test_a_plain_folder_needs_no_manifest(run: Run, folder: Path) -> None:
    code, out, err = run(folder, "--workers", "0", "--out", "here")
    assert code == 0, err
    assert "6 recordings" in out


def test_set_without_source_is_fetched(
    run: Run, manifest: Manifest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data set is fetched where no source is given."""
    import eegprep.remote.fetch

    path = tmp_path / "remote.yaml"
    data = manifest.model_dump(mode="json", exclude_defaults=True)
    data["source"]["get"] = [{"path": "s0_1.edf", "url": "https://example.org/s0_1.edf"}]
    path.write_text(dump_manifest(Manifest.model_validate(data)), encoding="utf-8")
    asked = []

    def fetch(of: Manifest, **_: object) -> Path:
        asked.append(of.name)
        return folder

    monkeypatch.setattr(eegprep.remote.fetch, "fetch", fetch)
    assert run(path, "--workers", "0")[0] == 0
    assert asked == ["toy"]
    monkeypatch.setenv("EEGPT_DATA", str(tmp_path))
    folder.rename(tmp_path / "toy")
    assert run(path, "--workers", "0", "--out", "second")[0] == 0
    assert asked == ["toy"]


def test_unfetchable_set_says_what_to_do(run: Run, manifest_file: Path) -> None:
    """A data set that cannot be downloaded says what to do."""
    code, _, err = run(manifest_file)
    assert code == 2
    assert "--source" in err


def test_own_vocabulary_stays_with_the_store(
    run: Run, tmp_path: Path, eeg_signal: Callable[[int], np.ndarray], write_edf: Callable[..., None]
) -> None:
    """A lab's own vocabulary admits its electrodes and stays with the store."""
    names = ("EEG C3", "Cz", "C4", "LabSite", "Vertex2")
    write_edf(tmp_path / "data" / "s1.edf", eeg_signal(4), names)
    table = tmp_path / "lab.tsv"
    table.write_text(
        "name\taliases\tx_m\ty_m\tz_m\nLabSite\t\t0.01\t0.02\t0.11\nCPz\tVertex2\t\t\t\n", encoding="utf-8"
    )
    assert run(tmp_path / "data", "--out", "plain", "--workers", "0")[0] == 0
    assert set(Store.open("plain").infos()[0].electrodes) == {"C3", "Cz", "C4"}
    assert not Path("plain/electrodes.parquet").exists()
    for workers in ("0", "1"):
        code, _, err = run(tmp_path / "data", "--out", f"own{workers}", "--workers", workers, "--vocabulary", table)
        assert code == 0, err
    store = Store.open("own0")
    assert set(store.infos()[0].electrodes) == {"C3", "Cz", "C4", "LabSite", "CPz"}
    assert "LabSite" in store.vocabulary
    assert Path("own0/electrodes.parquet").read_bytes() == Path("own1/electrodes.parquet").read_bytes()
    # Another table resolves other channels: what was made with this one is made anew.
    assert "already done" not in run(tmp_path / "data", "--out", "own0", "--workers", "0")[2]
    assert set(Store.open("own0").infos()[0].electrodes) == {"C3", "Cz", "C4"}
    assert "LabSite" not in Store.open("own0").vocabulary


def test_wrong_vocabulary_is_refused_first(run: Run, folder: Path, tmp_path: Path) -> None:
    """An invalid vocabulary is refused before anything begins."""
    (tmp_path / "lab.tsv").write_text("electrode\nX1\n", encoding="utf-8")
    code, _, err = run(folder, "--vocabulary", tmp_path / "lab.tsv")
    assert code == 1
    assert "does not have the columns of a vocabulary" in err
    assert run(folder, "--vocabulary", tmp_path / "none.tsv")[0] == 2
    assert not Path("stores").exists()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_interruption_leaves_whole_files(manifest_file: Path, folder: Path, tmp_path: Path, workers: str) -> None:
    """An interruption says so and leaves whole recordings only."""
    out = tmp_path / "store"
    command = [sys.executable, "-m", "_eegpt_cli.prep", "ingest", str(manifest_file), "--source", str(folder)]
    process = subprocess.Popen(
        [*command, "--out", str(out), "--workers", workers],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("plan: 6 recordings")
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert told.strip() == "interrupted; run the same command again to resume"
    assert not list(out.rglob("*.part"))


def test_store_inside_the_source_is_no_input(run: Run, folder: Path, tree_bytes: Callable[..., dict]) -> None:
    """A store inside the source is no input."""
    first = run(folder, "--out", folder / "store", "--workers", "0")
    assert first[0] == 0
    before = tree_bytes(folder / "store")
    again = run(folder, "--out", folder / "store", "--workers", "0")
    assert again[0] == 0
    assert tree_bytes(folder / "store") == before
    assert "6 from earlier runs" in again[1]


def test_full_disk_ends_with_one_error(run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size that a file may have stands in for the size of a disk; the system then says EFBIG instead of ENOSPC."""
    import resource

    assert run(folder, "--out", tmp_path / "store", "--workers", "0")[0] == 0
    size = max(p.stat().st_size for p in (tmp_path / "store" / "recordings").glob("*.arrow"))
    monkeypatch.setattr("eegprep.ingest.job._FATAL", {errno.EFBIG})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        code, _, err = run(folder, "--out", tmp_path / "small", "--workers", "0")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert code == 1
    assert err.count("error: ") == 1
    assert str(tmp_path / "small") in err
    assert not (tmp_path / "small").exists()
