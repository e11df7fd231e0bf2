"""Sources of recordings: every format and layout behind one small interface.

A `Source` lists its recordings without reading signal (`plan`) and reads one at a time (`read`) as a `SourceRecording`
in microvolt. `open_source` selects it by `manifest.source.kind`; `manifest_for_path` describes a plain file or folder.
"""

from __future__ import annotations

from eegprep.lazy import attach

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

# `import eegprep.sources` does not import MNE.
__getattr__, __dir__ = attach(__name__, _HOMES)
