"""How each step grows with the number of recordings: a BIDS tree of many small ones, from plan to the first batch.

    python benchmarks/scale.py --recordings 2500 5000 10000 20000 --json scale.json

Every step runs in a process of its own. Memory is the highest sum of the resident sizes of that process and its
workers (psutil, every 50 ms; pages that several of them share count several times). CPU seconds are those of the
process and its workers: on a machine with other work, they say more than the clock. The exponent is the slope of a
log-log fit of CPU seconds against recordings, without the constant part (imports) that a straight line finds: 1 is
linear. The script fails if a step has more than `LINEAR`, or needs 2 GiB.

On a very busy machine even CPU seconds vary by a fifth. With `--calls` the number of Python calls is reported instead,
which does not depend on the machine: a straight line through small sizes, say 100 to 400 recordings, shows the growth.

A few long recordings are measured too (`--long`). From the CPU seconds per recording of many short ones, and per
electrode-hour of long ones, follows what a large corpus needs at most:

    python benchmarks/scale.py --corpus scale.json --hours 100000 --electrodes 64

Its assumptions are the options; prices are those that you give.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scipy.signal import lfilter

CHANNELS = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2")
RUNS = 4  # recordings of a subject
MANIFEST = """\
manifest: 1
name: small
version: "1"
title: Small recordings
citation: none
licence: {id: CC0-1.0, share_shards: true}
line_freq_hz: 50
reference: Cz
source: {kind: bids}
tasks:
  - name: sides
    classes: [left, right]
    trials: {by: event, labels: {left: left, right: right}, length_s: 1.0}
