"""Shard sets whose recordings carry the split of one division of a scheme, instead of their own.

What enters: shard sets and a division such as `kfold:5/0`, the first of five folds. What leaves: the same sets, in
which the people whom that division tests are `test`, those it selects on `validation`, and all others `train`. An
encoder pre-trained on them has seen nobody whom that division tests, so that k folds can be scored without leakage
by k encoders. Data sets that are divided within subjects keep their own splits.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np

from eegprep.errors import UsageError
from eegprep.shards import ShardSet
from eegpt.data import TrialIndex
from eegpt.transfer.folds import divide

__all__ = ["divided"]


def divided(sets: Sequence[ShardSet], division: str) -> list[ShardSet]:
    """The sets with the splits of a division, `SCHEME/NUMBER`; their people are told by the trials that they have.

    Raises
    ------
    UsageError
        There is no such scheme or division.
    """
    scheme, _, number = division.rpartition("/")
    if not number.isdigit() or not scheme:
        raise UsageError(f"{division!r} names no division", expected="a scheme and a number, such as kfold:5/0")
    index = TrialIndex(sets)
    divisions = divide(index, scheme)
    if int(number) >= len(divisions):
        raise UsageError(
            f"there is no division {number} of {scheme!r}", expected=f"0 to {len(divisions) - 1}", found=number
        )
    chosen = divisions[int(number)]
    people = np.array(index.subject)
    tested, selected = set(people[chosen.test]), set(people[chosen.validation])

    def split_of(person: str, within: bool, own: str) -> str:
        if within:
            return own
        return "test" if person in tested else "validation" if person in selected else "train"

    out = []
    for s in sets:
        r = s.recordings
        names = (f"{d}/{p}" for d, p in zip(r.dataset, r.subject, strict=True))
        split = tuple(map(split_of, names, r.within_subject.tolist(), r.split))
        again = copy.copy(s)
        again.recordings = dataclasses.replace(r, split=split)
        out.append(again)
    return out
