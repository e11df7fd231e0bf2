"""A linear map of an encoder's states against one of the log spectrum, on subjects that the encoder never saw.

    OMP_NUM_THREADS=1 python benchmarks/states.py --shards SHARDS --encoder FOLD0 --encoder FOLD1 ... [--json FILE]

The encoders are those of `eegpt train --set data.division=kfold:K/k`, in order. Both maps are logistic regressions with
balanced classes in the space of the trials, on features standardised by subject (and electrode) except in tasks that
ask for the subject's identity; the penalty is chosen on folds of the training subjects. States are mean and SD, and
with half the weight their means in eight slices of the trial. Of tasks with more than 1,000 trials every third is used.

Intervals are of 2,000 bootstrap draws of subjects within their data sets; p is from 1,000 exchanges of the two methods'
answers, subject by subject.
"""

from __future__ import annotations

import argparse
import json
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from eegprep.splits import Seen, refuse_leaks
from eegpt.evaluation.baselines.linear import power_spectrum
from eegpt.model.views import view_slices
from eegpt.runs.checkpoint import load_encoder
from eegpt.runs.runtime import pick_precision
from eegpt.runs.settings import changed
from eegpt.transfer.align import alignable_tasks
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import build_model, graph_config
from eegpt.transfer.setup import make_setup, open_trials

PENALTIES = (1e-2, 1e-1, 1.0, 10.0)
METHODS = ("log spectrum", "states")
SEED = 100  # of the folds that choose a penalty
IDENTITY = ("adhd_group", "alcoholism", "epilepsy")


def standardised(x_NVF: np.ndarray, subject_N: np.ndarray, train: np.ndarray, *, by_subject: bool) -> np.ndarray:
    """Trials (N, V F), by subject if asked, then over the training trials; missing electrodes are 0, the mean."""
    x_NVF = x_NVF.copy()
    for one in np.unique(subject_N) if by_subject else ():
        own = subject_N == one
        x_NVF[own] = (x_NVF[own] - np.nanmean(x_NVF[own], 0)) / (np.nanstd(x_NVF[own], 0) + 1e-3)
    x = x_NVF.reshape(len(x_NVF), -1)
    mean, sd = np.nanmean(x[train], 0), np.nanstd(x[train], 0)
    kept = np.isfinite(mean) & (sd > 1e-6)
    return np.clip(np.nan_to_num((x[:, kept] - mean[kept]) / sd[kept]), -8, 8)


def placed(rows_RF: np.ndarray, mask_NE: np.ndarray, electrode_R: np.ndarray) -> np.ndarray:
    """Rows of electrodes as (N, V, F), NaN where a trial lacks an electrode."""
    electrodes, slot_R = np.unique(electrode_R, return_inverse=True)
    x_NVF = np.full((len(mask_NE), len(electrodes), rows_RF.shape[1]), np.nan, np.float32)
    x_NVF[np.nonzero(mask_NE)[0], slot_R] = rows_RF
    return x_NVF


def groups(subject_N: np.ndarray, label_N: np.ndarray, n: int) -> np.ndarray:
    """A fold for each trial; subjects stay together, those with one label are dealt label by label."""
    own = {s: sorted(set(label_N[subject_N == s].tolist())) for s in np.unique(subject_N)}
    dealt = sorted(own, key=lambda s: (own[s] if len(own[s]) == 1 else [], zlib.crc32(f"{SEED}{s}".encode())))
    fold = {s: i % n for i, s in enumerate(dealt)}
    return np.array([fold[s] for s in subject_N])


def fitted(kernel: np.ndarray, label_N: np.ndarray, penalty: float) -> tuple[LogisticRegression, np.ndarray]:
    """A logistic regression on the trials' coordinates, and the map from kernel rows to these."""
    value, vector = np.linalg.eigh(kernel)
    kept = value > value.max() * 1e-6
    to_coordinates = vector[:, kept] / np.sqrt(value[kept])
    model = LogisticRegression(C=penalty, max_iter=100, class_weight="balanced", tol=1e-3)
    return model.fit(kernel @ to_coordinates, label_N), to_coordinates


