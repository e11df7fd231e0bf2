"""Small runs on windows in memory, for `test_distributed.py`.

Argument: a JSON list of runs. Each has `out`, `parallel` (`ddp` or `fsdp`), `processes`, `stop` (the batch at which the
first process sends itself SIGTERM, 0 for never), and `resumes` (a stopped run, of which `out` begins as a copy).

Under torchrun this process takes its part in the first run. Otherwise all are made, one after another, each by forked
processes with the environment that torchrun gives: torch is imported once instead of twenty times.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path

import pandas  # noqa: F401  with torch._dynamo, most of what a run imports late
import torch
import torch._dynamo
import torch.distributed.checkpoint
from memory_windows import memory_data, small

from eegpt.pretraining.loop import pretrain_on


def run(*, out: str, parallel: str, stop: int) -> None:
    """Train, or resume."""
    torch.set_num_threads(1)
    data = memory_data()
    # A fitted map that is not trained is in no optimiser and is not exchanged, but must survive.
    config = small({"compute.parallel": parallel, "encoder.skip": "linear"})
    if stop:
        index, order = data.train[0]
        gather, calls = index.gather, []

        def gather_and_stop(indices, *, shift=None):
            calls.append(1)
            if len(calls) == stop and os.environ.get("RANK", "0") == "0":
                os.kill(os.getpid(), signal.SIGTERM)
            return gather(indices, shift=shift)

        index.gather = gather_and_stop
        data = dataclasses.replace(data, train=((index, order),))
    result = pretrain_on(data, config, out=Path(out))
    print(result.finished, result.steps)


def forked(rank: int, processes: int, port: int, **options: object) -> int:
    """Start a process that takes part in a run; its id."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        if processes > 1:
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", **{name: str(value) for name, value in place.items()}}
        run(**options)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Make the runs; exit with 1 after one that fails."""
    for one in json.loads(sys.argv[1]):
        if resumes := one.pop("resumes"):
            shutil.copytree(resumes, one["out"])
        processes = one.pop("processes")
        if "RANK" in os.environ:
            return run(**one)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started = [forked(rank, processes, port, **one) for rank in range(processes)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in started]
        if any(codes):
            sys.exit(f"{one['out']}: exit codes {codes}")
    return None


if __name__ == "__main__":
    main()
