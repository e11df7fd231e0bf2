"""EOG, EMG and ECG beside EEG, and all derivations of a recording: from files to stores and shard sets."""

from __future__ import annotations

import numpy as np
import pytest
from support.clinical import BANANA, HMC, derived, heartbeat, potentials, write_chb, write_edf, write_hmc

from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.ingest import ingest, inspect
from eegprep.manifest import find_manifest, load_recipe
from eegprep.manifest.recipe import recipe_of_steps
from eegprep.shards import ShardSet, build_shard_set, verify_shard_set
from eegprep.shards.verify.rebuild import compare_rebuilt
from eegprep.sources.implicit import manifest_for_path
from eegprep.store import Store
from eegprep.store.view import Rereferenced
from eegpt.data import TrialIndex, WindowIndex

DEFAULT = load_recipe("default")
PLACES = sorted({p for n in BANANA for p in n.split("-")})


def stored(folder, names, signals, recipe=DEFAULT, sfreq_hz=256):
    """One EDF file in a store, and its recording."""
    write_edf(folder / "raw" / "a.edf", names, signals, sfreq_hz)
    manifest, source = manifest_for_path(folder / "raw" / "a.edf"), folder / "raw" / "a.edf"
    summary = ingest(manifest, source, folder / "store", recipe=recipe, workers=0)
    assert not summary.failed, summary.failed
    store = Store.open(folder / "store")
    (info,) = store.infos()
    return store, info


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    write_hmc(folder / "raw", subjects=1, rounds=1)
    manifest = find_manifest("hmc")
    for name, recipe in (("all", None), ("eeg", load_recipe("polysomnography").with_kinds(["eeg"]))):
        ingest(manifest, folder / "raw", folder / name, recipe=recipe, workers=0, partial=True)
    return folder


def test_night_keeps_every_channel(night):
    """The night's eight channels are stored with their references, other kinds after their own filters."""
    store = Store.open(night / "all")
    (info,) = store.infos()
    assert list(zip(info.electrodes, info.references, strict=True)) == [
        ("F4", "M1"), ("C4", "M1"), ("O2", "M1"), ("C3", "M2"), ("EMGchin", "unknown"), ("EOGL", "M2"),
        ("EOGR", "M2"), ("ECG", "unknown"),
    ]  # fmt: skip
    assert info.inputs == info.electrodes
    assert len(info.sigma_uv) == 8
    assert min(info.sigma_uv) > 0
    assert recipe_of_steps(info.steps).kinds == ("eeg", "eog", "emg", "ecg", "respiration")
    chin = store.electrode_uv(info, "EMGchin")
    power = np.abs(np.fft.rfft(chin[: 256 * 30])) ** 2
    hz = np.fft.rfftfreq(256 * 30, 1 / 256)
    assert power[hz < 8].sum() < 1e-3 * power[(hz > 10) & (hz < 100)].sum()


def test_eeg_is_the_same_with_other_kinds(night):
    """EEG rows do not change by keeping other kinds: same samples, same deviation, same fingerprint."""
    (all_kinds,), (eeg,) = (Store.open(night / name).infos() for name in ("all", "eeg"))
    assert eeg.electrodes == ("F4", "C4", "O2", "C3")
    assert not (night / "eeg" / "electrodes.parquet").exists()
    assert (night / "all" / "electrodes.parquet").exists()
    assert all_kinds.fingerprint == eeg.fingerprint
    assert all_kinds.spectrum_before_uv2_hz == eeg.spectrum_before_uv2_hz
    for row, name in enumerate(eeg.electrodes):
        both = [Store.open(night / f).electrode_uv(i, name) for f, i in (("all", all_kinds), ("eeg", eeg))]
        np.testing.assert_array_equal(*both)
        assert all_kinds.sigma_uv[row] == eeg.sigma_uv[row]


def test_left_out_names_the_option(night):
    """What EEG alone leaves out says how to keep it, in the store as in inspect."""
    (info,) = Store.open(night / "eeg").infos()
    reasons = {x.name: x.reason for x in info.left_out if x.kind == "channel"}
    assert set(reasons) == {"EMG chin", "EOG E1-M2", "EOG E2-M2", "ECG"}
    assert "--kinds eeg,emg keeps it" in reasons["EMG chin"]
    found = inspect(find_manifest("hmc"), night / "raw", workers=0, partial=True)
    assert [c.electrode is not None for c in found.recordings[0].channels] == [True] * 8


