"""Text output for the entries of a folder: refused recordings, and what each file is."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eegprep.sources.entry import Entry

#: Entries listed per reason.
_MAX_ALIKE = 20


def refused_lines(entries: Sequence[Entry]) -> list[str]:
    """One line for each entry that planning refused, limited per reason."""
    alike: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for e in entries:
        alike[e.reason, e.todo].append(e.path)
    lines = []
    for (reason, todo), paths in alike.items():
        lines += [f"refused: {path}: {reason}; to do: {todo}" for path in paths[:_MAX_ALIKE]]
        if len(paths) > _MAX_ALIKE:
            lines.append(f"refused: {len(paths) - _MAX_ALIKE} more: {reason}; --json lists them all")
    return lines


def files_line(counts: Mapping[str, int]) -> str:
    """Summarise the files of a folder by kind, in one line."""
    words = {"sidecar": "sidecars", "no_recording": "not recordings", "recording": "of recordings"}
    parts = ", ".join(f"{n} {words.get(kind, kind)}" for kind, n in counts.items() if n)
    return f"{sum(counts.values())} files: {parts}"
