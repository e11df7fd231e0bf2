"""Files specific to transfer runs, in addition to those of `eegpt.runs.folder`.

```
RUN/
  config.json          also the graph, heads, tasks, classes, electrode notes and leakage note
  fits/NAME.safetensors, fits/NAME.json   one fit: weights, then its record; without the record it is incomplete
  model.safetensors    the weights of the first fit
  predictions.parquet  every method's output for every test trial
  results.json         scores (`eegpt.evaluation.results`)
```
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from eegprep.electrodes import Vocabulary
from eegprep.errors import InputError
from eegprep.files import write_json
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.heads import HeadSpec
from eegpt.model.lora import merge_lora
from eegpt.model.teg import TEGConfig
from eegpt.runs.checkpoint import load_weights, save_tensors
from eegpt.runs.folder import CONFIG, VOCABULARY, WEIGHTS, read_config, read_json
from eegpt.runs.results import PretrainingResults
from eegpt.runs.runtime import pick_device, pick_precision
from eegpt.runs.settings import changed, from_mapping, problem_of, to_mapping
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import build_model
from eegpt.transfer.model import TransferModel
from eegpt.transfer.rows import Encoded
from eegpt.transfer.setup import Setup

FITS = "fits"


@dataclass(frozen=True, kw_only=True)
class FitRecord:
    """One fit: seed, division and tasks, the selected step, and (task, mean, SD) of each regression.

    `aligned` names the tasks whose views were standardised by subject; `shares` are ensemble weights as (head, view or
    `graph`, weight); `encoder` is the number of the encoder used.
    """

    name: str
    seed: int
    division: str
    tasks: tuple[str, ...]
    best_step: int
    n_train: int
    seconds: float
    scales: tuple[tuple[str, float, float], ...] = ()
    aligned: tuple[str, ...] = ()
    shares: tuple[tuple[str, str, float], ...] = ()
    encoder: int = 0


class _Config(BaseModel):
    """The parts of config.json that a transfer run adds."""

    model_config = ConfigDict(frozen=True)

    head_of_task: dict[str, int]
    classes: list[list[str]]
    electrode_notes: tuple[str, ...]
    leakage: str
    pretraining: PretrainingResults | None


@dataclass(frozen=True, kw_only=True)
class TransferRun:
    """Contents of config.json and the vocabulary of a transfer run."""

    folder: Path
    config: TransferConfig
    encoder: ETEConfig
    graph: TEGConfig
    heads: tuple[HeadSpec, ...]
    vocabulary: Vocabulary
    head_of_task: dict[str, int]
    classes: tuple[tuple[str, ...], ...]
    electrode_notes: tuple[str, ...]
    leakage: str
    pretraining: PretrainingResults | None


def save_weights(run: Path, name: str, model: TransferModel) -> None:
    """Write a fit's weights, with LoRA merged."""
    merge_lora(model.ete)
    (run / FITS).mkdir(exist_ok=True)
    tensors = model.state_dict()
    save_tensors(run / FITS / f"{name}.safetensors", tensors)
    if not (run / WEIGHTS).exists():
        save_tensors(run / WEIGHTS, tensors)


def save_record(run: Path, record: FitRecord) -> None:
    """Write a fit's record after its weights, which marks them as complete."""
    write_json(run / FITS / f"{record.name}.json", to_mapping(record))


def finished_fits(run: Path) -> dict[str, FitRecord]:
    """Records of all finished fits by name."""
    paths = sorted((Path(run) / FITS).glob("*.json"))
    return {path.stem: from_mapping(FitRecord, read_json(path), where=str(path)) for path in paths}


def load_fit(run: TransferRun, record: FitRecord, *, device: torch.device) -> TransferModel:
    """The model of a fit, in evaluation mode; InputError if its record lacks the unit of a regression."""
    scaled = {key for key, mean, sd in record.scales if math.isfinite(mean) and math.isfinite(sd)}
    regressions = [
        t for t in record.tasks if (h := run.head_of_task.get(t)) is not None and run.heads[h].kind == "regression"
    ]
    if bare := sorted({*regressions} - scaled):
        raise InputError(
            "the record of a fit lacks the mean and SD of a regression's labels",
            where=run.folder / FITS / f"{record.name}.json",
            found=bare[0],
            todo="copy the run again, or run the same `eegpt transfer` in a new folder",
        )
    model = build_model(ETE(run.encoder), run.graph, run.heads, as_saved(run.config))
    load_weights(model, run.folder / FITS / f"{record.name}.safetensors", device=device)
    return model.requires_grad_(False).to(device).eval()


def open_fit(
    run: TransferRun, setup: Setup, record: FitRecord, *, views: dict[str, Encoded] | None = None
) -> tuple[TransferModel, TrialBank]:
    """The model of a fit, and a bank of the trials to apply it to."""
    here = pick_device()
    bank = TrialBank(
        setup.index,
        setup.electrodes.id_of,
        device=here,
        budget_bytes=0,
        precision=pick_precision(run.config.compute.precision, here),
        aligned_tasks=np.flatnonzero([task.key in record.aligned for task in setup.index.tasks]).tolist(),
        views=views,
    )
    return load_fit(run, record, device=here), bank


def as_saved(config: TransferConfig) -> TransferConfig:
    """Settings to build a model for saved weights, in which LoRA is already merged."""
    if config.mode != "lora":
        return config
    return changed(config, {"mode": "frozen", "model.readout": config.readout})


def _as_then(settings: Any) -> Any:
    """Settings of a run, with what was computed before there was a setting for it."""
    if isinstance(settings, dict) and isinstance(model := settings.get("model", {}), dict):
        return {**settings, "model": {"compress": False, **model}}
    return settings


def read_run(folder: Path) -> TransferRun:
    """Read config.json and the vocabulary of a transfer run.

    Raises
    ------
    UsageError
        There is no such run, or it has another kind.
    InputError
        Its files are inconsistent.
    """
    folder = Path(folder)
    plain, where = read_config(folder, kind="transfer"), folder / CONFIG
    try:
        more = _Config.model_validate(plain)
        if not {*more.head_of_task.values()} <= {*range(len(plain["heads"]))}:
            raise KeyError("a head of head_of_task")
        return TransferRun(
            folder=folder,
            config=from_mapping(TransferConfig, _as_then(plain["settings"]), where=f"{where}: settings"),
            encoder=from_mapping(ETEConfig, plain["encoder"], where=f"{where}: encoder"),
            graph=from_mapping(TEGConfig, plain["graph"], where=f"{where}: graph"),
            heads=tuple(from_mapping(HeadSpec, h, where=f"{where}: heads") for h in plain["heads"]),
            vocabulary=Vocabulary.from_parquet(folder / VOCABULARY),
            head_of_task=more.head_of_task,
            classes=tuple(map(tuple, more.classes)),
            electrode_notes=more.electrode_notes,
            leakage=more.leakage,
            pretraining=more.pretraining,
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError("config.json lacks a part of a transfer run", where=where, found=problem_of(error)) from None