def test_shards_of_a_night(night):
    """A shard set has a folder for each row, kinds in its vocabulary, and verifies; the index chooses kinds."""
    build_shard_set([night / "all"], night / "shards")
    verify_shard_set(night / "shards", deep=True)
    compare_rebuilt(night / "shards", [night / "all"])
    opened = ShardSet.open(night / "shards")
    assert len(opened.vocabulary) > 138
    used = {opened.vocabulary.name_of(int(i)) for i in set(opened.blocks.electrode)}
    assert {opened.vocabulary.kind_of(n) for n in used} == {"eeg", "eog", "emg", "ecg"}
    trials = TrialIndex(opened)
    assert set(trials.inputs(0)) == used
    assert set(TrialIndex(opened, kinds=["eeg"]).inputs(0)) == {"C3", "C4", "F4", "O2"}
    windows = WindowIndex(opened, n_samples=1024, stride=1024, splits=None, kinds=["eog"], references=["M2"])
    names = {opened.vocabulary.name_of(int(i)) for i in windows.gather(np.arange(len(windows))).electrode}
    assert names == {"EOGL", "EOGR"}
    with pytest.raises(UsageError, match="nothing was measured against 'Cz'"):
        WindowIndex(opened, n_samples=1024, stride=1024, splits=None, references=["Cz"])
    with pytest.raises(UsageError, match="unknown kind"):
        TrialIndex(opened, kinds=["brain"])


def test_eeg_alone_has_the_138(night):
    """The shard set of EEG alone has the vocabulary of 138 electrodes."""
    build_shard_set([night / "eeg"], night / "eeg_shards")
    assert len(ShardSet.open(night / "eeg_shards").vocabulary) == 138


@pytest.fixture(scope="module")
def banana(tmp_path_factory):
    folder = tmp_path_factory.mktemp("banana")
    write_chb(folder / "raw", cases=("02",))
    ingest(find_manifest("chbmit"), folder / "raw", folder / "store", workers=0, partial=True)
    build_shard_set([folder / "store"], folder / "shards")
    return folder


def test_every_derivation_is_stored(banana):
    """All derivations are kept, also several of one electrode; the second T8-P8 is a duplicate."""
    store = Store.open(banana / "store")
    (info,) = store.infos()
    pairs = list(zip(info.electrodes, info.references, strict=True))
    assert len(pairs) == len(set(pairs)) == 23  # 22 derivations and the ECG
    assert {r for e, r in pairs if e == "Fp1"} == {"F7", "F3"}
    assert {"Fp1-F7", "Fp1-F3", "T7-P7", "T7-FT9", "Fz"} <= set(info.inputs)
    assert [x.code for x in info.left_out if x.kind == "channel"] == ["duplicate"]
    a, b = (store.electrode_uv(info, n) for n in ("Fp1-F7", "Fp1-F3"))
    assert not np.allclose(a, b)
    with pytest.raises(InputError, match="no electrode 'Fp1'"):
        store.electrode_uv(info, "Fp1")


def test_shards_hold_every_derivation(banana):
    """Blocks of one electrode follow each other by reference; samples come back by (electrode, reference)."""
    verify_shard_set(banana / "shards", deep=True)
    compare_rebuilt(banana / "shards", [banana / "store"])
    opened, store = ShardSet.open(banana / "shards"), Store.open(banana / "store")
    (info,) = store.infos()
    blocks = opened.blocks
    fp1 = np.flatnonzero(blocks.electrode == opened.vocabulary.id_of("Fp1"))
    assert {blocks.reference_names[blocks.reference[b]] for b in fp1} == {"F7", "F3"}
    for b in fp1:
        name = f"Fp1-{blocks.reference_names[blocks.reference[b]]}"
        expected = store.electrode_uv(info, name)[: blocks.n_samples[b]]
        np.testing.assert_allclose(opened.signal_uv(b), expected, atol=0.51 * blocks.scale_uv[b])
    facts = opened.recordings.facts(0)
    assert facts["Fp1-F7"]["reference"] == "F7"
    assert set(facts) == set(info.inputs)


