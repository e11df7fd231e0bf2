"""Shard sets with mutated bytes, by the hundred thousand: is each refused with one of our errors, in little memory?

    python benchmarks/fuzz.py --inputs 100000 --json fuzz.json
    python benchmarks/fuzz.py --only 4711             # one input again, in this process

Each input is one file of a small shard set with some bytes flipped, cut, duplicated, or replaced by numbers that are
difficult for parsers; all hashes are updated, so that the mutation reaches the parser. Outcomes: refused, whole (the
mutation did not affect the data read), and anything else, which is a bug and ends the run with 1: another exception, a
crash, more than 20 s, more than 2 GiB.

Input k depends only on (seed, k). Inputs are distributed over worker processes in turn; continue a run that was
interrupted, or ended by `--minutes`, with `--first`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import queue
import resource
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eegprep.electrodes import Vocabulary
from eegprep.errors import EEGPTError
from eegprep.remote import open_shards
from eegprep.shards import build_shard_set
from eegprep.shards.verify.shard_set import verify_shard_set

FILES = (
    "blocks.parquet", "recordings.parquet", "trials.parquet", "electrodes.parquet", "manifest.yaml", "lock.yaml",
    "SHA256SUMS", "shard",
)  # fmt: skip
_SECONDS_PER_INPUT = 20
_BYTES_MORE = 2 << 30
_TOLD_EVERY = 200
# Boundary values: lengths and counts in headers are little-endian integers or varints.
_BORDERS = [0, 1, -1, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, -(2**63)]


class Target:
    """A small shard set whose files are replaced one at a time and then restored."""

    def __init__(self, folder: Path, store: Any) -> None:
        self.folder = folder / "set"
        # Few rows: small files make hits more likely and checks faster.
        names = sorted({name for info in store.infos() for name in info.electrodes})
        vocabulary = Vocabulary([row for row in Vocabulary.base() if row.name in names])
        build_shard_set(
            [store], self.folder, vocabulary=vocabulary, block_samples=512, max_shard_bytes=8_000, sync=False
        )
        opened = open_shards(self.folder)
        self.shard = opened.shards[0].name
        self._originals = {name: (self.folder / self._path(name)).read_bytes() for name in FILES}
        self._sums = self._originals["SHA256SUMS"].decode()

    def _path(self, name: str) -> str:
        return self.shard if name == "shard" else name

    def original(self, name: str) -> bytes:
        """The original bytes of one of `FILES`."""
        return self._originals[name]

    def listing(self) -> list[str]:
        """Every path at and beside the set."""
        return sorted(str(p) for p in self.folder.parent.rglob("*"))

    def try_bytes(self, name: str, data: bytes) -> str:
        """Write mutated bytes, reseal the set, open and verify it; returns `refused` or `whole`.

        Raises any error but EEGPTError, and an error for a damaged shard that passes.
        """
        path = self.folder / self._path(name)
        try:
            path.write_bytes(data)
            if name == "shard":
                self._seal_shard(data)
            elif name != "SHA256SUMS":
                self._seal(name, data)
            try:
                verify_shard_set(self.folder, deep=True, workers=1)
            except EEGPTError as error:
                str(error)
                return "refused"
            if name == "shard" and data != self._originals[name]:
                raise AssertionError("a damaged shard passed the deep check")
            return "whole"
        finally:
            path.write_bytes(self._originals[name])
            (self.folder / "electrodes.parquet").write_bytes(self._originals["electrodes.parquet"])
            (self.folder / "SHA256SUMS").write_text(self._sums)

    def _seal(self, name: str, data: bytes) -> None:
        lines = [x for x in self._sums.splitlines() if not x.endswith("  " + name)]
        lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}")
        (self.folder / "SHA256SUMS").write_text("\n".join(sorted(lines, key=lambda x: x[66:])) + "\n")

    def _seal_shard(self, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        table = pq.ParquetFile(pa.BufferReader(self._originals["electrodes.parquet"])).read()
        texts = []
        for text in table["shards"].to_pylist():
            rows = json.loads(text)
            texts.append(json.dumps([[n, len(data), digest] if n == self.shard else [n, b, h] for n, b, h in rows]))
        column = table.schema.get_field_index("shards")
        table = table.set_column(column, table.schema.field(column), pa.array(texts, pa.string()))
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="none")
        electrodes = sink.getvalue().to_pybytes()
        (self.folder / "electrodes.parquet").write_bytes(electrodes)
        self._seal("electrodes.parquet", electrodes)
        text = (self.folder / "SHA256SUMS").read_text().splitlines()
        text = [f"{digest}  {self.shard}" if x.endswith("  " + self.shard) else x for x in text]
        (self.folder / "SHA256SUMS").write_text("\n".join(text) + "\n")


def mutate(rng: np.random.Generator, data: bytes) -> bytes:
    """Apply one to four mutations."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not out:
            break
        at, n = int(rng.integers(len(out))), int(rng.integers(1, 64))
        kind = int(rng.integers(7))
        if kind == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            out[at : at + n] = rng.integers(0, 256, n, dtype=np.uint8).tobytes()
        elif kind == 2:
            del out[at : at + n]
        elif kind == 3:
            out[at:at] = out[at : at + n]
        elif kind == 4:
            del out[at:]
        elif kind == 5:
            width = int(rng.choice([1, 2, 4, 8]))
            value = _BORDERS[int(rng.integers(len(_BORDERS)))] % (1 << (8 * width))
            out[at : at + width] = value.to_bytes(width, "little")
        else:
            other = int(rng.integers(len(out)))
            out[at : at + n] = out[other : other + n]
    return bytes(out)


def synthetic_store() -> Any:
    """The synthetic store of the tests, identical on every machine."""
    path = Path(__file__).resolve().parent.parent / "tests" / "support" / "synthetic.py"
    return runpy.run_path(str(path))["small_store"](n_subjects=2, n_samples=4200)


