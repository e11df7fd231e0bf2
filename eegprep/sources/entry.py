"""The entries of a data set's folder: one type for planning, `inspect`, ingest summaries and reports.

Every file, link and special file of a folder becomes exactly one `Entry`, whose code says why it has its kind.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kind of an entry of a tree."""

    RECORDING = "recording"
    SIDECAR = "sidecar"
    REFUSED = "refused"
    NO_RECORDING = "no_recording"
    FOREIGN = "foreign"


class Code(StrEnum):
    """The reason why an entry has its kind."""

    RECORDING = "recording"
    SIDECAR = "sidecar"
    # refused: the user can do something about it
    NOT_FETCHED = "not_fetched"
    LINK_NOWHERE = "link_nowhere"
    LINK_LOOP = "link_loop"
    LINK_OUTSIDE = "link_outside"
    UNREADABLE = "unreadable"
    NOT_A_FILE = "not_a_file"
    SAME_IDENTITY = "same_identity"
    PART_MISSING = "part_missing"
    SIDECAR_REFUSED = "sidecar_refused"
    TABLE_REFUSED = "table_refused"
    FAILED = "failed"
    # known not to be recordings of the data set
    ARCHIVE = "archive"
    AVERAGE = "average"
    OTHER_CONTENT = "other_content"
    DERIVATIVE = "derivative"
    IGNORED = "ignored"
    NO_BIDS_NAME = "no_bids_name"
    NOT_IN_PATTERNS = "not_in_patterns"
    NOT_IN_SUBSET = "not_in_subset"
    # foreign
    HIDDEN = "hidden"
    LINKED_FOLDER = "linked_folder"
    SPECIAL = "special"
    NEEDS_MANIFEST = "needs_manifest"
    FOREIGN = "foreign"

    @property
    def kind(self) -> Kind:
        """The kind of entries with this code."""
        return _KIND_OF[self]


_NO_RECORDING = (
    Code.ARCHIVE, Code.AVERAGE, Code.OTHER_CONTENT, Code.DERIVATIVE, Code.IGNORED, Code.NO_BIDS_NAME,
    Code.NOT_IN_PATTERNS, Code.NOT_IN_SUBSET,
)  # fmt: skip
_FOREIGN = (Code.HIDDEN, Code.LINKED_FOLDER, Code.SPECIAL, Code.NEEDS_MANIFEST, Code.FOREIGN)
_KIND_OF = {
    **dict.fromkeys(Code, Kind.REFUSED),
    **dict.fromkeys(_NO_RECORDING, Kind.NO_RECORDING),
    **dict.fromkeys(_FOREIGN, Kind.FOREIGN),
    Code.RECORDING: Kind.RECORDING,
    Code.SIDECAR: Kind.SIDECAR,
}


@dataclass(frozen=True, kw_only=True, order=True)
class Entry:
    """One entry of a tree.

    Attributes
    ----------
    path : str
        Relative to the source's folder, with `/`. For local messages only.
    code : Code
    reason : str
        Why it has this code; empty for a recording.
    todo : str
        What the user can do, for refused entries.
    n_files : int
        Number of files, links and special files in it: all those in a hidden folder or a folder that is one recording,
        1 for a folder that cannot be listed.
    key : str
        `subject/session/run` of a refused recording, if its name contains it.
    """

    path: str
    code: Code
    reason: str = ""
    todo: str = ""
    n_files: int = 1
    key: str = ""

    @property
    def kind(self) -> Kind:
        """The kind of the entry."""
        return self.code.kind

    def to_plain(self) -> dict[str, str | int]:
        """Plain data, ready for JSON."""
        plain = {"path": self.path, "kind": str(self.kind), "code": str(self.code), "reason": self.reason}
        return {**plain, "todo": self.todo, "n_files": self.n_files}


def with_failed(entries: Iterable[Entry], failed: Mapping[str, str]) -> list[Entry]:
    """The entries, with the recordings in `failed` marked as refused."""
    return [
        dataclasses.replace(e, code=Code.FAILED, reason=failed[e.path])
        if e.code is Code.RECORDING and e.path in failed
        else e
        for e in entries
    ]


def count_files(entries: Iterable[Entry]) -> dict[str, int]:
    """Number of files by kind, including zeros."""
    counts: Counter[Kind] = Counter()
    for entry in entries:
        counts[entry.kind] += entry.n_files
    return {str(kind): counts[kind] for kind in Kind}
