"""Which file layout serves the store: Arrow IPC, Zarr 3 or plain NumPy?

One recording (default 64 electrodes x 1 h at 256 Hz, float32, a random walk plus noise), written and synced, then
read as the shard stage and as a browsing user do: whole electrodes, and random windows of 1024 samples of one
electrode. All layouts take turns within each round; the medians over the rounds are printed. File caches are warm,
as they are when sharding follows ingest.

    python benchmarks/store.py --json store.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import RecordingInfo, Stretch
from eegprep.store import CHUNK_SAMPLES, Store

Read = Callable[[int, int, int], NDArray[np.float32]]
WINDOW = 1024


def recording(n_electrodes: int, n_samples: int) -> NDArray[np.float32]:
    """(n_electrodes, n_samples) float32 microvolt with the spectrum of EEG, roughly 1/f, and 0.5 uV of noise."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(0, 2, (n_electrodes, n_samples)).astype(np.float32), axis=1)
    slow = np.linspace(0, 1, n_samples, dtype=np.float32) * walk[:, -1:]
    return walk - slow + rng.normal(0, 0.5, walk.shape).astype(np.float32)


def sync(folder: Path) -> None:
    """Flush every file, so that no layout gains from write-back caching."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())


class Arrow:
    """Our store."""

    name = "arrow"

    def write(self, folder: Path, signal: NDArray[np.float32]) -> None:
        names = tuple(f"E{i}" for i in range(len(signal)))
        info = RecordingInfo(
            dataset="bench",
            subject="1",
            n_samples=signal.shape[1],
            electrodes=names,
            references=names,
            stretches=(Stretch(start_sample=0, n_samples=signal.shape[1]),),
        )
        (folder / "recordings").mkdir(parents=True)
        with Store(folder).writer(info.id, names) as writer:
            for start in range(0, signal.shape[1], CHUNK_SAMPLES):
                writer.append(signal[:, start : start + CHUNK_SAMPLES])
            writer.finish(info)

    def reader(self, folder: Path) -> Read:
        store = Store(folder)
        info = store.infos()[0]
        return lambda row, start, n: store.electrode_uv(
            info, info.electrodes[row], Stretch(start_sample=start, n_samples=n)
        )


class Zarr:
    """Zarr 3, one array (electrode, time), chunks of one electrode x 65536 samples; one shard file per recording."""

    def __init__(self, *, compressed: bool, sharded: bool) -> None:
        self.compressed = compressed
        self.sharded = sharded
        self.name = "zarr" + (" zstd" if compressed else " raw") + (", one file" if sharded else "")

    def write(self, folder: Path, signal: NDArray[np.float32]) -> None:
        import zarr

        n_electrodes, n_samples = signal.shape
        chunks = -(-n_samples // CHUNK_SAMPLES)
        array = zarr.create_array(
            folder,
            shape=signal.shape,
            dtype=signal.dtype,
            chunks=(1, CHUNK_SAMPLES),
            shards=(n_electrodes, chunks * CHUNK_SAMPLES) if self.sharded else None,
            compressors="auto" if self.compressed else None,
        )
        if self.sharded:
            array[:] = signal  # a shard is written at once or rewritten: no streaming
        else:
            for start in range(0, n_samples, CHUNK_SAMPLES):
                array[:, start : start + CHUNK_SAMPLES] = signal[:, start : start + CHUNK_SAMPLES]

    def reader(self, folder: Path) -> Read:
        import zarr

        array = zarr.open_array(folder, mode="r")
        return lambda row, start, n: array[row, start : start + n]


class Npy:
    """One .npy, mapped: the bound for speed, but no names, no streaming into a known layout by electrode."""

    name = "npy (bound)"

    def write(self, folder: Path, signal: NDArray[np.float32]) -> None:
        folder.mkdir(parents=True)
        np.save(folder / "signal.npy", signal)

    def reader(self, folder: Path) -> Read:
        array = np.load(folder / "signal.npy", mmap_mode="r")
        return lambda row, start, n: array[row, start : start + n]


LAYOUTS = (
    Arrow(),
    Zarr(compressed=False, sharded=False),
    Zarr(compressed=True, sharded=False),
    Zarr(compressed=True, sharded=True),
    Npy(),
)


def measure(signal: NDArray[np.float32], rounds: int, windows: int) -> dict[str, dict[str, float]]:
    """Medians per layout: write_s, electrodes_s (all, whole), window_us, size_mib, files."""
    n_electrodes, n_samples = signal.shape
    rng = np.random.default_rng(1)
    rows = rng.integers(0, n_electrodes, windows).tolist()
    starts = rng.integers(0, n_samples - WINDOW, windows).tolist()
    times: dict[str, dict[str, list[float]]] = {x.name: {} for x in LAYOUTS}
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(rounds):
            for layout in LAYOUTS:
                folder = Path(scratch) / "store"
                shutil.rmtree(folder, ignore_errors=True)
                figures = {}
                begin = time.perf_counter()
                layout.write(folder, signal)
                sync(folder)
                figures["write_s"] = time.perf_counter() - begin
                read = layout.reader(folder)
                begin = time.perf_counter()
                for row in range(n_electrodes):
                    if float(np.array(read(row, 0, n_samples)).sum()) != float(signal[row].sum()):
                        raise SystemExit(f"{layout.name} gave back another signal")
                figures["electrodes_s"] = time.perf_counter() - begin
                begin = time.perf_counter()
                for row, start in zip(rows, starts, strict=True):
                    np.array(read(row, start, WINDOW))
                figures["window_us"] = (time.perf_counter() - begin) / windows * 1e6
                files = [p for p in folder.rglob("*") if p.is_file()]
                figures["size_mib"] = sum(p.stat().st_size for p in files) / 2**20
                figures["files"] = len(files)
                for key, value in figures.items():
                    times[layout.name].setdefault(key, []).append(value)
    return {name: {k: statistics.median(v) for k, v in figures.items()} for name, figures in times.items()}


def main() -> None:
    """Print the table and write it as JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--electrodes", type=int, default=64)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--windows", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    signal = recording(options.electrodes, int(options.hours * 3600 * 256))
    result = measure(signal, options.rounds, options.windows)
    print(f"{'layout':<22}{'write s':>9}{'all electrodes s':>18}{'window us':>11}{'MiB':>8}{'files':>7}")
    for name, r in result.items():
        print(
            f"{name:<22}{r['write_s']:>9.2f}{r['electrodes_s']:>18.2f}{r['window_us']:>11.0f}"
            f"{r['size_mib']:>8.0f}{r['files']:>7.0f}"
        )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