def input_of(target: Target, seed: int, number: int) -> tuple[str, bytes]:
    """The file and bytes of an input, determined by seed and number."""
    name = FILES[number % len(FILES)]
    return name, mutate(np.random.default_rng([seed, number]), target.original(name))


@dataclass
class Found:
    """Report of a worker process since its last one; `after` is its next input."""

    share: int
    after: int
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest_s: float = 0.0
    grown_mib: float = 0.0
    strays: int = 0
    finished: bool = False


def _too_slow(*_: Any) -> None:
    raise TimeoutError(f"an input took more than {_SECONDS_PER_INPUT} s")


def work(root: str, seed: int, share: int, numbers: range, skip: set[int], now: Any, results: Any, end: float) -> None:
    """Worker process: run its share of the inputs, announcing each in `now`."""
    folder = Path(tempfile.mkdtemp(dir=root))
    (folder / "here").mkdir()
    os.chdir(folder / "here")
    signal.signal(signal.SIGALRM, _too_slow)
    target, found = Target(folder, synthetic_store()), Found(share, numbers.start)
    target.try_bytes(FILES[0], target.original(FILES[0]))  # all late imports are done now
    before, rss = target.listing(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _BYTES_MORE, resource.RLIM_INFINITY))
    for count, number in enumerate(numbers, 1):
        if time.time() > end:
            break
        if number in skip:
            continue
        now.value = number
        name, data = input_of(target, seed, number)
        begun = time.perf_counter()
        signal.alarm(_SECONDS_PER_INPUT)
        try:
            result = target.try_bytes(name, data)
        except Exception as error:
            result = "BUG"
            print(f"input {number}, {name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr, flush=True)
        signal.alarm(0)
        found.slowest_s = max(found.slowest_s, time.perf_counter() - begun)
        found.counts[name, result] += 1
        found.after = number + numbers.step
        if count % _TOLD_EVERY == 0:
            results.put(found)
            found = Found(share, found.after)
    found.grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss) / 1024
    found.strays, found.finished = len(set(target.listing()) ^ set(before)), True
    results.put(found)


def run(options: argparse.Namespace, root: str) -> Found:
    """Run all inputs in `--workers` processes; a crash is a bug, and its share continues after that input."""
    context = multiprocessing.get_context("spawn")
    results, total = context.Queue(), Found(-1, -1)
    end = time.time() + 60 * options.minutes if options.minutes else float("inf")
    last, step = options.first + options.inputs, options.workers
    after = [options.first + w for w in range(step)]
    skip: set[int] = set()

    def start(share: int) -> tuple[Any, Any]:
        now = context.Value("q", -1)
        numbers = range(after[share], last, step)
        process = context.Process(target=work, args=(root, options.seed, share, numbers, skip, now, results, end))
        process.start()
        return process, now

    running = [start(share) for share in range(step)]
    finished = 0
    while finished < step:
        try:
            found = results.get(timeout=1)
        except queue.Empty:
            for share, (process, now) in enumerate(running):
                if process.exitcode not in (None, 0):
                    if now.value < 0:
                        raise RuntimeError(f"a worker could not begin: exit code {process.exitcode}") from None
                    print(f"input {now.value} ended its process: {process.exitcode}", file=sys.stderr, flush=True)
                    total.counts[FILES[now.value % len(FILES)], "BUG"] += 1
                    skip.add(now.value)
                    running[share] = start(share)
            continue
        after[found.share] = found.after
        finished += found.finished
        total.counts.update(found.counts)
        total.slowest_s = max(total.slowest_s, found.slowest_s)
        total.grown_mib = max(total.grown_mib, found.grown_mib)
        total.strays += found.strays
        print(f"\r{total.counts.total():>9} of {options.inputs}", end="", file=sys.stderr, flush=True)
    for process, _ in running:
        process.join()
    print(file=sys.stderr)
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1), help="processes")
    parser.add_argument("--minutes", type=float, help="end earlier after this time")
    parser.add_argument("--only", type=int, help="try this one input in this process, errors and all")
    parser.add_argument("--json", type=Path, help="also write the table here")
    options = parser.parse_args()
    root = tempfile.mkdtemp(prefix="eegpt-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    started = time.perf_counter()
    try:
        if options.only is not None:
            target = Target(Path(root), synthetic_store())
            name, data = input_of(target, options.seed, options.only)
            print(f"input {options.only}, {name}: {target.try_bytes(name, data)}")
            return 0
        found = run(options, root)
    finally:
        shutil.rmtree(root)
    seconds, counts = time.perf_counter() - started, found.counts
    print(f"{'file':<20}{'refused':>10}{'whole':>8}{'bugs':>6}")
    for name in FILES:
        print(f"{name:<20}{counts[name, 'refused']:>10}{counts[name, 'whole']:>8}{counts[name, 'BUG']:>6}")
    bugs = sum(n for (_, result), n in counts.items() if result == "BUG")
    print(
        f"{counts.total()} inputs from number {options.first} in {seconds:.0f} s with {options.workers} processes, "
        f"slowest {found.slowest_s:.2f} s, memory grew by {found.grown_mib:.0f} MiB, {bugs} bugs, "
        f"{found.strays} files elsewhere"
    )
    if options.json:
        table = {name: {r: counts[name, r] for r in ("refused", "whole", "BUG")} for name in FILES}
        result = {"inputs": counts.total(), "seconds": seconds, "slowest_s": found.slowest_s}
        result |= {"grown_mib": found.grown_mib, "bugs": bugs, "strays": found.strays, "files": table}
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if bugs or found.strays else 0


if __name__ == "__main__":
    sys.exit(main())
