"""Measured positions of one head, laid on the head of the vocabulary.

Heads differ by a centimetre and more in size, electrodes are 15 to 30 mm apart. So positions are compared after the
sphere that fits the upper half of the measured ones has been moved and scaled onto the sphere that fits the
vocabulary's. What enters: positions in MNE's head frame, in metres. What leaves: positions in the same frame on the
vocabulary's head, or the measured ones where too few are known, or where they do not lie on a head.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eegprep.electrodes.vocabulary import Vocabulary

__all__ = ["directions", "on_template"]

_FEWEST = 16
_RADIUS_M = (0.06, 0.13)
#: Root mean square distance from the sphere; heads are no spheres, 4 mm are ordinary.
_ROUGHNESS_M = 0.012

Position = tuple[float, float, float]


def on_template(vocabulary: Vocabulary, positions_m: Sequence[Position | None]) -> tuple[list[Position | None], bool]:
    """Positions on the vocabulary's head, and whether they were moved."""
    known = np.array([p for p in positions_m if p is not None], dtype=np.float64).reshape(-1, 3)
    template = vocabulary.positions_m()
    measured, wanted = _sphere(known), _sphere(template[np.isfinite(template[:, 0])])
    if measured is None or wanted is None:
        return list(positions_m), False
    (centre, radius), (centre_v, radius_v) = measured, wanted
    moved: list[Position | None] = []
    for p in positions_m:
        if p is None:
            moved.append(None)
        else:
            x, y, z = centre_v + (np.asarray(p) - centre) * (radius_v / radius)
            moved.append((float(x), float(y), float(z)))
    return moved, True


def _sphere(points: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Centre and radius of the sphere that fits the points above the ears best; None where they lie on none."""
    upper = points[points[:, 2] > 0] if points.size else points
    if len(upper) < _FEWEST:
        return None
    # |p|² = 2 c·p + (r² - |c|²), linear in the centre c and the rest
    equations = np.hstack([2 * upper, np.ones((len(upper), 1))])
    solved, _, rank, _ = np.linalg.lstsq(equations, (upper**2).sum(axis=1), rcond=None)
    centre = solved[:3]
    squared = float(solved[3] + centre @ centre)
    if rank < 4 or squared <= 0:
        return None
    radius = float(np.sqrt(squared))
    off = np.linalg.norm(upper - centre, axis=1) - radius
    if not _RADIUS_M[0] <= radius <= _RADIUS_M[1] or float(np.sqrt(np.mean(off**2))) > _ROUGHNESS_M:
        return None
    return centre, radius


def directions(vocabulary: Vocabulary, electrodes: Sequence[str]) -> np.ndarray:
    """Unit vectors from the centre of the vocabulary's head, (n_electrodes, 3); NaN where a row has no position."""
    template = vocabulary.positions_m()
    fitted = _sphere(template[np.isfinite(template[:, 0])])
    centre = np.zeros(3) if fitted is None else fitted[0]
    seen = template[[vocabulary.id_of(e) for e in electrodes]].reshape(-1, 3) - centre
    unit: np.ndarray = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    return unit
