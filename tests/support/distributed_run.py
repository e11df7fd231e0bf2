"""Run by torchrun in `test_distributed.py`: a small run on windows in memory.

Arguments: output folder, `ddp` or `fsdp`, steps at which to stop by SIGTERM (0 for never).
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from pathlib import Path

import torch
from memory_windows import memory_data, small

from eegpt.pretraining.loop import pretrain_on

torch.set_num_threads(1)
out, parallel, stop = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
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

result = pretrain_on(data, config, out=out)
print(result.finished, result.steps)