def test_trials_name_their_inputs(banana):
    """A trial has one input for each derivation; names choose them, and an ambiguous electrode is refused."""
    trials = TrialIndex(banana / "shards")
    names = trials.inputs(0)
    assert len(names) == 23
    one = trials.gather(np.array([0]), electrodes=["Fp1-F3", "Fp1-F7", "Fz", "Fz-Cz", "Fp1-O1"])
    assert one.electrode_mask.tolist() == [[True, True, True, True, False]]
    everything = trials.gather(np.array([0]))
    np.testing.assert_array_equal(one.signal_i16[0, 1], everything.signal_i16[0, names.index("Fp1-F7")])
    np.testing.assert_array_equal(one.signal_i16[0, 0], everything.signal_i16[0, names.index("Fp1-F3")])
    np.testing.assert_array_equal(one.signal_i16[0, 2], one.signal_i16[0, 3])
    assert [trials.references[r] for r in one.reference[0, :4]] == ["F3", "F7", "Cz", "Cz"]
    with pytest.raises(UsageError, match="Fp1 has several derivations"):
        trials.gather(np.array([0]), electrodes=["Fp1"])
    chosen = TrialIndex(banana / "shards", references=["F3"])
    assert chosen.inputs(0) == ("Fp1",)
    assert chosen.gather(np.array([0]), electrodes=["Fp1"]).electrode_mask.all()


def test_view_against_one_electrode(tmp_path):
    """The view of a double banana against Cz is the difference of potentials, also in a shard set."""
    n = 256 * 40
    v = potentials(PLACES, n, 256.0)
    chain = [*dict.fromkeys(BANANA), "F3-FZ"]  # joins the midline to the rest
    store, _ = stored(tmp_path, [*chain, "ECG"], np.vstack([derived(chain, v), v["T7"]]),
                         DEFAULT.with_kinds(["eeg", "ecg"]))  # fmt: skip
    monopolar = [f"{p}-CZ" for p in PLACES if p != "CZ"]
    direct, own = stored(tmp_path / "direct", monopolar, derived(monopolar, v))
    view = Rereferenced(store, "Cz")
    (seen,) = view.infos()
    assert set(zip(seen.electrodes, seen.references, strict=True)) == {
        *((e, "Cz") for e in own.electrodes if e not in ("O1", "O2", "Pz")), ("ECG", "unknown")
    }  # fmt: skip
    for name in ("Fp1", "FT10", "P8"):
        np.testing.assert_allclose(view.electrode_uv(seen, name), direct.electrode_uv(own, name), atol=0.4)
    build_shard_set([tmp_path / "store"], tmp_path / "cz", reference="cz")
    verify_shard_set(tmp_path / "cz", deep=True)
    compare_rebuilt(tmp_path / "cz", [tmp_path / "store"])
    opened = ShardSet.open(tmp_path / "cz")
    assert set(opened.blocks.reference_names) == {"Cz", "unknown"}
    sigma = dict(zip(own.electrodes, own.sigma_uv, strict=True))
    fp1 = np.flatnonzero(opened.blocks.electrode == opened.vocabulary.id_of("Fp1"))[0]
    assert opened.blocks.sigma_uv[fp1] == pytest.approx(sigma["Fp1"], rel=0.02)


def test_average_view_of_a_common_reference(tmp_path):
    """A common reference gives the average; the result is what the recipe with an average gives."""
    n, names = 256 * 30, ["Fp1", "F3", "C3", "Cz", "Pz", "O1", "T7", "P4"]
    v = potentials([*names, "A"], n, 256.0)
    signals = np.stack([v[p] - v["A"] for p in names])
    store, info = stored(tmp_path, [f"{p}-LE" for p in names], signals)
    assert set(info.references) == {"linked ears"}
    averaged, own = stored(tmp_path / "b", [f"{p}-LE" for p in names], signals, load_recipe("default_average"))
    view = Rereferenced(store, "average")
    (seen,) = view.infos()
    assert set(seen.references) == {"average"} == set(own.references)
    for name in names:
        np.testing.assert_allclose(view.electrode_uv(seen, name), averaged.electrode_uv(own, name), atol=1e-3)


@pytest.mark.parametrize(
    ("names", "reference", "match"),
    [
        (["C3", "C4", "Cz"], "average", "can be measured against average"),
        (["C3", "C4", "Cz"], "Cz", "can be measured against Cz"),
        (["C3-M1", "C4-M2", "Cz-LE"], "average", "can be measured against average"),
        (["C3-Cz", "C4-Cz"], "Oz", "can be measured against Oz"),
    ],
)
def test_no_view_is_guessed(names, reference, match, tmp_path):
    """Unknown, unconnected or absent references give no view, and the refusal says why."""
    v = potentials(names, 256 * 20, 256.0)
    store, _ = stored(tmp_path, names, np.stack(list(v.values())))
    with pytest.raises(RefusedError, match=match) as found:
        Rereferenced(store, reference).infos()
    assert found.value.found


