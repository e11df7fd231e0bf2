"""A linear map of an encoder's states against one of the log spectrum, on subjects that the encoder never saw.

    OMP_NUM_THREADS=1 python benchmarks/states.py --shards SHARDS --encoder FOLD0 --encoder FOLD1 ... [--json FILE]
    OMP_NUM_THREADS=1 python benchmarks/states.py --shards SHARDS --untested 0/5 --encoder A --encoder B ...

The encoders are those of `eegpt train --set data.division=kfold:K/k`, in order. With `--untested k/K` they are rivals
of one fold instead, and its test subjects are left out: the others are dealt into five groups, in two ways, and each
group is tested with maps fitted to the other four. So encoders can be compared without the subjects of the test.

Both maps are logistic regressions with balanced classes in the space of the trials, on features standardised by subject
(and electrode) except in tasks that ask for the subject's identity; the penalty is chosen on folds of the training
subjects. States are mean and SD, and with half the weight their means in eight slices of the trial. Of tasks with more
than 1,000 trials every third is used.

Intervals are of 2,000 bootstrap draws of subjects within their data sets; p is from 1,000 exchanges of the two methods'
answers, subject by subject.
"""

from __future__ import annotations

import argparse
import json
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
DEALS = (1, 2)  # seeds of the groups of subjects that encoders are compared on
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


def groups(subject_N: np.ndarray, label_N: np.ndarray, n: int, seed: int = SEED) -> np.ndarray:
    """A fold for each trial; subjects stay together, those with one label are dealt label by label."""
    own = {s: sorted(set(label_N[subject_N == s].tolist())) for s in np.unique(subject_N)}
    dealt = sorted(own, key=lambda s: (own[s] if len(own[s]) == 1 else [], zlib.crc32(f"{seed}{s}".encode())))
    fold = {s: i % n for i, s in enumerate(dealt)}
    return np.array([fold[s] for s in subject_N])


def coordinates(kernel: np.ndarray) -> np.ndarray:
    """The map from rows of a kernel to coordinates of the trials."""
    value, vector = np.linalg.eigh(kernel)
    kept = value > value.max() * 1e-6
    return vector[:, kept] / np.sqrt(value[kept])


def fitted(x: np.ndarray, label_N: np.ndarray, penalty: float) -> LogisticRegression:
    """A logistic regression on the trials' coordinates."""
    return LogisticRegression(C=penalty, max_iter=100, class_weight="balanced", tol=1e-3).fit(x, label_N)


