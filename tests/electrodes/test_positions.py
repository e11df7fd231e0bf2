"""Channels that have a place and no name: the right electrode in every frame that files use, or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from eegprep.electrodes import Vocabulary, resolve_all
from eegprep.electrodes.heads import contradiction

BASE = Vocabulary.base()
NAMES_32 = """Fp1 Fp2 F7 F3 Fz F4 F8 FC5 FC1 FC2 FC6 T7 C3 Cz C4 T8 TP9 CP5 CP1 CP2 CP6 TP10 P7 P3 Pz P4 P8 PO9 O1
Oz O2 PO10"""
CAP_32 = NAMES_32.split()


@dataclass(frozen=True)
class Place:
    name: str
    position_m: tuple[float, float, float] | None
    kind: str = "eeg"
    status: str = "good"
    from_landmarks: bool = False


def montage(name: str) -> tuple[list[str], np.ndarray]:
    """Names and raw positions, (n, 3), of those of a montage of MNE that the vocabulary has."""
    from mne.channels import make_standard_montage

    places = make_standard_montage(name).get_positions()["ch_pos"]
    names = [n for n in BASE.names if n in places]
    return names, np.array([places[n] for n in names])


def counted(names: list[str], places: np.ndarray, *, from_landmarks: bool = False) -> tuple[int, int]:
    """How many channels, named by numbers alone, get their electrode, and how many another one."""
    channels = [Place(f"Ch{i}", tuple(map(float, p)), from_landmarks=from_landmarks) for i, p in enumerate(places)]
    found = resolve_all(BASE, channels)
    right = sum(r.electrode == n for r, n in zip(found, names, strict=True))
    assert {r.code for r in found} <= {"position", "no_near_electrode"}
    return right, sum(r.electrode is not None for r in found) - right


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("colin27_1005", 0.95),
        ("fsaverage_1005", 0.9),
        ("fsaverage_1020", 0.8),
        ("biosemi64", 0.5),
        ("brainproducts-RNP-BA-128", 0.5),
    ],
)
@pytest.mark.parametrize("unit", [1.0, 100.0, 1000.0], ids=["m", "cm", "mm"])
def test_frames_give_right_electrodes(name: str, share: float, unit: float) -> None:
    """A template brain's frame, an ideal sphere, metres that are millimetres: none of them leads astray."""
    names, places = montage(name)
    right, wrong = counted(names, unit * places)
    assert wrong == 0
    assert right >= share * len(names)


def test_common_cap_in_mni_frame() -> None:
    names, places = montage("fsaverage_1005")
    rows = [names.index(n) for n in CAP_32]
    right, wrong = counted(CAP_32, places[rows])
    assert wrong == 0
    assert right >= 28


@pytest.mark.parametrize("from_landmarks", [True, False])
@pytest.mark.parametrize("n", [1, 4, 8, 12, 15])
def test_few_positions_give_none(n: int, from_landmarks: bool) -> None:
    """Fewer than 16 fit any head, so they are refused in every frame, with the number."""
    names, places = montage("fsaverage_1005")
    rows = [names.index(e) for e in CAP_32[::2]][:n]
    assert counted(CAP_32[::2][:n], places[rows], from_landmarks=from_landmarks) == (0, 0)
    (first, *_) = resolve_all(BASE, [Place(f"Ch{i}", tuple(places[r])) for i, r in enumerate(rows)])
    assert f"{n} positions are too few" in first.reason


AXES = {
    "turned left": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
    "turned right": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
    "yzx": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    "zxy": [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
    "xzy": [[1, 0, 0], [0, 0, 1], [0, 1, 0]],
    "upside down": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
}


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("name", ["colin27_1005", "fsaverage_1005", "fsaverage_1020", "easycap-M1"])
def test_exchanged_axes_give_no_wrong(name: str, axes: str) -> None:
    names, places = montage(name)
    assert counted(names, places @ np.array(AXES[axes], dtype=float).T)[1] == 0


@pytest.mark.parametrize("name", ["spherical_1005", "spherical_1020"])
def test_wrong_sphere_gives_none(name: str) -> None:
    """A sphere whose rows lie elsewhere than on any head is refused as a whole."""
    names, places = montage(name)
    assert counted(names, places) == (0, 0)


@pytest.mark.parametrize("n", [16, 32, 64, 128])
def test_places_by_chance_give_none(n: int) -> None:
    generator = np.random.default_rng(n)
    for _ in range(5):
        points = generator.normal(size=(n, 3))
        points[:, 2] = np.abs(points[:, 2])
        points *= 0.095 / np.linalg.norm(points, axis=1, keepdims=True)
        found = resolve_all(BASE, [Place(f"Ch{i}", tuple(p)) for i, p in enumerate(points)])
        assert {r.code for r in found} == {"no_near_electrode"}


def test_landmarks_make_nets_readable() -> None:
    """A net of other places than the 10-05 system's: only positions measured from landmarks are used."""
    names = CAP_32[::2]
    head = BASE.positions_m()
    some = np.array([BASE.position_m(n) for n in names])
    apart = np.linalg.norm(head[:, None] - head[None], axis=2)
    between = np.concatenate([(head + head[np.argsort(apart, axis=1)[:, k]]) / 2 for k in (2, 3, 4)])
    far = np.linalg.norm(between[:, None] - head[None], axis=2).min(axis=1) > 0.009
    places = np.concatenate([some, between[far]])
    unknown = ["-"] * int(far.sum())
    assert len(unknown) > 30
    assert counted([*names, *unknown], places)[0] == 0
    assert counted([*names, *unknown], places, from_landmarks=True)[0] >= 12


def test_names_need_no_positions() -> None:
    """A known name is taken whatever its position says, and costs no search."""
    found = resolve_all(BASE, [Place(n, (1.0, 2.0, 3.0)) for n in CAP_32])
    assert [r.electrode for r in found] == CAP_32


MIRROR, BACK = np.diag([-1.0, 1.0, 1.0]), np.diag([1.0, -1.0, 1.0])


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        (np.eye(3), None),
        (1000 * np.eye(3), None),
        (MIRROR, "left and right are swapped"),
        (BACK, "front and back are swapped"),
        (MIRROR @ BACK, "left and right are swapped, front and back are swapped"),
        (np.array(AXES["turned left"], dtype=float), "left and right do not agree, front and back do not agree"),
    ],
)
def test_positions_contradict_names(turn: np.ndarray, said: str | None) -> None:
    """Left and right exchanged is told where the channels have names too; no distance shows it."""
    names, places = montage("fsaverage_1005")
    rows = [names.index(n) for n in CAP_32]
    found = contradiction(BASE, CAP_32, [tuple(p) for p in places[rows] @ turn.T])
    assert (found is None) if said is None else (said in (found or ""))


def test_few_names_contradict_nothing() -> None:
    assert contradiction(BASE, ["F3", "F4", None], [(0.05, 0.05, 0.05), (-0.05, 0.05, 0.05), None]) is None
