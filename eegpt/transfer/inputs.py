"""Rows of the model for the inputs of trials: electrodes, and derivations where an electrode has several.

An input is an electrode with its reference. Where a recording has several derivations of one electrode (FP1-F7 and
FP1-F3), each has a row of its own in the model, named `Fp1_F7`, so that readouts and the graph can tell them apart; the
row starts as a copy of the electrode's. Where an electrode has one derivation in every recording, its row is the
electrode's, whatever it was measured against.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from eegprep.electrodes import Electrode, Vocabulary
from eegprep.electrodes.references import reference_numbers
from eegprep.electrodes.vocabulary import KINDS
from eegprep.errors import RefusedError, UsageError
from eegprep.recording import input_name
from eegpt.data import TrialIndex
from eegpt.model.config import ETEConfig


@dataclass(frozen=True, kw_only=True)
class NewRow:
    """A row to append to an encoder: its electrode, the rows that it starts from (their mean), and a note."""

    electrode: Electrode
    parents: tuple[int, ...]
    note: str


def row_name(electrode: str, reference: str) -> str:
    """The name of a derivation's row: `Fp1_F7`, `Cz_linked_ears`."""
    return f"{electrode}_{re.sub('[^A-Za-z0-9]+', '_', reference)}"[:32]


def rows_of(
    vocabulary: Vocabulary, electrodes: Sequence[str], references: Sequence[str], *, apart: bool = True
) -> list[str]:
    """The names of a model's rows for some inputs: a derivation's own row if there is one, else the electrode's.

    Raises
    ------
    UsageError
        `apart`, and two inputs have the same row: the model cannot tell these derivations apart.
    """
    own = [row_name(e, r) for e, r in zip(electrodes, references, strict=True)]
    rows = [name if name in vocabulary else e for name, e in zip(own, electrodes, strict=True)]
    if apart and (twice := [e for row, e in zip(rows, electrodes, strict=True) if rows.count(row) > 1]):
        pairs = zip(electrodes, references, strict=True)
        raise UsageError(
            f"the model cannot tell the derivations of {twice[0]} apart",
            found=", ".join(input_name(e, r) for e, r in pairs if e == twice[0]),
            expected="one derivation of each electrode, or those that the model was trained on",
            todo="pass one of these channels",
        )
    return rows


def inputs_of(index: TrialIndex) -> tuple[list[tuple[int, int]], set[int]]:
    """The (electrode, reference) pairs of the trials' recordings, and the electrodes with several in one of them."""
    s = index.spans
    rows = np.flatnonzero(np.isin(s.recording, np.unique(index.recording)) & index.measured)
    table = np.unique(np.stack([s.recording[rows], s.electrode[rows], s.reference[rows]], axis=1), axis=0)
    pairs = sorted({(int(e), int(r)) for _, e, r in table})
    keys, counts = np.unique(table[:, :2], axis=0, return_counts=True)
    return pairs, {int(e) for e in keys[counts > 1, 1]}


def new_rows(index: TrialIndex, encoder: Vocabulary, *, extend: bool) -> list[NewRow]:
    """The rows that an encoder lacks for the trials' inputs.

    With `extend`, electrodes that the encoder does not know get a row that starts from the nearest known one (channels
    of other kinds: from the mean of their kind, else of all); without, only derivations do.
    """
    pairs, several = inputs_of(index)
    found: list[NewRow] = []
    known = encoder
    electrodes = {e for e, _ in pairs}
    for e in sorted(electrodes):
        row = index.vocabulary[e]
        if not extend or any(name in known for name in (row.name, *row.aliases)):
            continue
        own = Electrode(name=row.name, position_m=row.position_m, kind=row.kind, source="extended")
        near = [] if row.position_m is None else encoder.nearest(row.position_m, 1, among=_of_kind(encoder, row.kind))
        if near:
            parents: tuple[int, ...] = (encoder.id_of(near[0][0]),)
            note = f"{row.name}: a new row that starts from {near[0][0]}, {near[0][1] * 1000:.0f} mm away"
        else:
            alike = _of_kind(encoder, row.kind) or list(encoder.names)
            parents = tuple(encoder.id_of(name) for name in alike)
            note = f"{row.name}: a new row that starts from the mean of {len(alike)} rows"
        found.append(NewRow(electrode=own, parents=parents, note=note))
        known = known.extend([own])
    for e, r in pairs:
        row, reference = index.vocabulary[e], index.references[r]
        if e not in several or row_name(row.name, reference) in known:
            continue
        base = next((n for n in (row.name, *row.aliases) if n in known), None)
        if base is None:
            continue  # unknown to the encoder: refused, mapped or left out like any electrode
        at = known.id_of(base)
        parents = (at,) if at < len(encoder) else found[at - len(encoder)].parents
        found.append(_own_row(row, reference, parents))
        known = known.extend([found[-1].electrode])
    return found


