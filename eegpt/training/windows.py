"""Shard sets as what pre-training reads: windows to train on, windows held out, and what they mean.

What enters: folders of shard sets and the configuration. What leaves: `PretrainData`. A split that has no
windows of the wanted length is left out and said so; training without any held-out window is possible, and
then the run reports no held-out error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.errors import UsageError, nearest
from eegprep.shards import ShardSet
from eegprep.splits import Seen, SeenRecording
from eegpt.data import SampleOrder, WindowIndex
from eegpt.data.spans import Spans
from eegpt.model.tokens import n_tokens
from eegpt.runs.folder import DataSet, data_sets_of, shard_set_hashes
from eegpt.training.config import PretrainConfig
from eegpt.training.divided import divided

__all__ = ["PretrainData", "open_windows", "spread"]

USUAL_WINDOW = 1024  # samples: the paper's 4 s


@dataclass(frozen=True, kw_only=True)
class PretrainData:
    """What a run reads.

    Attributes
    ----------
    train : tuple of (index, order)
        One pair per window length that has windows, longest first.
    heldout : dict of str to index
        Held-out windows of one length, by split: the trained length with most tokens to predict.
    reference : index
        Windows of that length to train on, which the linear predictor is fitted to.
    others : tuple of (index, dict of str to index)
        The same for every other trained length: windows to train on, held-out windows by split.
    vocabulary : Vocabulary
    recordings : tuple of str
        Names that a batch's recording numbers mean.
    fingerprints : dict of str to str
        SHA-256 of each shard set's SHA256SUMS, by the set's folder name.
    seen : Seen
        Every recording that may be trained on, for the guard against leakage (`seen.json` of the run).
    origin : tuple of DataSet
        Its data sets with licence and steps, see `eegpt.runs.folder`.
    """

    train: tuple[tuple[Any, Any], ...]
    heldout: dict[str, Any]
    reference: Any
    vocabulary: Vocabulary
    recordings: tuple[str, ...]
    fingerprints: dict[str, str]
    seen: Seen = field(default_factory=Seen)
    origin: tuple[DataSet, ...] = ()
    others: tuple[tuple[Any, dict[str, Any]], ...] = ()


def open_windows(shards: Sequence[Path], config: PretrainConfig) -> PretrainData:
    """Open shard sets for pre-training."""
    if not shards:
        raise UsageError("no shard set to train on", todo="name one or more with --shards")
    sets = [ShardSet.open(Path(s)) for s in shards]
    known = {d for s in sets for d in s.recordings.dataset}
    for name in config.datasets:
        if name not in known:
            raise UsageError(
                f"the shard sets have no data set {name!r}",
                expected=", ".join(sorted(known)),
                todo=nearest(name, known) or None,
            )
    if config.division:
        sets = divided(sets, config.division)
    lengths = sorted(set(config.window_samples), reverse=True) or _fitting_lengths(sets, config)
    train = [
        (index, SampleOrder(len(index), config.seed))
        for n_samples in lengths
        if (index := _index(sets, config, n_samples, config.train_splits)) is not None
    ]
    if not train:
        present = sorted({split for s in sets for split in s.recordings.split})
        raise UsageError(
            "there is no window to train on",
            found=f"splits {', '.join(map(repr, present))} in the shard sets",
            expected=f"stretches of {(lengths or [_shortest(config)])[-1]} samples or more in "
            f"{', '.join(config.train_splits)}",
            todo="set window_samples to shorter lengths, or train_splits to what the shard sets have",
        )
    first = train[0][0]
    reference = max((index for index, _ in train), key=lambda i: _n_predicted(i, config))

    def heldout(n_samples: int) -> dict[str, Any]:
        found = {split: _index(sets, config, n_samples, (split,)) for split in config.heldout_splits}
        return {split: index for split, index in found.items() if index is not None}

    return PretrainData(
        train=tuple(train),
        heldout=heldout(reference.n_samples),
        reference=reference,
        vocabulary=first.vocabulary,
        recordings=tuple(first.recording_ids),
        fingerprints=shard_set_hashes(sets),
        seen=(seen := _seen(sets, config)),
        origin=tuple(data_sets_of(sets, {r.id for r in seen.recordings})),
        others=tuple((index, heldout(index.n_samples)) for index, _ in train if index is not reference),
    )


def _shortest(config: PretrainConfig) -> int:
    return config.token_samples + (config.tokens_needed - 1) * config.token_stride


def _n_predicted(index: Any, config: PretrainConfig) -> int:
    """Tokens to predict in all windows of an index."""
    tokens = n_tokens(index.n_samples, token_samples=config.token_samples, token_stride=config.token_stride)
    return len(index) * (tokens - 1)


def _fitting_lengths(sets: list[ShardSet], config: PretrainConfig) -> list[int]:
    """For each data set the length of its longest stretch, cut to whole tokens and to the usual length."""
    spans = Spans(sets)
    names = [name for s in sets for name in s.recordings.dataset]
    longest: dict[str, int] = {}
    for recording, n_samples in zip(spans.recording.tolist(), spans.n_samples.tolist(), strict=True):
        if not config.datasets or names[recording] in config.datasets:
            longest[names[recording]] = max(longest.get(names[recording], 0), n_samples)
    C, K = config.token_samples, config.token_stride
    usual = max(USUAL_WINDOW, _shortest(config))
    whole = {C + (min(n, usual) - C) // K * K for n in longest.values() if n >= _shortest(config)}
    return sorted(whole, reverse=True)


def _seen(sets: Sequence[ShardSet], config: PretrainConfig) -> Seen:
    """Recordings of the splits and data sets that are trained on."""
    chosen = set(config.datasets)
    return Seen.of(
        SeenRecording(id=name, signal_sha256=sha256, within_subject=bool(within))
        for s in sets
        for name, sha256, within, split, dataset in zip(
            s.recordings.id,
            s.recordings.signal_sha256,
            s.recordings.within_subject,
            s.recordings.split,
            s.recordings.dataset,
            strict=True,
        )
        if split in config.train_splits and (not chosen or dataset in chosen)
    )


def spread(n: int, count: int) -> np.ndarray:
    """At most `count` of the numbers 0 .. n-1, evenly spread, in order."""
    return np.unique(np.linspace(0, n - 1, min(n, count)).round().astype(np.int64))


def _index(sets: list[ShardSet], config: PretrainConfig, n_samples: int, splits: tuple[str, ...]) -> Any | None:
    """An index, or None where these splits have no window of this length."""
    present = {split for s in sets for split in s.recordings.split}
    longest = max((int(s.spans.n_samples.max(initial=0)) for s in sets), default=0)
    if not present & set(splits) or longest < n_samples:
        return None
    filters: dict[str, Any] = {"electrodes": config.electrodes or None, "datasets": config.datasets or None}
    try:
        return WindowIndex(
            sets, n_samples=n_samples, stride=config.window_stride or n_samples, splits=splits, **filters
        )
    except UsageError as error:
        if error.what != "no window is left":
            raise
        return None
