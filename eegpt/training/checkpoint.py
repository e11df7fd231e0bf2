"""A run's folder: what is written, how it is made whole, how it is read back.

```
RUN/
  config.json          what the model is (encoder) and how it was trained (training); format and kind
  vocabulary.parquet   the electrodes that its ids mean
  lock.yaml            hashes of the shard sets, versions of the software
  model.safetensors    the weights, written anew at every checkpoint
  log.jsonl            one line per logged step and per held-out report
  results.json         errors on held-out people, at the end
  state/step-N/        all that going on exactly needs: weights, optimiser, place in the data
```

Every file appears whole or not at all; a state is a folder that is renamed into place last, and the newest
whole one is taken. Nothing is ever unpickled: a stranger's run can hold wrong numbers, but no code.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from eegprep.electrodes import Vocabulary
from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.files import atomic_path, sync_folder, write_json
from eegpt.model.bare import without_memory
from eegpt.model.config import from_mapping, to_mapping
from eegpt.model.ete import ETE, ETEConfig

__all__ = [
    "FORMAT",
    "Encoder",
    "load_encoder",
    "read_config",
    "write_config",
    "save_tensors",
    "load_tensors",
    "load_weights",
    "State",
    "save_state",
    "load_state",
    "read_state",
    "latest_state",
    "drop_old_states",
]

FORMAT = 1
CONFIG, WEIGHTS, VOCABULARY, STATE = "config.json", "model.safetensors", "vocabulary.parquet", "state"


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A pre-trained encoder with what its numbers mean: its vocabulary and the whole of its config.json."""

    model: ETE
    vocabulary: Vocabulary
    config: dict[str, Any]
    folder: Path


def load_encoder(run: Path, *, device: torch.device | str = "cpu") -> Encoder:
    """Read the encoder of a run's folder, in evaluation mode.

    Raises
    ------
    UsageError
        There is no such run.
    InputError
        Its files do not fit together.
    """
    run = Path(run)
    config = read_config(run, kind="encoder")
    encoder_config = from_mapping(ETEConfig, config["encoder"], where=f"{run / CONFIG}: encoder")
    vocabulary = Vocabulary.from_parquet(run / VOCABULARY)
    if len(vocabulary) != encoder_config.n_electrodes:
        raise InputError(
            "the encoder and its vocabulary do not fit together",
            where=run / VOCABULARY,
            found=f"{len(vocabulary)} electrodes",
            expected=f"{encoder_config.n_electrodes}",
        )
    with without_memory():
        model = ETE(encoder_config)
    load_weights(model, run / WEIGHTS, device=device)
    return Encoder(model=model.eval(), vocabulary=vocabulary, config=config, folder=run)


def write_config(run: Path, kind: str, **tables: Any) -> None:
    """Write config.json: dataclasses as plain data, under their names."""
    plain = {name: to_mapping(t) if hasattr(t, "__dataclass_fields__") else t for name, t in tables.items()}
    write_json(run / CONFIG, {"format": FORMAT, "kind": kind, **plain})


def read_config(run: Path, *, kind: str) -> dict[str, Any]:
    """config.json of a run of that kind (`encoder`, `transfer`)."""
    path = Path(run) / CONFIG
    if not path.is_file():
        raise UsageError(
            f"{run} is no run of `eegpt`",
            where=path,
            found="no config.json",
            todo="name a folder that `eegpt train` or `eegpt transfer` wrote with --out",
        )
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError("config.json can't be read", where=path, found=str(error)) from None
    if config.get("format") != FORMAT:
        raise InputError("unknown version of a run", where=path, found=config.get("format"), expected=FORMAT)
    if config.get("kind") != kind:
        raise UsageError("a run of another kind", where=path, found=config.get("kind"), expected=kind)
    return config


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, in the order of their names, whole or not at all."""
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    with atomic_path(path) as part:
        try:
            save_file(plain, part)
        except SafetensorError as error:
            # The library tells what the operating system refused (a full disk) in words alone.
            refused = re.search(r"os error (\d+)", str(error))
            if refused is None:
                raise
            raise OSError(int(refused[1]), os.strerror(int(refused[1])), str(path)) from None
        part.chmod(0o644)  # the library writes for its owner alone; a run is for the lab


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors; a damaged file raises RefusedError."""
    if not path.is_file():
        raise InputError("a run without its tensors", where=path, found="no such file")
    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise RefusedError("a damaged file of tensors", where=path, found=str(error)) from None