def derivation_rows(encoder: Vocabulary, electrodes: Sequence[str], references: Sequence[str]) -> list[NewRow]:
    """The rows that an encoder lacks for inputs in memory: those of several derivations of one electrode."""
    pairs = zip(electrodes, references, strict=True)
    several = [(e, r) for e, r in pairs if list(electrodes).count(e) > 1 and row_name(e, r) not in encoder]
    return [_own_row(encoder[encoder.id_of(e)], r, (encoder.id_of(e),)) for e, r in several]


def _own_row(row: Electrode, reference: str, parents: tuple[int, ...]) -> NewRow:
    own = Electrode(
        name=row_name(row.name, reference), position_m=row.position_m, kind=row.kind,
        source=input_name(row.name, reference),
    )  # fmt: skip
    note = f"{own.source}: a row of its own, since {row.name} has several derivations in a recording"
    return NewRow(electrode=own, parents=parents, note=note)


def _of_kind(vocabulary: Vocabulary, kind: str) -> list[str]:
    return [row.name for row in vocabulary if row.kind == kind]


def table_of(
    index: TrialIndex, encoder: Vocabulary, id_of: NDArray[np.int64], *, told: bool = False
) -> NDArray[np.int64]:
    """Inputs of the encoder by (electrode, reference) of the trials, (V, R); -1 for none.

    Returns `id_of` itself, (V,), if no derivation has a row of its own and the encoder is not `told` references.

    Raises
    ------
    RefusedError
        Two inputs of a recording have the same row: the model cannot tell these derivations apart.
    """
    pairs, several = inputs_of(index)
    table = np.repeat(id_of[:, None], len(index.references), axis=1)
    own = told
    for e, r in pairs:
        name = row_name(index.vocabulary.name_of(e), index.references[r])
        if name in encoder:
            table[e, r], own = encoder.id_of(name), True
    for e in sorted(several):
        rows = [int(table[e, r]) for one, r in pairs if one == e and table[e, r] >= 0]
        if len(set(rows)) < len(rows):
            electrode = index.vocabulary.name_of(e)
            raise RefusedError(
                f"the model cannot tell the derivations of {electrode} apart",
                found=", ".join(input_name(electrode, index.references[r]) for one, r in pairs if one == e),
                expected="one derivation of each electrode, or those that the model was trained on",
                todo="train with these derivations, or choose one reference with `eegprep shard --reference`",
            )
    if told:
        numbers = np.array(reference_numbers(encoder, index.references), np.int64)
        table = np.where(table >= 0, table + len(encoder) * numbers, -1)
    return table if own else id_of


def extended(
    encoder: ETEConfig,
    vocabulary: Vocabulary,
    weights: Mapping[str, torch.Tensor] | None,
    rows: Sequence[NewRow],
) -> tuple[ETEConfig, Vocabulary, dict[str, torch.Tensor] | None]:
    """An encoder's configuration, vocabulary and weights with new rows.

    Raises
    ------
    UsageError
        Two derivations have the same row name.
    """
    try:
        names = vocabulary.extend(row.electrode for row in rows)
    except UsageError as error:
        raise UsageError("two derivations would have the same name in the model", found=error.found) from None
    grown, n = None if weights is None else dict(weights), encoder.n_electrodes
    if grown is not None and rows:
        table = grown["electrode.weight"]
        added = torch.stack([table[list(row.parents)].mean(dim=0) for row in rows])
        grown["electrode.weight"] = torch.cat((table, added))
        if (told := grown.get("reference")) is not None:
            # Numbers: unknown, electrodes, schemes. A new electrode as a reference starts like its parents.
            added = torch.stack([told[[1 + p for p in row.parents]].mean(dim=0) for row in rows])
            grown["reference"] = torch.cat((told[: 1 + n], added, told[1 + n :]))
    kinds = encoder.kinds or ((0,) * n if encoder.n_references else ())
    if kinds:
        kinds = (*kinds, *(KINDS.index(row.electrode.kind) for row in rows))
    return replace(encoder, n_electrodes=n + len(rows), kinds=kinds), names, grown
