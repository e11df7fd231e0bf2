"""Short stretches in batches: every step on the entire stretch, in float64, exactly as in MNE.

Trials of epoched files are many and of equal length; they are filtered and resampled as one array. Longer stretches
are processed here one by one if their spectrum reaches the Nyquist frequency (upsampling without a low-pass): then the
extension at the ends affects all samples, and only a single transform gives MNE's result.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import Stretch
from eegprep.standardise.chain import Chain
from eegprep.standardise.fir import filter_zero_phase
from eegprep.standardise.resample import n_resampled, resample_fourier

# The longest stretch processed at once (input samples), 57 minutes at 150 Hz.
WHOLE_SAMPLES = 2**19
# Samples in one batch, over all channels.
_BATCH = 2**22
_GROUP = 8


def batches(stretches: Sequence[Stretch], n_channels: int) -> Iterator[list[Stretch]]:
    """Consecutive stretches of equal length, as many as fit into a batch."""
    batch: list[Stretch] = []
    for stretch in stretches:
        n = stretch.n_samples
        if batch and (n != batch[0].n_samples or (len(batch) + 1) * n * n_channels > _BATCH):
            yield batch
            batch = []
        batch.append(stretch)
    if batch:
        yield batch


def run_batch(
    signal: Any,
    batch: Sequence[Stretch],
    chain: Chain,
    rows: NDArray[np.intp],
    offsets_uv: NDArray[np.float64] | None,
    pool: ThreadPoolExecutor | None = None,
) -> NDArray[np.float32]:
    """Equal stretches at the chain's output rate, (len(batch), n_rows, n_out) float32.

    Parameters
    ----------
    signal : array-like, (n_channels, n_samples)
        Microvolt, finite.
    batch : sequence of Stretch
        All of the same length.
    rows : ndarray of int, (n_rows,)
    offsets_uv : ndarray, (n_rows,), optional
        Subtracted first; None subtracts each stretch's own median.
    """
    n = batch[0].n_samples
    n_out = n_resampled(n, chain.ratio)
    contiguous = all(a.stop_sample == b.start_sample for a, b in itertools.pairwise(batch))
    if contiguous:
        block = np.asarray(signal[:, batch[0].start_sample : batch[-1].stop_sample], dtype=np.float64)
        blocks = [block[:, k * n : (k + 1) * n] for k in range(len(batch))]
    else:
        blocks = [np.asarray(signal[:, s.start_sample : s.stop_sample], dtype=np.float64) for s in batch]
    out = np.empty((len(batch), len(rows), n_out), np.float32)

    def one(first: int) -> None:
        part = slice(first, min(first + _GROUP, len(rows)))
        work = np.stack([b[rows[part]] for b in blocks])
        if offsets_uv is None:
            work = work - np.median(work, axis=-1, keepdims=True)
        else:
            work = work - offsets_uv[part][None, :, None]
        for taps in chain.filters:
            work = filter_zero_phase(work, taps)
        out[:, part] = resample_fourier(work, chain.ratio, n_out)

    groups = range(0, len(rows), _GROUP)
    if pool is None:
        for first in groups:
            one(first)
    else:
        list(pool.map(one, groups))
    return out
