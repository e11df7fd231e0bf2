"""Is the special token against cached keys and values worth it? A step of transfer, cached and naive, in one run.

Naive: tokens and special token go through the encoder together at every step, with the graph of all of them kept
for the backward pass, as automatic differentiation does when the encoder is merely frozen. Cached: keys and
values of the tokens were computed once; a step gathers them and runs the one special token. Both then do the
electrode graph, the heads, the loss and the backward pass for the same trainable parameters.

Memory is the increase of peak resident memory during a step, each measured in a separate process; the naive step
includes its batch's tokens, the cached one the gathered keys and values. Keys and values of the full training set are
kept outside the step, and their size is printed too.

    python benchmarks/transfer.py [--json FILE] [--trials 16] [--electrodes 19] [--seconds 4] [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eegpt.model.ete import ETE
from eegpt.model.heads import HeadSpec
from eegpt.model.sizes import ete_config, teg_config
from eegpt.model.views import N_SLICES
from eegpt.transfer.model import TransferModel
from eegpt.transfer.rows import Encoded, Rows, encode

STEP_AT_LEAST, MEMORY_AT_LEAST, DIFFERENCE_AT_MOST = 2.5, 5.0, 1e-4


def build(size: str, n_trials: int, n_electrodes: int, n_samples: int) -> tuple[TransferModel, Rows, Tensor, Tensor]:
    """A model with a frozen encoder and one batch of trials."""
    torch.manual_seed(0)
    config = ete_config(size, n_electrodes=64)
    model = TransferModel(
        ETE(config).requires_grad_(False),
        teg_config(size, n_electrodes=64),
        [HeadSpec(name="task", n_outputs=2)],
        readout="special",
    ).train()
    rows = n_trials * n_electrodes
    signal_RS = torch.randn(rows, n_samples)
    tokens_RTC = signal_RS.unfold(1, config.token_samples, config.token_stride)
    batch = Rows(
        tokens_RTC=tokens_RTC,
        token_mask_RT=None,
        electrode_R=torch.arange(n_electrodes).repeat(n_trials),
        mask_NE=torch.ones(n_trials, n_electrodes, dtype=torch.bool),
        course_RF=torch.zeros(rows, N_SLICES),
        sigma_R=torch.ones(rows),
    )
    return model, batch, torch.zeros(n_trials, dtype=torch.int64), torch.arange(n_trials) % 2


def naive_represent(model: TransferModel, rows: Rows) -> Tensor:
    """z with the special token at the end of the full sequence."""
    if model.special is None:
        raise ValueError("the benchmark needs the special token")
    x_RPD = model.ete.embed(rows.tokens_RTC, rows.electrode_R)
    x_RPD = torch.cat((x_RPD, model.special.expand(len(x_RPD), 1, -1)), dim=1)
    return model.z_norm(model.ete.run(x_RPD)[:, -1])


def loss_of(model: TransferModel, z_RD: Tensor, rows: Rows, task: Tensor, label: Tensor) -> Tensor:
    """Graph, heads and loss on representations."""
    N, E = rows.mask_NE.shape
    pooled = model.teg(z_RD.view(N, E, -1), rows.electrode_R.view(N, E), rows.mask_NE)
    return torch.nn.functional.cross_entropy(model.heads(pooled, task), label)


def naive_step(model: TransferModel, rows: Rows, task: Tensor, label: Tensor) -> None:
    """Forward and backward through everything."""
    model.zero_grad(set_to_none=True)
    loss_of(model, naive_represent(model, rows), rows, task, label).backward()


def cached_step(model: TransferModel, kept: Encoded, index: Tensor, rows: Rows, task: Tensor, label: Tensor) -> None:
    """Gather the batch's keys and values, then forward and backward of the special token."""
    model.zero_grad(set_to_none=True)
    loss_of(model, model.represent(kept.take(index)), rows, task, label).backward()


def gradients(model: TransferModel) -> Tensor:
    """Gradients of all trainable parameters, as one vector."""
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def peak_of(kind: str, arguments: list[str]) -> float:
    """MiB that one step adds to the peak of resident memory, in a fresh process."""
    command = [sys.executable, __file__, *arguments, "--only", kind]
    # Return freed memory at once, so that a step cannot reuse memory of an earlier one.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return float(json.loads(out)["step_mib"])


