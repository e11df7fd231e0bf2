"""Weights that are part of the package, by name: `eegpt/weights/NAME/` is the folder of a finished run.

Wherever a model is named, `base` and `small` mean these weights, a path a folder, and `hf://owner/name` a repository
of the hub.
"""

from __future__ import annotations

import os
from pathlib import Path

from eegprep.errors import UsageError
from eegpt.model.sizes import SIZES

#: One folder for each model: config.json, model.safetensors, vocabulary.parquet, lock.yaml, seen.json, README.md.
FOLDER = Path(__file__).resolve().parent.parent / "weights"
_CONFIG = "config.json"


def packaged() -> tuple[str, ...]:
    """Names of the models that are part of this installation."""
    return tuple(sorted(p.parent.name for p in FOLDER.glob(f"*/{_CONFIG}")))


def find(model: str | Path) -> Path:
    """The folder that a name or a path stands for.

    Raises
    ------
    UsageError
        The name has no weights in this installation, or is also a folder here.
    """
    if not isinstance(model, (str, os.PathLike)):
        raise UsageError(
            "not a model",
            found=f"{type(model).__name__}: {model!r}"[:200],
            expected=f"{_known()}, a run of `eegpt train` or `eegpt transfer`, or hf://owner/name",
        )
    text = os.fspath(model)
    path = Path(text)
    if text not in {*SIZES, *packaged()}:
        return path
    own = FOLDER / text
    if not (own / _CONFIG).is_file():
        if path.is_dir():
            return path
        raise UsageError(
            f"the weights {text!r} are not part of this installation",
            where=own,
            expected=", ".join(packaged()) or "weights that are packaged with eegpt, of which there are none here",
            todo="pass the folder of a run of `eegpt train`, or hf://owner/name",
        )
    if path.is_dir():
        raise UsageError(
            f"{text!r} is the name of weights of the package, and a folder here",
            where=path.resolve(),
            todo=f"write ./{text} for the folder, or run this in another folder for the package's weights",
        )
    return own


def _known() -> str:
    return ", ".join(packaged()) or "the name of packaged weights"
