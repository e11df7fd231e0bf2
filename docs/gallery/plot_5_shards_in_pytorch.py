"""
Read shards in plain PyTorch
============================

A shard set is a map-style data set: ``torch.utils.data.DataLoader`` reads windows of single electrodes from it. Here a
linear map learns to predict the last quarter of a second of each window from what comes before.
"""

# %%
# One index for training and one for validation: their subjects differ, as the shard set says.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch.utils.data import DataLoader

from eegpt.data import WindowIndex

demo = Path(os.environ.get("EEGPT_DEMO", "demo/sample"))  # what `make demo` leaves
train = WindowIndex(demo / "shards", n_samples=320, stride=320)
held_out = WindowIndex(demo / "shards", n_samples=320, stride=320, splits=("test",))
print(train)
print(held_out)

# %%
# A window is a tensor of 320 samples in microvolt.

torch.manual_seed(0)
model = torch.nn.Linear(256, 64)
optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)


def error(x_uv: torch.Tensor) -> torch.Tensor:
    x = torch.as_tensor(x_uv, dtype=torch.float32)
    x = (x - x[:, :256].mean(dim=1, keepdim=True)) / x[:, :256].std(dim=1, keepdim=True).clamp_min(1.0)
    return (model(x[:, :256]) - x[:, 256:]).square().mean()


losses = []
for _ in range(4):
    for x_uv in DataLoader(train, batch_size=64, shuffle=True):
        loss = error(x_uv)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

# %%
# Held-out subjects.

with torch.no_grad():
    tested = [error(x_uv).item() for x_uv in DataLoader(held_out, batch_size=64)]
held_out_error = sum(tested) / len(tested)
print(f"mean square error on held-out subjects: {held_out_error:.3f}")

fig, ax = plt.subplots(figsize=(6, 3.2))
ax.plot(losses, label="training")
ax.axhline(held_out_error, color="C1", label="held out")
ax.set(xlabel="step", ylabel="mean square error", ylim=(0, None))
ax.legend()
plt.show()