def load_weights(model: nn.Module, path: Path, *, device: torch.device | str = "cpu") -> None:
    """Put a file's tensors into a model, which may be on the meta device; names and shapes must be equal."""
    put_weights(model, load_tensors(path), where=path, device=device)


def put_weights(
    model: nn.Module, tensors: Mapping[str, Tensor], *, where: Path, device: torch.device | str = "cpu"
) -> None:
    """As `load_weights`, from tensors that are there already."""
    expected = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    if expected != found:
        differing = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
        first = differing[0]
        raise InputError(
            f"weights that do not fit the model ({len(differing)} tensors differ)",
            where=where,
            found=f"{first}: {found.get(first, 'absent')}",
            expected=f"{first}: {expected.get(first, 'absent')}",
        )
    model.load_state_dict({k: v.to(device) for k, v in tensors.items()}, assign=True)


# ---- the state of a run that is under way


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a run stands: the next step, and the next batch as (epoch, number). All randomness follows from these."""

    step: int
    epoch: int
    number: int
    windows: int
    finished: bool = False


def save_state(run: Path, state: State, model: nn.Module, optimiser: torch.optim.Optimizer, *, keep: int = 2) -> None:
    """Write a state as a folder that is renamed into place when whole; keep the newest `keep`."""
    parent = run / STATE
    parent.mkdir(exist_ok=True)
    final = parent / f"step-{state.step:08d}"
    part = parent / f".step-{state.step:08d}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    save_tensors(part / WEIGHTS, model.state_dict())
    save_tensors(part / "optimizer.safetensors", _optimiser_tensors(model, optimiser))
    write_json(part / "state.json", to_mapping(state))
    shutil.rmtree(final, ignore_errors=True)
    part.replace(final)
    sync_folder(parent)
    save_tensors(run / WEIGHTS, model.state_dict())
    drop_old_states(run, keep=keep)


def drop_old_states(run: Path, *, keep: int = 2) -> None:
    """Remove all whole states but the newest `keep`."""
    for old in _states(run)[:-keep]:
        shutil.rmtree(old)


def latest_state(run: Path) -> Path | None:
    """Folder of the newest whole state, or None."""
    found = _states(run)
    return found[-1] if found else None


def read_state(folder: Path) -> State:
    """The place of a state's folder."""
    return from_mapping(State, json.loads((folder / "state.json").read_text(encoding="utf-8")), where=str(folder))


def load_state(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> State:
    """Put a state's weights and optimiser back."""
    put = load_tensors(folder / WEIGHTS)
    with torch.no_grad():
        own = model.state_dict()
        if own.keys() != put.keys():
            raise InputError("a state of another model", where=folder)
        for name, tensor in own.items():
            tensor.copy_(put[name])
    saved = load_tensors(folder / "optimizer.safetensors")
    names = {parameter: name for name, parameter in model.named_parameters()}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            prefix = names[parameter] + "/"
            entries = {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
            optimiser.state[parameter] = {k: v if k == "step" else v.to(parameter.device) for k, v in entries.items()}
    return read_state(folder)


def _optimiser_tensors(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}/{key}": torch.as_tensor(value)
        for parameter, entries in optimiser.state.items()
        for key, value in entries.items()
    }


def _states(run: Path) -> list[Path]:
    return sorted(p for p in (run / STATE).glob("step-*") if (p / "state.json").is_file())