def only(kind: str, options: argparse.Namespace) -> None:
    """In a separate process: set up everything, then run one step and measure its memory."""
    model, rows, task, label = build(*shape(options))
    kept = None
    if kind == "cached":
        with torch.no_grad():
            # In parts, so that building the cache does not determine the peak.
            kept = encode_in_parts(model, rows)
    before = reset_peak()
    if kept is not None:
        cached_step(model, kept, torch.arange(len(task)), rows, task, label)
    else:
        naive_step(model, rows, task, label)
    print(json.dumps({"step_mib": max(0.1, peak_mib() - before)}))


def encode_in_parts(model: TransferModel, rows: Rows) -> Encoded:
    """Encode trial by trial and join."""
    from eegpt.transfer.rows import join

    E = rows.mask_NE.shape[1]
    parts = []
    for i in range(len(rows.mask_NE)):
        at = slice(i * E, (i + 1) * E)
        part = Rows(
            tokens_RTC=rows.tokens_RTC[at],
            token_mask_RT=None,
            electrode_R=rows.electrode_R[at],
            mask_NE=rows.mask_NE[i : i + 1],
            course_RF=rows.course_RF[at],
            sigma_R=rows.sigma_R[at],
        )
        parts.append(encode(model.ete, part))
    return join(parts)


def reset_peak() -> float:
    """Current resident memory in MiB; resets the kernel's record of the peak if possible."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    return peak_mib()


def peak_mib() -> float:
    """Highest resident memory since the last reset, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def shape(options: argparse.Namespace) -> tuple[str, int, int, int]:
    """Size, trials, electrodes, samples."""
    return options.size, options.trials, options.electrodes, int(options.seconds * 256)


def main() -> None:
    """Measure, print, and write JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--size", default="base")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--electrodes", type=int, default=19)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=("naive", "cached"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        only(options.only, options)
        return
    model, rows, task, label = build(*shape(options))
    with torch.no_grad():
        kept = encode(model.ete, rows)
    index = torch.arange(len(task))
    naive_step(model, rows, task, label)
    expected, z_expected = gradients(model), naive_represent(model, rows).detach()
    cached_step(model, kept, index, rows, task, label)
    difference = float((gradients(model) - expected).abs().max() / expected.abs().max())
    difference = max(difference, float((model.represent(kept).detach() - z_expected).abs().max()))
    times: dict[str, list[float]] = {"naive": [], "cached": []}
    for _ in range(options.rounds):  # interleaved, so that both run under the same conditions
        for kind in times:
            start = time.perf_counter()
            if kind == "naive":
                naive_step(model, rows, task, label)
            else:
                cached_step(model, kept, index, rows, task, label)
            times[kind].append(time.perf_counter() - start)
    median = {kind: float(np.median(t)) for kind, t in times.items()}
    arguments = [f"--{k}={getattr(options, k)}" for k in ("size", "trials", "electrodes", "seconds")]
    memory = {kind: peak_of(kind, arguments) for kind in times}
    result = {
        "step_vs_naive": median["naive"] / median["cached"],
        "memory_vs_naive": memory["naive"] / memory["cached"],
        "max_abs_difference": difference,
        "step_s": median,
        "step_mib": memory,
        "cache_mib": kept.n_bytes / 2**20,
        "torch_threads": torch.get_num_threads(),
        "shape": dict(zip(("size", "trials", "electrodes", "samples"), shape(options), strict=True)),
    }
    print(f"{'':8}{'step':>10}{'step adds':>14}")
    for kind in times:
        print(f"{kind:8}{median[kind] * 1000:>7.0f} ms{memory[kind]:>10.1f} MiB")
    print(
        f"cached against naive: {result['step_vs_naive']:.1f} times faster (wanted {STEP_AT_LEAST}), "
        f"{result['memory_vs_naive']:.1f} times less memory in the step (wanted {MEMORY_AT_LEAST}), "
        f"largest difference {difference:.1e} (at most {DIFFERENCE_AT_MOST:g}); kept outside it: "
        f"{result['cache_mib']:.0f} MiB of keys and values for these trials"
    )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if result["step_vs_naive"] < STEP_AT_LEAST or result["memory_vs_naive"] < MEMORY_AT_LEAST:
        raise SystemExit("below what was asked for")
    if difference > DIFFERENCE_AT_MOST:
        raise SystemExit("cached and naive differ")


if __name__ == "__main__":
    main()
