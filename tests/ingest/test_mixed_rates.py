"""EOG, EMG, ECG and respiration of another rate than the EEG: exact times, and a reason where a rate is too low."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from edfio import Edf, EdfSignal
from support.clinical import heartbeat, potentials

from eegprep.formats.edf.rates import half_width, interpolate
from eegprep.formats.edf.read import read_edf
from eegprep.ingest import ingest
from eegprep.manifest import load_recipe
from eegprep.manifest.recipe import Recipe
from eegprep.sources.implicit import manifest_for_path
from eegprep.store import Store

SECONDS = 60
ALL = load_recipe("polysomnography")


def write(path, signals, *, record_s=1.0, unit="uV"):
    """An EDF file of (label, rate, values in microvolt)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        EdfSignal(np.clip(x, -3000, 3000), hz, label=label, physical_dimension=unit, physical_range=(-3000, 3000))
        for label, hz, x in signals
    ]
    Edf(rows, data_record_duration=record_s).write(path)
    return path


def eeg(sfreq_hz, names=("EEG C4-A1", "EEG C3-A2", "EEG Fz"), seed=0):
    return [(name, sfreq_hz, x) for name, x in potentials(names, SECONDS * sfreq_hz, sfreq_hz, seed).items()]


def bump(sfreq_hz, at_s, width_s=0.08, size=900.0):
    """A smooth pulse of known time, on a little noise."""
    t = np.arange(SECONDS * sfreq_hz) / sfreq_hz
    return size * np.exp(-(((t - at_s) / width_s) ** 2)) + np.random.default_rng(1).standard_normal(t.size)


def stored(path, recipe=ALL):
    folder = path.parent.parent / f"store-{path.stem}-{recipe.name}-{len(recipe.kinds)}"
    summary = ingest(manifest_for_path(path), path, folder, recipe=recipe, workers=0)
    assert not summary.failed, summary.failed
    store = Store.open(folder)
    (info,) = store.infos()
    return store, info


def left_out(info):
    return {x.name: (x.code, x.reason) for x in info.left_out if x.kind == "channel"}


@pytest.mark.parametrize(
    ("label", "row", "sfreq_hz", "width_s"),
    [
        ("EOG(L)", "EOGL", 50, 0.08),
        ("EMG chin", "EMGchin", 250, 0.008),
        ("ECG", "ECG", 250, 0.02),
        ("ECG", "ECG", 512, 0.02),
        ("THOR RES", "RESPthorax", 10, 0.5),
        ("ABDO RES", "RESPabdomen", 8, 0.5),
    ],
)
@pytest.mark.parametrize("at_s", [17.0, 41.5])
def test_pulse_keeps_its_time(tmp_path, label, row, sfreq_hz, width_s, at_s):
    """A pulse at a known second of a slower or faster channel is at that second in the store."""
    path = write(tmp_path / "raw" / "night.edf", [*eeg(125), (label, sfreq_hz, bump(sfreq_hz, at_s, width_s))])
    store, info = stored(path)
    x = store.electrode_uv(info, row)
    tolerance_s = 0.004 if width_s < 0.1 else 0.05
    assert abs(int(np.abs(x).argmax()) / 256 - at_s) <= tolerance_s
    assert np.abs(x).max() > 100


def test_eeg_is_the_same_beside_slower_channels(tmp_path):
    """EEG rows do not depend on them, and by default the reason names the option that keeps them."""
    names = [("EOG(L)", 50, bump(50, 20)), ("EMG", 125, bump(125, 30)), ("THOR RES", 10, bump(10, 9, 0.5))]
    alone = write(tmp_path / "raw" / "alone.edf", eeg(125))
    night = write(tmp_path / "raw" / "night.edf", [*names[:1], *eeg(125), *names[1:]])
    (first, own), (second, other) = stored(alone), stored(night)
    assert own.electrodes == other.electrodes[1:4] == ("C4", "C3", "Fz")
    for name in own.electrodes:
        np.testing.assert_array_equal(first.electrode_uv(own, name), second.electrode_uv(other, name))
    _, plain = stored(night, load_recipe("default"))
    assert plain.electrodes == own.electrodes
    reasons = left_out(plain)
    assert {name: code for name, (code, _) in reasons.items()} == {
        "EOG(L)": "eog", "EMG": "emg", "THOR RES": "respiration",
    }  # fmt: skip
    assert "--kinds eeg,eog keeps it" in reasons["EOG(L)"][1]


