"""Names that are imported on first use, so that `import eegprep` is fast and needs no extra.

A package lists where its names live; `dir()` and completion show them all, and a missing library is reported with the
extra that contains it.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from eegprep.errors import MissingExtraError, install

#: Extras by the import names of what they install.
EXTRAS = {
    "torch": "model", "safetensors": "model", "sklearn": "model", "webdataset": "model", "pyriemann": "model",
    "huggingface_hub": "hub", "moabb": "moabb", "onnxscript": "export", "pylsl": "stream",
}  # fmt: skip


def attach(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose names live in other modules.

    Parameters
    ----------
    package : str
        `__name__` of the package.
    homes : mapping of str to str
        Module of each name, relative to the package; an empty string if the name is itself a submodule.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        try:
            if not home:
                return importlib.import_module(f"{package}.{name}")
            return getattr(importlib.import_module(f"{package}.{home}"), name)
        except ModuleNotFoundError as error:
            raise missing_extra(error, f"{package}.{name}") or error from None

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return get, names


def missing_extra(error: ModuleNotFoundError, wanted: str) -> MissingExtraError | None:
    """The error for a library that an extra contains; None if it is in none."""
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    if extra is None:
        return None
    return MissingExtraError(f"{wanted} needs {error.name}, which is not part of the base install", todo=install(extra))


def make_callable(package: str, module: str, function: str) -> None:
    """Let a package be called like the function of the same name, which `eegprep` or `eegpt` offers.

    `eegprep.ingest` is a package; importing any of its modules sets that attribute, so that a function could not keep
    the name.
    """

    class Callable_(ModuleType):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return found()(*args, **kwargs)

        @property
        def __signature__(self) -> inspect.Signature:
            return inspect.signature(found())

    def found() -> Callable[..., Any]:
        return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]

    sys.modules[package].__class__ = Callable_
