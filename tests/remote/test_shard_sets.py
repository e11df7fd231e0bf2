"""Remote shard sets: an S3 and a web server on this machine, a bounded cache, cut connections, hostile bytes."""

from __future__ import annotations

import functools
import http.server
import multiprocessing
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from eegprep.errors import RefusedError, UsageError
from eegprep.remote import transport
from eegprep.remote.cache import Cache
from eegprep.remote.shard_sets import Remote, open_shards
from eegpt.data import SampleOrder, TwoLevelOrder, WindowIndex

fsspec = pytest.importorskip("fsspec")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; may cut, change or lengthen what it sends."""

    cuts: int = 0
    spoil: str = ""
    log: list[str]

    def do_GET(self):
        self.log.append(self.path)
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        shard = path.suffix == ".tar"
        if shard and self.spoil == "flip":
            data = data[:700] + bytes([data[700] ^ 1]) + data[701:]
        if shard and self.spoil == "endless":
            data = data + b"x" * 100_000
        self.send_response(200)
        cut = shard and type(self).cuts > 0
        if cut:
            type(self).cuts -= 1
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)

    def log_message(self, *args):
        pass


@pytest.fixture
def web(shard_folder, tmp_path, monkeypatch):
    """A server of a copy of the shard set: (address, handler class, folder)."""
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(transport, "FIRST_WAIT_S", 0.01)
    folder = tmp_path / "web"
    shutil.copytree(shard_folder, folder)
    handler = type("OwnHandler", (Handler,), {"log": [], "cuts": 0, "spoil": ""})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler, folder
    server.shutdown()
    server.server_close()
    thread.join()


def same_windows(remote_set, shard_set, order, n=None):
    a = WindowIndex([remote_set], n_samples=300, stride=100, splits=None)
    b = WindowIndex([shard_set], n_samples=300, stride=100, splits=None)
    made = order(b)
    n = len(b) if n is None else n
    for start in range(0, n, 64):
        indices = made.at(0, np.arange(start, min(start + 64, n)))
        one, two = a.gather(indices), b.gather(indices)
        np.testing.assert_array_equal(one.signal_i16, two.signal_i16)
        np.testing.assert_array_equal(one.scale_uv, two.scale_uv)
    return a


def cache_bytes(cache):
    return sum(p.stat().st_size for p in cache.files.iterdir())


def test_web_set_gives_the_same_windows(web, shard_set, tmp_path):
    """A set on the web gives the same windows."""
    address, handler, _ = web
    cache = Cache(tmp_path / "cache")
    opened = open_shards(address, cache=cache)
    assert not [p for p in handler.log if p.endswith(".tar")]
    same_windows(opened, shard_set, lambda i: SampleOrder(len(i), 0))
    fetched = [p for p in handler.log if p.endswith(".tar")]
    assert len(fetched) == len(set(fetched)) == len(shard_set.shards)
    again = open_shards(address, cache=cache)
    same_windows(again, shard_set, lambda i: SampleOrder(len(i), 1), n=200)
    assert len([p for p in handler.log if p.endswith(".tar")]) == len(fetched)


def test_two_level_order_outgrows_the_cache(web, shard_set, tmp_path):
    """A two-level order reads a set larger than the cache."""
    address, handler, _ = web
    limit = sum(s.n_bytes for s in shard_set.shards) // 4
    cache = Cache(tmp_path / "cache", max_bytes=limit)
    opened = open_shards(address, cache=cache)
    index = same_windows(opened, shard_set, lambda i: TwoLevelOrder(i.shard_sizes, 3, 0))
    assert cache_bytes(cache) <= limit
    assert sum(index.spans.nearby._mapped.values()) <= limit
    # Nothing is fetched over and over: windows that run into the next shard need it a second time at most.
    assert len([p for p in handler.log if p.endswith(".tar")]) < 4 * len(shard_set.shards)
    with pytest.raises(UsageError, match="do not fit into the cache"):
        same_windows(opened, shard_set, lambda i: SampleOrder(len(i), 0))


def test_loader_prefetches_the_local_batches(web, shard_set, tmp_path):
    """The loader fetches ahead and gives the local batches."""
    torch = pytest.importorskip("torch")
    from eegpt.data import WindowLoader

    address, _, _ = web
    batches = []
    for one in (open_shards(address, cache=Cache(tmp_path / "cache")), shard_set):
        index = WindowIndex([one], n_samples=128, stride=32, splits=None)
        loader = WindowLoader(index, TwoLevelOrder(index.shard_sizes, 4, 0), 256)
        batches.append([b.signal_i16 for b in loader])
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))


def test_a_cut_connection_is_tried_again(web, shard_set, tmp_path):
    address, handler, _ = web
    handler.cuts = 4
    opened = open_shards(address, cache=Cache(tmp_path / "cache"))
    same_windows(opened, shard_set, lambda i: SampleOrder(len(i), 0), n=300)
    assert handler.cuts == 0


def test_connection_that_stays_cut_ends(web, tmp_path):
    """A connection that stays cut ends with what to do."""
    address, handler, _ = web
    handler.cuts = 10**6
    opened = open_shards(address, cache=Cache(tmp_path / "cache"))
    with pytest.raises(UsageError, match=r"shards/.*cannot be downloaded"):
        opened.remote.path(opened.shards[0])
    assert not list((tmp_path / "cache" / "files").iterdir())


@pytest.mark.parametrize("spoil", ["flip", "endless"])
def test_wrong_bytes_name_the_shard(web, tmp_path, spoil):
    """Wrong bytes stop with the shard's name and are not kept."""
    address, handler, _ = web
    handler.spoil = spoil
    opened = open_shards(address, cache=Cache(tmp_path / "cache"))
    with pytest.raises(RefusedError, match=r"shard shards/Fp1/Fp1-000000\.tar"):
        opened.remote.path(opened.shards[0])
    assert len([p for p in handler.log if p.endswith(".tar")]) == 1
    assert not list((tmp_path / "cache" / "files").iterdir())


