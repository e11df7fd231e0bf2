"""What a transfer run is made of before it begins: trials, encoder, electrodes, and the guard against leakage.

What enters: shard sets, an encoder's run and the settings. What leaves: a `Setup` on which fits can be made and
predictions asked for. The same setup is built by `transfer` and by `evaluate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from eegprep.electrodes import Vocabulary
from eegprep.errors import UsageError
from eegprep.shards import ShardSet
from eegprep.splits import Seen, SeenRecording, refuse_leaks
from eegpt.data import TrialIndex
from eegpt.model.heads import HeadSpec
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.electrodes import ElectrodeMap, map_electrodes
from eegpt.transfer.folds import Division, divide

__all__ = [
    "Setup",
    "open_trials",
    "used_electrodes",
    "heads_of",
    "seen_recordings",
    "check_leakage",
    "device",
]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Trials, their divisions, and how their electrodes and tasks map to the model's."""

    sets: tuple[ShardSet, ...]
    index: TrialIndex
    divisions: tuple[Division, ...]
    electrodes: ElectrodeMap
    heads: tuple[HeadSpec, ...]
    head_of_task: np.ndarray
    recordings: tuple[SeenRecording, ...]


def device() -> torch.device:
    """The accelerator where there is one."""
    return torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu")


def open_trials(shards: Sequence[Path], config: TransferConfig) -> tuple[tuple[ShardSet, ...], TrialIndex]:
    """Open the shard sets and number their trials; UsageError where there is not one."""
    sets = tuple(ShardSet.open(p) for p in shards)
    index = TrialIndex(sets, tasks=config.tasks or None, datasets=config.datasets or None)
    if not len(index):
        raise UsageError(
            "no labelled trial in these shard sets",
            where=", ".join(map(str, shards)),
            expected="a manifest with tasks, and recordings that hold their trials",
            todo="`eegprep verify` lists what a shard set holds",
        )
    return sets, index


def used_electrodes(index: TrialIndex) -> list[str]:
    """Names of the electrodes that recordings with trials have."""
    spans = index.spans
    wanted = np.isin(spans.recording, np.unique(index.recording))
    return [index.vocabulary.name_of(int(i)) for i in np.unique(spans.electrode[wanted])]


def heads_of(index: TrialIndex) -> tuple[tuple[HeadSpec, ...], np.ndarray]:
    """Heads, and the head of each task: tasks of the same name, kind and classes in several data sets share one."""
    number: dict[tuple[str, str, tuple[str, ...]], int] = {}
    for t in index.tasks:
        number.setdefault((t.name, t.kind, tuple(t.classes)), len(number))
    specs = tuple(
        HeadSpec(
            name=name,
            n_outputs=max(1, len(classes)),
            kind="regression" if kind == "regression" else "classification",
        )
        for name, kind, classes in number
    )
    return specs, np.array([number[t.name, t.kind, tuple(t.classes)] for t in index.tasks], np.int64)


def make_setup(sets: tuple[ShardSet, ...], index: TrialIndex, vocabulary: Vocabulary, config: TransferConfig) -> Setup:
    """Divide the trials and map electrodes and tasks."""
    heads, head_of_task = heads_of(index)
    among = TrialIndex(sets) if config.tasks or config.datasets else index
    divisions = divide(index, config.scheme, validation_share=config.validation_share, among=among)
    return Setup(
        sets=sets,
        index=index,
        divisions=tuple(divisions),
        electrodes=map_electrodes(
            index.vocabulary, vocabulary, used_electrodes(index), unknown=config.unknown_electrodes
        ),
        heads=heads,
        head_of_task=head_of_task,
        recordings=seen_recordings(sets),
    )


# ---- leakage


def seen_recordings(sets: Sequence[ShardSet]) -> tuple[SeenRecording, ...]:
    """Every recording of the sets as the guard knows it, in the order of `TrialIndex.recording_ids`."""
    return tuple(
        SeenRecording(id=i, signal_sha256=h, within_subject=bool(w))
        for s in sets
        for i, h, w in zip(s.recordings.id, s.recordings.signal_sha256, s.recordings.within_subject, strict=True)
    )


def check_leakage(setup: Setup, pretrained: Sequence[Seen | None], config: TransferConfig) -> str:
    """Refuse where a test recording was seen; with `allow_leakage` the sentence to print, else an empty one.

    `pretrained` is what the encoder has seen, or what each division's own encoder has.

    Within a division, recordings learned from are held against those tested: the splits are disjoint by name,
    but one signal can stand under two names.
    """
    found = []
    of_row = setup.index.recording
    for number, division in enumerate(setup.divisions):
        before = pretrained[number if len(pretrained) > 1 else 0]
        tested_ids = np.unique(of_row[division.test])
        tested = [setup.recordings[r] for r in tested_ids]
        if before is not None:
            found.append(refuse_leaks(before, tested, allow=config.allow_leakage, stage="pre-training"))
        if config.scheme.startswith("within"):
            continue  # the same people and recordings by design, which every table says
        learned_ids = np.unique(of_row[np.union1d(division.train, division.validation)])
        if config.scheme.startswith("few-shot"):
            # A few trials of the people tested are learned from: that is what the scheme is.
            learned_ids = np.setdiff1d(learned_ids, tested_ids)
        learned = Seen.of(setup.recordings[r] for r in learned_ids)
        if config.scheme.startswith("few-shot"):
            tested = [SeenRecording(id=r.id, signal_sha256=r.signal_sha256, within_subject=True) for r in tested]
        found.append(refuse_leaks(learned, tested, allow=config.allow_leakage, stage="training"))
    return "; ".join(dict.fromkeys(f for f in found if f))