def answers(
    kernel: np.ndarray, label_N: np.ndarray, subject_N: np.ndarray, train: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """The classes of the test trials, with the penalty that is best on folds of the training subjects."""
    fold_N, gain = groups(subject_N[train], label_N[train], 4), np.zeros(len(PENALTIES))
    for fold in range(4):
        a, b = train[fold_N != fold], train[fold_N == fold]
        if not len(b) or len(np.unique(label_N[a])) < 2:
            continue
        to = coordinates(kernel[np.ix_(a, a)])
        x_a, x_b = kernel[np.ix_(a, a)] @ to, kernel[np.ix_(b, a)] @ to
        for i, penalty in enumerate(PENALTIES):
            model = fitted(x_a, label_N[a], penalty)
            log_p = model.predict_log_proba(x_b)
            hit = log_p[np.arange(len(b)), np.searchsorted(model.classes_, label_N[b])]
            gain[i] += np.mean([hit[label_N[b] == c].mean() for c in np.unique(label_N[b])])
    to = coordinates(kernel[np.ix_(train, train)])
    model = fitted(kernel[np.ix_(train, train)] @ to, label_N[train], PENALTIES[int(gain.argmax())])
    return model.predict(kernel[np.ix_(test, train)] @ to)


@dataclass(frozen=True)
class Features:
    """What both methods read of the trials of a task: arrays (N, V, F) of moments and slices of states, and spectra."""

    key: str
    subject_N: np.ndarray
    label_N: np.ndarray
    tested_N: np.ndarray
    by_subject: bool
    moments_NVF: np.ndarray
    slices_NVF: np.ndarray
    spectrum_NVF: np.ndarray

    def kernels(self, train: np.ndarray) -> dict[str, np.ndarray]:
        """Of each method, standardised on the training trials."""

        def kernel(x_NVF: np.ndarray) -> np.ndarray:
            x = standardised(x_NVF, self.subject_N, train, by_subject=self.by_subject)
            return (x @ x.T).astype(np.float64) / x.shape[1]

        states = (kernel(self.moments_NVF) + kernel(self.slices_NVF) / 2) / 1.5
        return dict(zip(METHODS, (kernel(self.spectrum_NVF), states), strict=True))

    def answers(self, train: np.ndarray, test: np.ndarray, methods: Sequence[str] = METHODS) -> dict[str, np.ndarray]:
        """Subjects and labels of the test trials, and what each method takes them for."""
        out = {"subject": self.subject_N[test], "label": self.label_N[test]}
        kernels = self.kernels(train)
        return out | {m: answers(kernels[m], self.label_N, self.subject_N, train, test) for m in methods}


def features(shards: Sequence[Path], run: Path, number: int, n_folds: int) -> Iterator[Features]:
    """Task by task, of an encoder that never saw the test subjects of this fold."""
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
    where = view_slices(encoder.model.config)
    for task, info in enumerate(index.tasks):
        rows = np.flatnonzero(index.task == task)
        if not len(rows):
            continue
        rows = rows[:: 3 if len(rows) > 1000 else 1]
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
        yield Features(
            info.key,
            subjects[rows],
            index.label[rows],
            np.isin(subjects[rows], tested),
            task in alignable_tasks(index, division.train),
            *(placed(views[:, where[v]], mask, electrode) for v in ("states", "dynamics")),
            placed(np.concatenate(spectra), np.concatenate(masks), np.concatenate(electrodes)),
        )


def fold_answers(shards: Sequence[Path], run: Path, number: int, n_folds: int) -> dict[str, dict[str, np.ndarray]]:
    """Subjects, labels and both methods' answers of every test trial of a fold, by task."""
    out = {}
    for task in features(shards, run, number, n_folds):
        train, test = np.flatnonzero(~task.tested_N), np.flatnonzero(task.tested_N)
        if len(test) and len(train):
            out[task.key] = task.answers(train, test)
    return out


def untested_answers(shards: Sequence[Path], runs: Sequence[Path], fold: str) -> list[dict[str, dict[str, np.ndarray]]]:
    """Answers of the log spectrum and of each run's states on subjects that a fold doesn't test, deal by deal."""
    number, n_folds = (int(x) for x in fold.split("/"))
    found: list[dict[str, dict[str, np.ndarray]]] = [{} for _ in DEALS]
    for run in runs:
        for task in features(shards, run, number, n_folds):
            own = np.flatnonzero(~task.tested_N)
            for deal, seed in zip(found, DEALS, strict=True):
                group_N = groups(task.subject_N[own], task.label_N[own], 5, seed)
                parts: list[dict[str, np.ndarray]] = []
                for group in range(5):
                    train, test = own[group_N != group], own[group_N == group]
                    if len(test) and len(np.unique(task.label_N[train])) > 1:
                        parts.append(task.answers(train, test, METHODS if run == runs[0] else METHODS[1:]))
                if not parts:
                    continue
                whole = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
                whole[run.name] = whole.pop(METHODS[1])
                deal.setdefault(task.key, {}).update(whole)
    return found


def hits(
    found: list[dict[str, dict[str, np.ndarray]]], task: str, methods: Sequence[str] = METHODS
) -> dict[str, np.ndarray]:
    """Trials (subjects, classes) and, by method, right answers of a task over all folds; with the subjects' names."""
    parts = {k: np.concatenate([f[task][k] for f in found if task in f]) for k in ("subject", "label", *methods)}
    names, subject_N = np.unique(parts["subject"], return_inverse=True)
    shape, label_N, out = (len(names), int(parts["label"].max()) + 1), parts["label"], {"names": names}
    for name, right in (("n", np.ones(len(label_N))), *((m, parts[m] == label_N) for m in methods)):
        out[name] = np.zeros(shape)
        np.add.at(out[name], (subject_N, label_N), right)
    return out


def score(table: dict[str, np.ndarray], right: np.ndarray, weight: np.ndarray) -> float:
    """Balanced accuracy with weighted subjects."""
    n = weight @ table["n"]
    return float(np.mean((weight @ right)[n > 0] / n[n > 0])) if n.any() else np.nan


def compared(
    tables: dict[str, dict[str, np.ndarray]], tasks: Sequence[str], methods: Sequence[str] = METHODS
) -> dict[str, list[float] | float]:
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
            a, b = (table[m] for m in methods)
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
        **{m: [round(float(x), 1) for x in (100 * plain[i], *spread[i])] for i, m in enumerate(methods)},
        "difference": [round(float(x), 1) for x in (100 * (plain[1] - plain[0]), *gain)],
        "p": round(float(chance + 1) / 1001, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, action="append", required=True)
    parser.add_argument("--encoder", type=Path, action="append", required=True, help="one for each fold, in order")
    parser.add_argument("--untested", metavar="k/K", help="compare the encoders on subjects that fold k doesn't test")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # means of electrodes that no trial has; iteration limits
    if options.untested:
        found = untested_answers(options.shards, options.encoder, options.untested)
        first, *others = [run.name for run in options.encoder]
        pairs = [(METHODS[0], first), *((first, other) for other in others)]
    else:
        n = len(options.encoder)
        found = [fold_answers(options.shards, run, k, n) for k, run in enumerate(options.encoder)]
        pairs = [METHODS]
    keys = sorted({key for f in found for key in f})
    rows = {key: [key] for key in keys} | {"all": keys}
    rows["not identity"] = [k for k in keys if k.split("/")[1] not in IDENTITY]
    results = {}
    for pair in pairs:
        tables = {key: hits(found, key, pair) for key in keys}
        for name, tasks in rows.items():
            if tasks:
                name = name if len(pairs) == 1 else f"{name}, {pair[1]} - {pair[0]}"
                results[name] = compared(tables, tasks, pair)
                print(f"{name:40}", results[name], flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
