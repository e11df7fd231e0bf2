"""Run by `test_compiled.py`: a step plain and compiled. Argument: `aot_eager` (traces alone) or `inductor`."""

from __future__ import annotations

import sys

import torch

from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.pretraining.objective import Pretraining

torch.set_num_threads(1)
shape = {"n_layers": 2, "width": 16, "n_heads": 2, "token_samples": 32, "token_stride": 8}
generator = torch.Generator().manual_seed(0)
signal = torch.randint(-500, 500, (5, 128), generator=generator).to(torch.int16)
batch = signal, torch.full((5,), 0.05), torch.full((5,), 10.0), torch.arange(5)

for objective, skip, recompute in (
    ("new+spectrum", "linear", False),
    ("token", "last", True),
    ("masked", "none", False),
):
    torch.manual_seed(0)
    model = Pretraining(ETE(ETEConfig(**shape, objective=objective, skip=skip)), spectrum_weight=0.5).train()
    model.ete.recompute = recompute
    hidden = torch.arange(13).expand(5, 13) == 5 if objective == "masked" else None
    found = []
    for step in (model, torch.compile(model, backend=sys.argv[1], fullgraph=True)):
        model.zero_grad()
        loss = step(*batch, hidden)["loss"]
        loss.backward()
        found.append((loss.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)
print("equal")
