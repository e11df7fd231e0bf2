"""The cache of remote shards: never a half file, never over its limit, whoever uses it, whatever ends a fetch."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from eegprep.errors import UsageError
from eegprep.remote.cache import Cache
from eegprep.remote.shard_sets import Remote
from eegprep.shards.columns import ShardFile
from eegprep.shards.flatmap import FlatMap

PIECE = bytes(range(256)) * 64


def content(k: int, n_pieces: int = 4) -> bytes:
    return bytes([k]) * 512 + PIECE * n_pieces


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(cache: Cache, data: bytes) -> Path:
    return cache.get(name_of(data), len(data), lambda: iter([data]), name="x")


def slow_fetch(folder: str, started) -> None:
    data = content(1)

    def pieces():
        yield data[:1000]
        started.set()
        time.sleep(60)
        yield data[1000:]

    Cache(Path(folder)).get(name_of(data), len(data), pieces, name="x")


def test_killed_fetch_blocks_nothing(tmp_path):
    """A fetch that is killed leaves nothing that counts, and the next one is not held up."""
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    process = context.Process(target=slow_fetch, args=(str(tmp_path), started))
    process.start()
    assert started.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    (left,) = (tmp_path / "files").iterdir()
    assert left.suffix == ".part"
    data = content(1)
    begun = time.perf_counter()
    assert put(Cache(tmp_path), data).read_bytes() == data
    assert time.perf_counter() - begun < 5
    assert [p.name for p in (tmp_path / "files").iterdir()] == [name_of(data)]


def test_part_of_a_killed_fetch_makes_room(tmp_path):
    """A part that a killed process left makes room for others."""
    data = content(1)
    cache = Cache(tmp_path, max_bytes=len(data) + 100)
    cache.files.mkdir(parents=True)
    (cache.files / f"{'0' * 64}.part").write_bytes(content(2))
    put(cache, data)
    assert [p.name for p in cache.files.iterdir()] == [name_of(data)]


def fill(folder: str, first: int, limit: int, over) -> None:
    cache = Cache(Path(folder), max_bytes=limit)
    for k in range(first, first + 40):
        data = content(k % 50)
        put(cache, data)
        sizes = {}
        with cache.locked("all"):  # nothing goes meanwhile; a part that gets its name is counted once
            for p in cache.files.iterdir():
                try:
                    sizes[p.stem] = p.stat().st_size
                except FileNotFoundError:
                    continue
        if sum(sizes.values()) > limit:
            over.value = sum(sizes.values())


def test_processes_share_one_limit(tmp_path):
    """Processes together stay within the limit."""
    limit = 5 * len(content(0))
    context = multiprocessing.get_context("spawn")
    over = context.Value("q", 0)
    processes = [context.Process(target=fill, args=(str(tmp_path), 20 * k, limit, over)) for k in range(3)]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
    assert [p.exitcode for p in processes] == [0, 0, 0]
    assert over.value == 0


def test_full_disk_ends_and_leaves_no_part(tmp_path, monkeypatch):
    """A full disk ends the fetch at once with what to do and leaves no part."""
    data = content(3)
    remote = Remote("https://example.org/set", Cache(tmp_path))
    asked = []

    def pieces(name):
        asked.append(name)
        yield data[:100]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(remote, "_pieces", pieces)
    shard = ShardFile(name="shards/Cz/Cz-000000.tar", electrode=0, n_bytes=len(data), sha256=name_of(data))
    with pytest.raises(UsageError, match=r"Cz-000000\.tar cannot be written to the cache[^$]*EEGPT_CACHE"):
        remote.path(shard)
    assert len(asked) == 1
    assert not list((tmp_path / "files").iterdir())


def test_evicted_shard_is_fetched_again(tmp_path, monkeypatch):
    """A shard that others evict before it is mapped is fetched again."""
    data = content(4)
    remote = Remote("https://example.org/set", Cache(tmp_path))
    shard = ShardFile(name="shards/Cz/Cz-000000.tar", electrode=0, n_bytes=len(data), sha256=name_of(data))
    monkeypatch.setattr(remote, "_pieces", lambda name: iter([data]))
    real, lost = remote.path, []

    def path(one):
        found = real(one)
        if not lost:
            lost.append(found)
            found.unlink()
        return found

    monkeypatch.setattr(remote, "path", path)
    flat = FlatMap([(None, len(data))])
    remote.place(flat, 0, shard)
    np.testing.assert_array_equal(flat.samples[: len(data) // 2], np.frombuffer(data, "<i2"))


def test_last_used_stays_within_one_tick(tmp_path):
    """What was used last stays, also within one tick of the clock."""
    cache = Cache(tmp_path, max_bytes=3 * len(content(0)))
    for k in range(60):
        files = [content(k % 50), content((k + 1) % 50)]
        for data in files:
            put(cache, data)
        put(cache, content((k + 7) % 50))
        assert all((cache.files / name_of(data)).exists() for data in files)
