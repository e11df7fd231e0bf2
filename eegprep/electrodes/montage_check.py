"""Check from the signal whether the channels of a recording are in the order that their names imply.

Neighbouring electrodes record similar signals. So over all pairs of electrodes, similarity should fall with distance;
a wrong channel order breaks this. Nothing is corrected: the value is stored and shown, and a low one gives a warning.

- Similarity: the correlation between 4 and 30 Hz, where neither blinks nor line noise dominate, after scaling each
  channel to unit variance and subtracting the average. This makes the value independent of the common reference, and
  scaling first prevents one noisy channel from dominating the average. The median over segments is used.
- Distance: the angle between two electrodes, seen from the centre of the vocabulary's head.

Only channels with the same reference are compared, since bipolar derivations of neighbours (F7-T7, T7-P7) are similar
for another reason. Left and right cannot be distinguished, since a mirrored montage has the same distances.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.heads import directions
from eegprep.recording import MontageFit

#: With fewer electrodes there are too few pairs to distinguish an order from chance.
FEWEST = 8
#: Warning thresholds for a recording, and for the median of a data set of at least `_SEVERAL`; lower by `_LESS` for
#: each electrode below `_MANY`, since the value is then less certain. Chosen in docs/results/montage-check.md.
_LOW_ONE, _LOW_SET, _SEVERAL = 0.4, 0.6, 3
_MANY, _LESS = 16, 0.02
#: No warning for recordings with fewer segments (of up to 4 s), or whose channels have nothing in common.
_FEWEST_SEGMENTS = 4
_LEAST_LIKENESS = 0.4
#: An exchange counts if it would raise the value by more than this divided by the number of electrodes; a warning is
#: given if it is the best one in more than this share of the recordings.
_GAIN = 0.75
_MOST = 0.5


def montage_fit(
    covariance: NDArray[np.float64] | None,
    electrodes: Sequence[str],
    references: Sequence[str],
    vocabulary: Vocabulary,
) -> MontageFit | None:
    """Compare the similarity of signals with the distances of electrodes.

    Parameters
    ----------
    covariance : (n_segments, n_channels, n_channels) ndarray or None
        See `eegprep.standardise.checks.ChannelChecks`.
    electrodes, references : sequence of str
        One per channel.

    Returns
    -------
    MontageFit or None
        None if fewer than `FEWEST` electrodes with a position and a signal share a reference.
    """
    if covariance is None:
        return None
    towards = directions(vocabulary, electrodes)
    placed = [i for i in range(len(electrodes)) if np.isfinite(towards[i]).all()]
    if not placed:
        return None
    common = Counter(references[i] for i in placed).most_common(1)[0][0]
    rows = [i for i in placed if references[i] == common]
    alike, live, n_segments = similarity(covariance[:, rows][:, :, rows])
    rows = [row for row, one in zip(rows, live, strict=True) if one]
    if len(rows) < FEWEST:
        return None
    angles = np.arccos(np.clip(towards[rows] @ towards[rows].T, -1.0, 1.0))
    unlike_ranks, far_ranks = _ranks(-alike), _ranks(angles)
    if unlike_ranks is None or far_ranks is None:
        return None
    figure = float(np.sum(unlike_ranks * far_ranks)) / 2
    # Exchanging i and j swaps their pairs with all other electrodes; the pair (i, j) stays.
    product = unlike_ranks @ far_ranks
    own = np.diag(product)
    gains = product + product.T - own[:, None] - own[None, :] + 2 * unlike_ranks * far_ranks
    gains[np.tril_indices(len(rows))] = -np.inf
    i, j = np.unravel_index(int(np.argmax(gains)), gains.shape)
    others = np.where(np.eye(len(rows), dtype=bool), -1.0, alike)
    return MontageFit(
        figure=round(figure, 4),
        likeness=round(float(np.median(others.max(axis=1))), 4),
        n_electrodes=len(rows),
        n_segments=n_segments,
        swap=(electrodes[rows[i]], electrodes[rows[j]]),
        gain=round(float(gains[i, j]), 4),
    )


def similarity(covariance: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    """Similarity of live channels (n_live, n_live), mask of live channels (n_channels,), number of segments."""
    variance = np.einsum("eii->ei", covariance)
    with np.errstate(invalid="ignore"):
        positive = variance > 0
    live = positive.mean(axis=0) > 0.5
    kept = positive[:, live].all(axis=1)
    if live.sum() < 2 or not kept.any():
        return np.zeros((0, 0)), np.zeros(live.size, dtype=bool), 0
    some = covariance[kept][:, live][:, :, live]
    scaled = _scaled(some)
    rows = scaled.mean(axis=2, keepdims=True)
    centred = scaled - rows - rows.transpose(0, 2, 1) + rows.mean(axis=1, keepdims=True)
    median: NDArray[np.float64] = np.median(_scaled(centred), axis=0)
    return median, live, int(kept.sum())


def _scaled(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    sd = np.sqrt(np.maximum(np.einsum("eii->ei", covariance), np.finfo(float).tiny))
    return covariance / (sd[:, :, None] * sd[:, None, :])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Ranks of the pairs as a symmetric matrix of mean 0 and length 1 over the pairs; None if all are equal."""
    pairs = np.triu_indices(len(values), 1)
    _, place, counts = np.unique(np.round(values[pairs], 9), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    ranks -= ranks.mean()
    length = float(np.linalg.norm(ranks))
    if length == 0.0:
        return None
    out = np.zeros(values.shape)
    out[pairs] = ranks / length
    return out + out.T


def montage_warning(fits: Sequence[MontageFit]) -> str | None:
    """A warning about the value of a recording, or the values of a data set; None if they are normal."""
    fits = [f for f in fits if f.n_segments >= _FEWEST_SEGMENTS and f.likeness >= _LEAST_LIKENESS]
    if not fits:
        return None
    figure = float(np.median([f.figure for f in fits]))
    several = len(fits) >= _SEVERAL
    short = max(0.0, _MANY - float(np.median([f.n_electrodes for f in fits])))
    if figure < (_LOW_SET if several else _LOW_ONE) - _LESS * short:
        what = f"the median over {len(fits)} recordings is {figure:.2f}" if several else f"it is {figure:.2f}"
        return (
            f"montage check: neighbouring channels are hardly more similar than distant ones ({what}; a correct order "
            "gives 0.7 to 0.9): the order or names of the channels are probably wrong"
        )
    swaps = Counter(f.swap for f in fits if f.gain > _GAIN / f.n_electrodes)
    if several and swaps:
        (pair, n) = swaps.most_common(1)[0]
        if n > _MOST * len(fits):
            return (
                f"montage check: in {n} of {len(fits)} recordings the signals would match better with {pair[0]} and "
                f"{pair[1]} swapped: check the two names"
            )
    return None
