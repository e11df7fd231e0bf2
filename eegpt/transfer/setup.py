"""Preparation of a transfer run: trials, divisions, electrodes, heads and the leakage check.

`transfer` and `evaluate` create the same `Setup` from shard sets, the encoder's vocabulary and the settings. Electrodes
are matched by name, never by id.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.errors import RefusedError, UsageError
from eegprep.remote import open_shards
from eegprep.shards import ShardSet
from eegprep.splits import SEEN_FILE, Seen, SeenRecording, refuse_leaks
from eegpt.data import TrialIndex
from eegpt.model.config import ETEConfig
from eegpt.model.heads import HeadSpec
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.folds import Division, Kind, Scheme, divide
from eegpt.transfer.inputs import inputs_of, table_of

UNKNOWN_HISTORY = "unknown what the encoder has seen"


@dataclass(frozen=True, kw_only=True)
class ElectrodeMap:
    """Rows of the encoder for the trials' inputs.

    `id_of` maps rows of the trials' vocabulary, (V,), or pairs of these and references, (V, R), to rows of the
    encoder's vocabulary, -1 for none; `notes` describe changes.
    """

    id_of: np.ndarray
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Trials, their divisions, and the mapping of their electrodes and tasks to the model's."""

    sets: tuple[ShardSet, ...]
    index: TrialIndex
    divisions: tuple[Division, ...]
    electrodes: ElectrodeMap
    heads: tuple[HeadSpec, ...]
    head_of_task: np.ndarray
    recordings: tuple[SeenRecording, ...]


def open_trials(shards: Sequence[Path], config: TransferConfig) -> tuple[tuple[ShardSet, ...], TrialIndex]:
    """Open the shard sets and number their trials; UsageError if there are none."""
    sets = tuple(open_shards(p) for p in shards)
    index = TrialIndex(sets, tasks=config.data.tasks or None, datasets=config.data.datasets or None)
    if not len(index):
        raise UsageError(
            "no labelled trials in these shard sets",
            where=", ".join(map(str, shards)),
            expected="a manifest with tasks, and recordings with trials",
            todo="`eegprep verify` lists the contents of a shard set",
        )
    return sets, index.at_most(config.data.trials_per_class) if config.data.trials_per_class else index


def make_setup(
    sets: tuple[ShardSet, ...],
    index: TrialIndex,
    vocabulary: Vocabulary,
    config: TransferConfig,
    encoder: ETEConfig | None = None,
) -> Setup:
    """Divide the trials and map electrodes and tasks to an encoder's, given by its vocabulary and configuration."""
    heads, head_of_task = heads_of(index)
    data = config.data
    among = TrialIndex(sets) if data.tasks or data.datasets else index
    divisions = divide(index, data.scheme, validation_share=data.validation_share, among=among)
    used = sorted({e for e, _ in inputs_of(index)[0]})
    names = [index.vocabulary.name_of(int(i)) for i in used]
    asked = data.unknown_electrodes
    unknown: Literal["refuse", "nearest", "leave_out"] = "refuse" if asked == "extend" else asked
    electrodes = map_electrodes(index.vocabulary, vocabulary, names, unknown=unknown)
    told = encoder is not None and encoder.n_references > 0
    electrodes = dataclasses.replace(electrodes, id_of=table_of(index, vocabulary, electrodes.id_of, told=told))
    return Setup(
        sets=sets,
        index=index,
        divisions=tuple(divisions),
        electrodes=electrodes,
        heads=heads,
        head_of_task=head_of_task,
        recordings=tuple(one for s in sets for one in s.recordings.seen()),
    )


def heads_of(index: TrialIndex) -> tuple[tuple[HeadSpec, ...], np.ndarray]:
    """Heads, and the head of each task; tasks with the same name, kind and classes in several data sets share one."""
    keys = [(t.name, t.kind, tuple(t.classes)) for t in index.tasks]
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    specs = (
        HeadSpec(name=name, n_outputs=max(1, len(classes)), kind="classification" if classes else "regression")
        for name, _, classes in number
    )
    return tuple(specs), np.array([number[key] for key in keys], np.int64)


# ---- electrodes


