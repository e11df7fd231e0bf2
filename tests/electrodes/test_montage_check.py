"""A wrong order of channels is told from the signal, whatever the reference; noise and derivations tell nothing."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import pytest
from edfio import Edf, EdfSignal
from support.commands import run_command

from eegprep.electrodes import Electrode, Vocabulary
from eegprep.electrodes.heads import directions
from eegprep.electrodes.montage_check import montage_fit, montage_warning
from eegprep.ingest import ingest
from eegprep.manifest import find_manifest
from eegprep.recording import MontageFit, RecordingInfo, Stretch
from eegprep.report.page import write_report
from eegprep.sources.implicit import manifest_for_path
from eegprep.standardise.checks import check_signal
from eegprep.store import Store

BASE = Vocabulary.base()
NAMES = "Fp1 Fp2 F3 F4 C3 C4 P3 P4 O1 O2 F7 F8 T7 T8 P7 P8 Fz Cz Pz"
CAP = NAMES.split()
PUBLIC = "Fz Cz Pz C3 T7 C4 T8 Fp1 Fp2 F3 F4 F7 F8 P3 P4 P7 P8 O1 O2"
RATE = 128.0


def brain(names: list[str], seed: int = 0, seconds: int = 60) -> np.ndarray:
    """(n, samples) in µV: sources all over the head, of which each electrode sees the nearer ones more."""
    generator = np.random.default_rng(seed)
    towards = directions(BASE, names)
    sources = generator.normal(size=(60, 3))
    sources /= np.linalg.norm(sources, axis=1, keepdims=True)
    mixing = np.exp(4 * (towards @ sources.T - 1))
    waves = generator.normal(size=(60, int(seconds * RATE))).cumsum(axis=1)
    waves -= np.apply_along_axis(lambda w: np.convolve(w, np.ones(128) / 128, "same"), 1, waves)
    return 12 * mixing @ waves + generator.normal(0, 1, (len(names), waves.shape[1]))


def fit(signal: np.ndarray, names: list[str], references: list[str] | None = None) -> MontageFit | None:
    checks = check_signal(signal, RATE, [Stretch(start_sample=0, n_samples=signal.shape[1])])
    return montage_fit(checks.covariance, names, references or [""] * len(names), BASE)


def test_right_order_is_high() -> None:
    found = fit(brain(CAP), CAP)
    assert found.figure > 0.8
    assert (found.n_electrodes, found.n_segments) == (19, 15)
    assert montage_warning([found]) is None


@pytest.mark.parametrize("names", [PUBLIC.split(), CAP[1:] + CAP[:1]], ids=["public", "shifted"])
def test_wrong_order_is_low(names: list[str]) -> None:
    found = fit(brain(CAP), names)
    assert found.figure < 0.4
    assert "are probably wrong" in (montage_warning([found]) or "")


REFERENCES = {
    "common": lambda s: s + 3 * s[0],
    "average": lambda s: s - s.mean(axis=0),
    "an electrode": lambda s: s - s[17] + np.random.default_rng(1).normal(0, 0.1, s.shape),
    "mains": lambda s: s + 200 * np.sin(2 * np.pi * 50 * np.arange(s.shape[1]) / RATE),
    "drift": lambda s: s + np.linspace(0, 5000, s.shape[1]),
    "scales": lambda s: s * np.linspace(0.2, 3, 19)[:, None],
    "sign": lambda s: -s,
}


@pytest.mark.parametrize("changed", REFERENCES)
def test_figure_outlives_references(changed: str) -> None:
    """What all channels have in common, and how large each one is, changes little."""
    signal = REFERENCES[changed](brain(CAP))
    assert fit(signal, CAP).figure > 0.7
    assert fit(signal, PUBLIC.split()).figure < 0.2


def test_bad_channels_cost_little() -> None:
    """A dead channel takes no part; two noisy ones are two of nineteen."""
    signal = brain(CAP)
    signal[3] = 0.0
    signal[5] = np.random.default_rng(0).normal(0, 500, signal.shape[1])
    signal[6, 100:200] = np.nan
    found = fit(signal, CAP)
    assert found.n_electrodes == 18
    assert found.figure > 0.5


def test_mirror_has_the_same_figure() -> None:
    """Distances do not tell left from right: this is what the check can't see."""
    mirrored = [*(CAP[i ^ 1] for i in range(16)), *CAP[16:]]
    assert mirrored[:4] == ["Fp2", "Fp1", "F4", "F3"]
    assert abs(fit(brain(CAP), CAP).figure - fit(brain(CAP), mirrored).figure) < 0.02


def test_noise_is_not_warned_of() -> None:
    """Channels that have nothing in common have no order: the figure is near 0, and nothing is said."""
    found = fit(np.random.default_rng(0).normal(0, 20, (19, 8000)), CAP)
    assert abs(found.figure) < 0.3
    assert found.likeness < 0.4
    assert montage_warning([found]) is None


def test_short_recording_is_not_warned_of() -> None:
    assert montage_warning([fit(brain(CAP, seconds=9), PUBLIC.split())]) is None


def test_no_figure_without_eight() -> None:
    assert fit(brain(CAP[:7]), CAP[:7]) is None
    assert fit(brain(CAP[:8]), CAP[:8]) is not None
    assert montage_fit(None, CAP, [""] * 19, BASE) is None


def test_derivations_have_no_figure() -> None:
    """Each channel against its neighbour; but a cap of one reference beside two derivations is judged without them."""
    chain = [CAP[(i + 1) % 19] for i in range(19)]
    assert fit(brain(CAP), CAP, chain) is None
    assert fit(brain(CAP), CAP, [*chain[:2], *["LE"] * 17]).n_electrodes == 17


