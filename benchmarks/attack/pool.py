"""Run numbered attacks in persistent processes; a crash, a hang or too much memory is a fault of one attack."""

from __future__ import annotations

import multiprocessing
import os
import queue
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

# On an idle machine; with more processes than processors it is longer.
LIMIT_S = 60
MORE_BYTES = 1 << 30
RESULTS = ("equal", "refused", "fault")


class Attack(Protocol):
    """One kind of attack in one process: `run(number)` returns `equal` or `refused`, or raises."""

    def run(self, number: int) -> str: ...


class Fault(Exception):
    """What must not happen, in words."""


@dataclass
class Table:
    """Results by kind, and every fault with what repeats it."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    slowest: dict[str, tuple[float, int]] = field(default_factory=dict)

    def add(self, kind: str, number: int, result: str, seconds: float = 0.0, detail: str = "") -> None:
        """Count one attack."""
        self.counts.setdefault(kind, Counter())[result] += 1
        self.slowest[kind] = max(self.slowest.get(kind, (0.0, -1)), (seconds, number))
        if result == "fault":
            self.faults.append(detail)

    def print(self) -> None:
        """The table."""
        head = ("attack", "tried", *RESULTS[:2], "faults", "slowest")
        print(f"{head[0]:<32}{head[1]:>8}{head[2]:>8}{head[3]:>9}{head[4]:>8}{head[5]:>18}")
        total: Counter[str] = Counter()
        for kind, counts in self.counts.items():
            total.update(counts)
            print(_row(kind, counts, "{:.1f} s ({})".format(*self.slowest[kind])))
        print(_row("all", total, ""))


def _row(kind: str, counts: Counter[str], slowest: str) -> str:
    return f"{kind:<32}{counts.total():>8}{counts['equal']:>8}{counts['refused']:>9}{counts['fault']:>8}{slowest:>18}"


def attempt(attack: Attack, number: int) -> tuple[str, float, str]:
    """Result, seconds, and for a fault where it was raised."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    detail = ""
    try:
        result = attack.run(number)
    except Exception as error:
        result = "fault"
        frames = [f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
        detail = f"{type(error).__name__}: {str(error)[:300]!r} at {' '.join(frames[-6:])}"
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if grown > MORE_BYTES:
        result, detail = "fault", f"took {grown >> 20} MiB of memory"
    return result, time.perf_counter() - began, detail


def _work(make: Callable[[Path], Attack], numbers: range, skip: set[int], now: Any, results: Any, end: float) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    folder = Path(os.environ["ATTACK_SCRATCH"]) / str(os.getpid())
    folder.mkdir()
    attack = make(folder)
    size = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (size + 3 * MORE_BYTES, resource.RLIM_INFINITY))
    for number in numbers:
        if number in skip:
            continue
        if time.time() > end:
            break
        now[0], now[1] = number, time.monotonic()
        results.put((number, *attempt(attack, number)))
    now[0] = -1
    results.put(None)
    results.close()
    results.join_thread()
    os._exit(0)


def crowd() -> float:
    """Processes that want to run, per processor; at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def run(
    table: Table, kind: str, make: Callable[[Path], Attack], numbers: range, workers: int, end: float = float("inf")
) -> None:
    """Run the attacks of one kind in `workers` processes."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    skip: set[int] = set()
    shares = [numbers[w::workers] for w in range(workers)]

    def start(share: int) -> tuple[Any, Any]:
        now = context.Array("d", [-2.0, time.monotonic()])
        process = context.Process(target=_work, args=(make, shares[share], set(skip), now, results, end))
        process.start()
        return process, now

    running = {share: start(share) for share in range(workers) if len(shares[share])}
    ended = 0
    while ended < len(running):
        try:
            found = results.get(timeout=0.5)
        except queue.Empty:
            found = ()
        if found is None:
            ended += 1
        elif found:
            number, result, seconds, detail = found
            skip.add(number)
            table.add(kind, number, result, seconds, f"{kind} {number}: {detail}")
            if result == "fault":
                print(table.faults[-1], file=sys.stderr, flush=True)
        for share, (process, now) in list(running.items()):
            number = int(now[0])
            late = number != -1 and time.monotonic() - now[1] > LIMIT_S * crowd()
            died = process.exitcode not in (None, 0)
            if (late or died) and number not in skip:
                process.kill()
                process.join()
                if number < 0:
                    raise SystemExit(f"{kind}: a process could not begin")
                how = f"no answer within {LIMIT_S} s" if late else f"ended its process: {process.exitcode}"
                table.add(kind, number, "fault", LIMIT_S, f"{kind} {number}: {how}")
                print(table.faults[-1], file=sys.stderr, flush=True)
                skip.add(number)
                running[share] = start(share)
    for process, _ in running.values():
        process.join()


def scratch() -> str:
    """A folder in memory for everything, removed by `remove`."""
    folder = tempfile.mkdtemp(prefix="attack-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    os.environ["ATTACK_SCRATCH"] = folder
    return folder


def remove(folder: str) -> None:
    """Remove the scratch folder."""
    shutil.rmtree(folder, ignore_errors=True)


def tree(out: Path, leave: Sequence[str] = ()) -> dict[str, bytes]:
    """All files of a folder (or one file) by name, without the lock."""
    files = [out] if out.is_file() else sorted(p for p in out.rglob("*") if p.is_file())
    found = {str(p.relative_to(out.parent)): p.read_bytes() for p in files}
    return {n: data for n, data in found.items() if Path(n).name not in (".lock", *leave)}
