"""
What the encoder has learned
============================

A forecast, the spectrum of its predictions, its error on the scalp, and the attention of the electrode graph. The
encoder has seen two electrode-hours: this is what a few seconds of training give.
"""

# %%
# ``eegpt train`` has written the errors on held-out subjects into its run.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np

from eegpt.pages.graph import attention_by_task
from eegpt.runs.results import read_pretraining_results

demo = Path(os.environ.get("EEGPT_DEMO", "demo/sample"))  # what `make demo` leaves
errors = read_pretraining_results(demo / "encoder-0").splits["test"]
for name, of in errors.predictors.items():
    print(f"{name:22} {of.new / errors.variance:.3f} of the variance")

# %%
# Predictions of the new samples of a held-out window, each from everything before it.

example = errors.examples[0]
seconds = np.arange(len(example.signal)) / 256
fig, ax = plt.subplots(figsize=(8, 3))
ax.plot(seconds, example.signal, color="0.4", label="signal")
ax.plot(seconds, example.predictions["model"], color="C3", label="encoder")
ax.set(xlabel="s", ylabel="normalised", title=f"{example.electrode}, a subject that the encoder has not seen")
ax.legend()
plt.show()

# %%
# The spectrum: the encoder predicts slow rhythms and alpha, and cannot predict noise.

fig, ax = plt.subplots(figsize=(6, 3.2))
hz = errors.spectra["hz"][1:]
for name in ("signal", "model", "linear"):
    ax.semilogy(hz, errors.spectra[name][1:], label=name)
ax.set(xlabel="Hz", ylabel="power per Hz", xlim=(0, 45), ylim=(1e-4, None))
ax.legend()
plt.show()

# %%
# Error by electrode, and the attention that each electrode receives in the graph (1: an even share).

attention = next(iter(attention_by_task(demo / "model", [demo / "shards"]).values()))
names = sorted(attention)
info = mne.create_info(names, 256.0, "eeg").set_montage("easycap-M1")
fig, axes = plt.subplots(1, 2, figsize=(8, 3.6))
for ax, values, title in ((axes[0], errors.model.electrode, "error"), (axes[1], attention, "attention")):
    shown, _ = mne.viz.plot_topomap(np.array([values[n] for n in names]), info, axes=ax, show=False, names=names)
    fig.colorbar(shown, ax=ax, shrink=0.7)
    ax.set_title(title)
plt.show()
