"""Shard sets for pre-training: training windows, held-out windows and their metadata.

Splits without windows of the requested length are skipped; without any held-out windows, the run reports no held-out
errors.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.errors import UsageError, nearest
from eegprep.remote import open_shards
from eegprep.shards import ShardSet
from eegprep.splits import Seen, SeenRecording
from eegpt.data import Order, SampleOrder, TrialIndex, WindowIndex, WindowLoader, WindowSource
from eegpt.data.loader import Mixture
from eegpt.data.order import FixedPart
from eegpt.data.spans import Spans
from eegpt.data.windows import NoWindowError, Parts
from eegpt.pretraining.config import PretrainConfig
from eegpt.runs.folder import DataSet, data_sets_of, shard_set_hashes
from eegpt.transfer.folds import Division, Kind, Scheme, divide

USUAL_WINDOW = 1024  # samples: the paper's 4 s
GUARD_SAMPLES = 256  # between a tested and a trained part of one recording
_FOREVER = 1 << 60


@dataclass(frozen=True, kw_only=True)
class PretrainData:
    """Windows of a run, and their metadata."""

    train: tuple[tuple[WindowSource, Order], ...]  #: one pair per window length that has windows, longest first
    heldout: dict[str, WindowSource]  #: by split, of the trained length with most tokens to predict
    reference: WindowSource  #: training windows of that length, which the linear predictor is fitted to
    vocabulary: Vocabulary
    recordings: tuple[str, ...]  #: what a batch's recording numbers mean
    set_sha256: dict[str, str]  #: SHA-256 of each shard set, by its folder's name
    seen: Seen = field(default_factory=Seen)  #: every recording that may be trained on
    origin: tuple[DataSet, ...] = ()
    others: tuple[tuple[WindowSource, dict[str, WindowSource]], ...] = ()  #: `reference`, `heldout` of other lengths


def open_windows(shards: Sequence[Path], config: PretrainConfig) -> PretrainData:
    """Open shard sets for pre-training."""
    if not shards:
        raise UsageError("no shard set to train on", todo="pass one or more with --shards")
    sets = [open_shards(Path(s)) for s in shards]
    known = {d for s in sets for d in s.recordings.dataset}
    for name in config.data.datasets:
        if name not in known:
            raise UsageError(
                f"the shard sets have no data set {name!r}",
                expected=", ".join(sorted(known)),
                todo=nearest(name, known) or None,
            )
    parts: Parts = {}
    if config.data.division:
        sets, parts = divided(sets, config.data.division)
    lengths = sorted(set(config.data.window_samples), reverse=True) or _fitting_lengths(sets, config, parts)
    train = [
        (index, SampleOrder(len(index), config.seed))
        for n_samples in lengths
        if (index := _index(sets, config, n_samples, config.data.splits, parts)) is not None
    ]
    if not train:
        present = sorted({split for s in sets for split in s.recordings.split})
        raise UsageError(
            "no windows to train on",
            found=f"splits {', '.join(map(repr, present))} in the shard sets",
            expected=f"stretches of {(lengths or [_shortest(config)])[-1]} samples or more in "
            f"{', '.join(config.data.splits)}",
            todo="set shorter data.window_samples, or data.splits that the shard sets have",
        )
    first = train[0][0]
    reference = max((index for index, _ in train), key=lambda i: _n_predicted(i, config))

    def heldout(n_samples: int) -> dict[str, WindowSource]:
        found = {split: _index(sets, config, n_samples, (split,), parts) for split in config.held_out.splits}
        return {split: index for split, index in found.items() if index is not None}

    return PretrainData(
        train=tuple(train),
        heldout=heldout(reference.n_samples),
        reference=reference,
        vocabulary=first.vocabulary,
        recordings=tuple(first.recording_ids),
        set_sha256=shard_set_hashes(sets),
        seen=(seen := _seen(sets, config, parts)),
        origin=tuple(data_sets_of(sets, {r.id for r in seen.recordings})),
        others=tuple((index, heldout(index.n_samples)) for index, _ in train if index is not reference),
    )


def _shortest(config: PretrainConfig) -> int:
    return config.encoder.token_samples + (config.tokens_needed - 1) * config.encoder.token_stride


def _n_predicted(index: WindowSource, config: PretrainConfig) -> int:
    """Number of tokens to predict in all windows of an index."""
    return len(index) * (config.n_tokens(index.n_samples) - 1)


def _fitting_lengths(sets: list[ShardSet], config: PretrainConfig, parts: Parts) -> list[int]:
    """Length of the longest stretch of each data set, cut to complete tokens and to the default length."""
    spans = Spans(sets)
    names = [name for s in sets for name in s.recordings.dataset]
    longest: dict[str, int] = {}
    for recording, start, n_samples in zip(
        spans.recording.tolist(), spans.start_sample.tolist(), spans.n_samples.tolist(), strict=True
    ):
        if (own := parts.get(spans.recording_ids[recording])) is not None:
            trained = (p for split in config.data.splits for p in own.get(split, ()))
            n_samples = max((min(b, start + n_samples) - max(a, start) for a, b in trained), default=0)
        if not config.data.datasets or names[recording] in config.data.datasets:
            longest[names[recording]] = max(longest.get(names[recording], 0), n_samples)
    C, K = config.encoder.token_samples, config.encoder.token_stride
    usual = max(USUAL_WINDOW, _shortest(config))
    whole = {C + (min(n, usual) - C) // K * K for n in longest.values() if n >= _shortest(config)}
    return sorted(whole, reverse=True)


def _seen(sets: Sequence[ShardSet], config: PretrainConfig, parts: Parts) -> Seen:
    """Recordings of the training splits and data sets, with the parts of them that are never trained on."""
    chosen = set(config.data.datasets)

    def held_out(one: SeenRecording) -> tuple[tuple[int, int], ...]:
        own = parts.get(one.id, {})
        return tuple(p for split, of in own.items() if split not in config.data.splits for p in of)

    return Seen.of(
        dataclasses.replace(one, held_out=held_out(one))
        for r in (s.recordings for s in sets)
        for i, one in enumerate(r.seen())
        if (one.id in parts or r.split[i] in config.data.splits) and (not chosen or r.dataset[i] in chosen)
    )


def _index(
    sets: list[ShardSet], config: PretrainConfig, n_samples: int, splits: tuple[str, ...], parts: Parts
) -> WindowIndex | None:
    """An index, or None if these splits have no windows of this length."""
    data = config.data
    try:
        return WindowIndex(
            sets,
            n_samples=n_samples,
            stride=data.window_stride or n_samples,
            splits=splits,
            electrodes=data.electrodes or None,
            datasets=data.datasets or None,
            parts=parts,
        )
    except NoWindowError:
        return None


def mixture(data: PretrainData, config: PretrainConfig, *, rank: int = 0, world: int = 1) -> Mixture:
    """The batches of a run for process `rank` of `world`.

    All batches have about the same number of samples to predict, so that a step's cost and a sample's weight do not
    depend on the window length: `batch_size` applies to the length with most samples to predict; shorter windows come
    in larger batches and longer ones in smaller. An index with fewer windows gives one batch.
    """
    usable = [(index, order) for index, order in data.train if len(index)]
    if not usable:
        raise UsageError(
            "no windows to train on",
            expected="blocks at least as long as the shortest of data.window_samples, in the splits to train on",
            todo="set shorter data.window_samples, or data.splits that the shard set has",
        )
    total, most = sum(len(index) for index, _ in usable), config.data.max_windows
    predicted = [index.n_samples - config.encoder.token_samples for index, _ in usable]
    usual = max(zip(usable, predicted, strict=True), key=lambda pair: len(pair[0][0]) * pair[1])[1]
    loaders, counts = [], []
    for which, ((index, order), n) in enumerate(zip(usable, predicted, strict=True)):
        size = min(len(index), max(1, round(config.batch(total) * usual / n)))
        if size < world:
            raise UsageError(
                "a batch has fewer windows than there are processes",
                found=f"{size} windows, {world} processes",
                todo="use fewer processes, or increase schedule.batch_size",
            )
        count = len(index) // size
        if most:
            # A fraction of the data means the same windows in every epoch.
            count = max(1, min(count, round(count * most / total)))
            order = FixedPart(order, count * size, (config.seed, which))
        loaders.append(
            WindowLoader(
                index,
                order,
                size,
                rank=rank,
                world=world,
                split_batches=True,
                random_offset=config.augmentation.random_offset,
                offset_seed=config.seed,
                offset_stream=which,
            )
        )
        counts.append(count)
    return Mixture(loaders, seed=config.seed, counts=counts)


def divided(sets: Sequence[ShardSet], division: str) -> tuple[list[ShardSet], Parts]:
    """The sets with their splits replaced by a division of a scheme, such as `kfold:5/0`, and parts of recordings.

    Test subjects of the division become `test`, validation subjects `validation`, and all others `train`, so that k
    encoders can score k folds without leakage. Data sets that are divided within subjects keep their splits.

    `within:5/0` divides recordings with trials in time instead (`time_blocks`); other recordings keep their split.

    Raises
    ------
    UsageError
        There is no such scheme or division.
    """
    scheme, _, number = division.rpartition("/")
    if not (number.isascii() and number.isdecimal() and len(number) < 10) or not scheme:
        raise UsageError(f"{division!r} is not a division", expected="a scheme and a number, such as kfold:5/0")
    index = TrialIndex(sets)
    within = Scheme.parse(scheme).kind == Kind.WITHIN
    divisions = divide(index, scheme, validation_share=0.0) if within else divide(index, scheme)
    if int(number) >= len(divisions):
        raise UsageError(
            f"there is no division {number} of {scheme!r}", expected=f"0 to {len(divisions) - 1}", found=number
        )
    chosen = divisions[int(number)]
    if within:
        return list(sets), time_blocks(index, chosen)
    subjects = np.array(index.subject)
    tested, selected = set(subjects[chosen.test]), set(subjects[chosen.validation])

    def split_of(subject: str, within: bool, own: str) -> str:
        if within:
            return own
        return "test" if subject in tested else "validation" if subject in selected else "train"

    out = []
    for s in sets:
        r = s.recordings
        names = (f"{d}/{p}" for d, p in zip(r.dataset, r.subject, strict=True))
        split = tuple(map(split_of, names, r.within_subject.tolist(), r.split))
        again = copy.copy(s)
        again.recordings = dataclasses.replace(r, split=split)
        out.append(again)
    return out, {}


def time_blocks(index: TrialIndex, division: Division) -> Parts:
    """The parts of each recording with trials: `test` from the first to the last of consecutive test trials, and
    `train`, everything else but a second on either side, over which filters have spread the signal."""
    tested = np.zeros(len(index), bool)
    tested[division.test] = True
    out: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for recording in np.unique(index.recording):
        rows = np.flatnonzero(index.recording == recording)
        rows = rows[np.lexsort((index.n_samples[rows], index.start_sample[rows]))]
        test: list[tuple[int, int]] = []
        before = False
        for row in rows.tolist():
            start = int(index.start_sample[row])
            stop = start + int(index.n_samples[row])
            if tested[row] and before:
                test[-1] = (test[-1][0], max(test[-1][1], stop))
            elif tested[row]:
                test.append((start, stop))
            before = bool(tested[row])
        train, begin = [], 0
        for start, stop in test:
            train.append((begin, start - GUARD_SAMPLES))
            begin = stop + GUARD_SAMPLES
        train.append((begin, _FOREVER))
        out[index.recording_ids[recording]] = {"train": [(a, b) for a, b in train if a < b], "test": test}
    return out
