"""`eegprep shard` and `eegprep verify` as people and scripts use them: output, exit codes, nothing half done."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import typer

from _eegpt_cli import errors, shards
from eegprep import api
from eegprep.manifest.lock import Lock, write_lock
from eegprep.shards import ShardSet
from eegprep.store import Store


@pytest.fixture(scope="module")
def store_folder(synthetic, tmp_path_factory) -> Path:
    """The synthetic store on disk, as ingest writes it."""
    source = synthetic.small_store(n_subjects=4)
    folder = tmp_path_factory.mktemp("cli") / "store"
    on_disk = Store.create(folder, source.manifest)
    for info in source.infos():
        with on_disk.writer(info.id, info.electrodes) as writer:
            writer.append(source.signals[info.id])
            writer.finish(info)
    write_lock(folder, Lock(lock=1, versions={"eegprep": "0"}, stages=[]))
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command; its exit code, stdout and stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        app = typer.Typer()
        shards.register(app)
        monkeypatch.setattr(sys, "argv", ["eegprep", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            errors.run(app)
        captured = capsys.readouterr()
        return int(done.value.code or 0), captured.out, captured.err

    return call


def test_store_becomes_a_whole_shard_set(run, store_folder, tmp_path):
    """A store becomes a shard set that is whole."""
    code, out, err = run("shard", store_folder, "--out", tmp_path / "set")
    assert (code, err) == (0, "")
    assert "4 recordings" in out
    code, out, _ = run("verify", tmp_path / "set", "--deep", "--rebuild", store_folder)
    assert code == 0
    assert "complete" in out
    assert "rebuilt byte by byte" in out
    code, out, _ = run("shard", store_folder, "--out", tmp_path / "set")
    assert code == 0
    assert "already complete" in out


def test_json_is_one_document_on_stdout(run, store_folder, tmp_path):
    code, out, _ = run("shard", store_folder, "--out", tmp_path / "set", "--json")
    assert code == 0
    assert json.loads(out)["n_recordings"] == 4
    assert json.loads(run("verify", tmp_path / "set", "--json")[1])["n_blocks"] > 0


def test_flipped_byte_exits_with_3(run, store_folder, tmp_path):
    """A flipped byte exits with 3 and names the shard."""
    run("shard", store_folder, "--out", tmp_path / "set")
    shard = tmp_path / "set" / ShardSet.open(tmp_path / "set").shards[0].name
    data = bytearray(shard.read_bytes())
    data[2000] ^= 1
    shard.write_bytes(data)
    code, out, err = run("verify", tmp_path / "set", "--deep")
    assert (code, out) == (3, "")
    assert err.startswith("error: the shard set is damaged: shard shards/Fp1/Fp1-000000.tar")
    assert "Traceback" not in err


def test_missing_store_exits_with_2(run, tmp_path):
    """A missing store exits with 2 and leaves nothing."""
    code, _, err = run("shard", tmp_path / "nothing", "--out", tmp_path / "set")
    assert code == 2
    assert "not a store" in err
    assert not (tmp_path / "set").exists()
    code, _, err = run("verify", tmp_path / "nothing")
    assert code == 2
    assert "shard set not found" in err


def test_rebuild_from_others_exits_with_3(run, store_folder, tmp_path):
    """A rebuild from other recordings exits with 3."""
    run("shard", store_folder, "--out", tmp_path / "set")
    other = tmp_path / "store"
    shutil.copytree(store_folder, other)
    victim = next((other / "recordings").glob("*.json"))
    victim.with_suffix(".arrow").unlink()
    victim.unlink()
    code, _, err = run("verify", tmp_path / "set", "--rebuild", other)
    assert code == 3
    assert "rebuilt from the stores differs" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set", "store"]


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("512M", 512 << 20), ("1G", 1 << 30), ("3k", 3 << 10), ("7", 7), ("2GiB", 2 << 30)]
)
def test_sizes_are_read_as_commonly_written(text, n_bytes):
    assert api._n_bytes(text) == n_bytes


@pytest.mark.parametrize(
    ("text", "error"), [("", "empty argument"), *((text, "invalid size") for text in ("x", "-1", "0", "1T", "1.5G"))]
)
def test_a_senseless_size_is_refused(run, store_folder, tmp_path, text, error):
    code, _, err = run("shard", store_folder, "--out", tmp_path / "set", f"--max-shard-size={text}")
    assert code == 2
    assert error in err
