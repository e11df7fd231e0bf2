"""A stranger's target gives its listed plain files of the stated size, or one clear refusal."""

from __future__ import annotations

import os

import pytest
from support.sent_sets import shard_set

from eegprep.errors import RefusedError, UsageError
from eegprep.files import alone
from eegprep.remote.share import pull, push

SHARD = "shards/Cz/Cz-000001.tar"


@pytest.fixture
def target(tmp_path):
    push(shard_set(tmp_path / "set"), str(tmp_path / "target"))
    return tmp_path / "target"


@pytest.mark.parametrize("name", [SHARD, "electrodes.parquet", "manifest.yaml", "SHA256SUMS"])
@pytest.mark.parametrize("leads_to", ["/dev/zero", "copy"])
def test_links_are_not_fetched(target, tmp_path, name, leads_to):
    """Also where the file behind the link has the right bytes."""
    (target / name).rename(tmp_path / "copy")
    (target / name).symlink_to(tmp_path / "copy" if leads_to == "copy" else leads_to)
    with pytest.raises(RefusedError, match="is a link"):
        pull(str(target), tmp_path / "got")
    assert not (tmp_path / "got" / name).exists()


def test_a_linked_folder_is_not_fetched(target, tmp_path):
    (target / "shards").rename(tmp_path / "elsewhere")
    (target / "shards").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match="is a link"):
        pull(str(target), tmp_path / "got")


@pytest.mark.parametrize("name", [SHARD, "lock.yaml"])
def test_a_pipe_is_not_waited_for(target, tmp_path, name):
    (target / name).unlink()
    os.mkfifo(target / name)
    with pytest.raises(RefusedError, match="a device"):
        pull(str(target), tmp_path / "got")


def test_shard_longer_than_index_is_refused(target, tmp_path):
    """No more than that is written, however long the file is."""
    os.truncate(target / SHARD, 1 << 40)
    with pytest.raises(RefusedError, match="larger than the index says"):
        pull(str(target), tmp_path / "got")
    assert not (tmp_path / "got" / SHARD).exists()
    assert not (tmp_path / "got" / f"{SHARD}.part").exists()


@pytest.mark.parametrize("name", ["thesis.tex", ".git/config", "shards/Cz/notes.txt", "shards/Fz/Fz-000000.tar"])
def test_folder_with_other_files_is_refused(target, tmp_path, name):
    got = tmp_path / "got"
    (got / name).parent.mkdir(parents=True)
    (got / name).write_text("mine")
    with pytest.raises(RefusedError, match="contains other files"):
        pull(str(target), got)
    assert [p for p in got.rglob("*") if p.is_file()] == [got / name]


@pytest.mark.parametrize("name", ["shards", SHARD, f"{SHARD}.part"])
def test_links_in_folder_are_not_followed(target, tmp_path, name):
    got, elsewhere = tmp_path / "got", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (got / name).parent.mkdir(parents=True)
    (got / name).symlink_to(elsewhere if name == "shards" else elsewhere / "file")
    with pytest.raises(RefusedError, match="contains other files"):
        pull(str(target), got)
    assert list(elsewhere.iterdir()) == []


def test_a_broken_off_pull_goes_on(target, tmp_path):
    """Its own half file is no stranger's."""
    got = tmp_path / "got"
    (got / "shards" / "Cz").mkdir(parents=True)
    (got / f"{SHARD}.part").write_bytes(b"half")
    pull(str(target), got)
    assert (got / SHARD).read_bytes() == (target / SHARD).read_bytes()
    assert not (got / f"{SHARD}.part").exists()


def test_two_pulls_never_write_one_folder(target, tmp_path):
    with alone(tmp_path / "got"), pytest.raises(UsageError, match="another process is writing"):
        pull(str(target), tmp_path / "got")


def test_list_of_any_length_is_refused_first(target, tmp_path):
    with (target / "SHA256SUMS").open("a") as handle:
        handle.truncate(150 << 20)
    with pytest.raises(RefusedError, match="too large"):
        pull(str(target), tmp_path / "got")
