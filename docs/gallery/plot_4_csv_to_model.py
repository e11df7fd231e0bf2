"""
Your CSV to a model
===================

A recording in a text file has no unit, no rate and no electrode names that a program could trust. A manifest states
them, and from there on the file is like any other.
"""

# %%
# Three subjects of the sample as CSV files stand for yours: one column per channel, in millivolt, 250 rows a second.

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eegprep import datasets
from eegprep.shards import ShardSet
from eegpt.data import TrialIndex
from eegpt.interop import EEGPTFeatures

demo = Path(os.environ.get("EEGPT_DEMO", "demo/sample")).absolute()  # what `make demo` leaves
work = Path(tempfile.mkdtemp())
(work / "recordings").mkdir()
recordings = datasets.sample()
for subject in ("Subject05", "Subject06", "Subject07"):
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
title: Rest and mental arithmetic, three subjects, as CSV
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
# Trials out of the shards, features of the encoder, and a classifier scored on subjects that it has not seen.

trials = TrialIndex([ShardSet.open(work / "shards")])
batch = trials.gather(np.arange(len(trials)), electrodes=["Fz", "Cz", "Pz", "O1", "O2"])
x_uv, subject = batch.signal_uv(), np.array(trials.subject)
features = EEGPTFeatures(str(demo / "encoder-0"), ch_names=["Fz", "Cz", "Pz", "O1", "O2"], sfreq_hz=256.0, unit="uV")
model = make_pipeline(features, StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
scores = cross_val_score(model, np.asarray(x_uv), np.asarray(trials.label), groups=subject, cv=3)
print(f"accuracy {scores.mean():.2f} over {len(scores)} folds of {len(trials)} trials")