def map_electrodes(
    trials: Vocabulary,
    encoder: Vocabulary,
    used: list[str],
    *,
    unknown: Literal["refuse", "nearest", "leave_out"] = "refuse",
) -> ElectrodeMap:
    """Match the trials' electrodes by name or alias.

    With `unknown="nearest"`, an unknown electrode is mapped to the encoder's nearest unused electrode.

    Raises
    ------
    RefusedError
        An electrode is unknown and `unknown` is `refuse`, or its position is unknown.
    """
    id_of = np.full(len(trials), -1, np.int64)
    known = {name: _counterpart(trials, encoder, name) for name in sorted(used)}
    missing = [name for name, own in known.items() if own is None]
    if missing and unknown == "refuse":
        raise RefusedError(
            f"{len(missing)} electrodes are not in the encoder's vocabulary",
            found=", ".join(missing[:12]),
            expected=f"electrodes among its {len(encoder)}",
            todo="pass --unknown-electrodes nearest to map them to the nearest known ones, extend to add rows that "
            "start from these, or leave_out",
        )
    taken = {own for own in known.values() if own is not None}
    notes: list[str] = []
    for name in missing:
        if unknown == "leave_out":
            notes.append(f"{name}: left out, unknown to the encoder")
            continue
        near = nearest_free(encoder, trials.position_m(name), taken)
        if near is None:
            raise RefusedError(
                f"electrode {name} has no position, or no free electrode is left to map it to",
                todo="give it a position in the shard set's vocabulary, or pass --unknown-electrodes leave_out",
            )
        known[name] = near[0]
        taken.add(near[0])
        notes.append(f"{name}: {near[1]}")
    for name, own in known.items():
        if own is not None:
            id_of[trials.id_of(name)] = encoder.id_of(own)
    return ElectrodeMap(id_of=id_of, notes=tuple(notes))


def nearest_free(
    vocabulary: Vocabulary, position_m: Sequence[float] | np.ndarray | None, taken: Collection[str]
) -> tuple[str, str] | None:
    """The nearest unused electrode and a note on the mapping; None without a position or an electrode."""
    free = [n for n in vocabulary.names if n not in taken]
    near = [] if position_m is None else vocabulary.nearest(position_m, 1, among=free)
    return (near[0][0], f"mapped to {near[0][0]}, {near[0][1] * 1000:.0f} mm away") if near else None


def _counterpart(trials: Vocabulary, encoder: Vocabulary, name: str) -> str | None:
    row = trials[trials.id_of(name)]
    return next((encoder.canonical(n) for n in (row.name, *row.aliases) if n in encoder), None)


# ---- leakage


def check_leakage(setup: Setup, pretrained: Sequence[Seen | None], config: TransferConfig) -> str:
    """Refuse test recordings seen in training; returns a sentence to print with `allow_leakage`, else "".

    `pretrained` is what the encoder, or each division's encoder, has seen; None (not recorded) is refused too. Within a
    division, training and test recordings are compared: splits are disjoint by name, but one signal can have two names.
    """
    scheme, found, of_row = Scheme.parse(config.data.scheme), [], setup.index.recording
    folds = {"scheme": config.data.scheme if scheme.kind in (Kind.KFOLD, Kind.LOSO, Kind.WITHIN) else "kfold:5"}
    for number, division in enumerate(setup.divisions):
        before = pretrained[number if len(pretrained) > 1 else 0]
        tested_ids = np.unique(of_row[division.test])
        tested = [setup.recordings[r] for r in tested_ids]
        if scheme.kind == Kind.WITHIN:
            # Subjects are the same by design; what is compared are the parts of their recordings.
            tested = [
                dataclasses.replace(one, within_subject=True, held_out=_parts(setup, division.test, r))
                for one, r in zip(tested, tested_ids, strict=True)
            ]
        if before is None:
            found.append(_refuse_unknown(allow=config.allow_leakage))
        else:
            found.append(refuse_leaks(before, tested, allow=config.allow_leakage, stage="pre-training", **folds))
        if scheme.kind == Kind.WITHIN:
            continue  # trials of a division share no sample, as noted in every table
        learned_ids = np.unique(of_row[np.union1d(division.train, division.validation)])
        if scheme.shots:
            # By design, the scheme trains on a few trials of the test subjects.
            learned_ids = np.setdiff1d(learned_ids, tested_ids)
            tested = [dataclasses.replace(r, within_subject=True) for r in tested]
        learned = Seen.of(setup.recordings[r] for r in learned_ids)
        found.append(refuse_leaks(learned, tested, allow=config.allow_leakage, stage="training", **folds))
    return "; ".join(dict.fromkeys(f for f in found if f))


def _parts(setup: Setup, test: np.ndarray, recording: int) -> tuple[tuple[int, int], ...]:
    """The tested trials of a recording, (first, one past the last) sample."""
    index = setup.index
    rows = test[index.recording[test] == recording]
    starts, lengths = index.start_sample[rows].tolist(), index.n_samples[rows].tolist()
    return tuple((a, a + n) for a, n in zip(starts, lengths, strict=True))


def _refuse_unknown(*, allow: bool) -> str:
    if not allow:
        raise RefusedError(
            "it is unknown what the encoder has seen",
            found=f"no {SEEN_FILE}, or an empty one, in its run",
            expected="the recordings that it has learned from, as `eegpt train` writes them",
            todo="copy the run's whole folder, or pass --allow-leakage, which is then printed on every table",
        )
    return f"LEAKAGE ALLOWED: {UNKNOWN_HISTORY}"
