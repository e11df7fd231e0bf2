"""Outputs of every method for every test trial, from which scores, intervals and tests are computed.

Outputs by task and method, for several seeds, in memory or as one flat Parquet file (`predictions.parquet`) for
comparing runs. Folds of one seed are merged: each test trial has one output per seed.

Shapes: M seeds, N test trials of a task, K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.errors import InputError
from eegprep.files import atomic_path
from eegpt.data import TrialSource
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.folds import Division
from eegpt.transfer.loop import Targets, predict, regression_scale
from eegpt.transfer.model import TransferModel

MODEL = "model"  # the name of our own model among the methods
PREDICTIONS = "predictions.parquet"


@dataclass(frozen=True, kw_only=True)
class TaskTrials:
    """The test trials of a task and their folds, (N,) each."""

    rows: np.ndarray
    target: np.ndarray
    subject: np.ndarray
    recording: np.ndarray
    start_sample: np.ndarray
    fold: np.ndarray

    @classmethod
    def of(cls, index: TrialSource, rows: np.ndarray, fold: np.ndarray) -> TaskTrials:
        """Test trials at these rows of an index."""
        return cls(
            rows=rows,
            target=np.asarray(index.target, np.float32)[rows],
            subject=np.array([index.subject[r] for r in rows]),
            recording=np.array([index.recording_ids[index.recording[r]] for r in rows]),
            start_sample=np.asarray(index.start_sample, np.int64)[rows],
            fold=fold,
        )

    def keys(self) -> list[tuple[str, int]]:
        """Run-independent identifiers of the trials: recording and first sample."""
        return list(zip(self.recording.tolist(), self.start_sample.tolist(), strict=True))


class Predictions:
    """Outputs by task and method."""

    def __init__(self) -> None:
        self.trials: dict[str, TaskTrials] = {}  # by task key (`dataset/name`)
        self.outputs: dict[tuple[str, str], dict[int, np.ndarray]] = {}  # (task, method) to seed to (N, K) float32
        self.seconds: dict[tuple[str, str], float] = {}  # spent on (task, method), if measured

    def put(self, task: str, method: str, seed: int, rows: np.ndarray, output_NK: np.ndarray) -> None:
        """Set the outputs of the trials at `rows` (of the index), leaving the task's other trials unchanged."""
        trials = self.trials[task]
        place = {int(r): i for i, r in enumerate(trials.rows)}
        by_seed = self.outputs.setdefault((task, method), {})
        if seed not in by_seed:
            by_seed[seed] = np.full((len(trials.rows), output_NK.shape[1]), np.nan, np.float32)
        by_seed[seed][[place[int(r)] for r in rows]] = output_NK

    def methods(self, task: str) -> list[str]:
        """Methods with outputs for every test trial of a task, our model first."""
        whole = [m for (t, m), o in self.outputs.items() if t == task and all(np.isfinite(x).all() for x in o.values())]
        return sorted(whole, key=lambda m: (m != MODEL, whole.index(m)))

    def stacked(self, task: str, method: str) -> np.ndarray:
        """(M, N, K), seeds in order."""
        by_seed = self.outputs[task, method]
        return np.stack([by_seed[s] for s in sorted(by_seed)])

    def write(self, path: Path) -> None:
        """Write as a flat Parquet table, atomically."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        n_outputs = max((o.shape[1] for by_seed in self.outputs.values() for o in by_seed.values()), default=0)
        blocks = []
        for (task, method), by_seed in sorted(self.outputs.items()):
            trials = self.trials[task]
            same = {name: getattr(trials, name).astype(str) for name in ("fold", "subject", "recording")}
            for seed, output_NK in sorted(by_seed.items()):
                N, K = output_NK.shape
                columns: dict[str, Any] = {"task": [task] * N, "method": [method] * N, "seed": [seed] * N, **same}
                columns |= {"start_sample": trials.start_sample, "target": trials.target.astype(np.float64)}
                for k in range(n_outputs):
                    columns[f"output_{k}"] = output_NK[:, k] if k < K else pa.nulls(N, pa.float32())
                blocks.append(pa.table(columns))
        with atomic_path(path) as part:
            pq.write_table(pa.concat_tables(blocks) if blocks else pa.table({}), part, compression="none")

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """The inverse of `write`; InputError if the file is not such a table."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.ParquetFile(path).read().to_pydict()
            out = cls()
            n_outputs = sum(name.startswith("output_") for name in table)
            groups: dict[tuple[str, str, int], list[int]] = {}
            for i, key in enumerate(zip(table["task"], table["method"], table["seed"], strict=True)):
                groups.setdefault(key, []).append(i)
            for (task, method, seed), at in sorted(groups.items()):
                if task not in out.trials:
                    out.trials[task] = TaskTrials(
                        rows=np.arange(len(at)),
                        target=np.array([table["target"][i] for i in at], np.float32),
                        subject=np.array([table["subject"][i] for i in at]),
                        recording=np.array([table["recording"][i] for i in at]),
                        start_sample=np.array([table["start_sample"][i] for i in at], np.int64),
                        fold=np.array([table["fold"][i] for i in at]),
                    )
                values = [[table[f"output_{k}"][i] for k in range(n_outputs)] for i in at]
                width = next((k for k in range(n_outputs) if values[0][k] is None), n_outputs)
                output_NK = np.array([v[:width] for v in values], np.float32)
                out.put(task, method, seed, np.arange(len(at)), output_NK)
        except (pa.ArrowException, OSError, KeyError, IndexError, TypeError, ValueError) as error:
            raise InputError(
                "not a table of predictions", where=path, found=f"{type(error).__name__}: {error}"
            ) from error
        return out


def put_predictions(
    predictions: Predictions,
    method: str,
    seed: int,
    model: TransferModel,
    bank: TrialBank,
    division: Division,
    targets: Targets,
    head_of_task: np.ndarray,
    scales: dict[str, tuple[float, float]] | None = None,
) -> None:
    """Store a model's outputs for a division's test trials, for all tasks whose heads were trained.

    `scales` has the mean and SD of each regression, by default those of the division's training trials.
    """
    index = bank.index
    learned = set(head_of_task[index.task[division.train]].tolist()) - {-1}
    for number, task in enumerate(index.tasks):
        rows = division.test[index.task[division.test] == number]
        if not len(rows) or head_of_task[number] not in learned:
            continue
        output_NK = predict(model, bank, rows, targets)[:, : max(1, len(task.classes))]
        if not np.isfinite(output_NK).all():
            raise InputError(
                "the model gives predictions that are not finite",
                found=f"{int((~np.isfinite(output_NK)).any(axis=1).sum())} of {len(rows)} test trials of {task.key}",
                todo="its weights are damaged or its training diverged: train it again",
            )
        if task.kind == "regression":
            mean, sd = scales[task.key] if scales is not None else regression_scale(index, division.train, number)
            output_NK = output_NK * sd + mean
        predictions.put(task.key, method, seed, rows, output_NK)
