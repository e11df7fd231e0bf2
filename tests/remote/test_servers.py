"""Web servers and the hub as they are: no ranges, redirects, busy, silent, cut, wrong: the set comes or it stops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import web_servers as servers

from eegprep.errors import RefusedError, UsageError
from eegprep.remote import transport
from eegprep.remote.cache import Cache
from eegprep.remote.shard_sets import open_shards
from eegpt.data import TwoLevelOrder, WindowIndex

pytest.importorskip("aiohttp")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(transport, "FIRST_WAIT_S", 0.01)


def same(opened, shard_set):
    """Every window is that of the local set."""
    a, b = (WindowIndex(s, n_samples=300, stride=300, splits=None) for s in (opened, shard_set))
    np.testing.assert_array_equal(
        a.gather(np.arange(len(a))).signal_i16, b.gather(np.arange(len(b))).signal_i16, strict=True
    )


def tars(log):
    return [p for p in log if p.endswith(".tar")]


@pytest.mark.parametrize(
    "behaviour",
    [
        {"ranges": True},
        {},
        {"redirect": True, "ranges": True},
        {"errors": 3},
        {"cut": 3, "ranges": True},
        {"cut": 3},
        {"silent": 1, "silence_s": 1.5},
        {"pause_s": 0.01},
    ],
    ids=["ranges", "no ranges", "redirects", "busy", "cut, ranges", "cut, no ranges", "silent", "slow"],
)
def test_a_set_comes_from_any_honest_server(shard_folder, shard_set, tmp_path, monkeypatch, behaviour):
    monkeypatch.setattr(transport, "SILENCE_S", 0.4)
    with servers.serving(servers.Web, shard_folder, **behaviour) as (address, left, _):
        same(open_shards(address, cache=Cache(tmp_path)), shard_set)
        assert not any(left.get(name) for name in ("errors", "cut", "silent"))


def test_short_shard_is_not_taken(shard_folder, tmp_path):
    """A shard that is shorter than its index says is not taken."""
    with servers.serving(servers.Web, shard_folder, short=True) as (address, _, _):
        opened = open_shards(address, cache=Cache(tmp_path))
        with pytest.raises(UsageError, match=r"shards/Fp1/Fp1-000000\.tar cannot be downloaded[^$]*received"):
            opened.remote.path(opened.shards[0])
        assert not list((tmp_path / "files").iterdir())


@pytest.mark.parametrize(
    ("status", "text"), [(403, "no permission to read"), (401, "no permission to read"), (410, "is missing at")]
)
def test_refusing_server_is_asked_once(shard_folder, tmp_path, status, text):
    """A server that refuses is not asked again."""
    with servers.serving(servers.Web, shard_folder, refuse=status) as (address, _, log):
        opened = open_shards(address, cache=Cache(tmp_path))
        with pytest.raises((UsageError, RefusedError), match=text):
            opened.remote.path(opened.shards[0])
        assert len(tars(log)) == 1


def test_shards_are_fetched_in_reading_order(shard_folder, tmp_path):
    pytest.importorskip("torch")
    from eegpt.data import WindowLoader

    with servers.serving(servers.Web, shard_folder) as (address, _, log):
        index = WindowIndex(open_shards(address, cache=Cache(tmp_path)), n_samples=128, stride=128, splits=None)
        order = TwoLevelOrder(index.shard_sizes, 1, 0)
        list(WindowLoader(index, order, 1, prefetch=0))
        group = {int(c): k for k, (c,) in enumerate(order.groups(0))}
        number = {"/" + s.name: k for k, s in enumerate(index.spans.sets[0].shards)}
        places = [group[number[p]] for p in tars(log)]
    # A window may run into the next shard, which is then fetched before its turn.
    assert np.mean(np.diff(places) > 0) > 0.6
    assert places[0] == 0
    assert len(set(places)) == len(places) == len(number)


class TestHub:
    """`hf://` against a server that answers as the hub does."""

    @pytest.fixture
    def hub(self, shard_folder):
        pytest.importorskip("huggingface_hub")
        with servers.serving(servers.Hub, shard_folder.parent, ranges=True) as (address, behaviour, log):
            yield address, behaviour, log

    def open(self, hub, tmp_path):
        return open_shards(
            "hf://datasets/labs/eeg/set", cache=Cache(tmp_path / "cache"), options={"endpoint": hub[0], "token": False}
        )

    def test_hub_set_gives_the_same_windows(self, hub, shard_set, tmp_path):
        """A set on the hub gives the same windows and stays in the cache."""
        opened = self.open(hub, tmp_path)
        assert opened.sha256 == shard_set.sha256
        same(opened, shard_set)
        fetched = tars(hub[2])
        assert sorted(fetched) == sorted(f"/set/{s.name}" for s in shard_set.shards)
        same(self.open(hub, tmp_path), shard_set)
        assert tars(hub[2]) == fetched

    def test_cut_hub_connection_is_retried(self, hub, shard_set, tmp_path):
        """A cut connection to the hub is tried again."""
        hub[1]["cut"] = 3
        same(self.open(hub, tmp_path), shard_set)
        assert hub[1]["cut"] == 0

    def test_wrong_hub_hash_names_the_shard(self, hostile, shard_folder, tmp_path):
        """A wrong hash on the hub stops with the shard's name."""
        folder = hostile.copy_of(shard_folder, tmp_path / "hub" / "set")
        shard = folder / "shards" / "Fp1" / "Fp1-000000.tar"
        data = shard.read_bytes()
        shard.write_bytes(data[:700] + bytes([data[700] ^ 1]) + data[701:])
        with servers.serving(servers.Hub, tmp_path / "hub", ranges=True) as hub:
            opened = self.open(hub, tmp_path)
            with pytest.raises(RefusedError, match=r"the hash of shard shards/Fp1/Fp1-000000\.tar does not match"):
                opened.remote.path(opened.shards[0])

    def test_unknown_hub_name_says_so(self, hub, tmp_path):
        """A name that the hub does not know says so."""
        for name in ("hf://datasets/labs/eeg/nothing", "hf://datasets/labs/other/set"):
            with pytest.raises(UsageError, match="complete shard set"):
                open_shards(name, cache=Cache(tmp_path), options={"endpoint": hub[0], "token": False})

    def test_command_verifies_a_set_on_the_hub(self, hub, tmp_path):
        """The command verifies a set on the hub that the environment names."""
        environment = os.environ | {
            "HF_ENDPOINT": hub[0],
            "EEGPT_CACHE": str(tmp_path),
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        program = "from _eegpt_cli.prep import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", program, "verify", "hf://datasets/labs/eeg/set"],
            capture_output=True, text=True, env=environment, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "every hash matches the index" in done.stdout


def test_address_as_a_path_is_understood(shard_folder, shard_set, tmp_path, monkeypatch):
    """A path that pathlib has made of an address is understood."""
    monkeypatch.setenv("EEGPT_CACHE", str(tmp_path))
    with servers.serving(servers.Web, shard_folder) as (address, _, _):
        assert len(open_shards(Path(address)).blocks) == len(shard_set.blocks)
