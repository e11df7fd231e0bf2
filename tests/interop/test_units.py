"""One convention of units, rates and bad channels: objects of MNE state them, of arrays they are given or refused."""

from __future__ import annotations

import mne
import numpy as np
import pytest

import eegpt
from eegpt.interop import EEGPTClassifier, EEGPTFeatures, EEGPTRegressor, LiveModel
from eegpt.interop.arrays import ArrayError, check_amplitude
from eegpt.interop.live.sources import from_raw

NAMES = ("C3", "Cz", "C4")
KINDS = {"features": EEGPTFeatures, "classifier": EEGPTClassifier, "regressor": EEGPTRegressor}


def epochs_of(toy, n: int = 12, *, scale: float = 1e-6) -> mne.EpochsArray:
    x = np.stack([toy.eeg(i, 3, 200, 200.0) for i in range(n)])
    events = np.stack([np.arange(n) * 300, np.zeros(n, int), np.arange(n) % 2 + 1], axis=1)
    info = mne.create_info(list(NAMES), 200.0, "eeg")
    return mne.EpochsArray(x * scale, info, events, event_id={"left": 1, "right": 2}, verbose="ERROR")


def made(kind: str, encoder, **options):
    return KINDS[kind](encoder, **(options if kind == "features" else {"max_steps": 2, **options}))


def target(kind: str, n: int = 12) -> np.ndarray | None:
    return {"features": None, "classifier": np.arange(n) % 2, "regressor": np.linspace(5, 9, n)}[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_volts_with_the_default_unit_are_refused(encoder, toy, kind):
    """`fit(epochs.get_data())` is in volt; the error says so with the amplitude."""
    x = epochs_of(toy).get_data(copy=True)
    with pytest.raises(ArrayError, match="impossible for EEG in uV") as told:
        made(kind, encoder, ch_names=NAMES, sfreq_hz=200.0).fit(x, target(kind))
    assert "pass unit='V'" in str(told.value)
    assert "µV between 4 and 30 Hz" in str(told.value)
    fitted = made(kind, encoder, ch_names=NAMES, sfreq_hz=200.0, unit="V").fit(x, target(kind))
    with pytest.raises(ArrayError, match="impossible for EEG in V"):
        fitted.transform(x * 1e6) if kind == "features" else fitted.predict(x * 1e6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rate_of_an_array_must_be_given(encoder, toy, kind):
    with pytest.raises(ArrayError, match="sampling rate is not known"):
        made(kind, encoder, ch_names=NAMES).fit(epochs_of(toy).get_data(copy=True) * 1e6, target(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_in_microvolt_are_refused(encoder, toy, kind):
    """Someone has put microvolt into MNE's object, whose unit is volt."""
    with pytest.raises(ArrayError, match="impossible for EEG in V") as told:
        made(kind, encoder).fit(epochs_of(toy, scale=1.0), target(kind))
    assert "the Epochs are not in volt" in str(told.value)


@pytest.mark.parametrize(("unit", "scale"), [("uV", 1.0), ("V", 1e-6), ("mV", 1e-3), ("nV", 1e3)])
def test_every_stated_unit_is_the_same(encoder, toy, unit, scale):
    x = epochs_of(toy).get_data(copy=True) * 1e6
    by_epochs = EEGPTFeatures(encoder).fit(epochs_of(toy)).transform(epochs_of(toy))
    own = EEGPTFeatures(encoder, ch_names=NAMES, sfreq_hz=200.0, unit=unit)
    np.testing.assert_allclose(own.fit(x * scale).transform(x * scale), by_epochs, atol=1e-4)


@pytest.mark.parametrize("amplitude", [0.3, 20.0, 400.0])
def test_plausible_amplitudes_pass(toy, amplitude):
    """Also standardised signals, and those of seizures."""
    check_amplitude(np.stack([toy.eeg(1, 3, 500, 250.0)]) / 20 * amplitude, 250.0, stated="uV")


@pytest.mark.parametrize("trials", [np.zeros((2, 3, 500)), np.ones((2, 3, 6)), np.full((1, 3, 500), 7.0)])
def test_what_cannot_be_measured_passes(trials):
    """A flat or tiny trial has no amplitude between 4 and 30 Hz; other checks are for those."""
    check_amplitude(trials, 250.0, stated="uV")


def test_live_volts_are_refused(encoder, toy):
    """After two seconds of signal."""
    signal = toy.eeg(3, 3, 800, 200.0)

    def push(factor: float) -> None:
        live = LiveModel(encoder, NAMES, 200.0)
        for start in range(0, 800, 50):
            live.push(signal[:, start : start + 50] * factor)

    push(1.0)
    with pytest.raises(ArrayError, match="pass unit='V'"):
        push(1e-6)


# ---- info["bads"]


def test_bad_channels_are_left_out_in_fit(encoder, toy):
    epochs = epochs_of(toy)
    epochs.info["bads"] = ["Cz"]
    for kind in KINDS:
        fitted = made(kind, encoder).fit(epochs, target(kind))
        assert (fitted.electrodes_, fitted.left_out_) == (("C3", "C4"), ("Cz",))
    epochs.info["bads"] = list(NAMES)
    with pytest.raises(ArrayError, match="all channels are marked as bad"):
        EEGPTFeatures(encoder).fit(epochs)


def test_channels_that_turn_bad_are_left_out(encoder, toy):
    """The graph leaves them out; features can't, and are refused."""
    epochs = epochs_of(toy)
    later = epochs.copy()
    later.info["bads"] = ["Cz"]
    noisy = later.copy()
    noisy._data[:, 1] *= 7
    for kind in ("classifier", "regressor"):
        fitted = made(kind, encoder).fit(epochs, target(kind))
        of = fitted.predict_proba if kind == "classifier" else fitted.predict
        np.testing.assert_allclose(of(noisy), of(later), atol=1e-6)
        assert not np.allclose(of(later), of(epochs), atol=1e-6)
    with pytest.raises(ArrayError, match="interpolate_bads"):
        EEGPTFeatures(encoder).fit(epochs).transform(later)


def test_channels_of_other_types_are_left_out(encoder, toy):
    epochs = epochs_of(toy)
    epochs.set_channel_types({"C4": "eog"})
    assert EEGPTFeatures(encoder).fit(epochs).electrodes_ == ("C3", "Cz")


def test_embed_and_streams_respect_bads(encoder, toy):
    raw = toy.raw(1)
    raw.info["bads"] = ["C3"]
    ds = eegpt.embed(raw, encoder)
    assert "C3" not in ds.electrode.values
    assert "marked_bad" in ds.attrs["left_out"]
    assert "C3" not in from_raw(raw).ch_names
    epochs = epochs_of(toy)
    epochs.info["bads"] = ["C4"]
    assert list(eegpt.embed(epochs, encoder, recipe="epochs").electrode.values) == ["C3", "Cz"]


def test_the_regressor_learns(encoder, toy):
    """The amplitude of a rhythm, in its own unit."""
    n = 80
    x = np.stack([toy.eeg(i, 3, 200, 200.0) for i in range(n)])
    y = np.linspace(100, 200, n)[np.random.default_rng(0).permutation(n)]
    x[:, 0] += (y - 100)[:, None] / 3 * np.sin(2 * np.pi * 10 * np.arange(200) / 200)
    fitted = EEGPTRegressor(encoder, ch_names=NAMES, sfreq_hz=200.0, max_steps=60).fit(x[:60], y[:60])
    assert fitted.score(x[60:], y[60:]) > 0.25
