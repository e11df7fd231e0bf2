"""How fast shards are written and proved, and how many bytes they take, beside plain write() and other layouts.

    python benchmarks/shards.py --json shards.json

Written to the page cache, except where "synced" says that files are on the disk before the clock stops, which is what
`eegprep shard` does; in rounds that take turns; rates count raw int16 bytes.
"ours, samples given" is the writer as quantised blocks come to it (frame, CRC-32 and SHA-256 included); "ours, from a
store" also reads float32 recordings, finds their scale, quantises, and writes the index.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import ours
from corpus import ELECTRODES, Corpus, make_corpus, median_ratio
from layouts import PEERS, missing

from eegprep.shards import build_shard_set, verify_shard_set

_CHUNK = 1 << 19


def plain_write(corpus: Corpus, folder: Path, *, sync: bool = False) -> None:
    """The limit: the same bytes to one file per electrode, 512 KiB a call."""
    for e, electrode in enumerate(ELECTRODES):
        descriptor = os.open(folder / electrode, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        for recording in corpus.signal_i16:
            data = memoryview(recording[e]).cast("B")
            for start in range(0, len(data), _CHUNK):
                os.write(descriptor, data[start : start + _CHUNK])
        if sync:
            os.fsync(descriptor)
        os.close(descriptor)


def sha256_alone(corpus: Corpus, folder: Path) -> None:
    """The other limit: hashing the same bytes without writing."""
    digest = hashlib.sha256()
    for recording in corpus.signal_i16:
        for electrode in recording:
            digest.update(electrode)


def write_without_hashes(corpus: Corpus, folder: Path) -> None:
    """Our writer without its two hashes, to show their cost; a set needs them."""
    with (
        mock.patch("eegprep.shards.build.writer._update", return_value=None),
        mock.patch("eegprep.shards.build.writer.zlib.crc32", return_value=0),
    ):
        ours.write_blocks(corpus, folder)


def write_in_threads(corpus: Corpus, folder: Path) -> None:
    """Our writer, two electrodes at once."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda e: ours.write_blocks(corpus, folder, electrodes=(e,)), range(len(ELECTRODES))))


def build(corpus: Corpus, folder: Path, workers: int) -> None:
    """Build a complete set from a store."""
    build_shard_set([ours.CorpusStore(corpus)], folder / "set", workers=workers, sync=False)


def bytes_in(folder: Path) -> int:
    """Size of every file."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--windows", type=int, default=98_304, help="windows of 1024 samples (2 KiB each)")
    parser.add_argument("--peer-windows", type=int, default=16_384, help="fewer for peers, which are slower")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to write (a temporary folder by default)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # peers warn on every start
    corpus, small = make_corpus(options.windows), make_corpus(options.peer_windows)
    sources: dict[str, tuple[Callable[[Corpus, Path], Any], Corpus]] = {
        "limit: write()": (plain_write, corpus),
        "limit: write(), synced": (lambda c, f: plain_write(c, f, sync=True), corpus),
        "limit: SHA-256": (sha256_alone, corpus),
        "ours, without its hashes": (write_without_hashes, corpus),
        "ours, samples given": (ours.write_blocks, corpus),
        "ours, samples given, 2 threads": (write_in_threads, corpus),
        "ours, samples given, synced": (lambda c, f: ours.write_blocks(c, f, sync=True), corpus),
        "ours, from a store": (lambda c, f: build(c, f, 1), corpus),
        "ours, from a store, 2 threads": (lambda c, f: build(c, f, 2), corpus),
    }
    absent = {}
    for make in PEERS:
        peer = make()
        if peer.name == "webdataset, our blocks":
            continue
        if why := missing(peer):
            absent[peer.name] = why
        else:
            sources[peer.name] = (peer.write, small)
    rates: dict[str, list[float]] = {name: [] for name in sources}
    sizes: dict[str, float] = {}
    verify_rates = []
    root = Path(tempfile.mkdtemp(prefix="eegpt-shards-", dir=options.folder))
    try:
        for _ in range(options.rounds):
            for name, (write, data) in sources.items():
                if name in absent:
                    continue
                folder = root / "one"
                folder.mkdir()
                started = time.perf_counter()
                try:
                    write(data, folder)
                except Exception as error:  # errors of peers are shown in the table, never hidden
                    absent[name] = f"{type(error).__name__}: {str(error)[:200]}"
                    continue
                finally:
                    seconds = time.perf_counter() - started
                    if name == "ours, from a store" and name not in absent:
                        started = time.perf_counter()
                        report = verify_shard_set(folder / "set", deep=True)
                        verify_rates.append(report.n_bytes / (time.perf_counter() - started) / 1e6)
                    size = bytes_in(folder)
                    shutil.rmtree(folder)
                rates[name].append(data.n_bytes / seconds / 1e6)
                sizes[name] = size / data.n_bytes
    finally:
        shutil.rmtree(root, ignore_errors=True)
    limit = rates["limit: write()"]
    print(f"{corpus.n_bytes / 1e6:.0f} MB of int16 ({small.n_bytes / 1e6:.0f} MB for peers), {options.rounds} rounds\n")
    print("| layout | MB/s | min to max | of write() | bytes, of raw int16 |")
    print("|---|---|---|---|---|")
    for name, values in rates.items():
        if name in absent or not values:
            continue
        print(
            f"| {name} | {np.median(values):,.0f} | {min(values):,.0f} to {max(values):,.0f} "
            f"| {median_ratio(values, limit):.1%} | {sizes[name]:.4f} |"
        )
    for name, why in absent.items():
        print(f"| {name} | absent: {why} | | | |")
    figures = {
        "write_vs_plain": median_ratio(rates["ours, samples given"], limit),
        "write_without_hashes_vs_plain": median_ratio(rates["ours, without its hashes"], limit),
        "write_vs_sha256": median_ratio(rates["ours, samples given"], rates["limit: SHA-256"]),
        "write_2_threads_vs_plain": median_ratio(rates["ours, samples given, 2 threads"], limit),
        "write_synced_vs_plain_synced": median_ratio(
            rates["ours, samples given, synced"], rates["limit: write(), synced"]
        ),
        "bytes_vs_raw": sizes["ours, from a store"],
        "verify_deep_mb_s": float(np.median(verify_rates)),
    }
    print()
    for name, value in figures.items():
        print(f"{name:<32}{value:.4f}")
    if options.json:
        more = {"mb_per_s": rates, "bytes_of_raw": sizes, "absent": absent}
        options.json.write_text(json.dumps(figures | more, indent=1) + "\n")


if __name__ == "__main__":
    main()
