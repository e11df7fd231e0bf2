"""Predictions of a transfer run for new signals: a table of trials, tasks, classes and probabilities."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eegprep.errors import EEGPTError, UsageError
from eegprep.files import atomic_path, output_file, paths_of
from eegprep.manifest.recipe import Recipe
from eegpt.interop.embedding import embed
from eegpt.interop.embedding_files import read_files
from eegpt.interop.model import Model, as_model
from eegpt.interop.signals import Unknown

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from eegpt.interop.embedding import Signal


def predict(
    signal: Signal | Sequence[str | Path],
    model: Model | str | Path,
    *,
    task: str | None = None,
    window_s: float | None = None,
    stride_s: float | None = None,
    recipe: str | Path | Recipe | None = None,
    unknown: Unknown = "leave_out",
    line_freq_hz: float | None = None,
    reference: str | None = None,
    failed: dict[str, EEGPTError] | None = None,
) -> pd.DataFrame:
    """Predictions of a transfer run for a recording, epochs, or files.

    Parameters
    ----------
    signal : mne.io.Raw, mne.Epochs, str or Path, or a sequence of paths
        As of `eegpt.embed`; each of the Epochs is a trial, and a continuous signal is cut into windows.
    model : Model, str or Path
        A run of `eegpt transfer`: a folder, or `hf://owner/name`.
    task : str, optional
        Only this task; all tasks of the run by default.
    window_s, stride_s, recipe, unknown, line_freq_hz, reference
        As of `eegpt.embed`; by default, windows are as long as the trials that the run has learned from.
    failed : dict, optional
        Filled with the errors of recordings that could not be used, by name; by default the first one is raised.

    Returns
    -------
    pandas.DataFrame
        One row for each trial, task and class: `trial` (number), `time_s` (start), `task`, `class`, `probability`, and
        `value` for tasks without classes, in the unit of their labels; `recording` for paths; `label` for Epochs.

    Raises
    ------
    UsageError
        The model is an encoder without tasks, or has no such task.
    InputError
        The signal cannot be used.

    Notes
    -----
    Tasks that were learned from views standardised by subject (`model.align`) standardise them here over the trials of
    each recording, so predictions depend on its other trials.
    """
    import pandas as pd

    opened = as_model(model)
    if not opened.answers:
        raise UsageError(
            "the model has no tasks to predict",
            where=opened.folder,
            found=f"a run of kind {opened.kind!r}",
            todo="train it on labelled tasks with `eegpt transfer --encoder`, or use eegpt.embed",
        )
    opened = dataclasses.replace(opened, window_samples=opened.trial_samples or opened.window_samples)
    tasks = [a.task for a in opened.answers]
    if task is not None and task not in tasks:
        raise UsageError(f"the run has no task {task!r}", where=opened.folder, expected=", ".join(tasks))

    def of(signal: Signal) -> xr.Dataset:
        return embed(
            signal, opened, window_s=window_s, stride_s=stride_s, recipe=recipe, unknown=unknown,
            line_freq_hz=line_freq_hz, reference=reference,
        )  # fmt: skip

    given: Any = signal
    if not isinstance(given, (list, tuple, str, os.PathLike)):
        return _table(opened, of(given), task)
    found, errors = read_files(
        paths_of(given, "the recordings"), opened, window_s=window_s, stride_s=stride_s, recipe=recipe,
        unknown=unknown, line_freq_hz=line_freq_hz, reference=reference,
    )  # fmt: skip
    for name, error in errors.items():
        if failed is None:
            raise error
        failed[name] = error
    tables = []
    for name, dataset in found.items():
        tables.append(_table(opened, dataset, task))
        tables[-1].insert(0, "recording", name)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def check_table(out: Path) -> Path:
    """`out`, if `write_table` can write it; UsageError for another suffix, or if the file exists."""
    output_file(out)
    if out.suffix not in (".csv", ".parquet"):
        raise UsageError("unknown format", found=out.name, expected="a name that ends in .csv or .parquet")
    if out.exists():
        raise UsageError("the output already exists", where=out, todo="choose another, or remove it")
    return out


def write_table(table: pd.DataFrame, out: Path) -> None:
    """Write `.csv` or `.parquet`, as `check_table` says."""
    check_table(out)
    with atomic_path(out) as part:
        if out.suffix == ".csv":
            table.to_csv(part, index=False)
        else:
            table.to_parquet(part, index=False)


def _table(model: Model, dataset: xr.Dataset, task: str | None) -> pd.DataFrame:
    import pandas as pd

    parts = []
    n = dataset.sizes["window"]
    trial, time_s = np.arange(n), dataset["time"].values
    label = dataset["label"].values if "label" in dataset.coords else None
    for answer in model.answers:
        if task not in (None, answer.task):
            continue
        K = max(1, len(answer.classes))
        value = dataset[answer.key].values.reshape(n, K)
        columns = {"trial": trial.repeat(K), "time_s": time_s.repeat(K)}
        if label is not None:
            columns["label"] = label.repeat(K)
        columns["task"] = np.full(n * K, answer.task)
        if answer.classes:
            columns |= {"class": np.tile(answer.classes, n), "probability": value.ravel()}
        else:
            columns["value"] = value.ravel()
        parts.append(pd.DataFrame(columns))
    table = pd.concat(parts, ignore_index=True)
    order = [c for c in ("trial", "time_s", "label", "task", "class", "probability", "value") if c in table]
    return table.sort_values("trial", kind="stable", ignore_index=True)[order]
