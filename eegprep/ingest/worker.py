"""The process behind `eegprep.ingest.workers`: takes jobs over its standard input, answers over its standard output.

Standard output belongs to the protocol alone: what readers print, in Python or below, goes nowhere.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO

from eegprep.ingest.job import Setting, run_job
from eegprep.ingest.lines import READY, receive, send
from eegprep.ingest.outcome import Job
from eegprep.sources import open_source
from eegprep.sources.limits import limit_memory

__all__ = ["serve"]


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Do jobs until the other side is gone."""
    opening = receive(requests)
    if opening is None:
        return
    setting = Setting(**opening["setting"])
    threading.Thread(target=_watch, args=(int(opening["parent"]),), daemon=True).start()
    source = open_source(setting.manifest(), Path(setting.folder))
    planned = {p.key: p for p in source.plan()}
    send(answers, READY)
    while (message := receive(requests)) is not None:
        job = Job(**message)
        send(answers, dataclasses.asdict(run_job(job, planned[job.key], source, setting)))


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    # Ctrl-C reaches the whole group; the parent decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  (lives as long as the process)
    limit_memory()
    serve(sys.stdin.buffer, answers)
