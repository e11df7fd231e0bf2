"""Push and pull of manifests, locks and shard sets through the hub's own client, against a server on this machine."""

from __future__ import annotations

import pytest
from support.hub_server import HubServer
from support.sent_sets import same, shard_set

from eegprep.errors import RefusedError, UsageError
from eegprep.remote.share import pull, push

pytest.importorskip("huggingface_hub", reason="needs the extra [hub]")

ADDRESS = "hf://datasets/lab/eeg/one"


@pytest.fixture
def hub():
    with HubServer() as server:
        server.put("datasets/lab/eeg", {})
        yield server


@pytest.fixture
def options(hub):
    return {"endpoint": hub.endpoint, "token": "a-token", "skip_instance_cache": True}


def commits(hub) -> int:
    return sum("/commit/" in path for _, path in hub.requests)


def test_second_hub_push_moves_nothing(hub, options, tmp_path):
    """A set goes through the hub, and a second push or pull moves nothing."""
    source = shard_set(tmp_path / "set")
    assert push(source, ADDRESS, options=options).n_moved == 6
    stored = hub.files["datasets/lab/eeg"]
    assert {"one/SHA256SUMS", "one/README.md", "one/croissant.json", "one/shards/Cz/Cz-000001.tar"} <= set(stored)
    assert "one/.pushing" not in stored
    before, head = commits(hub), hub.heads["datasets/lab/eeg"]
    assert push(source, ADDRESS, options=options).n_moved == 0
    assert (commits(hub), hub.heads["datasets/lab/eeg"]) == (before, head)
    assert pull(ADDRESS, tmp_path / "got", options=options).n_moved == 6
    assert same(source, tmp_path / "got")
    assert pull(ADDRESS, tmp_path / "got", options=options).n_moved == 0


def test_interrupted_hub_push_sends_the_rest(hub, options, tmp_path):
    """An interrupted push to the hub is not a set yet and later sends only the rest."""
    source = shard_set(tmp_path / "set")

    def stop(name, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(source, ADDRESS, options=options, progress=stop)
    with pytest.raises(UsageError, match="no complete shard set or manifest"):
        pull(ADDRESS, tmp_path / "got", options=options)
    assert push(source, ADDRESS, options=options).n_moved == 3
    pull(ADDRESS, tmp_path / "got", options=options)
    assert same(source, tmp_path / "got")


def test_a_wrong_byte_on_the_hub_is_refused(hub, options, tmp_path):
    push(shard_set(tmp_path / "set"), ADDRESS, options=options)
    name = "one/shards/Cz/Cz-000001.tar"
    data = bytearray(hub.files["datasets/lab/eeg"][name])
    data[100] ^= 1
    hub.put("datasets/lab/eeg", {name: bytes(data)})
    with pytest.raises(RefusedError, match=r"Cz-000001\.tar does not match") as caught:
        pull(ADDRESS, tmp_path / "got", options=options)
    assert caught.value.exit_code == 3
    assert not (tmp_path / "got" / "shards" / "Cz" / "Cz-000001.tar").exists()
    assert not (tmp_path / "got" / "SHA256SUMS").exists()


def test_no_derivatives_set_sends_no_shards(hub, options, tmp_path):
    """Of a no-derivatives set the manifest and lock alone reach the hub."""
    source = shard_set(tmp_path / "set", licence="CC-BY-ND-4.0, share_shards: no")
    with pytest.raises(RefusedError, match="must not be shared") as caught:
        push(source, ADDRESS, options=options)
    assert caught.value.exit_code == 3
    assert hub.files["datasets/lab/eeg"] == {}
    assert push(source, ADDRESS, manifest_only=True, options=options).n_files == 2
    assert set(hub.files["datasets/lab/eeg"]) == {"one/lock.yaml", "one/manifest.sha256", "one/manifest.yaml"}
    pull(ADDRESS, tmp_path / "got", options=options)
    assert (tmp_path / "got" / "lock.yaml").read_bytes() == (source / "lock.yaml").read_bytes()


def test_missing_repository_is_one_error(options, tmp_path):
    """A repository that does not exist is one clear error."""
    with pytest.raises(UsageError, match="no such data set repository"):
        push(shard_set(tmp_path / "set"), "hf://datasets/lab/nothing/one", options=options)
    with pytest.raises(UsageError, match="no complete shard set or manifest"):
        pull("hf://datasets/lab/nothing/one", tmp_path / "got", options=options)
