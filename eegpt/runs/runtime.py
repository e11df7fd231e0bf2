"""Device, processes and precision of a run, and the learning rate schedule.

A single process without `torchrun` is the usual case and needs no process group.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Rank, device and precision of this process."""

    device: torch.device
    precision: Precision
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the model runs."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """`value` summed over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(value)
        return value

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any process; every process gets the same answer."""
        if self.world == 1:
            return flag
        value = torch.tensor([float(flag)])
        dist.all_reduce(value)
        return bool(value.item() > 0)

    def wait(self) -> None:
        """Wait for all processes."""
        if self.world > 1:
            dist.barrier()


def pick_precision(wanted: Literal["auto", "float32", "bfloat16"], device: torch.device) -> Precision:
    """`auto` is bfloat16 if the device supports it in hardware, else float32."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    # Other CPUs emulate bfloat16, which is slower than float32.
    probes = (getattr(torch.cpu, f"_is_{unit}_supported", None) for unit in ("amx_tile", "avx512_bf16"))
    return "bfloat16" if any(probe is not None and probe() for probe in probes) else "float32"


def pick_device() -> torch.device:
    """This process's accelerator if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


@contextlib.contextmanager
def runtime(precision: Literal["auto", "float32", "bfloat16"]) -> Iterator[Runtime]:
    """Join the processes started by `torchrun`, if any, for the duration of the context."""
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    device = pick_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
    own_group = world > 1 and not dist.is_initialized()
    if own_group:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Runtime(device=device, precision=pick_precision(precision, device), rank=rank, world=world)
    finally:
        if own_group:
            dist.destroy_process_group()


def measured_peak_flops(device: torch.device, precision: Precision, *, size: int | None = None) -> float:
    """Measure the floating point operations per second of a large square matrix product, best of five."""
    n = size or (8192 if device.type == "cuda" else 1024)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    best = 0.0
    for _ in range(6):
        start = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = max(best, 2 * n**3 / (time.perf_counter() - start))
    return best


def cosine(step: int, *, steps: int, warmup: int, floor: float) -> float:
    """Learning rate factor at `step` (from 0): linear warm-up, then a cosine from 1 to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