def test_two_sides_are_judged_apart() -> None:
    """Left against the left ear, right against the right one: the larger group counts."""
    references = ["A1" if name[-1] in "13579z" else "A2" for name in CAP]
    assert fit(brain(CAP), CAP, references).n_electrodes == 11


def test_electrodes_without_a_place() -> None:
    own = BASE.extend([Electrode(name="Ours1"), Electrode(name="Ours2")])
    signal = brain(CAP)
    checks = check_signal(signal, RATE, [Stretch(start_sample=0, n_samples=signal.shape[1])])
    found = montage_fit(checks.covariance, ["Ours1", "Ours2", *CAP[2:]], [""] * 19, own)
    assert found.n_electrodes == 17


def test_exchanged_pair_is_named() -> None:
    """Two names that are exchanged in all recordings leave a good figure and are named; not so in one of four."""
    names = list(CAP)
    names[4], names[7] = names[7], names[4]
    wrong = [fit(brain(CAP, seed), names) for seed in range(4)]
    right = [fit(brain(CAP, seed), CAP) for seed in range(4)]
    text = montage_warning(wrong) or ""
    assert "in 4 of 4 recordings" in text
    assert "C3 and P4" in text or "P4 and C3" in text
    assert montage_warning([wrong[0], *right[1:]]) is None


def test_one_odd_recording_of_many() -> None:
    """The median speaks for a data set; the odd recording is noted by itself."""
    wrong = fit(brain(CAP), PUBLIC.split())
    right = [fit(brain(CAP, seed), CAP) for seed in range(3)]
    assert montage_warning([wrong, *right]) is None
    assert montage_warning([wrong]) is not None


def write_edfs(folder: Path, names: list[str], n: int = 3) -> None:
    for seed in range(n):
        path = folder / f"s{seed}" / "r.edf"
        path.parent.mkdir(parents=True)
        rows = zip(names, brain(CAP, seed), strict=True)
        Edf(
            [
                EdfSignal(row, RATE, label=name, physical_dimension="uV", physical_range=(-3000, 3000))
                for name, row in rows
            ]
        ).write(path)


@pytest.mark.parametrize(("names", "wrong"), [(CAP, False), (PUBLIC.split(), True)], ids=["right", "wrong"])
def test_store_report_and_lock_have_it(tmp_path: Path, names: list[str], wrong: bool) -> None:
    write_edfs(tmp_path / "raw", names)
    manifest = manifest_for_path(tmp_path / "raw")
    summary = ingest(manifest, tmp_path / "raw", tmp_path / "store", workers=0)
    assert bool(summary.montage_warning) is wrong
    assert (summary.montage > 0.7) is not wrong
    assert summary.exit_code == 0
    store = Store.open(tmp_path / "store")
    for info in store.infos():
        assert info.montage.n_electrodes == 19
        assert RecordingInfo.from_json(json.loads(json.dumps(info.to_json()))) == info
        assert RecordingInfo.from_json({k: v for k, v in info.to_json().items() if k != "montage"}).montage is None
    told = json.loads((tmp_path / "store" / "report.json").read_text())["montage"]
    assert (told["recordings"], bool(told["warning"])) == (3, wrong)
    assert "about: montage" in (tmp_path / "store" / "lock.yaml").read_text()
    page = tmp_path / "page.html"
    write_report(tmp_path / "store", page)
    text = page.read_text()
    assert "montage check" in text
    assert ("Montage check: neighbouring channels" in text) is wrong


@pytest.mark.parametrize(("names", "wrong"), [(CAP, False), (PUBLIC.split(), True)], ids=["right", "wrong"])
def test_commands_show_it(tmp_path: Path, names: list[str], wrong: bool) -> None:
    write_edfs(tmp_path / "raw", names)
    run = functools.partial(run_command, "eegprep")
    told = json.loads(run("inspect", tmp_path / "raw", "--json", "--workers", 0).stdout)
    assert bool(told["montage_warning"]) is wrong
    assert all((r["montage"]["figure"] > 0.7) is not wrong for r in told["recordings"])
    assert all(any("montage check" in note for note in r["notes"]) is wrong for r in told["recordings"])
    shown = run("inspect", tmp_path / "raw", "--workers", 0).stdout
    assert "montage" in shown
    assert ("warning: montage check" in shown) is wrong
    ingested = run("ingest", tmp_path / "raw", "--out", tmp_path / "store", "--workers", 0)
    assert ingested.returncode == 0
    assert "montage check: " in ingested.stdout
    assert ("warning: montage check" in ingested.stderr) is wrong


@pytest.mark.data
@pytest.mark.parametrize(("order", "low", "high"), [(NAMES, 0.7, 0.85), (PUBLIC, -0.1, 0.1)], ids=["right", "public"])
def test_order_of_a_real_data_set(data_dir: Path, tmp_path: Path, order: str, low: float, high: float) -> None:
    """Files without names: the order of the manifest fits the signal, one in a public description does not."""
    manifest = find_manifest("adhd_nasrabadi")
    source = manifest.source.model_copy(update={"channels": order.split(), "files": ["{session}/{subject}.mat"]})
    for group in ("ADHD", "Control"):
        (tmp_path / group).mkdir()
        for path in sorted((data_dir / "adhd_nasrabadi" / group).glob("*.mat"))[:4]:
            (tmp_path / group / path.name).write_bytes(path.read_bytes())
    manifest = manifest.model_copy(update={"source": source})
    summary = ingest(manifest, tmp_path, tmp_path / "store", workers=0, partial=True)
    assert low < summary.montage < high
    assert bool(summary.montage_warning) is (order == PUBLIC)


def test_fits_are_plain_data() -> None:
    found = fit(brain(CAP), CAP)
    assert json.loads(json.dumps(dataclasses.asdict(found)))["swap"] == list(found.swap)
