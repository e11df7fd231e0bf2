"""An implicit manifest for a plain file or folder, from what the files themselves say.

It has no task, unit or licence to share; subjects are guessed from the paths and become pseudonyms. `eegprep inspect`
shows the result, as a basis for a real manifest.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from eegprep.errors import UsageError
from eegprep.manifest.schema import Licence, Manifest, SourceSpec

IMPLICIT_CITATION = "not stated: made for a plain folder"

_BIDS = re.compile(r"(?:^|/)sub-(?P<subject>[^/_]+)")
_SESSION = re.compile(r"(?:^|[/_])ses-(?P<session>[^/_]+)")


def manifest_for_path(path: Path) -> Manifest:
    """The manifest of a plain file, folder or BIDS tree. Raises UsageError if there is nothing."""
    path = Path(path)
    if not os.path.lexists(path):
        raise UsageError(
            f"file or folder not found: {path}", todo="check the path, or use a name from `eegprep datasets`"
        )
    named = path.name.lower() if path.is_dir() else path.stem.lower()
    name = re.sub(r"[^a-z0-9_\-]+", "-", named).strip("-_")[:62]
    # also where it is a link whose content was not fetched
    bids = path.is_dir() and os.path.lexists(path / "dataset_description.json")
    return Manifest(
        manifest=1,
        name=name or "folder",
        version="0",
        title="A plain folder",
        citation=IMPLICIT_CITATION,
        licence=Licence(id="unknown", share_shards=False),
        source=SourceSpec(kind="bids" if bids else "files"),
    )


def guess_entities(relative: str) -> dict[str, str]:
    """Subject, session and run from a path without a manifest.

    BIDS names are believed. Else the first folder is the subject; a file that lies in no folder is a subject of
    its own. The run is the whole path, so no two files ever share an identity.
    """
    entities = {"run": relative}
    if (subject := _BIDS.search(relative)) is not None:
        entities["subject"] = subject["subject"]
        if (session := _SESSION.search(relative)) is not None:
            entities["session"] = session["session"]
    else:
        entities["subject"] = relative.split("/", 1)[0] if "/" in relative else relative
    return entities
