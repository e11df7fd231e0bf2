"""An address where only a path works is refused: it must not become a local folder named `s3:`."""

from __future__ import annotations

from pathlib import Path

import pytest

import eegprep
import eegpt
from eegprep.errors import UsageError
from eegprep.files import address_in, alone, output_path, write_atomic
from eegprep.store import Store

ADDRESSES = ["s3://bucket/store", "gs://bucket/store", "https://host/store", "hf://datasets/a/b", "memory://x"]


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A working folder in which nothing may appear."""
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(
    "command",
    [
        lambda out: eegprep.ingest("eegmat_sample", out=out),
        lambda out: eegprep.fetch("eegmat_sample", out),
        lambda out: eegprep.report("store", out),
        lambda out: eegprep.draft_manifest("folder", out=out),
        lambda out: eegpt.pretrain("shards", out),
        lambda out: eegpt.transfer("shards", out),
        lambda out: eegpt.embed_files("x.edf", out=out),
    ],
)
def test_output_at_an_address_is_refused(command, address: str) -> None:
    """Before anything is read or downloaded, and with the address as it was written."""
    with pytest.raises(UsageError, match=r"must be on this machine") as caught:
        command(address)
    assert caught.value.found == address


def test_ingest_says_what_to_do_instead() -> None:
    with pytest.raises(UsageError, match="the store must be on this machine") as caught:
        eegprep.ingest("eegmat_sample", out=Path("s3://bucket/store"))
    assert "`eegprep shard` writes its shards to an address" in str(caught.value.todo)
    assert "--subjects" in str(caught.value.todo)


def test_store_at_an_address_is_refused() -> None:
    for read in (eegprep.open_store, Store.open, lambda a: eegprep.shard(a, "out")):
        with pytest.raises(UsageError, match="a store must be on this machine") as caught:
            read("s3://bucket/store")
        assert caught.value.found == "s3://bucket/store"


@pytest.mark.parametrize("address", ADDRESSES[:4])
def test_no_file_is_written_to_an_address(address: str) -> None:
    """All outputs pass here, also those of commands that don't look at their path."""
    with pytest.raises(UsageError, match="must be on this machine"):
        write_atomic(Path(address), "text")
    with pytest.raises(UsageError, match="must be on this machine"), alone(Path(address)):
        pass


@pytest.mark.parametrize("path", ["C:/data", "c:\\data", "/mnt/s3:/x", "s3", "a:b", "sub:01/x", "./s3:/x", "x y://z"])
def test_paths_are_no_addresses(path: str) -> None:
    assert not address_in(path)
    assert not address_in(Path(path)) or path == "./s3:/x"  # which pathlib shortens
    assert output_path(path) == Path(path)
