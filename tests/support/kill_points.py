"""Kills an ingest at every n-th of its steps that touch the disk, resumes, and prints what it found as JSON.

    python kill_points.py MANIFEST.json FOLDER SCRATCH STRIDE

Each kill is a SIGKILL in a forked child, before the n-th call of fsync, rename, unlink, mkdir, or of opening and
appending to a recording. A process of its own, because it forks: a test runner has threads.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eegprep.ingest import ingest
from eegprep.manifest.schema import Manifest
from eegprep.store import Store, StoredRecordingWriter


def deadly(nth: int) -> None:
    """Let this process die before its n-th step; one that has fewer steps lives."""
    count = 0

    def wrapped(run: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return run(*args, **kwargs)

        return step

    for name in ("fsync", "replace", "unlink", "mkdir"):
        setattr(os, name, wrapped(getattr(os, name)))
    for name in ("__init__", "append"):
        setattr(StoredRecordingWriter, name, wrapped(getattr(StoredRecordingWriter, name)))


def tree(out: Path) -> dict[str, bytes]:
    """All files of a store."""
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != ".lock"}


def main() -> None:
    """Try every `STRIDE`-th step."""
    manifest = Manifest.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder, scratch, stride = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    ingest(manifest, folder, scratch / "whole", workers=0)
    whole = tree(scratch / "whole")
    wrong: list[str] = []
    nth, kills = 1, 0
    while True:
        out = scratch / "killed"
        shutil.rmtree(out, ignore_errors=True)
        if (child := os.fork()) == 0:
            deadly(nth)
            ingest(manifest, folder, out, workers=0)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
        kills += 1
        finished = Store(out).ids() if out.exists() else []
        times = {p.name: p.stat().st_mtime_ns for p in (out / "recordings").glob("*.json")} if out.exists() else {}
        summary = ingest(manifest, folder, out, workers=0)
        if tree(out) != whole:
            wrong.append(f"step {nth}: other bytes")
        finished = [i for i in finished if i not in summary.duplicates]  # a copy that was stored counts as no recording
        if summary.done_before < len(finished):
            wrong.append(f"step {nth}: {len(finished)} were finished, {summary.done_before} were taken as done")
        for name, time_ns in times.items():
            if (out / "recordings" / name).exists() and (out / "recordings" / name).stat().st_mtime_ns != time_ns:
                wrong.append(f"step {nth}: {name} was made again")
        nth += stride
    print(json.dumps({"kills": kills, "wrong": wrong}))


if __name__ == "__main__":
    main()
