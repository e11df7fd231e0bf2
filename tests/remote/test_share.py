"""Push and pull: resumable, verified, never beyond a licence, never a mixture of two sets."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil

import pytest
from support.sent_sets import MANIFEST, same, shard_set

from eegprep.errors import RefusedError, UsageError
from eegprep.manifest import load_manifests
from eegprep.remote.share import pull, push


def test_set_arrives_byte_for_byte(tmp_path):
    """A set arrives byte for byte, and nothing is moved twice."""
    source = shard_set(tmp_path / "set")
    first = push(source, str(tmp_path / "target"))
    assert (first.n_files, first.n_moved) == (6, 6)
    assert push(source, str(tmp_path / "target")).n_moved == 0
    got = pull(str(tmp_path / "target"), tmp_path / "got")
    assert (got.n_files, got.n_moved) == (6, 6)
    assert pull(str(tmp_path / "target"), tmp_path / "got").n_moved == 0
    assert same(source, tmp_path / "got")
    assert not (tmp_path / "target" / ".pushing").exists()
    assert "# EEG shards: lab" in (tmp_path / "target" / "README.md").read_text()


def test_interrupted_push_resumes(tmp_path):
    """An interrupted push is not a set yet and resumes."""
    source = shard_set(tmp_path / "set")

    def stop(name, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(source, str(tmp_path / "target"), progress=stop)
    assert not (tmp_path / "target" / "SHA256SUMS").exists()
    with pytest.raises(UsageError, match="no complete shard set or manifest"):
        pull(str(tmp_path / "target"), tmp_path / "got")
    assert push(source, str(tmp_path / "target")).n_moved == 3
    pull(str(tmp_path / "target"), tmp_path / "got")
    assert same(source, tmp_path / "got")


def test_interrupted_pull_resumes(tmp_path):
    source = shard_set(tmp_path / "set")
    push(source, str(tmp_path / "target"))

    def stop(name, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(str(tmp_path / "target"), tmp_path / "got", progress=stop)
    assert not (tmp_path / "got" / "SHA256SUMS").exists()
    assert pull(str(tmp_path / "target"), tmp_path / "got").n_moved == 4
    assert same(source, tmp_path / "got")


def test_two_sets_never_mix(tmp_path):
    one, two = shard_set(tmp_path / "one"), shard_set(tmp_path / "two")
    (two / "recordings.parquet").write_bytes(b"x" * 3000)
    sums = (two / "SHA256SUMS").read_text()
    sums = sums.replace(hashlib.sha256(b"r" * 3000).hexdigest(), hashlib.sha256(b"x" * 3000).hexdigest())
    (two / "SHA256SUMS").write_text(sums)
    push(one, str(tmp_path / "target"))
    with pytest.raises(RefusedError, match="contains another shard set"):
        push(two, str(tmp_path / "target"))
    (tmp_path / "target" / "SHA256SUMS").unlink()
    (tmp_path / "target" / ".pushing").write_bytes(b"0" * 64)
    with pytest.raises(RefusedError, match="incomplete push of other files"):
        push(two, str(tmp_path / "target"))
    push(two, str(tmp_path / "target2"))
    pull(str(tmp_path / "target2"), tmp_path / "got")
    push(one, str(tmp_path / "target3"))
    with pytest.raises(RefusedError, match="contains other files"):
        pull(str(tmp_path / "target3"), tmp_path / "got")


def test_byte_changed_on_the_way_is_found(tmp_path):
    """A byte that changed on the way is found."""
    push(shard_set(tmp_path / "set"), str(tmp_path / "target"))
    shard = tmp_path / "target" / "shards" / "Cz" / "Cz-000001.tar"
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(RefusedError, match=r"hash of \S*Cz-000001\.tar does not match"):
        pull(str(tmp_path / "target"), tmp_path / "got")
    assert not (tmp_path / "got" / "shards" / "Cz" / "Cz-000001.tar").exists()
    shard.unlink()
    with pytest.raises(RefusedError, match="listed, but missing"):
        pull(str(tmp_path / "target"), tmp_path / "got")


def test_byte_changed_before_is_never_sent(tmp_path):
    """A byte that changed before is never sent."""
    source = shard_set(tmp_path / "set")
    (source / "recordings.parquet").write_bytes(b"q" * 3000)
    with pytest.raises(RefusedError, match=r"recordings\.parquet does not match"):
        push(source, str(tmp_path / "target"))
    assert not (tmp_path / "target" / "SHA256SUMS").exists()


@pytest.mark.parametrize(
    "line",
    ["../x", "/etc/passwd", "a/../../x", "x y", "manifest.yaml", ".bashrc", ".git/hooks/pre-commit", "conftest.py"],
)
def test_list_leading_outside_is_refused(tmp_path, line):
    """A list that leads out of the folder, or names files that no shard set has, is refused."""
    push(shard_set(tmp_path / "set"), str(tmp_path / "target"))
    with (tmp_path / "target" / "SHA256SUMS").open("a") as handle:
        handle.write(f"{'0' * 64}  {line}\n")
    with pytest.raises(RefusedError, match="invalid line in the list"):
        pull(str(tmp_path / "target"), tmp_path / "got")
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("licence", ["CC-BY-ND-4.0, share_shards: no", "LicenseRef-X, share_shards: yes, signed: yes"])
def test_licence_keeps_shards_at_home(tmp_path, licence):
    """Shards stay where the licence wants them, but the manifest may go."""
    source = shard_set(tmp_path / "set", licence=licence)
    with pytest.raises(RefusedError, match="must not be shared") as caught:
        push(source, str(tmp_path / "target"))
    assert caught.value.exit_code == 3
    assert not (tmp_path / "target").exists()
    assert push(source, str(tmp_path / "target"), manifest_only=True).n_files == 2
    pull(str(tmp_path / "target"), tmp_path / "got")
    assert sorted(p.name for p in (tmp_path / "got").iterdir()) == ["lock.yaml", "manifest.sha256", "manifest.yaml"]
    assert load_manifests(tmp_path / "got" / "manifest.yaml")[0].name == "lab"


def test_one_manifest_can_go_alone(tmp_path):
    (tmp_path / "lab.yaml").write_text(MANIFEST)
    push(tmp_path / "lab.yaml", str(tmp_path / "target"))
    pull(str(tmp_path / "target"), tmp_path / "got")
    assert (tmp_path / "got" / "manifest.yaml").read_text() == MANIFEST


def test_nothing_to_push_is_one_clear_error(tmp_path):
    """What cannot be pushed or pulled is one clear error."""
    with pytest.raises(UsageError, match="nothing to push"):
        push(tmp_path, str(tmp_path / "target"))
    with pytest.raises(UsageError, match="invalid target"):
        push(shard_set(tmp_path / "set"), "ftp://lab.org/x")
    unfinished = shard_set(tmp_path / "unfinished")
    (unfinished / "SHA256SUMS").unlink()
    with pytest.raises(UsageError, match="unfinished"):
        push(unfinished, str(tmp_path / "target"))
    with pytest.raises(UsageError, match="no complete shard set"):
        pull(str(tmp_path / "absent"), tmp_path / "got")


@pytest.mark.skipif(
    not all(importlib.util.find_spec(m) for m in ("s3fs", "moto", "flask")), reason="needs s3fs and moto[server]"
)
@pytest.mark.filterwarnings("ignore")
def test_a_set_goes_through_s3_and_back(tmp_path, monkeypatch):
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        options = {"endpoint_url": f"http://{host}:{port}", "skip_instance_cache": True}
        import s3fs

        s3fs.S3FileSystem(**options).mkdir("lab-of-one-set")  # moto keeps the buckets of all tests of a process
        source = shard_set(tmp_path / "set")
        assert push(source, "s3://lab-of-one-set/sets/one", options=options).n_moved == 6
        assert push(source, "s3://lab-of-one-set/sets/one", options=options).n_moved == 0
        pull("s3://lab-of-one-set/sets/one", tmp_path / "got", options=options)
        assert same(source, tmp_path / "got")
        shutil.rmtree(tmp_path / "got")
        with pytest.raises(UsageError, match="no complete shard set"):
            pull("s3://lab-of-one-set/sets/two", tmp_path / "got", options=options)
    finally:
        server.stop()
