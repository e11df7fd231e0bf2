"""A transfer run's folder: what is written and how it is read back.

```
RUN/
  config.json          format, kind "transfer", encoder, graph, settings, heads, tasks, electrode notes, leakage note
  vocabulary.parquet   the electrodes that its ids mean
  lock.yaml            hashes of the shard sets and of the encoder, versions of the software
  seen.json            every recording that the encoder or the graph has learned from
  fits/NAME.safetensors, fits/NAME.json   one fit: weights, then its record; without the record it is unfinished
  model.safetensors    the weights of the first fit
  log.jsonl            validation losses of every fit
  predictions.parquet  what every method said about every test trial
  results.json         scores (eegpt.evaluation.results)
```

Nothing is ever unpickled.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eegprep.electrodes import Vocabulary
from eegprep.errors import InputError
from eegprep.files import write_json
from eegpt.model.ete import ETE, ETEConfig
from eegpt.model.heads import HeadSpec
from eegpt.model.lora import add_lora, merge_lora
from eegpt.model.teg import TEGConfig
from eegpt.runs import checkpoint as ck
from eegpt.runs.folder import CONFIG, VOCABULARY, WEIGHTS, read_config
from eegpt.runs.settings import from_mapping, to_mapping
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.model import TransferModel

__all__ = [
    "FitRecord",
    "TransferRun",
    "as_saved",
    "build_model",
    "save_weights",
    "save_record",
    "load_fit",
    "finished_fits",
    "read_run",
]

FITS = "fits"


@dataclass(frozen=True, kw_only=True)
class FitRecord:
    """One fit: which seed, division and tasks, the step that was kept, and each regression's (mean, SD).

    `aligned` names the tasks whose views were centred by person; `shares` (head, view or `graph`, weight) what decides;
    `encoder` numbers the run's encoders.
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


@dataclass(frozen=True, kw_only=True)
class TransferRun:
    """What config.json of a transfer run says."""

    folder: Path
    config: TransferConfig
    encoder: ETEConfig
    graph: TEGConfig
    heads: tuple[HeadSpec, ...]
    head_of_task: dict[str, int]
    vocabulary: Vocabulary
    electrode_notes: tuple[str, ...]
    leakage: str


def build_model(ete: ETE, graph: TEGConfig, heads: tuple[HeadSpec, ...], config: TransferConfig) -> TransferModel:
    """The model of a mode, with what learns wanting a gradient; `ete` becomes part of it."""
    ete.requires_grad_(config.mode in ("full", "scratch"))
    if config.mode == "lora":
        add_lora(ete, config.lora_rank)
    return TransferModel(
        ete,
        graph,
        heads,
        readout=config.used_readout,
        dropout=config.dropout,
        electrode_heads=bool(config.used_views),
        graph=config.uses_graph,
    )


def save_weights(run: Path, name: str, model: TransferModel) -> None:
    """Write a fit's weights, LoRA merged into them."""
    merge_lora(model.ete)
    (run / FITS).mkdir(exist_ok=True)
    tensors = model.state_dict()
    ck.save_tensors(run / FITS / f"{name}.safetensors", tensors)
    if not (run / WEIGHTS).exists():
        ck.save_tensors(run / WEIGHTS, tensors)


def save_record(run: Path, record: FitRecord) -> None:
    """Write a fit's record, after its weights: it says that they are whole."""
    write_json(run / FITS / f"{record.name}.json", to_mapping(record))


def finished_fits(run: Path) -> dict[str, FitRecord]:
    """Records of all finished fits by name."""
    out = {}
    for path in sorted((Path(run) / FITS).glob("*.json")):
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InputError("a fit's record can't be read", where=path, found=str(error)) from None
        out[path.stem] = from_mapping(FitRecord, plain, where=str(path))
    return out


def load_fit(run: TransferRun, record: FitRecord, *, device: torch.device) -> TransferModel:
    """The model of a fit, in evaluation mode."""
    model = build_model(ETE(run.encoder), run.graph, run.heads, as_saved(run.config))
    ck.load_weights(model, run.folder / FITS / f"{record.name}.safetensors", device=device)
    return model.requires_grad_(False).to(device).eval()


def as_saved(config: TransferConfig) -> TransferConfig:
    """Settings that build a model for saved weights: low-rank additions are merged into them."""
    if config.mode != "lora":
        return config
    return dataclasses.replace(config, mode="frozen", readout=config.used_readout)


def read_run(folder: Path) -> TransferRun:
    """Read config.json and the vocabulary of a transfer run.

    Raises
    ------
    UsageError
        There is no such run, or it is of another kind.
    InputError
        Its files do not fit together.
    """
    folder = Path(folder)
    plain: dict[str, Any] = read_config(folder, kind="transfer")
    where = str(folder / CONFIG)
    try:
        heads = tuple(from_mapping(HeadSpec, h, where=f"{where}: heads") for h in plain["heads"])
        return TransferRun(
            folder=folder,
            config=from_mapping(TransferConfig, plain["settings"], where=f"{where}: transfer"),
            encoder=from_mapping(ETEConfig, plain["encoder"], where=f"{where}: encoder"),
            graph=from_mapping(TEGConfig, plain["graph"], where=f"{where}: graph"),
            heads=heads,
            head_of_task={str(k): int(v) for k, v in plain["head_of_task"].items()},
            vocabulary=Vocabulary.from_parquet(folder / VOCABULARY),
            electrode_notes=tuple(map(str, plain["electrode_notes"])),
            leakage=str(plain["leakage"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError("config.json lacks a part of a transfer run", where=where, found=repr(error)) from None
