"""
Your CSV to a model
===================

A recording in a text file has no unit, no rate and no electrode names that a program could trust. A manifest states
them, and from there on the file is like any other.
"""

# %%
# Ten subjects of the sample as CSV files stand for yours: one column per channel, in millivolt, 256 rows a second.

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.preprocessing import StandardScaler

from eegprep import datasets
from eegprep.shards import ShardSet
from eegpt.data import TrialIndex
from eegpt.interop import EEGPTFeatures

demo = Path(os.environ.get("EEGPT_DEMO", "demo/sample")).absolute()  # what `make demo` leaves
work = Path(tempfile.mkdtemp())
(work / "recordings").mkdir()
recordings = datasets.sample()
for subject in sorted({name.split("/")[1] for name in recordings}):
    for run, name in ((1, "rest"), (2, "arithmetic")):
        raw = recordings.raw(f"eegmat_sample/{subject}/-/{run}").pick(["Fz", "Cz", "Pz", "O1", "O2"])
        values = 1e3 * raw.get_data(reject_by_annotation=None)
        np.savetxt(
            work / "recordings" / f"{subject}_{name}.csv", values.T, delimiter=",", fmt="%.6f",
            header=",".join(raw.ch_names), comments="",
        )  # fmt: skip

# %%
# ``eegprep inspect recordings`` shows what the files contain, and ``eegprep manifest new`` drafts this manifest.

(work / "mine.yaml").write_text(
    """\
manifest: 1
name: mine
version: "1"
title: Rest and mental arithmetic, ten subjects, as CSV
citation: Zyma et al. (2019), Electroencephalograms during mental arithmetic task performance, Data 4(1), 14.
licence: {id: ODC-By-1.0}
anonymous_subjects: true
reference: A1A2
line_freq_hz: 50
source:
  kind: table
  files: ["{subject}_{run}.csv"]
  sfreq_hz: 256
  unit: mV
tasks:
  - name: mine
    classes: [rest, arithmetic]
    trials: {by: run, labels: {rest: rest, arithmetic: arithmetic}, length_s: 4, stride_s: 4}
"""
)


def run(*words: str) -> None:
    done = subprocess.run(words, cwd=work, capture_output=True, text=True)
    print("$", *words)
    print(done.stdout + (done.stderr if done.returncode else ""))


run("eegprep", "manifest", "validate", "mine.yaml")
run("eegprep", "ingest", "mine.yaml", "--source", "recordings", "--out", "store")
run("eegprep", "shard", "store", "--out", "shards")
run("eegprep", "verify", "shards")

# %%
# Trials out of the shards, features of the encoder, and a classifier scored on subjects that it has not seen. Subjects
# differ more than conditions, so each subject's features are standardised first; no label is used for that.

trials = TrialIndex([ShardSet.open(work / "shards")])
electrodes = ["Fz", "Cz", "Pz", "O1", "O2"]
x_uv = trials.gather(np.arange(len(trials)), electrodes=electrodes).signal_uv()
features = EEGPTFeatures(str(demo / "encoder-0"), ch_names=electrodes, sfreq_hz=256.0, unit="uV")
x, label, subject = features.fit_transform(np.asarray(x_uv)), np.asarray(trials.label), np.array(trials.subject)
for one in np.unique(subject):
    x[subject == one] = StandardScaler().fit_transform(x[subject == one])
scores = cross_val_score(LogisticRegression(C=1e-3), x, label, groups=subject, cv=GroupKFold(5))
print(f"accuracy {scores.mean():.2f} over {len(scores)} folds of {len(trials)} trials; chance 0.50")
