"""Merge the vocabularies of two labs: the same position is the same row, and no id of the first changes.

Rows are matched by name (or alias), then by position. Contradictions are listed as conflicts and not merged: one name
at two positions, two rows for one position, a name that matches two rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from eegprep.electrodes.vocabulary import Electrode, Vocabulary

# Templates differ by less than this for the same name; neighbours in the 10-5 system are further apart.
SAME_NAME_TOLERANCE_M = 0.010
# Two names have the same position only if the tables agree up to rounding.
SAME_PLACE_TOLERANCE_M = 0.0005


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A row of the second vocabulary that could not be merged: its name, the problem, and the rows involved."""

    name: str
    code: str
    reason: str
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The merged vocabulary, the outcome for every row of the second, and unresolved conflicts."""

    vocabulary: Vocabulary
    added: tuple[str, ...]
    same: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...]
    conflicts: tuple[Conflict, ...]


def merge(first: Vocabulary, second: Vocabulary) -> Merged:
    """Merge two vocabularies; ids of `first` are kept, new rows are appended in the order of `second`.

    Returns
    -------
    Merged
        `aliases` lists (new name, row of `first`) for new names of known positions. Rows in `conflicts` are kept as
        in `first`.
    """
    rows: list[Electrode] = list(first)
    ids = {name.casefold(): i for i, row in enumerate(rows) for name in (row.name, *row.aliases)}
    added: list[str] = []
    same: list[str] = []
    aliases: list[tuple[str, str]] = []
    conflicts: list[Conflict] = []
    for row in second:
        known = {ids[n.casefold()] for n in (row.name, *row.aliases) if n.casefold() in ids}
        if len(known) > 1:
            names = tuple(rows[i].name for i in sorted(known))
            reason = f"its names match {len(known)} rows: {', '.join(names)}"
            conflicts.append(Conflict(name=row.name, code="two_rows", reason=reason, rows=names))
            continue
        if known:
            target = known.pop()
            apart_m = _apart_m(rows[target], row)
            if apart_m is not None and apart_m > SAME_NAME_TOLERANCE_M:
                reason = f"{rows[target].name} is {apart_m * 1000:.1f} mm away in the other vocabulary"
                conflicts.append(Conflict(name=row.name, code="two_places", reason=reason, rows=(rows[target].name,)))
                continue
            if row.name.casefold() == rows[target].name.casefold():
                same.append(row.name)
            else:
                aliases.append((row.name, rows[target].name))
        else:
            here = [
                i for i, r in enumerate(rows) if (d := _apart_m(r, row)) is not None and d <= SAME_PLACE_TOLERANCE_M
            ]
            if len(here) > 1:
                names = tuple(rows[i].name for i in here)
                reason = f"its position matches {len(here)} rows: {', '.join(names)}"
                conflicts.append(Conflict(name=row.name, code="two_rows", reason=reason, rows=names))
                continue
            if here:
                target = here[0]
                aliases.append((row.name, rows[target].name))
            else:
                target = len(rows)
                rows.append(row)
                added.append(row.name)
        rows[target] = _united(rows[target], row)
        for name in (rows[target].name, *rows[target].aliases):
            ids[name.casefold()] = target
    return Merged(
        vocabulary=Vocabulary(rows),
        added=tuple(added),
        same=tuple(same),
        aliases=tuple(aliases),
        conflicts=tuple(conflicts),
    )


def _apart_m(a: Electrode, b: Electrode) -> float | None:
    if a.position_m is None or b.position_m is None:
        return None
    return float(np.linalg.norm(np.subtract(a.position_m, b.position_m)))


def _united(kept: Electrode, other: Electrode) -> Electrode:
    seen = {kept.name.casefold()}
    names = []
    for name in (*kept.aliases, other.name, *other.aliases):
        if name.casefold() not in seen:
            seen.add(name.casefold())
            names.append(name)
    if kept.position_m is None and other.position_m is not None:
        kept = replace(kept, position_m=other.position_m, source=other.source)
    return replace(kept, aliases=tuple(names))
