"""Does the leakage check find altered copies of a recording, does it confuse different ones, and what does it cost?

    python benchmarks/copies.py DATASET=FOLDER ...      e.g. eegmat=../shared/data/eegmat

Every data set is ingested into a temporary store. The first table has, for each alteration, the fewest hashes that a
copy shares with its original and the smallest part of the smaller set (a copy is found from LEAST_SHARED and LEAST_PART
on); the second has the most that two different recordings share; the last line has the check's share of ingest time.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from eegprep.ingest import ingest
from eegprep.manifest import find_manifest
from eegprep.recording import RecordingInfo
from eegprep.splits import fingerprint
from eegprep.splits.fingerprint import LEAST_PART, LEAST_SHARED, Fingerprint, Fingerprinter, similarity
from eegprep.store import Store

COPIES_PER_SET = 8
# Shorter stretches (trials) are not cropped.
CROPPED = 20 * 256


def print_of(names: list[str], signal: np.ndarray) -> Fingerprint:
    """The fingerprint of (n_electrodes, n_samples) microvolt at 256 Hz."""
    maker = Fingerprinter(names)
    maker.add(0, signal.astype(np.float32))
    return maker.finish()


def altered(names: list[str], x: np.ndarray) -> dict[str, tuple[list[str], np.ndarray]]:
    """Copies of a recording, each with one alteration."""
    import mne
    from scipy.signal import resample_poly

    rng, n = np.random.default_rng(0), x.shape[1]
    order = sorted(range(len(names)), key=lambda i: fingerprint.rank(names[i]))
    fewer = [i for i in range(len(names)) if i != order[0]]
    changed = x.copy()
    changed[:, n // 2] += 50
    again = resample_poly(resample_poly(x, 100, 256, axis=1), 256, 100, axis=1)[:, :n]
    copies = {
        "one electrode less": (([names[i] for i in fewer]), x[fewer]) if fewer else None,
        "gain x2": (names, 2 * x),
        "inverted": (names, -x),
        "offset of 5 mV": (names, x + 5000),
        "cropped to a half": (names, x[:, n // 3 : n // 3 + n // 2]) if n > CROPPED else None,
        "cropped to a tenth": (names, x[:, n // 3 : n // 3 + n // 10]) if n > CROPPED else None,
        "lengthened by a half": (names, np.concatenate([0.7 * x[:, : n // 2][:, ::-1], x], axis=1)),
        "resampled to 100 Hz and back": (names, again),
        "average reference": (names, x - x.mean(axis=0)) if len(names) > 3 else None,
        "another electrode as reference": (names[:-1], x[:-1] - x[-1]) if len(names) > 3 else None,
        "one sample changed": (names, changed),
        "last bit changed": (names, x + rng.integers(0, 2, x.shape) * 0.01),
        "rounded to 0.5 µV": (names, np.round(2 * x) / 2),
        "noise of 1 µV added": (names, x + rng.normal(0, 1, x.shape)),
        "high-pass at 2 Hz": (names, mne.filter.filter_data(x, 256, 2, None, verbose=False)),
        "low-pass at 30 Hz": (names, mne.filter.filter_data(x, 256, None, 30, verbose=False)),
    }
    return {name: copy for name, copy in copies.items() if copy is not None}


def longest(store: Store, info: RecordingInfo) -> np.ndarray:
    """The longest stretch of a recording, (n_electrodes, n_samples) float64."""
    stretch = max(info.stretches, key=lambda s: s.n_samples)
    return np.stack([store.electrode_uv(info, e, stretch) for e in info.electrodes]).astype(np.float64)


def main() -> None:
    """Print the tables."""
    shared: dict[str, list[tuple[int, float]]] = defaultdict(list)
    prints: dict[str, Fingerprint] = {}
    spent = total = 0.0
    add = Fingerprinter.add

    def timed(self: Fingerprinter, start: int, chunk: np.ndarray) -> None:
        nonlocal spent
        begun = time.perf_counter()
        add(self, start, chunk)
        spent += time.perf_counter() - begun

    with tempfile.TemporaryDirectory() as scratch:
        for argument in sys.argv[1:]:
            name, _, folder = argument.partition("=")
            out = Path(scratch) / name
            Fingerprinter.add = timed  # type: ignore[method-assign]
            begun = time.perf_counter()
            ingest(find_manifest(name), Path(folder), out, workers=0, partial=True)
            total += time.perf_counter() - begun
            Fingerprinter.add = add  # type: ignore[method-assign]
            store = Store.open(out)
            infos = store.infos()
            prints |= {info.id: Fingerprint.parse(info.fingerprint) for info in infos}
            for info in infos[:: max(1, len(infos) // COPIES_PER_SET)][:COPIES_PER_SET]:
                names, x = list(info.electrodes), longest(store, info)
                original = print_of(names, x)
                for what, (kept, copy) in altered(names, x).items():
                    shared[what].append(similarity(original, print_of(kept, copy)))
    print(f"{'alteration':34}{'copies':>8}{'fewest shared':>15}{'smallest part':>15}{'missed':>8}")
    for what, found in shared.items():
        missed = sum(n < LEAST_SHARED or part < LEAST_PART for n, part in found)
        print(f"{what:34}{len(found):8}{min(n for n, _ in found):15}{min(p for _, p in found):15.3f}{missed:8}")
    pairs = sorted(
        ((*similarity(prints[a], prints[b]), a, b) for a, b in itertools.combinations(sorted(prints), 2)), reverse=True
    )
    alarms = sum(n >= LEAST_SHARED and part >= LEAST_PART for n, part, _, _ in pairs)
    print(f"\n{len(pairs)} pairs of {len(prints)} different recordings, {alarms} taken for copies; the most alike:")
    for n, part, a, b in pairs[:5]:
        print(f"  {n} hashes, {part:.3f}: {a}, {b}")
    print(f"\nfingerprints took {100 * spent / total:.2f} % of the time of ingest ({spent:.2f} of {total:.1f} s)")


if __name__ == "__main__":
    main()
