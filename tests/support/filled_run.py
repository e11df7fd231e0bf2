"""Run by torchrun in `test_building.py`: divide a bare encoder over two processes, then fill it.

Argument: a file for the gathered weights and the parts of each process.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from eegpt.model.config import ETEConfig
from eegpt.model.weights import bare_encoder, fill
from eegpt.pretraining.config import ComputeSettings
from eegpt.pretraining.objective import Pretraining
from eegpt.pretraining.parallel import parallelise
from eegpt.runs.checkpoint import save_tensors
from eegpt.runs.runtime import runtime

torch.set_num_threads(1)
out = Path(sys.argv[1])
config = ETEConfig(
    n_layers=2, width=24, n_heads=2, token_samples=32, token_stride=8, skip="linear", n_electrodes=7, sfreq_hz=64.0
)

with runtime("float32") as here:
    ete = bare_encoder(config)
    module = Pretraining(ete, spectrum_weight=0.5)

    def begin() -> None:
        # Weights are divided before any of them has memory.
        for name, weight in ete.named_parameters():
            assert weight.is_meta, name
        fill(ete, here.device, seed=7)

    parallelise(module, here, ComputeSettings(parallel="fsdp"), begin)
    held = sum(p.to_local().numel() if hasattr(p, "to_local") else p.numel() for p in ete.parameters())
    gathered = {n: p.full_tensor() if hasattr(p, "full_tensor") else p for n, p in ete.named_parameters()}
    counts = [torch.zeros(1, dtype=torch.int64) for _ in range(here.world)]
    dist.all_gather(counts, torch.tensor([held]))
    stored = torch.ones(4, 96, dtype=torch.int16), torch.ones(4), torch.ones(4), torch.arange(4)
    losses = module(*stored)
    losses["loss"].backward()
    nn.utils.clip_grad_norm_(ete.parameters(), 1.0)
    if here.first:
        save_tensors(out, gathered)
        out.with_suffix(".json").write_text(
            json.dumps({"held": [int(c) for c in counts], "loss": float(losses["loss"])})
        )
    here.wait()
