"""Long stretches: offset, band-pass, notch and resampling in one pass over float32 blocks, in bounded memory.

Reads an array-like in microvolt block by block and yields chunks (n_rows, n) float32 in time order, equal to MNE's
chain of band-pass, notch and Fourier resampling to about 0.001 µV.

Extending the signal once by point reflection is enough for all filters: a symmetric filter keeps a point-symmetric
extension point-symmetric, so it equals the extension of the filtered signal.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.recording import Stretch
from eegprep.standardise.blocks import plan_blocks
from eegprep.standardise.chain import Chain
from eegprep.standardise.resample import MAX_PERIOD, n_resampled, padding
from eegprep.standardise.seam import Seam, strip_outputs, width


def is_long(n_samples: int, chain: Chain) -> bool:
    """Whether a stretch is long enough to be extended once for all filters and the resampling."""
    reach = sum(taps.size // 2 for taps in chain.filters)
    return n_samples > 2 * reach + 4 * width(chain.ratio) + sum(padding(n_samples, chain.ratio))


def stream_long(
    signal: Any,
    stretch: Stretch,
    chain: Chain,
    rows: NDArray[np.intp],
    offsets_uv: NDArray[np.float64],
    pool: ThreadPoolExecutor | None = None,
) -> Iterator[NDArray[np.float32]]:
    """The stretch at the chain's output rate, chunk by chunk.

    Parameters
    ----------
    signal : array-like, (n_channels, n_samples)
        Microvolt, finite, indexed as `signal[:, start:stop]`.
    stretch : Stretch
        One for which `is_long` is true.
    rows : ndarray of int, (n_rows,)
        Channels to use, in order.
    offsets_uv : ndarray, (n_rows,)
        Subtracted before the cast to float32.
    pool : ThreadPoolExecutor, optional
        Processes groups of channels in parallel; the result is the same.
    """
    ratio = chain.ratio
    n_out = n_resampled(stretch.n_samples, ratio)
    if ratio == 1 or ratio.denominator > MAX_PERIOD:
        blocks = plan_blocks(chain.joined(), ratio, n_out)
        yield from blocks.run(signal, stretch, rows, offsets_uv, list(blocks.starts(range(n_out))), pool)
        return
    before, after = padding(stretch.n_samples, ratio)
    begin, end = strip_outputs(stretch.n_samples, before, after, ratio)
    everything = range(begin.start, end.stop)
    blocks = plan_blocks(chain.joined(), ratio, len(everything))
    parts = list(blocks.starts(everything))

    # The seam joins the end to the beginning, so both are needed before anything is yielded.
    outer = [p for p in parts if p.start < begin.stop or p.stop > end.start]
    inner = [p for p in parts if p not in outer]
    held = dict(zip(outer, blocks.run(signal, stretch, rows, offsets_uv, outer, pool), strict=True))
    seam = Seam(
        n_samples=stretch.n_samples,
        n_out=n_out,
        before=before,
        after=after,
        ratio=ratio,
        begin=_cut(held, begin),
        end=_cut(held, end),
    )
    between = blocks.run(signal, stretch, rows, offsets_uv, inner, pool)
    for part in parts:
        chunk = held.pop(part) if part in held else next(between)
        a, b = max(part.start, 0), min(part.stop, n_out)
        if a < b:
            chunk = np.ascontiguousarray(chunk[:, a - part.start : b - part.start])
            seam.add_to(chunk, a)
            yield chunk


def _cut(held: dict[range, NDArray[np.float32]], wanted: range) -> NDArray[np.float32]:
    """Cut output samples `wanted` from the adjacent parts that contain them."""
    pieces = [
        chunk[:, max(wanted.start - part.start, 0) : max(wanted.stop - part.start, 0)]
        for part, chunk in held.items()
        if part.start < wanted.stop and part.stop > wanted.start
    ]
    return np.concatenate(pieces, axis=1)
