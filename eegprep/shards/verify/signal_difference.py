"""Compare the samples of two shard sets, matched by recording, electrode and time, not by file.

Returns counts and the largest difference, in microvolt and in int16 steps. Shards that are the same file in both sets
are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from eegprep.shards.reader import ShardSet

_Key = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class SignalDifference:
    """Samples that differ between two sets, and samples that are in only one of them.

    Attributes
    ----------
    n_different : int
        Samples whose value in microvolt differs.
    n_beyond_rounding : int
        Those that different scales cannot explain: the store's signal differs.
    largest_uv, largest_steps : float
        The largest difference, in microvolt and in int16 steps of the first set.
    recording, electrode, sample : str, str, int
        Its position; empty and -1 if nothing differs.
    n_scales : int
        Pairs of overlapping blocks with different scales.
    n_only_first, n_only_second : int
        Samples that are in only one of the sets.
    """

    n_different: int
    n_beyond_rounding: int
    largest_uv: float
    largest_steps: float
    recording: str
    electrode: str
    sample: int
    n_scales: int
    n_only_first: int
    n_only_second: int

    def __bool__(self) -> bool:
        return bool(self.n_different or self.n_scales or self.n_only_first or self.n_only_second)

    def in_words(self) -> str:
        """The difference as one sentence."""
        if not self:
            return "samples: all equal"
        out = []
        if self.n_different:
            out.append(
                f"{self.n_different} samples differ, by at most {self.largest_uv:g} µV ({self.largest_steps:g} int16 "
                f"steps), most at sample {self.sample} of {self.electrode} in {self.recording}"
            )
        if self.n_scales:
            out.append(f"{self.n_scales} blocks have another scale")
        if self.n_only_first or self.n_only_second:
            out.append(f"{self.n_only_first} samples are only in the set, {self.n_only_second} only in the rebuilt one")
        return "samples: " + "; ".join(out)


def signal_difference(first: ShardSet, second: ShardSet) -> SignalDifference:
    """Compare the samples of two sets, block by block.

    Parameters
    ----------
    first, second : ShardSet
        Local sets; recordings are matched by id, electrodes by name.
    """
    ours, theirs = _blocks(first), _blocks(second)
    n_different = n_beyond = n_scales = n_both = 0
    largest_uv, largest_steps, recording, electrode, sample = 0.0, 0.0, "", "", -1
    for key in sorted(ours.keys() & theirs.keys()):
        for a, b, start, stop in _overlaps(first, ours[key], second, theirs[key]):
            n_both += stop - start
            step_a, step_b = float(first.blocks.scale_uv[a]), float(second.blocks.scale_uv[b])
            n_scales += step_a != step_b
            if _same_bytes(first, a, second, b):
                continue
            begin_a, begin_b = int(first.blocks.start_sample[a]), int(second.blocks.start_sample[b])
            # float64: both factors are exact there, so equal microvolt compare as equal
            x = first.signal_i16(a)[start - begin_a : stop - begin_a].astype(np.float64) * step_a
            y = second.signal_i16(b)[start - begin_b : stop - begin_b].astype(np.float64) * step_b
            apart = np.abs(x - y)
            n_different += int(np.count_nonzero(apart))
            rounding = 0.0 if step_a == step_b else (step_a + step_b) / 2
            n_beyond += int(np.count_nonzero(apart > rounding))
            worst = int(apart.argmax())
            if apart[worst] > largest_uv:
                largest_uv, largest_steps = float(apart[worst]), float(apart[worst]) / step_a
                (recording, electrode, _), sample = key, start + worst
    return SignalDifference(
        n_different=n_different,
        n_beyond_rounding=n_beyond,
        largest_uv=largest_uv,
        largest_steps=largest_steps,
        recording=recording,
        electrode=electrode,
        sample=sample,
        n_scales=n_scales,
        n_only_first=int(first.blocks.n_samples.sum()) - n_both,
        n_only_second=int(second.blocks.n_samples.sum()) - n_both,
    )


def _blocks(opened: ShardSet) -> dict[_Key, list[int]]:
    """Rows of blocks by (recording, electrode, reference), each list sorted by time."""
    out: dict[_Key, list[int]] = {}
    for row in np.argsort(opened.blocks.start_sample, kind="stable").tolist():
        name = opened.vocabulary.name_of(int(opened.blocks.electrode[row]))
        reference = opened.blocks.reference_names[opened.blocks.reference[row]]
        out.setdefault((opened.recordings.id[opened.blocks.recording[row]], name, reference), []).append(row)
    return out


def _overlaps(
    first: ShardSet, ours: list[int], second: ShardSet, theirs: list[int]
) -> Iterator[tuple[int, int, int, int]]:
    """Pairs of overlapping blocks, with the first shared sample and the one after the last."""
    i = j = 0
    while i < len(ours) and j < len(theirs):
        a, b = ours[i], theirs[j]
        start_a, start_b = int(first.blocks.start_sample[a]), int(second.blocks.start_sample[b])
        stop_a = start_a + int(first.blocks.n_samples[a])
        stop_b = start_b + int(second.blocks.n_samples[b])
        start, stop = max(start_a, start_b), min(stop_a, stop_b)
        if start < stop:
            yield a, b, start, stop
        if stop_a <= stop_b:
            i += 1
        if stop_b <= stop_a:
            j += 1


def _same_bytes(first: ShardSet, a: int, second: ShardSet, b: int) -> bool:
    one, other = first.shards[first.blocks.shard[a]], second.shards[second.blocks.shard[b]]
    return one.sha256 == other.sha256 and first.blocks.offset[a] == second.blocks.offset[b]