def answers(
    kernel: np.ndarray, label_N: np.ndarray, subject_N: np.ndarray, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """The classes of the test trials, with the penalty that is best on folds of the training subjects."""
    fold_N, gain = groups(subject_N[train], label_N[train], 4), np.zeros(len(PENALTIES))
    for fold in range(4):
        a, b = train[fold_N != fold], train[fold_N == fold]
        if not len(b) or len(np.unique(label_N[a])) < 2:
            continue
        for i, penalty in enumerate(PENALTIES):
            model, to = fitted(kernel[np.ix_(a, a)], label_N[a], penalty)
            log_p = model.predict_log_proba(kernel[np.ix_(b, a)] @ to)
            hit = log_p[np.arange(len(b)), np.searchsorted(model.classes_, label_N[b])]
            gain[i] += np.mean([hit[label_N[b] == c].mean() for c in np.unique(label_N[b])])
    model, to = fitted(kernel[np.ix_(train, train)], label_N[train], PENALTIES[int(gain.argmax())])
    return model.predict(kernel[np.ix_(test, train)] @ to)


def fold_answers(shards: Sequence[Path], run: Path, number: int, n_folds: int) -> dict[str, dict[str, np.ndarray]]:
    """Subjects, labels and both methods' answers of every test trial of a fold, by task."""
    config = changed(TransferConfig(), {"mode": "probe", "data.scheme": f"kfold:{n_folds}"})
    sets, index = open_trials(shards, config)
    encoder = load_encoder(run)
    setup, device = make_setup(sets, index, encoder.vocabulary, config), torch.device("cpu")
    division, subjects = setup.divisions[number], np.array(index.subject)
    tested = sorted(set(subjects[division.test]))
    seen = Seen.from_json(json.loads((run / "seen.json").read_text(encoding="utf-8")))
    refuse_leaks(seen, [r for r in setup.recordings if r.person in tested])
    model = build_model(encoder.model, graph_config(config, encoder.model.config), setup.heads, config).eval()
    bank = TrialBank(
        index, setup.electrodes.id_of, device=device, budget_bytes=0, precision=pick_precision("auto", device)
    )
    where, out = view_slices(encoder.model.config), {}
    for task, info in enumerate(index.tasks):
        rows = np.flatnonzero(index.task == task)
        rows = rows[:: 3 if len(rows) > 1000 else 1]
        subject_N, label_N = subjects[rows], index.label[rows]
        train, test = (np.flatnonzero(np.isin(subject_N, tested) == is_test) for is_test in (False, True))
        if not len(test) or not len(train):
            continue
        encoded = bank.views(model, rows)
        views, mask, electrode = encoded.views_RF.numpy(), encoded.mask_NE.numpy(), encoded.electrode_R.numpy()
        spectra, masks, electrodes = [], [], []
        for start in range(0, len(rows), 64):
            batch = index.gather(rows[start : start + 64])
            there = batch.electrode_mask
            power, hz = power_spectrum(batch.signal_uv() / batch.sigma_uv[:, :, None], 256.0)
            log_power = np.log(power[there][:, (hz >= 1) & (hz <= 45)] + 1e-8)
            spectra.append(np.concatenate([log_power, np.log(batch.sigma_uv[there])[:, None]], axis=1))
            masks.append(np.pad(there, ((0, 0), (0, int(index.n_electrodes[rows].max()) - there.shape[1]))))
            electrodes.append(batch.electrode[there])
        by_subject = task in alignable_tasks(index, division.train)

        def kernel(x_NVF: np.ndarray, *, by_subject=by_subject, subject_N=subject_N, train=train) -> np.ndarray:
            x = standardised(x_NVF, subject_N, train, by_subject=by_subject)
            return (x @ x.T).astype(np.float64) / x.shape[1]

        moments, slices = (kernel(placed(views[:, where[v]], mask, electrode)) for v in ("states", "dynamics"))
        spectrum = kernel(placed(np.concatenate(spectra), np.concatenate(masks), np.concatenate(electrodes)))
        kernels = dict(zip(METHODS, (spectrum, (moments + slices / 2) / 1.5), strict=True))
        out[info.key] = {"subject": subject_N[test], "label": label_N[test]} | {
            m: answers(k, label_N, subject_N, train, test) for m, k in kernels.items()
        }
    return out


def hits(found: list[dict[str, dict[str, np.ndarray]]], task: str) -> dict[str, np.ndarray]:
    """Trials (subjects, classes) and, by method, right answers of a task over all folds; with the subjects' names."""
    parts = {k: np.concatenate([f[task][k] for f in found if task in f]) for k in ("subject", "label", *METHODS)}
    names, subject_N = np.unique(parts["subject"], return_inverse=True)
    shape, label_N, out = (len(names), int(parts["label"].max()) + 1), parts["label"], {"names": names}
    for name, right in (("n", np.ones(len(label_N))), *((m, parts[m] == label_N) for m in METHODS)):
        out[name] = np.zeros(shape)
        np.add.at(out[name], (subject_N, label_N), right)
    return out


def score(table: dict[str, np.ndarray], right: np.ndarray, weight: np.ndarray) -> float:
    """Balanced accuracy with weighted subjects."""
    n = weight @ table["n"]
    return float(np.mean((weight @ right)[n > 0] / n[n > 0])) if n.any() else np.nan


def compared(tables: dict[str, dict[str, np.ndarray]], tasks: Sequence[str]) -> dict[str, list[float] | float]:
    """Mean scores over tasks, their difference with its interval, and p."""
    rng = np.random.default_rng(0)
    people = sorted({s for t in tasks for s in tables[t]["names"].tolist()})
    data_set = np.array([s.split("/", 1)[0] for s in people])

    def means(weight: dict[str, float], swapped: dict[str, bool]) -> np.ndarray:
        both = []
        for t in tasks:
            table = tables[t]
            w = np.array([weight[s] for s in table["names"]])
            other = np.array([swapped[s] for s in table["names"]])[:, None]
            a, b = (table[m] for m in METHODS)
            both.append([score(table, np.where(other, b, a), w), score(table, np.where(other, a, b), w)])
        return np.nanmean(both, axis=0)

    one, never = dict.fromkeys(people, 1.0), dict.fromkeys(people, False)
    plain, draws, chance = means(one, never), [], 0
    for _ in range(2000):
        count = np.zeros(len(people))
        for d in np.unique(data_set):
            own = np.flatnonzero(data_set == d)
            np.add.at(count, rng.choice(own, len(own)), 1)
        draws.append(means(dict(zip(people, count, strict=True)), never))
    for _ in range(1000):
        swapped = means(one, dict(zip(people, rng.integers(0, 2, len(people)).astype(bool).tolist(), strict=True)))
        chance += abs(swapped[1] - swapped[0]) >= abs(plain[1] - plain[0]) - 1e-12
    spread = 100 * np.nanpercentile(np.array(draws), [2.5, 97.5], axis=0).T
    gain = 100 * np.nanpercentile(np.diff(draws, axis=1), [2.5, 97.5])
    return {
        **{m: [round(float(x), 1) for x in (100 * plain[i], *spread[i])] for i, m in enumerate(METHODS)},
        "difference": [round(float(x), 1) for x in (100 * (plain[1] - plain[0]), *gain)],
        "p": round(float(chance + 1) / 1001, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, action="append", required=True)
    parser.add_argument("--encoder", type=Path, action="append", required=True, help="one for each fold, in order")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # means of electrodes that no trial has; iteration limits
    n = len(options.encoder)
    found = [fold_answers(options.shards, run, k, n) for k, run in enumerate(options.encoder)]
    keys = sorted({key for f in found for key in f})
    tables = {key: hits(found, key) for key in keys}
    rows = {key: [key] for key in keys} | {"all": keys}
    rows["not identity"] = [k for k in keys if k.split("/")[1] not in IDENTITY]
    results = {name: compared(tables, tasks) for name, tasks in rows.items() if tasks}
    for name, row in results.items():
        print(f"{name:40}", row)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