def test_unknown_reference_of_a_view(tmp_path):
    store, _ = stored(tmp_path, ["C3-Cz", "C4-Cz"], np.stack(list(potentials(["a", "b"], 5120, 256.0).values())))
    for name in ("Cc", "unknown"):
        with pytest.raises(UsageError, match="unknown reference"):
            Rereferenced(store, name)


def test_contradicting_cycle_is_refused(tmp_path):
    """Derivations around a cycle must add up to zero; a wrong sign is refused, not averaged away."""
    v = potentials(["FP1", "F7", "T7"], 256 * 20, 256.0)
    names = ["FP1-F7", "F7-T7", "T7-FP1"]
    store, _ = stored(tmp_path, names, derived(names, v))
    (seen,) = Rereferenced(store, "T7").infos()
    assert dict(zip(seen.electrodes, seen.references, strict=True)) == {"Fp1": "T7", "F7": "T7"}
    wrong = derived(names, v)
    wrong[2] *= -1
    store, _ = stored(tmp_path / "wrong", names, wrong)
    with pytest.raises(RefusedError, match="contradict each other"):
        Rereferenced(store, "T7").infos()


@pytest.mark.parametrize("names", [("C3-M1", "C4-M2", "O1-M2"), ("FP1-F7", "FP1-F3", "F7-T7")])
def test_average_needs_one_reference(names, tmp_path):
    """A recipe with an average reference refuses a recording of mixed references."""
    v = potentials(names, 256 * 20, 256.0)
    write_edf(tmp_path / "a.edf", names, np.stack(list(v.values())), 256)
    with pytest.raises(InputError, match="cannot be re-referenced to the average") as found:
        ingest(
            manifest_for_path(tmp_path / "a.edf"), tmp_path / "a.edf", tmp_path / "s",
            recipe=load_recipe("default_average"), workers=0,
        )  # fmt: skip
    assert "reference: keep" in found.value.todo


def test_two_eye_channels_of_one_name(tmp_path):
    """Of two EOG channels with one name the first is kept, with one reason for the other."""
    v = np.stack(list(potentials(["a", "b", "c", "d"], 256 * 20, 256.0).values()))
    _, info = stored(tmp_path, ["C3", "C4", "EOG", "EOG"], v, DEFAULT.with_kinds(["eeg", "eog"]))
    assert info.electrodes == ("C3", "C4", "EOG")
    assert [(x.name, x.code) for x in info.left_out] == [("EOG", "duplicate")]


def test_limits_are_of_each_kind(tmp_path):
    """EEG beyond 1 mV is rejected; an ECG of 3 mV beside it is not, and its amplitude is not compared with EEG."""
    v = np.stack(list(potentials(["a", "b", "c", "d"], 256 * 40, 256.0).values()))
    v[0, 5000:5100] += 1800
    heart = 2 * heartbeat(np.arange(256 * 40) / 256) + v[3]
    _, info = stored(tmp_path, ["C3", "C4", "Cz", "Pz", "ECG"], np.vstack([v, heart]),
                     DEFAULT.with_kinds(["eeg", "ecg"]))  # fmt: skip
    assert info.electrodes == ("C3", "C4", "Cz", "Pz", "ECG")
    assert set(info.rejected) == {"C3"}


def test_recipe_chooses_kinds():
    """`with_kinds` adds defaults and removes kinds; unknown kinds and a list without EEG are refused."""
    recipe = load_recipe("polysomnography")
    assert recipe.with_kinds(["eeg"]).steps == DEFAULT.steps
    assert recipe.with_kinds(["eeg", "ecg"]).kinds == ("eeg", "ecg")
    steps = load_recipe("epochs").with_kinds(["eeg", "eog"]).for_kind("eog").steps
    assert [s.step for s in steps] == ["remove_offset", "resample", "reject"]  # no filter fits a short trial
    with pytest.raises(UsageError, match="unknown kind of channel 'heart'"):
        recipe.with_kinds(["eeg", "heart"])
    with pytest.raises(UsageError, match="EEG channels are always kept"):
        recipe.with_kinds(["eog"])


def test_hmc_names_are_the_documented():
    assert tuple(find_manifest("hmc").source.channels) == HMC
