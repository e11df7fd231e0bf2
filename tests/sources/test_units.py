"""Microvolt is proven, not assumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.formats.decoded import LazySignal, SourceChannel, whole
from eegprep.sources.units import prove_units, sampled_density, summarise

SFREQ_HZ = 200.0


def prove(signal: np.ndarray, *, evidence: str = "the header says uV", n: int | None = None):
    channels = tuple(SourceChannel(name=str(i), unit="uV", unit_evidence=evidence) for i in range(n or len(signal)))
    return prove_units(channels, signal, whole(signal.shape[1]), sfreq_hz=SFREQ_HZ, where=Path("x"))


def test_eeg_in_microvolt_is_taken_as_it_is(made) -> None:
    signal = made["eeg_uv"](6, 8000)
    proof = prove(signal)
    assert proof.signal is signal
    assert "typical for EEG" in proof.evidence
    assert proof.notes == ()


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_factor_of_a_thousand_is_corrected(made, factor: float) -> None:
    """A factor of a thousand or a million is corrected and reported."""
    signal = made["eeg_uv"](6, 8000)
    proof = prove(signal * factor)
    np.testing.assert_allclose(np.asarray(proof.signal), signal, rtol=1e-12)
    assert f"multiplied by {1 / factor:g}" in proof.evidence
    assert len(proof.notes) == 1
    assert all(c.unit_evidence == proof.evidence for c in proof.channels)


def test_corrected_signal_stays_lazy(made) -> None:
    """A lazy signal stays lazy when it is corrected."""
    signal = made["eeg_uv"](4, 8000) * 1e3
    proof = prove(LazySignal(4, 8000, lambda a, b: signal[:, a:b]), n=4)  # type: ignore[arg-type]
    assert isinstance(proof.signal, LazySignal)
    np.testing.assert_allclose(proof.signal[:, 10:20], signal[:, 10:20] / 1e3)


def test_wrong_stated_unit_is_refused(made) -> None:
    """A unit that the manifest states wrongly is refused, not corrected."""
    with pytest.raises(InputError, match="the unit in the manifest is wrong by a factor of 1000"):
        prove(made["eeg_uv"](6, 8000) * 1e3, evidence="the manifest states mV")


def test_white_millivolt_noise_is_refused() -> None:
    """White noise of millivolts is refused as noise."""
    with pytest.raises(InputError, match="the samples are noise"):
        prove(np.random.default_rng(0).standard_normal((6, 8000)) * 9000)


def test_plausible_white_noise_is_noted() -> None:
    """White noise of a plausible size is taken with a note."""
    proof = prove(np.random.default_rng(0).standard_normal((6, 8000)) * 20)
    assert any("noise" in n for n in proof.notes)


def test_one_wrong_channel_decides_nothing(made) -> None:
    """One wrong channel does not decide for the others."""
    signal = made["eeg_uv"](6, 8000)
    signal[2] *= 1e3
    assert prove(signal).signal is signal


def test_other_sensors_do_not_decide_units(made) -> None:
    """Belts and hearts in volts do not decide for the electrodes."""
    names = ("C3-A2", "C4-A1", "Thorax", "Abdomen", "ECG", "EMG Chin", "Flow", "Leg L")
    signal = made["eeg_uv"](len(names), 8000)
    signal[2:] *= 1e3
    channels = tuple(SourceChannel(name=n, unit="uV", unit_evidence="the header says uV") for n in names)
    proof = prove_units(channels, signal, whole(8000), sfreq_hz=SFREQ_HZ, where=Path("x"))
    assert proof.signal is signal
    assert "typical for EEG" in proof.evidence


def test_correction_reaches_unknown_names(made) -> None:
    """A corrected file is corrected in channels of any name that may be an electrode."""
    names = ("C3", "C4", "Cz", "our 7", "ECG")
    signal = made["eeg_uv"](len(names), 8000) * 1e3
    channels = tuple(SourceChannel(name=n, unit="uV", unit_evidence="the header says uV") for n in names)
    proof = prove_units(channels, signal, whole(8000), sfreq_hz=SFREQ_HZ, where=Path("x"))
    factors = np.asarray(proof.signal)[:, 0] / signal[:, 0]
    np.testing.assert_allclose(factors, [1e-3, 1e-3, 1e-3, 1e-3, 1.0])


def test_amplitude_and_slope_are_as_defined() -> None:
    """Amplitude and slope are those of the definition."""
    times = np.arange(8000) / SFREQ_HZ
    signal = 10 * np.sqrt(2) * np.sin(2 * np.pi * 10 * times)[None]
    figures = summarise(sampled_density(signal, whole(8000), SFREQ_HZ))
    assert figures.amplitude[0] == pytest.approx(10.0, rel=0.01)
