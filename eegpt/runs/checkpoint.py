"""Weights and checkpoints as safetensors: written atomically and read without unpickling.

`checkpoints/step-N/` in a run's folder contains everything needed to resume exactly: weights, optimiser and the
position in the data. The folder is renamed into place last; the newest complete one is used. `model.safetensors` is
rewritten at every checkpoint.
"""

from __future__ import annotations

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
from eegprep.errors import InputError, RefusedError
from eegprep.files import atomic_path, write_json
from eegprep.platform import sync_folder
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.weights import without_memory
from eegpt.runs.folder import CONFIG, VOCABULARY, WEIGHTS, read_config, read_json
from eegpt.runs.settings import from_mapping, to_mapping

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A pre-trained encoder with its vocabulary and its complete config.json."""

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
        Its files are inconsistent.
    """
    run = Path(run)
    config = read_config(run, kind="encoder")
    encoder_config = from_mapping(ETEConfig, config["encoder"], where=f"{run / CONFIG}: encoder")
    vocabulary = Vocabulary.from_parquet(run / VOCABULARY)
    if len(vocabulary) != encoder_config.n_electrodes:
        raise InputError(
            "the encoder and its vocabulary do not match",
            where=run / VOCABULARY,
            found=f"{len(vocabulary)} electrodes",
            expected=f"{encoder_config.n_electrodes}",
        )
    with without_memory():
        model = ETE(encoder_config)
    load_weights(model, run / WEIGHTS, device=device)
    return Encoder(model=model.eval(), vocabulary=vocabulary, config=config, folder=run)


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, sorted by name, atomically."""
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    with atomic_path(path) as part:
        try:
            save_file(plain, part)
        except SafetensorError as error:
            # The library reports errors of the operating system (a full disk) only as text.
            refused = re.search(r"os error (\d+)", str(error))
            if refused is None:
                raise
            raise OSError(int(refused[1]), os.strerror(int(refused[1])), str(path)) from None
        part.chmod(0o644)  # the library makes files private; runs are shared within a lab


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors; a damaged file raises RefusedError."""
    if not path.is_file():
        raise InputError("the weights are missing", where=path, found="no such file")
    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise RefusedError("the weights are damaged", where=path, found=str(error)) from None


def load_weights(model: nn.Module, path: Path, *, device: torch.device | str = "cpu") -> None:
    """Load a file's tensors into a model, which may be on the meta device; names and shapes must match.

    Raises RefusedError if a weight is not finite.
    """
    tensors = load_tensors(path)
    bad = [k for k, t in tensors.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
    if bad:
        raise RefusedError("the weights contain values that are not finite", where=path, found=bad[0])
    expected = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    if expected != found:
        differing = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
        first = differing[0]
        raise InputError(
            f"the weights do not match the model ({len(differing)} tensors differ)",
            where=path,
            found=f"{first}: {found.get(first, 'absent')}",
            expected=f"{first}: {expected.get(first, 'absent')}",
        )
    model.load_state_dict({k: v.to(device) for k, v in tensors.items()}, assign=True)


# ---- checkpoints during a run


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A run's position: the next step, and the next batch as (epoch, number). They determine all randomness."""

    step: int = 0
    epoch: int = 0
    number: int = 0
    windows: int = 0
    finished: bool = False


def save_checkpoint(run: Path, progress: Progress, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Write a checkpoint and the run's weights."""
    part = begin_checkpoint(run, progress)
    save_tensors(part / WEIGHTS, model.state_dict())
    save_tensors(part / "optimizer.safetensors", _optimiser_tensors(model, optimiser))
    finish_checkpoint(run, progress)
    save_tensors(run / WEIGHTS, model.state_dict())


def begin_checkpoint(run: Path, progress: Progress) -> Path:
    """Create an empty folder for a checkpoint, which is ignored until `finish_checkpoint`."""
    part = part_of(run, progress)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part


def part_of(run: Path, progress: Progress) -> Path:
    """Path of a checkpoint while it is being written."""
    return run / CHECKPOINTS / f".step-{progress.step:08d}.part"


def finish_checkpoint(run: Path, progress: Progress, *, keep: int = 2) -> None:
    """Rename a checkpoint's folder into place and remove all but the newest `keep`."""
    part, final = part_of(run, progress), run / CHECKPOINTS / f"step-{progress.step:08d}"
    write_json(part / "progress.json", to_mapping(progress))
    shutil.rmtree(final, ignore_errors=True)
    part.replace(final)
    sync_folder(final.parent)
    for old in _whole(run)[:-keep]:
        shutil.rmtree(old)


def latest_checkpoint(run: Path) -> Path | None:
    """Folder of the newest complete checkpoint, or None."""
    return next(reversed(_whole(run)), None)


def read_progress(folder: Path) -> Progress:
    """Read the run's position from a checkpoint."""
    return from_mapping(Progress, read_json(folder / "progress.json"), where=str(folder))


def load_checkpoint(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    """Load a checkpoint's weights and optimiser state."""
    put = load_tensors(folder / WEIGHTS)
    with torch.no_grad():
        own = model.state_dict()
        if own.keys() != put.keys():
            raise InputError("the checkpoint belongs to another model", where=folder)
        for name, tensor in own.items():
            tensor.copy_(put[name])
    saved = load_tensors(folder / "optimizer.safetensors")
    names = {parameter: name for name, parameter in model.named_parameters()}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            prefix = names[parameter] + "/"
            entries = {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
            optimiser.state[parameter] = {k: v if k == "step" else v.to(parameter.device) for k, v in entries.items()}
    return read_progress(folder)


def _optimiser_tensors(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}/{key}": torch.as_tensor(value)
        for parameter, entries in optimiser.state.items()
        for key, value in entries.items()
    }


def _whole(run: Path) -> list[Path]:
    return sorted(p for p in (run / CHECKPOINTS).glob("step-*") if (p / "progress.json").is_file())
