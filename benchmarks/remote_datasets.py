"""Ingest a BIDS data set from an S3 server and from a web server on this machine, through a cache smaller than it.

Prints the commands and what they print, the largest size of the cache's signal files during the run, and the rates.
Needs the packages of the tests: `python benchmarks/remote_datasets.py --subjects 8 --minutes 5`.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.remote_trees import Pages, s3_server, upload, write_tree
from support.web_servers import serving


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        names = tuple(f"{n:02d}" for n in range(1, options.subjects + 1))
        tree = write_tree(place / "ds900001", names, seconds=int(60 * options.minutes))
        signal = [p for p in tree.rglob("*") if p.suffix in (".edf", ".eeg") and "derivatives" not in p.parts]
        n_bytes = sum(p.stat().st_size for p in signal)
        largest = max(p.stat().st_size for p in signal)
        limit = int(2.5 * largest)
        print(f"data set: {len(signal)} recordings, {n_bytes / 1e6:.1f} MB of signal; cache: {limit / 1e6:.1f} MB")
        with s3_server() as (endpoint, client):
            client.create_bucket(Bucket="openneuro.org")
            client.put_bucket_versioning(Bucket="openneuro.org", VersioningConfiguration={"Status": "Enabled"})
            upload(client, tree, "openneuro.org", "ds900001")
            more = {"EEGPT_S3_ENDPOINT": endpoint}
            run(place, "manifest", "new", "openneuro:ds900001", "--out", "draft.yaml", limit=limit, more=more)
            run(place, "ingest", "openneuro:ds900001", "--out", "from-s3", "--workers", options.workers, limit=limit,
                n_bytes=n_bytes, more=more)  # fmt: skip
            run(place, "ingest", "openneuro:ds900001", "--out", "from-s3", limit=limit, more=more)
        with serving(Pages, tree, etags=True, ranges=True, cut=3) as (address, left, _):
            run(
                place,
                "ingest",
                address,
                "--out",
                "from-web",
                "--workers",
                options.workers,
                limit=limit,
                n_bytes=n_bytes,
            )
            print(f"connections cut in the middle of a file: {3 - left['cut']}")
        run(place, "ingest", "openneuro:ds002718", limit=limit, more={"EEGPT_S3_ENDPOINT": "http://127.0.0.1:9"})


def run(place: Path, *words: object, limit: int, n_bytes: int = 0, more: dict[str, str] | None = None) -> None:
    """Run a command, print it with what it prints, and watch the size of the cache."""
    command = list(map(str, words))
    cache = place / "cache"
    environment = {**os.environ, "EEGPT_CACHE": str(cache), "EEGPT_CACHE_BYTES": str(limit), **(more or {})}
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.02):
            sizes = []
            for path in cache.rglob("*"):
                try:
                    sizes.append(path.stat().st_size if path.suffix in (".edf", ".eeg", ".part") else 0)
                except OSError:
                    continue
            peak = max(peak, sum(sizes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "_eegpt_cli.prep", *command], cwd=place, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    lasted_s = time.monotonic() - begun
    ended.set()
    watcher.join()
    print(f"\n$ eegprep {' '.join(command)}\n{done.stderr}{done.stdout}", end="")
    rate = f", {n_bytes / lasted_s / 1e6:.1f} MB/s" if n_bytes else ""
    print(f"[exit code {done.returncode}, {lasted_s:.1f} s{rate}, at most {peak / 1e6:.1f} MB of signal in the cache]")


if __name__ == "__main__":
    main()
