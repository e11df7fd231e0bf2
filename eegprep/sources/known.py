"""Code, reason and remedy for files in a recording's format that are not recordings, or parts of a split file."""

from __future__ import annotations

import re
from pathlib import Path

from eegprep.formats.companions import fif_missing_part, fif_part_of
from eegprep.formats.fif_tags import fif_contents
from eegprep.sources.entry import Code

_MAX_HISTORY = 16 << 20


def no_recording(path: Path, format_name: str) -> tuple[Code, str, str] | None:
    """Code, reason and remedy, or None for a file that is to be read as a recording."""
    if format_name == "fif" or path.suffix.lower() == ".fif":
        contents = fif_contents(path)
        if not contents.is_recording:
            code = Code.AVERAGE if contents.words == "an average" else Code.OTHER_CONTENT
            return code, f"{contents.words}, not a recording", ""
        if missing := fif_missing_part(path):
            return Code.PART_MISSING, f"part of a split recording, with part {missing} missing", "download that part"
        if (first := fif_part_of(path)) is not None:
            return Code.SIDECAR, f"a later part of {first.name}", ""
    if format_name == "egi_mff" and _is_averaged(path):
        return Code.AVERAGE, "an average, not a recording", "use the .mff from which it was made"
    return None


def _is_averaged(path: Path) -> bool:
    """Whether the history of an MFF, written by EGI's software, contains averaging."""
    history = path / "history.xml"
    if not history.is_file():
        return False
    with history.open("rb") as handle:
        return re.search(rb"<method>\s*Averaging\s*</method>", handle.read(_MAX_HISTORY)) is not None
