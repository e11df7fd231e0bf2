"""What a report counts: hours, losses, reasons, trials; the same from a store and from its shard set."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from eegprep.ingest.before import spectrum_before
from eegprep.recording import Stretch, spread
from eegprep.report.contents import contents_of_shards, contents_of_store
from eegprep.report.contents.before import spectra_before
from eegprep.report.contents.signal import ElectrodeSignal, look_at
from eegprep.store import Store

MINUTE = 1 / 60


def test_hours_are_those_of_the_sidecars(toy_store: Path) -> None:
    """Hours and losses of a store are those of its sidecars."""
    contents = contents_of_store(toy_store)
    assert len(contents.recordings) == 8
    assert contents.n_subjects == 4
    assert contents.hours == pytest.approx(8 * MINUTE - 6 / 3600)
    assert contents.electrode_hours == pytest.approx(7 * (8 * MINUTE - 6 / 3600))
    lost = {r.id: r.lost for r in contents.recordings if r.lost > 0}
    assert lost == {"toy/s3/-/2": pytest.approx(0.1)}


def test_every_loss_is_counted_once(toy_store: Path) -> None:
    """Every entry that was left out is counted once under its reason."""
    groups = {(g.kind, g.code): g for g in contents_of_store(toy_store).left_out or ()}
    assert {k: g.count for k, g in groups.items()} == {
        ("channel", "eog"): 8,
        ("channel", "unknown_name"): 8,
        ("stretch", "flat"): 1,
    }
    flat = groups["stretch", "flat"]
    assert (flat.n_recordings, flat.names, flat.hours) == (1, ("Cz",), pytest.approx(6 / 3600))
    assert groups["channel", "eog"].hours is None


def test_the_worst_recording_comes_first(toy_store: Path) -> None:
    worst = contents_of_store(toy_store).worst_first()[0]
    assert worst.id == "toy/s3/-/2"
    assert worst.figures == {"line_noise_ratio": pytest.approx(0.6)}


def test_quarantined_file_is_listed(toy_store: Path) -> None:
    """A file in quarantine is listed with its error."""
    (failure,) = contents_of_store(toy_store).failures
    assert (failure.name, failure.what, failure.found) == ("toy/s9/-/1", "the header is truncated", "100 bytes")


def test_shard_set_tells_what_its_store_does(toy_store: Path, toy_shards: Path) -> None:
    """A shard set tells the same as the store that it was made from."""
    store, shards = contents_of_store(toy_store), contents_of_shards(toy_shards)
    assert shards.datasets == store.datasets
    assert shards.trials == store.trials
    assert shards.steps == store.steps
    for a, b in zip(store.recordings, shards.recordings, strict=True):
        assert (a.id, a.split, a.n_electrodes, a.n_trials) == (b.id, b.split, b.n_electrodes, b.n_trials)
        assert b.electrode_hours == pytest.approx(a.electrode_hours)
        assert b.lost == pytest.approx(a.lost)
        assert b.sigma_uv_median == pytest.approx(a.sigma_uv_median, rel=1e-5)
    assert [e.name for e in shards.electrodes] == [e.name for e in store.electrodes]
    counted = {(g.kind, g.code): (g.count, g.n_recordings, g.hours) for g in store.left_out or ()}
    assert {(g.kind, g.code): (g.count, g.n_recordings, g.hours) for g in shards.left_out or ()} == counted
    for x, y in zip(store.spectra[0].median, shards.spectra[0].median, strict=True):
        assert y == pytest.approx(x, rel=0.02)


def test_shard_set_has_no_header_names(toy_shards: Path) -> None:
    """A shard set carries no channel name of a header."""
    assert all(not g.names and not g.reason for g in contents_of_shards(toy_shards).left_out or ())
    assert b"X1" not in (toy_shards / "lock.yaml").read_bytes()


def test_spectrum_has_power_and_rhythm(toy_store: Path) -> None:
    """The spectrum has the power of the signal and its rhythm."""
    (spectrum,) = contents_of_store(toy_store).spectra
    median = np.array(spectrum.median)
    freq_hz = np.array(spectrum.freq_hz)
    assert freq_hz[np.argmax(np.where(freq_hz > 5, median, 0))] == pytest.approx(10, abs=0.5)
    rhythm = median[np.abs(freq_hz - 10) < 1.5].sum() * (freq_hz[1] - freq_hz[0])
    assert rhythm == pytest.approx(6**2 / 2, rel=0.35)  # a sine of 6 µV has 18 µV², the 1/f noise adds a little
    assert (np.array(spectrum.low) <= median).all()
    assert (median <= np.array(spectrum.high)).all()


def test_white_noise_has_a_flat_density() -> None:
    """White noise has a flat density of its variance."""
    noise = np.random.default_rng(3).normal(0, 4.0, 100_000)
    signal = ElectrodeSignal(
        dataset="d",
        recording="r",
        electrode="Cz",
        sfreq_hz=256.0,
        stretches=(Stretch(start_sample=0, n_samples=noise.size),),
        read=lambda start, n: noise[start : start + n],
    )
    (spectrum,), amplitudes, n_looked_at = look_at([signal])
    assert np.mean(spectrum.median) * 128 == pytest.approx(16.0, rel=0.05)
    assert n_looked_at == 1
    assert amplitudes is not None
    assert sum(amplitudes.counts) + amplitudes.n_beyond == amplitudes.n_samples


def test_no_spectrum_window_spans_a_border() -> None:
    """No window of the spectrum spans a border."""
    reads: list[tuple[int, int]] = []

    def read(start: int, n: int) -> np.ndarray:
        reads.append((start, start + n))
        return np.zeros(n)

    stretches = tuple(Stretch(start_sample=i * 128, n_samples=128) for i in range(5))
    signal = ElectrodeSignal(dataset="d", recording="r", electrode="Cz", sfreq_hz=256.0, stretches=stretches, read=read)
    look_at([signal])
    assert reads
    assert all(any(s.start_sample <= a and b <= s.stop_sample for s in stretches) for a, b in reads)


def test_sample_of_a_list_spans_all_of_it() -> None:
    """A sample of a list is spread from its first to its last."""
    assert spread(3, 5) == [0, 1, 2]
    assert spread(100, 3) == [0, 50, 99]
    assert spread(0, 3) == []


def test_spectra_of_rates_share_one_grid(toy_store: Path) -> None:
    """Spectra of recordings of different rates share one grid without a hole."""
    infos = Store.open(toy_store).infos()
    low = dataclasses.replace(infos[0], spectrum_before_uv2_hz=(4.0,) * 100, spectrum_step_hz=0.64)
    high = dataclasses.replace(infos[1], spectrum_before_uv2_hz=(2.0,) * 256, spectrum_step_hz=0.5)
    (spectrum,) = spectra_before([low, high, dataclasses.replace(infos[2], spectrum_before_uv2_hz=())])
    assert spectrum.n == 2
    assert spectrum.freq_hz[-1] == pytest.approx(128.0)
    assert np.isfinite([spectrum.low, spectrum.median, spectrum.high]).all()
    at_40 = spectrum.freq_hz.index(40.0)
    assert spectrum.median[at_40] == pytest.approx(3.0)
    assert spectrum.median[-1] == pytest.approx(2.0)
    reversed_roles = spectra_before([dataclasses.replace(low, spectrum_step_hz=1.28), high])
    assert np.isfinite(reversed_roles[0].median).all()


def test_spectrum_before_is_at_its_own_rate() -> None:
    """The spectrum before is that of the signal at its own rate and skips missing samples."""
    rate, n = 500.0, 20_000
    signal = np.random.default_rng(5).normal(0, 3.0, (2, n)) + 8 * np.sin(2 * np.pi * 50 * np.arange(n) / rate)
    signal[:, :900] = np.nan
    density, step_hz = spectrum_before(signal, rate, (Stretch(start_sample=0, n_samples=n),))
    assert step_hz == 0.5
    assert len(density) == 256
    assert int(np.argmax(density)) == 99  # 50 Hz
    away = [d for i, d in enumerate(density) if abs((i + 1) * 0.5 - 50) > 2]
    assert np.mean(away) * rate / 2 == pytest.approx(9.0, rel=0.15)
    assert spectrum_before(np.full((2, n), np.nan), rate, (Stretch(start_sample=0, n_samples=n),)) == ((), 0.0)
    assert spectrum_before(signal, rate, ()) == ((), 0.0)
