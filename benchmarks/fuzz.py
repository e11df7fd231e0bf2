"""Shard sets with mutated bytes, by the hundred thousand: is each refused with one of our errors, in little memory?

    python benchmarks/fuzz.py --inputs 100000 --json fuzz.json

Each input is one file of a small shard set with some bytes flipped, cut, doubled, or replaced by numbers that
parsers trip over; every hash is made to agree again, so that the mutation reaches the parser behind it. Counted:
refused, whole (the mutation did not matter to what was read), and anything else, which is a bug and ends the run
with 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eegprep.errors import EEGPTError
from eegprep.shards import ShardSet, build_shard_set
from eegprep.shards.agreement import disagreements
from eegprep.shards.verify import verify_shard_set

FILES = (
    "blocks.parquet", "recordings.parquet", "trials.parquet", "electrodes.parquet", "manifest.yaml", "lock.yaml",
    "SHA256SUMS", "shard",
)  # fmt: skip
# Numbers at the borders of what fits: lengths and counts in headers are little-endian integers or varints.
_BORDERS = [0, 1, -1, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, -(2**63)]


class Target:
    """One small shard set whose files are replaced one at a time, and put back."""

    def __init__(self, folder: Path, store: Any) -> None:
        self.folder = folder / "set"
        build_shard_set([store], self.folder, block_samples=512, max_shard_bytes=8_000, sync=False)
        opened = ShardSet.open(self.folder)
        self.shard = opened.shards[0].name
        self._originals = {name: (self.folder / self._path(name)).read_bytes() for name in FILES}
        self._sums = self._originals["SHA256SUMS"].decode()

    def _path(self, name: str) -> str:
        return self.shard if name == "shard" else name

    def original(self, name: str) -> bytes:
        """The bytes of one of `FILES`, unharmed."""
        return self._originals[name]

    def listing(self) -> list[str]:
        """Every path at and beside the set."""
        return sorted(str(p) for p in self.folder.parent.rglob("*"))

    def try_bytes(self, name: str, data: bytes) -> str:
        """Put mutated bytes in place, seal the set, open and verify it; `refused` or `whole`.

        Anything but an EEGPTError goes through, and so does a damaged shard that passes.
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
                list(disagreements(ShardSet.open(self.folder)))
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
    """One to four damages."""
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
    """The store of the tests: arithmetic alone, made the same on every machine."""
    import importlib.util

    path = Path(__file__).resolve().parent.parent / "tests" / "shards" / "synthetic.py"
    spec = importlib.util.spec_from_file_location("shards_synthetic", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.small_store(n_subjects=2, n_samples=4200)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the table here")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="eegpt-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    counts: Counter[tuple[str, str]] = Counter()
    try:
        target = Target(folder, synthetic_store())
        before, rss = target.listing(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rng = np.random.default_rng(options.seed)
        started, slowest = time.perf_counter(), 0.0
        for k in range(options.inputs):
            name = FILES[k % len(FILES)]
            data = mutate(rng, target.original(name))
            begun = time.perf_counter()
            try:
                result = target.try_bytes(name, data)
            except Exception as error:
                result = "BUG"
                print(f"input {k}, {name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
            slowest = max(slowest, time.perf_counter() - begun)
            counts[name, result] += 1
        seconds = time.perf_counter() - started
        grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss) / 1024
        strays = len(set(target.listing()) ^ set(before))
    finally:
        shutil.rmtree(folder)
    print(f"{'file':<20}{'refused':>10}{'whole':>8}{'bugs':>6}")
    for name in FILES:
        print(f"{name:<20}{counts[name, 'refused']:>10}{counts[name, 'whole']:>8}{counts[name, 'BUG']:>6}")
    bugs = sum(n for (_, result), n in counts.items() if result == "BUG")
    print(
        f"{options.inputs} inputs in {seconds:.0f} s, slowest {slowest:.2f} s, memory grew by {grown_mib:.0f} MiB, "
        f"{bugs} bugs, {strays} files elsewhere"
    )
    if options.json:
        table = {name: {r: counts[name, r] for r in ("refused", "whole", "BUG")} for name in FILES}
        result = {"inputs": options.inputs, "seconds": seconds, "slowest_s": slowest, "grown_mib": grown_mib}
        options.json.write_text(json.dumps(result | {"bugs": bugs, "strays": strays, "files": table}, indent=1) + "\n")
    return 1 if bugs or strays else 0


if __name__ == "__main__":
    sys.exit(main())