def test_slow_envelopes_are_left_out_with_a_reason(tmp_path):
    """Sleep-EDF: the chin EMG at 1 Hz carries nothing of its band; a recipe with a lower edge keeps it."""
    tone = 5 + 3 * np.sin(2 * np.pi * 0.11 * np.arange(SECONDS))
    files = [
        *eeg(100, ("EEG Fpz-Cz", "EEG Pz-Oz")), ("EOG horizontal", 100, bump(100, 33)), ("EMG submental", 1, tone),
        ("Event marker", 1, np.zeros(SECONDS)), ("Temp rectal", 1, 37 + 0 * tone), ("Resp oro-nasal", 1, 50 * tone),
    ]  # fmt: skip
    path = write(tmp_path / "raw" / "SC4001E0-PSG.edf", files, record_s=30.0)
    _, info = stored(path)
    assert info.electrodes == ("Fpz", "Pz", "EOGH", "RESPflow")
    code, reason = left_out(info)["EMG submental"]
    assert code == "slow"
    assert "1 Hz" in reason
    assert "10 Hz" in reason
    assert left_out(info)["Temp rectal"][0] == "other_rate"
    steps = [s if s.get("kind") != "emg" else {**s, "low_hz": 0.1, "high_hz": 0.45} for s in ALL.steps_json()]
    store, info = stored(path, Recipe.model_validate({"name": "envelope", "steps": steps}))
    x = store.electrode_uv(info, "EMGchin")
    power = np.abs(np.fft.rfft(x * np.hanning(x.size))) ** 2
    assert abs(np.fft.rfftfreq(x.size, 1 / 256)[power.argmax()] - 0.11) < 0.02


def test_heartbeats_are_the_same_at_any_rate(tmp_path):
    """An ECG at 500 Hz beside EEG at 250 Hz is the ECG recorded at 250 Hz."""
    beats = {hz: heartbeat(np.arange(SECONDS * hz) / hz) for hz in (250, 500)}
    found = []
    for hz, x in beats.items():
        store, info = stored(write(tmp_path / "raw" / f"n{hz}.edf", [*eeg(250), ("ECG", hz, x)]))
        found.append(store.electrode_uv(info, "ECG"))
    inside = slice(256, -256)
    assert np.abs(found[0] - found[1])[inside].max() < 0.02 * np.abs(found[0]).max()


def test_eeg_of_another_rate_is_left_out(tmp_path):
    """Only other kinds are brought to the electrodes' rate."""
    path = write(tmp_path / "raw" / "a.edf", [*eeg(200), *eeg(100, ("EEG O1", "EEG O2")), ("Nobody", 20, bump(20, 9))])
    decoded = read_edf(path)
    assert [(x.name, x.code) for x in decoded.left_out] == [
        ("EEG O1", "other_rate"), ("EEG O2", "other_rate"), ("Nobody", "other_rate"),
    ]  # fmt: skip
    assert all(c.sfreq_hz is None for c in decoded.channels)


def test_a_part_equals_the_whole(tmp_path):
    """Of mixed rates too, across records and at any border."""
    path = write(
        tmp_path / "raw" / "a.edf",
        [*eeg(128), ("EOG(L)", 50, bump(50, 9)), ("ECG", 300, bump(300, 9)), ("THOR RES", 4, bump(4, 9))],
    )
    decoded = read_edf(path)
    assert [c.sfreq_hz for c in decoded.channels] == [None, None, None, 50, 300, 4]
    whole = np.asarray(decoded.signal)
    assert whole.shape == (6, SECONDS * 128)
    for start, stop in ((0, 1), (127, 129), (1000, 4003), (SECONDS * 128 - 1, SECONDS * 128), (5, 5)):
        np.testing.assert_allclose(decoded.signal[:, start:stop], whole[:, start:stop], atol=1e-9)


def test_breaks_are_not_crossed():
    """Values of one part never depend on those of the next; own samples are at their exact times."""
    own = np.r_[np.full(40, 1.0), np.full(40, 9.0)]
    x = interpolate(own, 0, Fraction(1, 10), [(0, 400), (400, 800)], 0, 800)
    np.testing.assert_allclose(x[:400], 1.0)
    np.testing.assert_allclose(x[400:], 9.0)


@pytest.mark.parametrize(
    "ratio", [Fraction(1, 100), Fraction(2, 5), Fraction(125, 256), Fraction(3, 1), Fraction(5, 4)]
)
def test_interpolation_is_that_of_the_signal(ratio):
    """A sine well below the Nyquist frequency of both rates is exact to a thousandth."""
    n, hz = 4000, 0.3 * min(1.0, float(ratio))  # per sample of the electrodes, as a share of their Nyquist frequency
    t = np.arange(n)
    own_t = np.arange(int(n * ratio)) / float(ratio)
    x = interpolate(np.sin(np.pi * hz * own_t), 0, ratio, [(0, n)], 0, n)
    edge = int(2 * half_width(ratio) / ratio)
    inside = slice(min(edge, 1500), n - min(edge, 1500))
    np.testing.assert_allclose(x[inside], np.sin(np.pi * hz * t)[inside], atol=2e-3)
