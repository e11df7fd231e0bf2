"""
Embed and cluster recordings
============================

Features of ten subjects at rest and during mental arithmetic. Do windows of the two conditions fall into two clusters,
found without the conditions?
"""

# %%
# Two recordings of each subject, as MNE objects. Any ``mne.io.Raw`` will do: the montage, the rate and the unit are
# read from it.

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
model = eegpt.load(demo / "encoder-0")
subjects = sorted({name.split("/")[1] for name in recordings})
print(recordings)

# %%
# Each window of four seconds becomes one vector per electrode; all electrodes together are a point here. Each subject's
# points are divided into two clusters. The agreement with the conditions is 1 if it is full, and 0 if it is by chance.


def windows(subject: str) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features (window, electrode x feature) of a subject, and the run of each window."""
    found = [
        eegpt.embed(recordings.raw(f"eegmat_sample/{subject}/-/{run}"), model=model, stride_s=2.0) for run in (1, 2)
    ]
    x = np.concatenate([ds.features.values.reshape(ds.sizes["window"], -1) for ds in found])
    return (x - x.mean(axis=0)) / x.std(axis=0), np.repeat([1, 2], [ds.sizes["window"] for ds in found])


x, run, cluster = {}, {}, {}
for subject in subjects:
    x[subject], run[subject] = windows(subject)
    cluster[subject] = KMeans(2, n_init=10, random_state=0).fit_predict(x[subject])
agreement = {subject: adjusted_rand_score(run[subject], cluster[subject]) for subject in subjects}
print({subject: round(float(value), 2) for subject, value in agreement.items()})

# %%
# The agreement of every subject, and the windows of one of them.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.barh(subjects, [agreement[subject] for subject in subjects])
left.invert_yaxis()
left.set(xlabel="agreement of clusters and conditions", xlim=(-0.1, 1))
shown = "Subject05"
place = PCA(2).fit_transform(x[shown])
for number, name, marker in ((1, "rest", "o"), (2, "arithmetic", "^")):
    own = run[shown] == number
    right.scatter(*place[own].T, c=cluster[shown][own], marker=marker, vmin=0, vmax=1, cmap="coolwarm", label=name)
right.set(xlabel="first principal component", ylabel="second", title=f"{shown}; colour: cluster")
right.legend()
plt.show()

# %%
# Two recordings differ in more than the condition: electrodes dry and subjects tire. A cluster is no proof that the
# features tell arithmetic from rest; scores on subjects that a model has not seen are in the demo's table.
