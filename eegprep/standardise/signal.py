"""Run a recipe over a recording, as a stream of chunks in time order, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import InputError
from eegprep.recording import Stretch
from eegprep.standardise.chain import Chain
from eegprep.standardise.long import is_long, stream_long
from eegprep.standardise.offsets import median_offsets
from eegprep.standardise.short import WHOLE_SAMPLES, batches, run_batch
from eegprep.standardise.timeline import Timeline


def too_short(stretches: Sequence[Stretch], chain: Chain) -> tuple[Stretch, ...]:
    """The stretches that are shorter than the chain's longest filter: they cannot be filtered."""
    return tuple(s for s in stretches if s.n_samples < chain.longest_filter)


def standardise(
    signal: Any,
    timeline: Timeline,
    chain: Chain,
    *,
    rows: Sequence[int],
    averaged: Sequence[bool] | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """`(start_sample, chunk)`, chunks (n_rows, n) float32 microvolt at the output rate, in order, disjoint.

    Parameters
    ----------
    signal : array-like, (n_channels, n_samples)
        Microvolt, finite inside the timeline's stretches, indexed as `signal[:, start:stop]`.
    timeline : Timeline
        Its stretches are long enough for the filters (`too_short`).
    rows : sequence of int
        Channels to use, in output order.
    averaged : sequence of bool, optional
        Rows that make up the average reference (default: all). The others are re-referenced too.
    pool : ThreadPoolExecutor, optional
        Processes groups of channels in parallel; the result is the same.

    Raises
    ------
    InputError
        If a stretch is shorter than a filter.
    """
    if short := too_short(timeline.source, chain):
        raise InputError(
            f"{len(short)} stretches are shorter than the filter",
            found=f"{min(s.n_samples for s in short)} samples",
            expected=f"{chain.longest_filter} samples or more ({chain.longest_filter / chain.sfreq_hz:.2f} s)",
            todo="use a recipe with wider transitions (no high-pass, no notch) for short trials",
        )
    index = np.asarray(list(rows), dtype=np.intp)
    good = np.ones(index.size, bool) if averaged is None else np.asarray(averaged, dtype=bool)
    offsets: NDArray[np.float64] | None = np.zeros(index.size)
    if chain.offset == "recording":
        offsets = median_offsets(signal, timeline.source)[index]
    elif chain.offset == "stretch":
        offsets = None

    def referenced(chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        if chain.average and good.any():
            chunk -= chunk[..., good, :].mean(axis=-2, dtype=np.float64, keepdims=True).astype(np.float32)
        return chunk

    for long, run in _runs(timeline.source, chain):
        if long:
            for k in run:
                source, target = timeline.source[k], timeline.stretches[k]
                own = median_offsets(signal, [source])[index] if offsets is None else offsets
                position = target.start_sample
                for chunk in stream_long(signal, source, chain, index, own, pool):
                    yield position, referenced(chunk)
                    position += chunk.shape[1]
        else:
            first = run[0]
            for batch in batches([timeline.source[k] for k in run], signal.shape[0]):
                done = referenced(run_batch(signal, batch, chain, index, offsets, pool))
                for k, chunk in enumerate(done, start=first):
                    yield timeline.stretches[k].start_sample, chunk
                first += len(batch)


def _runs(stretches: Sequence[Stretch], chain: Chain) -> Iterator[tuple[bool, range]]:
    """Consecutive stretches processed alike (long or short), as ranges of their positions."""
    begin = 0
    ways = [_goes_in_blocks(s.n_samples, chain) for s in stretches]
    for k in range(1, len(ways) + 1):
        if k == len(ways) or ways[k] != ways[begin]:
            yield ways[begin], range(begin, k)
            begin = k


def _goes_in_blocks(n_samples: int, chain: Chain) -> bool:
    exact_in_blocks = chain.ratio == 1 or chain.guarded
    return is_long(n_samples, chain) and (exact_in_blocks or n_samples > WHOLE_SAMPLES)
