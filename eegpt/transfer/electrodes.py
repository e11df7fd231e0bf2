"""Electrodes of the trials to rows of the encoder's vocabulary, by name, never by number.

What enters: two vocabularies and the electrodes that the trials have. What leaves: a table of ids, and in words
what was done with the electrodes that the encoder does not know: refused, mapped to the nearest one that it
knows and the recording lacks, or left out. The words go into the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.errors import RefusedError

__all__ = ["ElectrodeMap", "map_electrodes"]

_MM = 1000.0


@dataclass(frozen=True, kw_only=True)
class ElectrodeMap:
    """`id_of`: row of the encoder's vocabulary by row of the trials', -1 for none; `notes`: what was changed."""

    id_of: np.ndarray
    notes: tuple[str, ...]


def map_electrodes(
    trials: Vocabulary,
    encoder: Vocabulary,
    used: list[str],
    *,
    unknown: Literal["refuse", "nearest", "leave_out"] = "refuse",
) -> ElectrodeMap:
    """Match by name or alias.

    Parameters
    ----------
    trials, encoder : Vocabulary
    used : list of str
        Electrodes that some trial has; the others need no counterpart.
    unknown : {"refuse", "nearest", "leave_out"}
        `nearest` takes the encoder's nearest electrode that no trial uses yet; it needs positions of both.

    Raises
    ------
    RefusedError
        An electrode is unknown and `unknown` is `refuse`, or it has no position to be mapped by.
    """
    id_of = np.full(len(trials), -1, np.int64)
    notes: list[str] = []
    missing: list[str] = []
    for name in sorted(used):
        known = _counterpart(trials, encoder, name)
        if known is None:
            missing.append(name)
        else:
            id_of[trials.id_of(name)] = encoder.id_of(known)
    if missing and unknown == "refuse":
        raise RefusedError(
            f"{len(missing)} electrodes are not in the encoder's vocabulary",
            found=", ".join(missing[:12]),
            expected=f"electrodes among its {len(encoder)}",
            todo="pass --unknown-electrodes nearest to map them to the nearest known ones, or leave_out",
        )
    taken = {int(i) for i in id_of if i >= 0}
    for name in missing:
        if unknown == "leave_out":
            notes.append(f"{name}: left out, the encoder does not know it")
            continue
        position = trials.position_m(name)
        free = [n for n in encoder.names if encoder.id_of(n) not in taken]
        near = [] if position is None else encoder.nearest(position, 1, among=free)
        if not near:
            raise RefusedError(
                f"electrode {name} has no position, or no free electrode is left to map it to",
                todo="give it a position in the shard set's vocabulary, or pass --unknown-electrodes leave_out",
            )
        id_of[trials.id_of(name)] = encoder.id_of(near[0][0])
        taken.add(encoder.id_of(near[0][0]))
        notes.append(f"{name}: taken for {near[0][0]}, {near[0][1] * _MM:.0f} mm away")
    return ElectrodeMap(id_of=id_of, notes=tuple(notes))


def _counterpart(trials: Vocabulary, encoder: Vocabulary, name: str) -> str | None:
    row = trials[trials.id_of(name)]
    return next((encoder.canonical(n) for n in (row.name, *row.aliases) if n in encoder), None)