split: {by: subject, ratio: [8, 1, 1]}
"""
LIMIT_MIB = 2048
LINEAR = 1.1


# ---- the tree


def build(folder: Path, n: int, seconds: int, sfreq_hz: int = 256) -> None:
    """A BIDS tree of `n` recordings, all different: EDF files written byte by byte, each with its events."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    (folder / "dataset_description.json").write_text('{"Name": "small", "BIDSVersion": "1.9.0"}')
    (folder / "task-rest_eeg.json").write_text('{"PowerLineFrequency": 50, "EEGReference": "Cz"}')
    (folder / "manifest.yaml").write_text(MANIFEST)
    head = _head(seconds, sfreq_hz)
    shape = (len(CHANNELS), sfreq_hz * seconds)
    events = [(1 + 2 * k, "left" if k % 2 else "right") for k in range(max((seconds - 2) // 2, 1))]
    table = "onset\tduration\ttrial_type\n" + "".join(f"{onset}.0\t1.0\t{word}\n" for onset, word in events)
    subjects = []
    for k in range(n):
        subject, run = f"sub-{k // RUNS:05d}", k % RUNS + 1
        place = folder / subject / "eeg"
        if run == 1:
            place.mkdir(parents=True)
            subjects.append(subject)
        noise = lfilter([1.0], [1.0, -0.95], rng.standard_normal(shape, np.float32), axis=1)
        steps = (noise * (20 / 3.2 / 0.01)).astype("<i2")  # 0.01 µV
        signal = steps.reshape(len(CHANNELS), seconds, sfreq_hz).transpose(1, 0, 2).tobytes()
        stem = place / f"{subject}_task-rest_run-{run}"
        with open(f"{stem}_eeg.edf", "wb") as out:  # noqa: PTH123 - thousands of them
            out.write(head + signal)
        with open(f"{stem}_events.tsv", "w", encoding="utf-8") as out:  # noqa: PTH123
            out.write(table)
    (folder / "participants.tsv").write_text("participant_id\n" + "".join(f"{s}\n" for s in subjects))


def _head(seconds: int, sfreq_hz: int) -> bytes:
    """The header of an EDF file with records of one second."""
    n = len(CHANNELS)

    def column(width: int, values: list[str]) -> str:
        return "".join(v.ljust(width) for v in values)

    text = column(8, ["0"]) + column(80, ["X X X X", "Startdate X X X X"]) + "01.01.0000.00.00"
    text += column(8, [str(256 * (n + 1))]) + column(44, [""]) + column(8, [str(seconds), "1"]) + column(4, [str(n)])
    text += column(16, list(CHANNELS)) + column(80, [""] * n) + column(8, ["uV"] * n)
    for limit in ("-327.68", "327.67", "-32768", "32767"):
        text += column(8, [limit] * n)
    text += column(80, [""] * n) + column(8, [str(sfreq_hz)] * n) + column(32, [""] * n)
    return text.encode("ascii")


# ---- the steps, each in a process of its own; each returns figures


def _manifest(tree: Path) -> Any:
    from eegprep.manifest import find_manifest

    return find_manifest(str(tree / "manifest.yaml"))


def plan(tree: Path, work: Path, workers: int) -> dict[str, Any]:
    """List the tree and decide what every file is."""
    from eegprep.sources import open_source

    source = open_source(_manifest(tree), tree)
    planned, entries = source.plan(), source.entries()
    return {"recordings": len(planned), "files": len(entries)}


def inspect(tree: Path, work: Path, workers: int) -> dict[str, Any]:
    """The dry run: read and standardise everything, write nothing."""
    from eegprep.api import inspect as run

    found = run(_manifest(tree), tree, workers=workers)
    return {"recordings": sum(r.usable for r in found.recordings)}


def ingest(tree: Path, work: Path, workers: int) -> dict[str, Any]:
    """Standardise everything into a store."""
    from eegprep.api import ingest as run

    summary = run(_manifest(tree), tree, out=work / "store", workers=workers)
    return {"recordings": summary.recordings, "electrode_hours": summary.electrode_hours}


def again(tree: Path, work: Path, workers: int) -> dict[str, Any]:
    """The same ingest once more: everything is found finished."""
    return ingest(tree, work, workers)


def shard(tree: Path, work: Path, workers: int) -> dict[str, Any]:
    """Write the store as shards."""
    from eegprep.api import shard as run

    summary = run(work / "store", work / "shards", workers=workers)
    return {"recordings": summary.n_recordings, "n_bytes": summary.n_bytes, "electrode_hours": summary.hours}


def verify(tree: Path, work: Path, workers: int) -> dict[str, Any]:
    """Check the index against the shards and every frame."""
    from eegprep.api import verify as run

    return {"n_bytes": run(work / "shards", workers=workers).n_bytes}


def verify_deep(tree: Path, work: Path, workers: int) -> dict[str, Any]:
    """Read every byte and check all hashes."""
    from eegprep.api import verify as run

    return {"n_bytes": run(work / "shards", deep=True, workers=workers).n_bytes}


def first_batch(tree: Path, work: Path, workers: int) -> dict[str, Any]:
    """Open the shards and read one batch of windows in a shuffled order, as training begins."""
    from eegprep.api import open_shards
    from eegpt.data import SampleOrder, WindowIndex, WindowLoader

    index = WindowIndex([open_shards(work / "shards")], n_samples=1024, stride=1024)
    batch = next(iter(WindowLoader(index, SampleOrder(len(index), 0), 1024)))
    return {"windows": len(index), "batch": len(batch)}


STEPS: dict[str, Callable[[Path, Path, int], dict[str, Any]]] = {
    "plan": plan, "inspect": inspect, "ingest": ingest, "ingest again": again, "shard": shard, "verify": verify,
    "verify --deep": verify_deep, "first batch": first_batch,
}  # fmt: skip


def measured(step: str, tree: Path, work: Path, workers: int, *, calls: bool) -> dict[str, Any]:
    """Seconds and peak memory of a step in a new process, with its workers, and what the step says."""
    command = [sys.executable, __file__, "--step", step, "--tree", str(tree), "--work", str(work)]
    command += ["--calls"] if calls else []
    begin, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as out:
        child = psutil.Popen([*command, "--workers", str(workers)], stdout=out)
        while child.poll() is None:
            peak = max(peak, _resident(child))
            time.sleep(0.05)
        seconds = time.perf_counter() - begin
        if child.returncode:
            raise SystemExit(f"{step} failed")
        out.seek(0)
        told = json.loads(out.read().splitlines()[-1])
    return {"seconds": seconds, "peak_mib": max(peak / (1 << 20), told["own_peak_mib"]), **told}


def _resident(process: psutil.Process) -> int:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.Error:  # it has just ended
        pass
    return total


def counted(step: str, tree: Path, work: Path) -> dict[str, Any]:
    """A step in this process alone, with the number of Python calls in all of its threads."""
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    threading.setprofile(count)
    sys.setprofile(count)
    told = STEPS[step](tree, work, 0 if step in ("inspect", "ingest", "ingest again") else 1)
    sys.setprofile(None)
    return {**told, "calls": calls}


def _used() -> dict[str, float]:
    """CPU seconds of this process and its workers that have ended, and the highest resident size of this one."""
    import resource

    own, workers = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu_s = own.ru_utime + own.ru_stime + workers.ru_utime + workers.ru_stime
    return {"cpu_s": cpu_s, "own_peak_mib": _own_peak_mib(own.ru_maxrss)}


def _own_peak_mib(ru_maxrss: int) -> float:
    """From /proc where there is one, since `ru_maxrss` is at least the size of the process that started this one."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def exponent(sizes: list[int], values: list[float]) -> float:
    """The slope of a log-log fit, without the constant part of a straight line (at most half of the smallest)."""
    constant = float(np.polyfit(sizes, values, 1)[1])
    constant = min(max(constant, 0.0), min(values) / 2)
    return float(np.polyfit(np.log(sizes), np.log(np.array(values) - constant), 1)[0])


def measure(n: int, options: argparse.Namespace, *, seconds: int, sfreq_hz: int) -> dict[str, Any]:
    """All steps over a tree of `n` recordings."""
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="eegprep-scale-") as scratch:
        tree, work = Path(scratch) / "tree", Path(scratch) / "work"
        work.mkdir()
        begin = time.perf_counter()
        build(tree, n, seconds, sfreq_hz)
        built_s = time.perf_counter() - begin
        hours = n * seconds * len(CHANNELS) / 3600
        print(
            f"{n} recordings of {seconds} s at {sfreq_hz} Hz, {hours:.1f} electrode-hours, built in {built_s:.1f} s; "
            f"load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        steps = {}
        for step in options.steps:
            found = steps[step] = measured(step, tree, work, options.workers, calls=options.calls)
            counted = f"  {found['calls']:12,d} calls" if options.calls else ""
            print(
                f"  {step:<14}{found['seconds']:9.1f} s  {found['cpu_s']:9.1f} s CPU  "
                f"{1000 * found['cpu_s'] / n:8.2f} ms CPU/recording  {found['peak_mib']:7.0f} MiB{counted}",
                flush=True,
            )
    return {"recordings": n, "seconds": seconds, "sfreq_hz": sfreq_hz, "electrode_hours": hours, "steps": steps}


def rates(runs: list[dict[str, Any]], step: str) -> tuple[float, float]:
    """CPU seconds of a step per recording and per electrode-hour, both at most: each run's total, start included."""
    own = [r for r in runs if step in r["steps"]]
    many, long = max(own, key=lambda r: r["recordings"]), max(own, key=lambda r: r["seconds"])
    return many["steps"][step]["cpu_s"] / many["recordings"], long["steps"][step]["cpu_s"] / long["electrode_hours"]


# ---- from the measured rates to a large corpus


def corpus(runs: list[dict[str, Any]], options: argparse.Namespace) -> list[tuple[str, str]]:
    """Rows of (what, figure), from the measured rates and the options only."""
    n = options.hours / options.recording_hours
    electrode_hours = options.hours * options.electrodes
    source_gb = electrode_hours * 3600 * options.sfreq_hz * options.source_bytes / 1e9
    shards_gb = electrode_hours * 3600 * 256 * 2 / 1e9
    rows = [
        ("recordings", f"{n:,.0f}"), ("electrode-hours", f"{electrode_hours:,.0f}"),
        ("source files", f"{source_gb / 1e3:,.1f} TB"), ("store, float32", f"{2 * shards_gb / 1e3:,.1f} TB"),
        ("shards, int16", f"{shards_gb / 1e3:,.1f} TB"),
    ]  # fmt: skip
    core_hours = 0.0
    for step in ("ingest", "shard", "verify --deep"):
        recording, hour = rates(runs, step)
        own = (n * recording + electrode_hours * hour) / 3600
        core_hours += own
        cost = f"{1000 * recording:.1f} ms per recording, {hour:.3f} s per electrode-hour"
        rows.append((f"{step}, core-hours", f"{own:,.0f} ({cost})"))
    moved_gb = source_gb + 4 * shards_gb + 2 * shards_gb  # store written and read, shards written and read
    for nodes in (1, options.nodes):
        computing = core_hours / options.cores / options.efficiency / nodes
        moving = moved_gb / options.gb_per_s / 3600 / nodes
        hours = max(computing, moving)
        rows.append(
            (f"{nodes} node{'s' if nodes > 1 else ''} of {options.cores} cores",
             f"{hours:,.1f} h ({computing:,.1f} h computing, {moving:,.1f} h reading and writing), "
             f"{hours * nodes * options.node_hour:,.0f} USD")
        )  # fmt: skip
    rows.append(("shards in an object store", f"{shards_gb * options.gb_month:,.0f} USD a month"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--recordings", type=int, nargs="*", default=[2500, 5000, 10000, 20000])
    add("--seconds", type=int, default=8, help="length of a recording")
    add("--long", type=int, default=8, help="number of long recordings; 0 leaves them out")
    add("--long-seconds", type=int, default=1800)
    add("--long-sfreq-hz", type=int, default=512)
    add("--workers", type=int, default=2)
    add("--steps", nargs="+", choices=STEPS, default=[*STEPS])
    add("--calls", action="store_true", help="count Python calls")
    add("--scratch", type=Path, help="where to build (a temporary folder by default)")
    add("--json", type=Path, help="where to write the figures; those of earlier runs in it are kept")
    add = parser.add_argument_group("a large corpus").add_argument
    add("--corpus", type=Path, help="figures from --json, from which to compute")
    add("--hours", type=float, default=100_000)
    add("--recording-hours", type=float, default=0.5)
    add("--electrodes", type=int, default=64)
    add("--sfreq-hz", type=float, default=512, help="rate of the source files, as of the long recordings measured")
    add("--source-bytes", type=float, default=2, help="bytes of a sample in the source files")
    add("--cores", type=int, default=64, help="cores of a node, each as fast as the one measured")
    add("--efficiency", type=float, default=0.8, help="part of a core's speed that is left when all of them are busy")
    add("--gb-per-s", type=float, default=1.0, help="reading and writing of a node")
    add("--nodes", type=int, default=64)
    add("--node-hour", type=float, default=3.0, help="USD")
    add("--gb-month", type=float, default=0.023, help="USD")
    for name in ("--step", "--tree", "--work"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        tree, work = Path(options.tree), Path(options.work)
        told = counted(options.step, tree, work) if options.calls else STEPS[options.step](tree, work, options.workers)
        print(json.dumps({**told, **_used()}))
        return
    if options.corpus:
        for what, figure in corpus(json.loads(options.corpus.read_text())["runs"], options):
            print(f"{what:<28}{figure}")
        return
    runs = json.loads(options.json.read_text())["runs"] if options.json and options.json.exists() else []
    wanted = [(n, options.seconds, 256) for n in options.recordings]
    wanted += [(options.long, options.long_seconds, options.long_sfreq_hz)] if options.long else []
    for n, seconds, sfreq_hz in wanted:
        runs.append(measure(n, options, seconds=seconds, sfreq_hz=sfreq_hz))
        if options.json:
            options.json.write_text(json.dumps({"workers": options.workers, "runs": runs}, indent=1) + "\n")
    failed = []
    of = "calls" if options.calls else "cpu_s"
    for step in options.steps:
        own = [r for r in runs if step in r["steps"]]
        peak = max(r["steps"][step]["peak_mib"] for r in own)
        small = [(r["recordings"], r["steps"][step][of]) for r in own if r["seconds"] == options.seconds]
        slope = exponent([n for n, _ in small], [value for _, value in small]) if len(small) > 1 else 0.0
        print(f"{step:<14} exponent {slope:.2f}, peak {peak:.0f} MiB")
        if slope > LINEAR or peak > LIMIT_MIB:
            failed.append(step)
    if failed:
        raise SystemExit(f"not linear, or more than {LIMIT_MIB} MiB: {', '.join(failed)}")


if __name__ == "__main__":
    main()
