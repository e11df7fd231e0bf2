"""Ingest of many small recordings with two workers on Dask, against two local worker processes.

    python benchmarks/cluster.py --recordings 2000

The rounds alternate between both; the ratio is the median over rounds. Both give the same bytes (checked). The cluster
is running before the time begins, as it is for users who name its address; its workers' reading processes start within.
CPU seconds are those of this process, the cluster and all reading processes: with other work on the machine, their
ratio says more than that of the clock.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from pathlib import Path

import edfio
import numpy as np
import psutil
from distributed import LocalCluster

from eegprep.ingest import ingest
from eegprep.manifest.schema import Manifest

CHANNELS = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
MANIFEST = {
    "manifest": 1, "name": "small", "version": "1", "title": "Small recordings", "citation": "none",
    "licence": {"id": "none"}, "line_freq_hz": 50, "source": {"kind": "files", "files": ["{subject}.edf"]},
}  # fmt: skip


def write_recordings(folder: Path, n: int, seconds: int = 30) -> None:
    """EDF files of six channels at 256 Hz, all different."""
    rng = np.random.default_rng(0)
    noise = np.cumsum(rng.normal(0, 1, (len(CHANNELS), 256 * seconds * 4)), axis=1)
    noise = 20 * (noise - noise.mean(1, keepdims=True)) / noise.std(1, keepdims=True) + rng.normal(0, 5, noise.shape)
    for k in range(n):
        signal = np.roll(noise, 7 * k, axis=1)[:, : 256 * seconds] + rng.normal(0, 5, (len(CHANNELS), 256 * seconds))
        signals = [
            edfio.EdfSignal(row, 256, label=name, physical_dimension="uV", physical_range=(-500, 500))
            for name, row in zip(CHANNELS, signal.clip(-499, 499), strict=True)
        ]
        edfio.Edf(signals).write(folder / f"s{k:05d}.edf")


def timed(folder: Path, out: Path, cluster: str | None) -> tuple[float, float, str]:
    """Seconds and CPU seconds of an ingest with two workers, and a hash of the store."""
    begin, begin_cpu = time.perf_counter(), _cpu_s()
    ingest(Manifest.model_validate(MANIFEST), folder, out, workers=2, cluster=cluster)
    seconds, cpu_s = time.perf_counter() - begin, _cpu_s() - begin_cpu
    digest = hashlib.sha256()
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(out)).encode() + path.read_bytes())
    return seconds, cpu_s, digest.hexdigest()


def _cpu_s() -> float:
    """CPU seconds of this process and all below it, with those that have ended."""
    own = psutil.Process()
    return sum(sum(one.cpu_times()[:4]) for one in (own, *own.children(recursive=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    times: dict[str, list[float]] = {"local": [], "dask": [], "local CPU": [], "dask CPU": []}
    hashes = set()
    with (
        tempfile.TemporaryDirectory() as scratch,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        folder = Path(scratch) / "recordings"
        folder.mkdir()
        write_recordings(folder, options.recordings)
        for k in range(options.rounds):
            for name, address in (("local", None), ("dask", cluster.scheduler_address)):
                seconds, cpu_s, digest = timed(folder, Path(scratch) / f"{name}{k}", address)
                times[name].append(seconds)
                times[f"{name} CPU"].append(cpu_s)
                hashes.add(digest)
                print(f"{name:<6}{seconds:8.1f} s{cpu_s:8.1f} s CPU", flush=True)
    ratio, cpu_ratio = (
        statistics.median(d / own for d, own in zip(times[f"dask{of}"], times[f"local{of}"], strict=True))
        for of in ("", " CPU")
    )
    print(
        f"{options.recordings} recordings, two workers each: Dask takes {ratio:.2f} times as long as local processes,"
    )
    print(f"and {cpu_ratio:.2f} times as many CPU seconds")
    if len(hashes) > 1:
        raise SystemExit("the stores differ")
    if options.json:
        options.json.write_text(json.dumps({"ratio": ratio, "cpu_ratio": cpu_ratio, **times}, indent=1) + "\n")


if __name__ == "__main__":
    main()
