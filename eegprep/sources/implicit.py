"""An implicit manifest for a plain file or folder, derived from the files themselves.

It has no tasks or unit and no licence to share; subjects are guessed from paths and become pseudonyms. `eegprep
inspect` shows the result, as a basis for a real manifest.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from eegprep.errors import UsageError
from eegprep.files import address_in
from eegprep.manifest.schema import Licence, Manifest, SourceSpec

IMPLICIT_CITATION = "not stated: made for a plain folder"

_BIDS = re.compile(r"(?:^|/)sub-(?P<subject>[^/_]+)")
_SESSION = re.compile(r"(?:^|[/_])ses-(?P<session>[^/_]+)")


def manifest_for_path(path: Path) -> Manifest:
    """The manifest of a plain file, folder or BIDS tree. Raises UsageError if the path does not exist."""
    path = Path(path)
    if not os.path.lexists(path):
        if address := address_in(path):
            todo = "download it, or run: eegprep ingest ADDRESS"
            raise UsageError("an address cannot be read here", where=address, todo=todo)
        raise UsageError(
            f"file or folder not found: {path}", todo="check the path, or use a name from `eegprep datasets`"
        )
    named = path.name.lower() if path.is_dir() else path.stem.lower()
    name = re.sub(r"[^a-z0-9_\-]+", "-", named).strip("-_")[:62]
    # even if it is a link whose content was not fetched
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

    BIDS names are used as they are. Otherwise the first folder is the subject, and a file outside any folder is its own
    subject. The run is the full path, so no two files share an identity.
    """
    entities = {"run": relative}
    if (subject := _BIDS.search(relative)) is not None:
        entities["subject"] = subject["subject"]
        if (session := _SESSION.search(relative)) is not None:
            entities["session"] = session["session"]
    else:
        entities["subject"] = relative.split("/", 1)[0] if "/" in relative else relative
    return entities
