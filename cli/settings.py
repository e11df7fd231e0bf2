"""The settings of `eegpt train` and `eegpt transfer`: listed with defaults and meanings, completed in the shell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel


def one_of(*values: str) -> Callable[[str], list[str]]:
    """Completion of an option that takes one of these values."""
    return lambda incomplete: [v for v in values if v.startswith(incomplete)]


def model_of(command: str) -> type[BaseModel]:
    """The settings of `train` or `transfer`."""
    if command == "train":
        from eegpt.pretraining.config import PretrainConfig

        return PretrainConfig
    from eegpt.transfer.config import TransferConfig

    return TransferConfig


def print_settings(command: str) -> None:
    """Print the settings with their defaults and meanings, and exit."""
    from eegpt.runs.settings import described

    from .tables import console, plain_table

    table = plain_table()
    for name in ("setting", "default", "meaning"):
        table.add_column(name)
    for s in described(model_of(command)):
        table.add_row(*(text.replace("[", "\\[") for text in (s.path, s.default, s.meaning)))
    console().print(table)
    raise typer.Exit


def _train(wanted: bool) -> None:
    if wanted:
        print_settings("train")


def _transfer(wanted: bool) -> None:
    if wanted:
        print_settings("transfer")


_HELP = "Print every setting of --set with its default and meaning, and exit."
ListTrain = Annotated[bool, typer.Option("--list-settings", help=_HELP, callback=_train, is_eager=True)]
ListTransfer = Annotated[bool, typer.Option("--list-settings", help=_HELP, callback=_transfer, is_eager=True)]


def complete_train(incomplete: str) -> list[str]:
    """Settings of `train` that begin so, for the shell."""
    return _complete("train", incomplete)


def complete_transfer(incomplete: str) -> list[str]:
    """Settings of `transfer` that begin so, for the shell."""
    return _complete("transfer", incomplete)


def _complete(command: str, incomplete: str) -> list[str]:
    from eegpt.runs.settings import described

    return [f"{s.path}=" for s in described(model_of(command)) if s.path.startswith(incomplete)]


def complete_datasets(incomplete: str) -> list[str]:
    """Data sets of the catalogue that begin so, for the shell."""
    from importlib.resources import files

    names = (file.name.removesuffix(".yaml") for file in (files("_eegpt_manifests") / "datasets").iterdir())
    return sorted(name for name in names if name.startswith(incomplete))
