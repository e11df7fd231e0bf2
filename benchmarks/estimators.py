"""Does the scikit-learn classifier earn its place? Against log band power with logistic regression, on the same folds.

    python benchmarks/estimators.py SHARDS ENCODER [--tasks a,b] [--folds 5]

Trials of each task come out of a shard set as plain arrays in microvolt. Folds are made of people where there are as
many people as folds, else of trials (the table says which). Both methods see the same arrays and nothing else.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eegprep.remote import open_shards
from eegpt.data import TrialIndex
from eegpt.interop import EEGPTClassifier, EEGPTFeatures

BANDS_HZ = ((1, 4), (4, 8), (8, 13), (13, 30), (30, 45))


class LogBandPower(TransformerMixin, BaseEstimator):
    """Log power in five bands of every electrode, from (n, electrodes, samples) at 256 Hz."""

    def fit(self, X: np.ndarray, y: np.ndarray | None = None) -> LogBandPower:
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfft(X * np.hanning(X.shape[-1]), axis=-1)) ** 2
        hz = np.fft.rfftfreq(X.shape[-1], 1 / 256)
        bands = [power[..., (hz >= low) & (hz < high)].mean(axis=-1) for low, high in BANDS_HZ]
        return np.log(np.stack(bands, axis=-1) + 1e-6).reshape(len(X), -1)


def arrays(index: TrialIndex) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Trials with the most common electrodes and length: signal in microvolt, label, subject, names."""
    length = np.bincount(index.n_samples).argmax()
    rows = np.flatnonzero(index.n_samples == length)
    batch = index.gather(rows)
    ids, counts = np.unique(batch.electrode[batch.electrode_mask], return_counts=True)
    common = ids[counts >= 0.8 * len(rows)]
    names = [index.vocabulary.name_of(int(i)) for i in common]
    batch = index.gather(rows, electrodes=names)
    whole = batch.electrode_mask.all(axis=1)
    signal = batch.signal_i16[whole] * batch.scale_uv[whole][..., None]
    subject = np.array(index.subject)[rows][whole]
    return signal, np.asarray(batch.label)[whole], subject, names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--tasks", default="")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    opened = open_shards(arguments.shards)
    everything = TrialIndex([opened])
    wanted = [t for t in arguments.tasks.split(",") if t] or [t.key for t in everything.tasks]
    rows = []
    for key in wanted:
        task = next(t for t in everything.tasks if t.key == key)
        if task.kind != "classification":
            continue
        X, y, people, names = arrays(TrialIndex([opened], tasks=[key]))
        by_person = len(np.unique(people)) >= arguments.folds
        maker = GroupKFold(arguments.folds) if by_person else StratifiedKFold(arguments.folds)
        common = {"ch_names": names, "sfreq_hz": 256.0}
        methods = {
            "band power + LR": make_pipeline(LogBandPower(), StandardScaler(), LogisticRegression(max_iter=1000)),
            "features + LR": make_pipeline(
                EEGPTFeatures(arguments.encoder, **common), StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)
            ),
            "graph": EEGPTClassifier(arguments.encoder, **common),
        }
        row = {
            "task": key,
            "trials": len(y),
            "electrodes": len(names),
            "folds": "people" if by_person else "trials",
            "chance": 1 / len(task.classes),
        }
        for name, method in methods.items():
            began, truth, said = time.perf_counter(), [], []
            for train, test in maker.split(X, y, people if by_person else None):
                said.append(method.fit(X[train], y[train]).predict(X[test]))
                truth.append(y[test])
            row[name] = float(balanced_accuracy_score(np.concatenate(truth), np.concatenate(said)))
            row[f"{name}, s"] = round(time.perf_counter() - began, 1)
        rows.append(row)
        print(json.dumps(row) if arguments.json else "  ".join(f"{k}: {v}" for k, v in row.items()), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
