"""Ingest a data set's files into a standardised store: plan, run, resume, quarantine; locally or on Dask.

The public entry points are `ingest(manifest, folder, out, ...)` and the dry run `inspect(manifest, folder, ...)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eegprep.ingest.dry import Inspection, inspect
    from eegprep.ingest.run import ingest
    from eegprep.ingest.summary import IngestSummary

__all__ = ["ingest", "inspect", "IngestSummary", "Inspection"]

_HOMES = {"ingest": "run", "inspect": "dry", "IngestSummary": "summary", "Inspection": "dry"}


def __getattr__(name: str) -> Any:
    # Loaded on demand: worker processes import only single modules of this package.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
