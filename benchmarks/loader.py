"""How fast shuffled windows and trials come out of our shards and out of other layouts, beside what memory allows.

    python benchmarks/loader.py --json loader.json

All layouts contain the same windows and are read in one process with one thread, in interleaved rounds; the table has
medians over the rounds, and ratios are medians of the ratios per round. Missing peers are listed.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ours
import torch
from corpus import BATCH, CLOCKS, make_corpus, median_ratio, rate
from layouts import PEERS, missing

from eegprep.shards import build_shard_set

TRIALS = 64


def written(peer: Any, corpus: Any, folder: Path) -> Path:
    """A peer's copy of the corpus."""
    folder.mkdir()
    peer.write(corpus, folder)
    return folder


def measure_rates(
    corpus: Any, folder: Path, rounds: int, seconds: float, clock: str
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Windows per second by name and round, and reasons for missing peers."""
    shards = folder / "ours"
    sources: dict[str, Callable[[int], Any]] = {
        "limit: sequential copy + convert": lambda seed: ours.sequential_limit(corpus.windows),
        "ours": lambda seed: ours.batches_uv(ours.loader(shards, seed=seed)),
        "ours, one thread ahead": lambda seed: ours.batches_uv(ours.loader(shards, prefetch=2, seed=seed)),
        "ours, int16": lambda seed: ours.batches_i16(ours.loader(shards, seed=seed)),
    }
    absent = {}
    for make in PEERS:
        peer = make()
        if why := missing(peer):
            absent[peer.name] = why
            continue
        try:
            own = shards if peer.name.startswith("webdataset, our") else written(peer, corpus, folder / make.__name__)
            next(iter(peer.batches(own, 0)))
        except Exception as error:  # errors of peers are shown in the table, never hidden
            absent[peer.name] = f"{type(error).__name__}: {str(error)[:200]}"
            continue
        sources[peer.name] = lambda seed, peer=peer, own=own: peer.batches(own, seed)
    rates: dict[str, list[float]] = {name: [] for name in sources}
    for k in range(rounds):
        for name, source in sources.items():
            rates[name].append(rate(lambda source=source, k=k: source(k), seconds, clock))
    return rates, absent


def measure_trials(corpus: Any, folder: Path, rounds: int, seconds: float, clock: str) -> dict[str, list[float]]:
    """Trials with all electrodes per second."""
    whole = folder / "whole"
    whole.mkdir()
    for k, recording in enumerate(corpus.signal_i16):
        np.save(whole / f"{k:04d}.npy", recording)
    sources = {
        "ours": lambda: ours.trials(folder / "ours", TRIALS),
        "one array per recording": lambda: ours.trials_of_whole_recordings(whole, TRIALS),
    }
    rates: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(rounds):
        for name, source in sources.items():
            rates[name].append(rate(source, seconds, clock))
    return rates


def first_batch_s(folder: Path, rounds: int) -> float:
    """Median seconds for opening, index, order and the first float32 batch, without imports."""
    times = []
    for k in range(rounds):
        started = time.perf_counter()
        next(ours.batches_uv(ours.loader(folder / "ours", seed=k)))
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def index_of(n_windows: int, folder: Path) -> dict[str, float]:
    """Seconds to open a set with this many windows, and MiB used by its index (sparse shards, no data)."""
    script = Path(__file__).with_name("big_index.py")
    command = [sys.executable, str(script), str(n_windows), str(folder / "big")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--windows", type=int, default=98_304, help="windows of 1024 samples (2 KiB each)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="per layout and round")
    parser.add_argument(
        "--clock", choices=sorted(CLOCKS), default="wall", help="cpu: where others keep the machine busy"
    )
    parser.add_argument("--folder", type=Path, help="where to write (a temporary folder by default)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # peers warn on every start
    folder = Path(tempfile.mkdtemp(prefix="eegpt-loader-", dir=options.folder))
    try:
        corpus = make_corpus(options.windows)
        build_shard_set([ours.CorpusStore(corpus)], folder / "ours", sync=False)
        begun = first_batch_s(folder, options.rounds)
        trials = measure_trials(corpus, folder, options.rounds, options.seconds, options.clock)
        rates, absent = measure_rates(corpus, folder, options.rounds, options.seconds, options.clock)
        big = index_of(37_500_000, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    limit = rates["limit: sequential copy + convert"]
    how = f"batches of {BATCH}, {options.rounds} rounds, {options.clock} time"
    print(f"{corpus.n_windows} windows of 2 KiB in the page cache, {how}\n")
    print("| layout | windows/s | min to max | of the limit | ours is faster by |")
    print("|---|---|---|---|---|")
    for name, values in rates.items():
        faster = median_ratio(rates["ours"], values)
        print(
            f"| {name} | {np.median(values):,.0f} | {min(values):,.0f} to {max(values):,.0f} "
            f"| {median_ratio(values, limit):.1%} | {faster:.2f} |"
        )
    for name, why in absent.items():
        print(f"| {name} | absent: {why} | | | |")
    print(f"\n| trials of {len(ours.ELECTRODES)} electrodes x {ours.TRIAL_SAMPLES} samples | trials/s |\n|---|---|")
    for name, values in trials.items():
        print(f"| {name} | {np.median(values):,.0f} |")

    def versus(name: str) -> float | None:
        return median_ratio(rates["ours"], rates[name]) if name in rates else None

    figures = {
        "read_vs_limit": median_ratio(rates["ours"], limit),
        "read_vs_naive": versus("webdataset, naive"),
        "read_vs_litdata": versus("litdata"),
        "read_vs_lmdb_raw": versus("LMDB, raw bytes"),
        "trial_vs_whole": median_ratio(trials["ours"], trials["one array per recording"]),
        "first_batch_s": begun,
        "index_mib": big["index_mib"],
        "index_open_s": big["index_open_s"],
        "index_open_cpu_s": big["index_open_cpu_s"],
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print()
    for name, value in figures.items():
        print(f"{name:<20}{'absent' if value is None else f'{value:.3f}'}")
    if options.json:
        more = {"windows_per_s": rates, "trials_per_s": trials, "absent": absent, "windows": corpus.n_windows}
        options.json.write_text(json.dumps(figures | more, indent=1) + "\n")


if __name__ == "__main__":
    main()