def test_an_address_without_a_set_says_so(web, tmp_path):
    address, _, folder = web
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(UsageError, match="no complete shard set"):
        open_shards(address, cache=Cache(tmp_path / "cache"))


def test_damaged_index_leaves_nothing(web, tmp_path):
    """A damaged index is refused, and nothing is left that counts as fetched."""
    address, _, folder = web
    data = (folder / "blocks.parquet").read_bytes()
    (folder / "blocks.parquet").write_bytes(data[:-9] + b"x" + data[-8:])
    with pytest.raises(RefusedError, match=r"blocks\.parquet"):
        open_shards(address, cache=Cache(tmp_path / "cache"))
    (folder / "blocks.parquet").write_bytes(data)
    assert len(open_shards(address, cache=Cache(tmp_path / "cache")).blocks)


@pytest.mark.parametrize("address", ["http://example.org/x", "file:///etc", "s3://", "https://a/b?c", "pipe:ls"])
def test_other_addresses_are_refused(address, tmp_path):
    with pytest.raises(UsageError, match="invalid address"):
        Remote(address, Cache(tmp_path))


def test_shard_beyond_the_cache_is_refused(web, tmp_path):
    """A shard larger than the cache is refused."""
    address, _, _ = web
    opened = open_shards(address, cache=Cache(tmp_path / "cache", max_bytes=19_000))
    with pytest.raises(UsageError, match="does not fit into the cache"):
        opened.remote.path(max(opened.shards, key=lambda s: s.n_bytes))


def _fetch_all(address: str, folder: str, max_bytes: int) -> int:
    cache = Cache(Path(folder), max_bytes=max_bytes)
    opened = open_shards(address, cache=cache)
    return sum(len(opened.remote.path(s).read_bytes()) for s in opened.shards)


def test_processes_fetch_every_shard_once(web, shard_set, tmp_path):
    """Processes share the cache and fetch every shard once."""
    address, handler, _ = web
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        sizes = pool.starmap(_fetch_all, [(address, str(tmp_path / "cache"), 1 << 30)] * 3)
    assert sizes == [sum(s.n_bytes for s in shard_set.shards)] * 3
    fetched = [p for p in handler.log if p.endswith(".tar")]
    assert len(fetched) == len(set(fetched)) == len(shard_set.shards)


@pytest.fixture(scope="module")
def s3(shard_folder):
    """A real S3 server (moto's) on loopback that holds the shard set in a bucket."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    keep = {k: os.environ.get(k) for k in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")}
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    system = fsspec.filesystem("s3", endpoint_url=endpoint, skip_instance_cache=True)
    system.mkdir("labs")
    system.put(str(shard_folder), "labs/set", recursive=True)
    yield endpoint, system
    server.stop()
    for key, value in keep.items():
        os.environ.pop(key, None) if value is None else os.environ.__setitem__(key, value)


def test_s3_set_gives_the_same_windows(s3, shard_set, tmp_path, monkeypatch):
    """A set in an S3 bucket gives the same windows."""
    endpoint, _ = s3
    monkeypatch.setenv("EEGPT_S3_ENDPOINT", endpoint)
    monkeypatch.setenv("EEGPT_CACHE", str(tmp_path / "cache"))
    # What a command line makes of it: pathlib turns s3:// into s3:/.
    opened = open_shards(Path("s3://labs/set"))
    same_windows(opened, shard_set, lambda i: SampleOrder(len(i), 0))
    assert opened.sha256 == shard_set.sha256
    with pytest.raises(UsageError, match="no complete shard set"):
        open_shards("s3://labs/nothing")


def test_changed_s3_object_names_the_shard(s3, tmp_path):
    """A changed object in a bucket stops with the shard's name."""
    endpoint, system = s3
    opened = open_shards("s3://labs/set", cache=Cache(tmp_path / "cache"), options={"endpoint_url": endpoint})
    shard = opened.shards[-1]
    data = system.cat_file(f"labs/set/{shard.name}")
    system.pipe_file(f"labs/set/{shard.name}", data[:-600] + b"!" + data[-599:])
    try:
        with pytest.raises(RefusedError, match=shard.name):
            opened.remote.path(shard)
    finally:
        system.pipe_file(f"labs/set/{shard.name}", data)
