"""The montage check: figures of right and wrong orders of channels, false alarms, misses, and what it costs.

    OMP_NUM_THREADS=1 python benchmarks/montage_check.py [--data DIR] [--json FILE]

Every recording of the data sets at hand is judged under its own names and under names that were exchanged on purpose.
An alarm for a data set is what `eegprep ingest` would print, one for a recording what `eegprep inspect` would note.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.heads import directions
from eegprep.electrodes.montage_check import FEWEST, montage_fit, montage_warning
from eegprep.errors import EEGPTError
from eegprep.ingest.process import carry_out
from eegprep.manifest import find_manifest, recipe_of
from eegprep.recording import MontageFit
from eegprep.sources import open_source
from eegprep.sources.units import sampled_density
from eegprep.standardise import Nowhere, decide, make_plan

SETS = ("eegmat", "eegmmidb", "ssvep_exo", "guinea_bissau", "uci_alcohol", "adhd_nasrabadi")
PUBLIC_ORDER = "Fz Cz Pz C3 T7 C4 T8 Fp1 Fp2 F3 F4 F7 F8 P3 P4 P7 P8 O1 O2"
PUBLIC = PUBLIC_ORDER.split()
VOCABULARY = Vocabulary.base()
Rename = Callable[[list[str], np.random.Generator], list[str]]


@dataclass(frozen=True)
class Judged:
    """One recording: covariance (n_segments, n, n), its channels, and seconds of the check and of ingest."""

    covariance: np.ndarray
    names: list[str]
    references: list[str]
    check_s: float
    whole_s: float

    def fit(self, names: Sequence[str], rows: Sequence[int] | None = None) -> MontageFit | None:
        """Run the check with other names, for all channels or a subset."""
        rows = list(range(len(names))) if rows is None else list(rows)
        covariance = self.covariance[:, rows][:, :, rows]
        return montage_fit(covariance, [names[r] for r in rows], [self.references[r] for r in rows], VOCABULARY)


def judged(name: str, folder: Path) -> list[Judged]:
    """All recordings of a data set that have a covariance."""
    manifest = find_manifest(name)
    source, recipe = open_source(manifest, folder), recipe_of(manifest)
    out = []
    for planned in source.plan():
        began = time.perf_counter()
        try:
            decision = decide(source.read(planned), manifest=manifest, recipe=recipe, vocabulary=VOCABULARY)
            carry_out(make_plan(decision), Nowhere())
        except EEGPTError:
            continue
        whole_s = time.perf_counter() - began
        checks = decision.checks
        if checks is None or checks.covariance is None:
            continue
        kept = [p for p, row in enumerate(decision.checked) if decision.verdicts[row].electrode]
        verdicts = [decision.verdicts[decision.checked[p]] for p in kept]
        covariance = checks.covariance[:, kept][:, :, kept]
        one = Judged(
            covariance, [str(v.electrode) for v in verdicts], [v.reference for v in verdicts], _cost(decision), whole_s
        )
        if one.fit(one.names) is not None:
            out.append(one)
    return out


def _cost(decision: object) -> float:
    """Seconds of the covariances and the fit, best of three."""
    recording, signal = decision.recording, decision.signal  # type: ignore[attr-defined]
    took = []
    for _ in range(3):
        began = time.perf_counter()
        with_it = sampled_density(signal, recording.stretches, recording.sfreq_hz, n_covariances=20)
        between = time.perf_counter()
        sampled_density(signal, recording.stretches, recording.sfreq_hz)
        after = time.perf_counter()
        names = [v.electrode for v in decision.verdicts if v.row in decision.checked]  # type: ignore[attr-defined]
        live = [i for i, n in enumerate(names) if n]
        if with_it.covariance is not None:
            covariance = with_it.covariance[:, live][:, :, live]
            montage_fit(covariance, [names[i] for i in live], [""] * len(live), VOCABULARY)
        took.append((between - began) - (after - between) + time.perf_counter() - after)
    return max(min(took), 0.0)


def _mirrored(names: list[str], _: np.random.Generator) -> list[str]:
    out = []
    for name in names:
        x, y, z = VOCABULARY.position_m(name)  # type: ignore[misc]
        out.append(VOCABULARY.nearest((-x, y, z), 1)[0][0])
    return out if len(set(out)) == len(out) else names


def _swapped(far: bool) -> Rename:
    def rename(names: list[str], generator: np.random.Generator) -> list[str]:
        towards = directions(VOCABULARY, names)
        angles = np.degrees(np.arccos(np.clip(towards @ towards.T, -1, 1)))
        pairs = [(i, j) for i in range(len(names)) for j in range(i) if (angles[i, j] > 60) == far]
        out = list(names)
        if pairs:
            i, j = pairs[generator.integers(len(pairs))]
            out[i], out[j] = out[j], out[i]
        return out

    return rename


ORDERS: dict[str, Rename] = {
    "right": lambda names, _: names,
    "by chance": lambda names, generator: [names[i] for i in generator.permutation(len(names))],
    "shifted by one": lambda names, _: names[1:] + names[:1],
    "reversed": lambda names, _: names[::-1],
    "two far ones exchanged": _swapped(True),
    "two near ones exchanged": _swapped(False),
    "left and right exchanged": _mirrored,
}


def row(recordings: Sequence[Judged], rename: Rename, seed: int = 0) -> dict[str, object]:
    """Figures and alarms for one kind of order, the same for all recordings with the same channels."""
    fits = []
    for one in recordings:
        fit = one.fit(rename(one.names, np.random.default_rng(seed)))
        if fit is not None:
            fits.append(fit)
    figures = sorted(f.figure for f in fits)
    return {
        "recordings": len(fits),
        "median": round(statistics.median(figures), 2),
        "least": round(figures[0], 2),
        "most": round(figures[-1], 2),
        "recordings_warned": sum(montage_warning([f]) is not None for f in fits),
        "warned": montage_warning(fits) or "",
    }


def some_electrodes(recordings: Sequence[Judged], n: int, rename: Rename, draws: int = 20) -> tuple[int, int]:
    """Number of alarms for data sets among `draws` random choices of `n` electrodes."""
    names = recordings[0].names
    alike = [r for r in recordings if r.names == names][:15]
    warned = tried = 0
    for seed in range(draws if len(names) > n else 0):
        generator = np.random.default_rng(seed)
        rows = np.sort(generator.choice(len(names), n, replace=False)).tolist()
        called = list(names)
        for place, new in zip(rows, rename([names[r] for r in rows], generator), strict=True):
            called[place] = new
        fits = [f for r in alike if (f := r.fit(called, rows)) is not None]
        tried += bool(fits)
        warned += bool(fits) and montage_warning(fits) is not None
    return warned, tried


def pooled(recordings: Sequence[Judged], names: list[str]) -> float:
    """The simplest form of the check: mean absolute correlation over recordings against distance."""
    alike = []
    for one in recordings:
        sd = np.sqrt(np.einsum("eii->ei", one.covariance))
        alike.append(np.nanmean(np.abs(one.covariance / (sd[:, :, None] * sd[:, None, :])), axis=0))
    towards = directions(VOCABULARY, names)
    angles = np.arccos(np.clip(towards @ towards.T, -1, 1))
    pairs = np.triu_indices(len(names), 1)
    ranks = [np.argsort(np.argsort(v)) for v in (-np.mean(alike, axis=0)[pairs], angles[pairs])]
    return float(np.corrcoef(*ranks)[0, 1])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("EEGPT_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, dict[str, object]] = {}
    print(
        f"{'data set, order':44}{'n':>4}{'median':>8}{'least':>7}{'most':>7}{'recordings warned':>19}  data set warned"
    )
    for name in SETS:
        if not (arguments.data / name).is_dir():
            print(f"{name}: not at hand")
            continue
        recordings = judged(name, arguments.data / name)
        orders = dict(ORDERS)
        if name == "adhd_nasrabadi":
            orders["as one public description has it"] = lambda names, _: PUBLIC
        table: dict[str, object] = {}
        for order, rename in orders.items():
            found = row(recordings, rename)
            table[order] = found
            what = "order" if "hardly" in str(found["warned"]) else "exchange" if found["warned"] else "-"
            print(
                f"{name + ', ' + order:44}{found['recordings']:>4}{found['median']:>8}{found['least']:>7}"
                f"{found['most']:>7}"
                f"{found['recordings_warned']:>7}  {what}"
            )
        for n in (FEWEST, 12, 16, 19):
            right = some_electrodes(recordings, n, ORDERS["right"])
            wrong = some_electrodes(recordings, n, ORDERS["by chance"])
            table[f"{n} electrodes"] = {"right": right, "by chance": wrong}
            if right[1]:
                counts = f"{right[0]} of {right[1]} right, {wrong[0]} of {wrong[1]} by chance"
                print(f"    any {n} electrodes, warned of: {counts}")
        cost, whole = sum(r.check_s for r in recordings), sum(r.whole_s for r in recordings)
        table["cost"] = {"check_s": cost, "whole_s": whole}
        share = 100 * cost / whole
        print(f"    cost: {1000 * cost / len(recordings):.1f} ms a recording, {share:.1f} % of reading and preparing")
        if name == "adhd_nasrabadi":
            figures = pooled(recordings, recordings[0].names), pooled(recordings, PUBLIC)
            print(
                f"    plain absolute correlation, mean over recordings: {figures[0]:.2f}, public order {figures[1]:.2f}"
            )
        results[name] = table
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
