"""Push and pull of manifests, locks and shard sets through the hub's own client, against a server on this machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from eegprep.errors import RefusedError, UsageError
from eegprep.remote.share import pull, push

pytest.importorskip("huggingface_hub", reason="needs the extra [hub]")

ADDRESS = "hf://datasets/lab/eeg/one"


def _module(path: Path):
    spec = importlib.util.spec_from_file_location(f"share_hub_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


share = _module(Path(__file__).parent / "test_share.py")


@pytest.fixture
def hub():
    with _module(Path(__file__).parents[1] / "hub_server.py").HubServer() as server:
        server.put("datasets/lab/eeg", {})
        yield server


@pytest.fixture
def options(hub):
    return {"endpoint": hub.endpoint, "token": "a-token", "skip_instance_cache": True}


def commits(hub) -> int:
    return sum("/commit/" in path for _, path in hub.requests)


def test_a_set_goes_through_the_hub_and_a_second_push_or_pull_moves_nothing(hub, options, tmp_path):
    source = share.shard_set(tmp_path / "set")
    assert push(source, ADDRESS, options=options).n_moved == 5
    stored = hub.files["datasets/lab/eeg"]
    assert {"one/SHA256SUMS", "one/README.md", "one/croissant.json", "one/shards/Cz/Cz-000001.tar"} <= set(stored)
    assert "one/.pushing" not in stored
    before, head = commits(hub), hub.heads["datasets/lab/eeg"]
    assert push(source, ADDRESS, options=options).n_moved == 0
    assert (commits(hub), hub.heads["datasets/lab/eeg"]) == (before, head)
    assert pull(ADDRESS, tmp_path / "got", options=options).n_moved == 5
    assert share.same(source, tmp_path / "got")
    assert pull(ADDRESS, tmp_path / "got", options=options).n_moved == 0


def test_an_interrupted_push_to_the_hub_is_no_set_and_sends_only_the_rest(hub, options, tmp_path):
    source = share.shard_set(tmp_path / "set")

    def stop(name, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(source, ADDRESS, options=options, progress=stop)
    with pytest.raises(UsageError, match="no complete shard set or manifest"):
        pull(ADDRESS, tmp_path / "got", options=options)
    assert push(source, ADDRESS, options=options).n_moved == 2
    pull(ADDRESS, tmp_path / "got", options=options)
    assert share.same(source, tmp_path / "got")


def test_a_wrong_byte_on_the_hub_is_refused(hub, options, tmp_path):
    push(share.shard_set(tmp_path / "set"), ADDRESS, options=options)
    name = "one/shards/Cz/Cz-000001.tar"
    data = bytearray(hub.files["datasets/lab/eeg"][name])
    data[100] ^= 1
    hub.put("datasets/lab/eeg", {name: bytes(data)})
    with pytest.raises(RefusedError, match=r"Cz-000001\.tar does not match") as caught:
        pull(ADDRESS, tmp_path / "got", options=options)
    assert caught.value.exit_code == 3
    assert not (tmp_path / "got" / "shards" / "Cz" / "Cz-000001.tar").exists()
    assert not (tmp_path / "got" / "SHA256SUMS").exists()


def test_of_a_no_derivatives_set_manifest_and_lock_alone_reach_the_hub(hub, options, tmp_path):
    source = share.shard_set(tmp_path / "set", licence="CC-BY-ND-4.0, share_shards: no")
    with pytest.raises(RefusedError, match="must not be shared") as caught:
        push(source, ADDRESS, options=options)
    assert caught.value.exit_code == 3
    assert hub.files["datasets/lab/eeg"] == {}
    assert push(source, ADDRESS, manifest_only=True, options=options).n_files == 2
    assert set(hub.files["datasets/lab/eeg"]) == {"one/lock.yaml", "one/manifest.sha256", "one/manifest.yaml"}
    pull(ADDRESS, tmp_path / "got", options=options)
    assert (tmp_path / "got" / "lock.yaml").read_bytes() == (source / "lock.yaml").read_bytes()


def test_a_repository_that_is_not_there_is_one_clear_error(options, tmp_path):
    with pytest.raises(UsageError, match="no such data set repository"):
        push(share.shard_set(tmp_path / "set"), "hf://datasets/lab/nothing/one", options=options)
    with pytest.raises(UsageError, match="no complete shard set or manifest"):
        pull("hf://datasets/lab/nothing/one", tmp_path / "got", options=options)
