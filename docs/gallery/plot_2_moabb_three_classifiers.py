"""
Motor imagery in MOABB with three classifiers
=============================================

MOABB evaluates our estimators beside its own. This page is built without a network, so the data are MOABB's synthetic
set: the scores are at chance and show only that everything runs. Replace the data set by ``BNCI2014_001()`` for real
recordings.
"""

# %%
# The paradigm cuts trials at the rate and in the unit (microvolt) that our estimators are told.

import os
import tempfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
os.environ.setdefault("MNE_DATA", tempfile.mkdtemp())
os.environ.setdefault("MOABB_RESULTS", os.environ["MNE_DATA"])

import moabb
from mne.decoding import CSP
from moabb.datasets.fake import FakeDataset
from moabb.evaluations import CrossSubjectEvaluation
from moabb.paradigms import LeftRightImagery
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eegpt.interop import EEGPTClassifier, EEGPTFeatures

moabb.set_log_level("error")
demo = Path(os.environ.get("EEGPT_DEMO", "demo/sample"))  # what `make demo` leaves
dataset = FakeDataset(["left_hand", "right_hand"], n_sessions=1, n_runs=1, n_subjects=3, n_events=20)
paradigm = LeftRightImagery(fmin=1, fmax=40, resample=256)

# %%
# Common spatial patterns; our features with logistic regression; our classifier with its electrode graph.

about = {"model": str(demo / "encoder-0"), "ch_names": dataset.channels, "sfreq_hz": 256.0, "unit": "uV"}
pipelines = {
    "CSP + LDA": make_pipeline(CSP(n_components=2), LinearDiscriminantAnalysis()),
    "features + LR": make_pipeline(EEGPTFeatures(**about), StandardScaler(), LogisticRegression(C=0.01, max_iter=500)),
    "graph": EEGPTClassifier(**about, max_steps=10),
}
evaluation = CrossSubjectEvaluation(
    paradigm=paradigm, datasets=[dataset], overwrite=True, hdf5_path=os.environ["MOABB_RESULTS"], n_jobs=1
)
results = evaluation.process(pipelines)

# %%
# One score per test subject.

print(results.pivot_table(index="pipeline", columns="subject", values="score").round(2))
