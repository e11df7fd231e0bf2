"""Ingest a data set's files into a standardised store: plan, run, resume, quarantine; locally or on Dask.

The public entry points are `ingest(manifest, folder, out, ...)` and the dry run `inspect(manifest, folder, ...)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eegprep.lazy import attach, make_callable

if TYPE_CHECKING:
    from eegprep.ingest.dry import Inspection, inspect
    from eegprep.ingest.run import ingest
    from eegprep.ingest.summary import IngestSummary

__all__ = ["ingest", "inspect", "IngestSummary", "Inspection"]

_HOMES = {"ingest": "run", "inspect": "dry", "IngestSummary": "summary", "Inspection": "dry"}
# Worker processes import only single modules of this package.
__getattr__, __dir__ = attach(__name__, _HOMES)
make_callable(__name__, "eegprep.api", "ingest")
