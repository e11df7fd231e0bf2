"""
Embed and cluster a recording
=============================

Features of one subject at rest and during mental arithmetic, from an encoder that has not seen the subject's labels.
Do windows of the two conditions lie apart?
"""

# %%
# Two recordings of one subject, as MNE objects. Any ``mne.io.Raw`` will do: the montage, the rate and the unit are read
# from it.

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

import eegpt
from eegprep import datasets

demo = Path(os.environ.get("EEGPT_DEMO", "demo/sample"))  # what `make demo` leaves
recordings = datasets.sample()
raws = {name: recordings.raw(f"eegmat_sample/Subject05/-/{run}") for run, name in ((1, "rest"), (2, "arithmetic"))}
print(recordings)

# %%
# Each window of four seconds becomes one vector per electrode; their mean over electrodes is a point here.

features, condition = [], []
for name, raw in raws.items():
    ds = eegpt.embed(raw, model=demo / "encoder-0", stride_s=2.0)
    points = ds.features.mean("electrode").values
    features.append(points)
    condition += [name] * len(points)
x = np.concatenate(features)
condition = np.array(condition)
print(ds)

# %%
# Two clusters, found without the conditions, and how well they agree with them (1: fully, 0: by chance).

x = (x - x.mean(axis=0)) / x.std(axis=0)
cluster = KMeans(2, n_init=10, random_state=0).fit_predict(x)
place = PCA(2).fit_transform(x)
print(f"agreement with the conditions: {adjusted_rand_score(condition, cluster):.2f}")

fig, ax = plt.subplots(figsize=(6, 4))
for name, marker in (("rest", "o"), ("arithmetic", "^")):
    own = condition == name
    ax.scatter(*place[own].T, c=cluster[own], marker=marker, vmin=0, vmax=1, cmap="coolwarm", label=name)
ax.set(xlabel="first principal component", ylabel="second", title="Windows of one subject; colour: cluster")
ax.legend()
plt.show()
