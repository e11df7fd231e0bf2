"""Sources of recordings: every format and layout behind one small interface.

A `Source` lists its recordings without reading signal (`plan`) and reads one at a time (`read`) as a `SourceRecording`
in microvolt. `open_source` selects it by `manifest.source.kind`; `manifest_for_path` describes a plain file or folder.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "Entry",
    "PlannedRecording",
    "Source",
    "SourceChannel",
    "SourceEvent",
    "SourceRecording",
    "manifest_for_path",
    "open_source",
]

_HOMES = {
    "Entry": "entry",
    "PlannedRecording": "base",
    "Source": "base",
    "SourceChannel": "base",
    "SourceEvent": "base",
    "SourceRecording": "base",
    "manifest_for_path": "implicit",
    "open_source": "registry",
}


def __getattr__(name: str) -> Any:
    # Loaded on demand, so that `import eegprep.sources` does not import MNE.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
