"""Fit the measured electrode positions of one head to the head of the vocabulary.

Heads differ by a centimetre and more in size, electrodes are 15 to 30 mm apart, and files state positions in different
frames: measured from anatomical landmarks, from a template brain (MNI), from an ideal sphere. All of these have x to
the right, y to the front and z up, or are converted by their reader; they differ in origin, scale and pitch. So the
sphere fitted to the upper half of the positions is moved and scaled onto the vocabulary's, and rotated about the axis
through the ears so that most positions match electrodes.

If the match is not clearly better than chance, only positions measured from landmarks are used, without fitting. A few
positions would fit any head, so they are never used.

Positions alone do not show whether left and right or front and back are exchanged; `contradiction` detects it if
channels also have names.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eegprep.electrodes.vocabulary import Vocabulary

# Neighbours in the base vocabulary are 15 to 30 mm apart, so half the smallest distance keeps matches unique.
POSITION_TOLERANCE_M = 0.0075

_FEWEST = 16
_RADIUS_M = (0.06, 0.13)
#: Root mean square distance from the sphere relative to its radius; 0.04 is typical, since heads are not spheres.
_ROUGHNESS = 0.12
#: Degrees; frames of templates differ by up to 10.
_MOST_PITCH = 16
#: Share of a sphere that caps cover.
_COVERED = 0.6

Position = tuple[float, float, float]


def on_template(
    vocabulary: Vocabulary, positions_m: Sequence[Position | None], *, from_landmarks: bool = True
) -> tuple[list[Position | None], str]:
    """Fit positions to the vocabulary's head.

    Parameters
    ----------
    positions_m : sequence of (3,) or None
        x to the right, y to the front, z up, in metres; in any unit if they are not from landmarks.
    from_landmarks : bool
        Whether they were measured from the nasion and the ears.

    Returns
    -------
    positions : list of (3,) or None
        All None if they cannot be compared.
    reason : str
        Why they cannot be compared; empty if they can.
    """
    known = [i for i, p in enumerate(positions_m) if p is not None]
    none: list[Position | None] = [None] * len(positions_m)
    points = np.array([positions_m[i] for i in known], dtype=np.float64).reshape(-1, 3)
    if len(points) < _FEWEST:
        return none, f"{len(known)} positions are too few to fit a head; {_FEWEST} are needed"
    template = vocabulary.positions_m()
    template = template[np.isfinite(template[:, 0])]
    spheres = [s for s in (_sphere(points[points[:, 2] > 0]), _sphere(points)) if s is not None]
    wanted = _sphere(template[template[:, 2] > 0])
    if not spheres or wanted is None:
        return none, "the file's positions are not on a head"
    centre_v, radius_v = wanted
    scaled = [(points - centre) * (radius_v / radius) for centre, radius in spheres]
    share, nodded = max((_best_pitch(p, template - centre_v) for p in scaled), key=lambda found: found[0])
    upright, radius = scaled[0], spheres[0][1]
    # The number of positions near an electrode by chance, plus three standard deviations.
    chance = min(0.9, len(template) * (POSITION_TOLERANCE_M / radius_v) ** 2 / (4 * _COVERED))
    if share < chance + 3 * np.sqrt(chance * (1 - chance) / len(known)):
        if not from_landmarks or not _RADIUS_M[0] <= radius <= _RADIUS_M[1]:
            return none, "the file's positions do not match the 10-05 system, and their frame is unknown"
        nodded = upright
    for i, (x, y, z) in zip(known, nodded + centre_v, strict=True):
        none[i] = (float(x), float(y), float(z))
    return none, ""


def _best_pitch(points: NDArray[np.float64], template: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Rotate points about the ear axis so that most are near electrodes; return their share and the points."""
    best: tuple[float, float] = (-1.0, 0.0)
    chosen = points
    for degrees in range(-_MOST_PITCH, _MOST_PITCH + 1):
        a = np.radians(degrees)
        turn = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(a), -np.sin(a)], [0.0, np.sin(a), np.cos(a)]])
        turned = points @ turn.T
        off = np.min(np.linalg.norm(turned[:, None] - template[None], axis=2), axis=1)
        found = (float(np.mean(off <= POSITION_TOLERANCE_M)), -float(np.median(off)))
        if found > best:
            best, chosen = found, turned
    return best[0], chosen


def contradiction(
    vocabulary: Vocabulary, electrodes: Sequence[str | None], positions_m: Sequence[Position | None]
) -> str | None:
    """Contradictions between names and positions of a file's channels; None if they agree."""
    template = vocabulary.positions_m()
    pairs = [
        (template[vocabulary.id_of(e)], p) for e, p in zip(electrodes, positions_m, strict=True) if e and p is not None
    ]
    pairs = [pair for pair in pairs if np.isfinite(pair[0]).all()]
    if len(pairs) < _FEWEST // 2:
        return None
    named, placed = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    found = []
    for axis, what in ((0, "left and right"), (1, "front and back")):
        sd = named[:, axis].std() * placed[:, axis].std()
        if named[:, axis].std() < 0.02 or sd == 0:
            continue
        agreement = float(np.cov(named[:, axis], placed[:, axis], bias=True)[0, 1]) / sd
        if agreement < -0.5:
            found.append(f"{what} are swapped")
        elif agreement < 0.5:
            found.append(f"{what} do not agree")
    if not found:
        return None
    return f"the channels' positions contradict their names ({', '.join(found)}); the names are used: check them"


def _sphere(points: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Centre and radius of the best-fitting sphere; None if the points are not on a sphere."""
    if len(points) < _FEWEST:
        return None
    # |p|² = 2 c·p + (r² - |c|²), linear in the centre c and the rest
    equations = np.hstack([2 * points, np.ones((len(points), 1))])
    solved, _, rank, _ = np.linalg.lstsq(equations, (points**2).sum(axis=1), rcond=None)
    centre = solved[:3]
    squared = float(solved[3] + centre @ centre)
    if rank < 4 or squared <= 0:
        return None
    radius = float(np.sqrt(squared))
    off = np.linalg.norm(points - centre, axis=1) - radius
    if float(np.sqrt(np.mean(off**2))) > _ROUGHNESS * radius:
        return None
    return centre, radius


def directions(vocabulary: Vocabulary, electrodes: Sequence[str]) -> np.ndarray:
    """Unit vectors from the centre of the vocabulary's head, (n_electrodes, 3); NaN if a row has no position."""
    template = vocabulary.positions_m()
    fitted = _sphere(template[template[:, 2] > 0])
    centre = np.zeros(3) if fitted is None else fitted[0]
    seen = template[[vocabulary.id_of(e) for e in electrodes]].reshape(-1, 3) - centre
    unit: np.ndarray = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    return unit
