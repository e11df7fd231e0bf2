"""Kills, two at once, small disks and few open files: ingest, shard, train and embed in child processes.

Each attack disturbs one run, runs the same again undisturbed, and compares all bytes with those of a run that nobody
disturbed. Children are forked, so that nothing has to be imported again; a child's exit code is that of the command
line, and 99 is a traceback.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import examples
from inputs import rng_of
from pool import Fault, crowd, tree

# Times and memory of the run.
UNEQUAL = {"train": ("log.jsonl", "results.json"), "embed": (), "shard": (), "ingest": ()}
TRACEBACK = 99
PATIENCE_S = 300.0


def originals(folder: Path) -> None:
    """Raw files, and what each command makes of them undisturbed."""
    import gzip

    from support import recordings

    raw = folder / "raw"
    raw.mkdir()
    for k in range(4):
        path = recordings.write_edf(raw / f"s{k}.edf", recordings.eeg_uv(6, 200 * 40, seed=k))
        if k == 3:  # unpacked into a temporary folder when it is read
            (raw / "s3.edf.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
            path.unlink()
    for name in COMMANDS:
        COMMANDS[name](folder, out_of(folder / "whole", name), 0)


def out_of(folder: Path, name: str) -> Path:
    """The output of a command."""
    folder.mkdir(exist_ok=True)
    return folder / ("features.nc" if name == "embed" else name)


def _ingest(originals: Path, out: Path, workers: int) -> None:
    from eegprep.ingest import ingest
    from eegprep.sources import manifest_for_path

    ingest(manifest_for_path(originals / "raw"), originals / "raw", out, workers=workers)


def _shard(originals: Path, out: Path, workers: int) -> None:
    from eegprep.shards import build_shard_set

    store = originals / "whole" / "ingest"
    build_shard_set([store], out, block_samples=512, max_shard_bytes=8000, workers=max(1, workers))


def _train(originals: Path, out: Path, workers: int) -> None:
    examples.train(originals / "others", out)


def _embed(originals: Path, out: Path, workers: int) -> None:
    from eegpt.interop.embedding_files import embed_files

    files = [originals / "raw" / "s0.edf"]
    _, failed = embed_files(files, originals / "encoder", out=out, recipe="default", window_s=1.0)
    for error in failed.values():
        raise error


COMMANDS: dict[str, Callable[[Path, Path, int], None]] = {
    "ingest": _ingest, "shard": _shard, "train": _train, "embed": _embed,
}  # fmt: skip


def child(run: Callable[[], None], trace: Path) -> int:
    """Fork a process in a group of its own that runs a command and exits with its code."""
    pid = os.fork()
    if pid:
        return pid
    code = TRACEBACK
    try:
        os.setsid()
        with trace.open("w") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            code = _code(run, out)
            out.flush()
    finally:
        os._exit(code)


def _code(run: Callable[[], None], out: Any) -> int:
    from _eegpt_cli.errors import TO_DO
    from eegprep.errors import EEGPTError

    try:
        run()
    except EEGPTError as error:
        print(f"error: {error}", file=out)
        return error.exit_code
    except OSError as error:
        if error.errno in TO_DO:
            return 1
        traceback.print_exc(file=out)
        return TRACEBACK
    except BaseException:
        traceback.print_exc(file=out)
        return TRACEBACK
    return 0


def wait(pid: int, seconds: float = PATIENCE_S) -> int:
    """Exit code, negative for a signal; a Fault if it hangs."""
    end = time.monotonic() + seconds * crowd()
    pause = 0.002
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(0.1, 1.5 * pause)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise Fault(f"no end within {seconds:.0f} s")


class _Disturbed:
    """What the attacks of this file share."""

    def __init__(self, folder: Path, originals: Path, seed: int) -> None:
        self.folder, self.originals, self.seed = folder, originals, seed
        self.trace = folder / "trace.txt"
        (folder / "tmp").mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "tmp")
        self.whole = {name: tree(out_of(originals / "whole", name), UNEQUAL[name]) for name in COMMANDS}
        self.seconds = dict.fromkeys(COMMANDS, 1.0)

    def start(self, name: str, out: Path, workers: int, before: Callable[[], None] = lambda: None) -> int:
        def run() -> None:
            before()
            COMMANDS[name](self.originals, out, workers)

        return child(run, self.trace)

    def fresh(self, name: str) -> Path:
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        return out_of(self.folder / "out", name)

    def traced(self) -> str:
        return self.trace.read_text(errors="replace")[-1500:]

    def compare(self, name: str, out: Path) -> None:
        """Run the command again; its bytes are those of an undisturbed run, and nothing else is left."""
        began = time.monotonic()
        while (code := wait(self.start(name, out, 0))) == 2 and time.monotonic() - began < 20 * crowd():
            pass  # workers of the killed run still hold its lock: they end as soon as they get a processor
        if code != 0:
            raise Fault(f"{name}: the run after it ended with {code}: {self.traced()}")
        self.seconds[name] = 0.7 * self.seconds[name] + 0.3 * (time.monotonic() - began)
        found = tree(out, UNEQUAL[name])
        if found != self.whole[name]:
            names = sorted(n for n in found.keys() | self.whole[name].keys() if found.get(n) != self.whole[name].get(n))
            raise Fault(f"{name}: other bytes in {names[:5]}")
        if others := [p.name for p in out.parent.iterdir() if p != out]:
            raise Fault(f"{name}: files beside the output: {others}")
        if others := [p.name for p in (self.folder / "tmp").glob("eegprep-*")]:
            raise Fault(f"{name}: temporary folders are left: {others}")


class Kills(_Disturbed):
    """SIGKILL at a random moment: of the process, of its group, or of one worker of `ingest`."""

    # Many of those that take little time.
    NAMES = ("shard",) * 9 + ("train",) * 5 + ("ingest",) * 4 + ("ingest of two workers",) + ("embed",)

    def run(self, number: int) -> str:
        rng = rng_of(self.seed, number)
        words = self.NAMES[int(rng.integers(len(self.NAMES)))]
        name, workers = words.split()[0], 2 if "two" in words else 0
        whom = ("parent", "group", "worker")[int(rng.integers(3))]
        moment = float(rng.random()) * self.seconds[name]
        for _ in range(6):
            out = self.fresh(name)
            pid = self.start(name, out, workers)
            time.sleep(moment)
            if self.kill(pid, whom):
                break
            moment /= 3  # it had ended
        else:
            raise Fault(f"{name} could not be killed in time")
        self.compare(name, out)
        return "equal"

    def kill(self, pid: int, whom: str) -> bool:
        """Kill, and tell whether it was alive."""
        if whom == "worker" and (workers := _children(pid)):
            os.kill(workers[-1], signal.SIGKILL)
            code = wait(pid)
            if code == TRACEBACK:
                raise Fault(f"a dead worker ended in: {self.traced()}")
            return True
        if whom == "group":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class TwoAtOnce(_Disturbed):
    """Two runs of a command on one output: one waits or is refused, neither harms the other."""

    def run(self, number: int) -> str:
        rng = rng_of(self.seed, number)
        name = list(COMMANDS)[number % len(COMMANDS)]
        out = self.fresh(name)
        first = self.start(name, out, 0)
        time.sleep(float(rng.random()) * 0.5 * self.seconds[name])
        second = self.start(name, out, 0)
        codes = [wait(first), wait(second)]
        if TRACEBACK in codes or not set(codes) <= {0, 2} or 0 not in codes:
            raise Fault(f"{name} twice: exit codes {codes}: {self.traced()}")
        self.compare(name, out)
        return "refused" if 2 in codes else "equal"


class SmallDisk(_Disturbed):
    """Outputs on a file system of a few kilobytes; without the right to mount one, a limit of each file's size."""

    def run(self, number: int) -> str:
        rng = rng_of(self.seed, number)
        name = list(COMMANDS)[number % len(COMMANDS)]
        needed = sum(map(len, self.whole[name].values()))
        out = self.fresh(name)
        size = 4096 * int(1 + rng.random() * 1.2 * needed / 4096)
        mounted = _mount(out.parent, f"size={size}")

        def limited() -> None:
            if not mounted:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (size // 4, size // 4))

        try:
            code = wait(self.start(name, out, 0, limited))
            if code not in (0, 1):
                raise Fault(f"{name} on {size} bytes ended with {code}: {self.traced()}")
            if mounted:
                _mount(out.parent, "remount,size=1g")
            self.compare(name, out)
        finally:
            if mounted:
                subprocess.run(["umount", out.parent], check=False, capture_output=True)
        return "equal" if code == 0 else "refused"


def _mount(folder: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "attack", folder]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


class FewFiles(_Disturbed):
    """A low limit of open files."""

    def run(self, number: int) -> str:
        rng = rng_of(self.seed, number)
        name = list(COMMANDS)[number % len(COMMANDS)]
        most = len(os.listdir("/proc/self/fd")) + int(rng.integers(1, 24))  # noqa: PTH208
        out = self.fresh(name)
        code = wait(self.start(name, out, 0, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))))
        if code not in (0, 1, 2, 3):
            raise Fault(f"{name} with {most} open files ended with {code}: {self.traced()}")
        self.compare(name, out)
        return "equal" if code == 0 else "refused"


KINDS: dict[str, Callable[..., Any]] = {
    "kills": Kills, "two at once": TwoAtOnce, "small disk": SmallDisk, "few open files": FewFiles,
}  # fmt: skip
__all__ = ["KINDS", "originals"]
