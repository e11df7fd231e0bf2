"""Flat, clipped, missing and disconnected parts are found where they are; equal signals have equal hashes."""

from __future__ import annotations

import numpy as np
import pytest

from eegprep.formats.decoded import LazySignal, whole
from eegprep.recording import Stretch, merge
from eegprep.standardise import checks as checks_module
from eegprep.standardise.checks import check_signal
from eegprep.standardise.hashing import signal_hash

SFREQ_HZ = 200.0


def test_bad_parts_are_found_to_the_sample(made) -> None:
    """Flat, clipped and missing parts are found to the sample, also across chunks."""
    n = 200_000
    signal = made["eeg_uv"](4, n)
    signal[0, 65_400:65_900] = signal[0, 65_400]  # 2.5 s across the border of a chunk
    top = signal[1].max()
    signal[1, 70_000:70_030] = top  # 0.15 s at the highest value
    signal[1, 80_000:80_030] = 1.0  # 0.15 s of the same value in the middle of the range: neither
    signal[2, 131_000:131_100] = np.nan
    checks = check_signal(signal, SFREQ_HZ, whole(n))
    assert checks.flat == ((Stretch(start_sample=65_400, n_samples=500),), (), (), ())
    assert [(s.start_sample, s.n_samples) for s in checks.clipped[1]] == [(70_000, 30)]
    assert checks.clipped[0] == checks.clipped[2] == checks.clipped[3] == ()
    assert checks.not_finite == ((), (), (Stretch(start_sample=131_000, n_samples=100),), ())
    assert checks.verdicts == (None, None, None, None)
    assert checks.rejected(2) == checks.not_finite[2]


def test_run_ends_at_the_border_of_a_stretch(made) -> None:
    """A run does not reach over the border of a stretch."""
    signal = made["eeg_uv"](3, 2000)
    signal[0, 900:1100] = 3.0
    stretches = (Stretch(start_sample=0, n_samples=1000), Stretch(start_sample=1000, n_samples=1000))
    checks = check_signal(signal, SFREQ_HZ, stretches)
    assert checks.flat[0] == ()
    assert check_signal(signal, SFREQ_HZ, whole(2000)).flat[0] == (Stretch(start_sample=900, n_samples=200),)


def runs_by_hand(row: np.ndarray, stretches, n_flat: int, n_clipped: int) -> tuple[list[Stretch], list[Stretch]]:
    """The rules written down sample by sample."""
    flat: list[Stretch] = []
    clipped: list[Stretch] = []
    limits = (np.nanmin(row), np.nanmax(row))
    for stretch in stretches:
        i = stretch.start_sample
        while i < stretch.stop_sample:
            j = i
            while j + 1 < stretch.stop_sample and row[j + 1] == row[i]:
                j += 1
            if j - i + 1 >= n_flat:
                flat.append(Stretch(start_sample=i, n_samples=j - i + 1))
            elif j - i + 1 >= n_clipped and row[i] in limits:
                clipped.append(Stretch(start_sample=i, n_samples=j - i + 1))
            i = j + 1
    return flat, clipped


def test_runs_do_not_depend_on_chunks(monkeypatch) -> None:
    """Runs are those that the rules give sample by sample, whatever the size of chunks."""
    generator = np.random.default_rng(0)
    for case in range(100):
        monkeypatch.setattr(checks_module, "_CHUNK", int(generator.integers(1, 40)))
        n = int(generator.integers(30, 200))
        signal = generator.integers(-2, 3, (3, n)).astype(float)
        for _ in range(4):
            start = generator.integers(0, n)
            signal[generator.integers(3), start : start + generator.integers(1, 60)] = generator.integers(-2, 3)
        if case % 3 == 0:
            signal[1, generator.integers(n)] = np.nan
        cut = int(generator.integers(1, n))
        stretches = (Stretch(start_sample=0, n_samples=cut), Stretch(start_sample=cut, n_samples=n - cut))
        found = check_signal(signal, 10.0, stretches, flat_s=1.5, clipped_s=0.5)
        for row in range(3):
            flat, clipped = runs_by_hand(signal[row], stretches, 15, 5)
            assert (found.flat[row], found.clipped[row]) == (merge(flat), merge(clipped))


def test_dead_or_wild_channel_gets_a_verdict(made) -> None:
    """A channel that is dead or wild gets a verdict with its figures."""
    signal = made["eeg_uv"](7, 8000)
    signal[1] = 5.0
    signal[2] *= 1e-3
    signal[3] *= 100
    signal[4] = np.nan
    verdicts = check_signal(signal, SFREQ_HZ, whole(8000)).verdicts
    assert [None if v is None else v[0] for v in verdicts] == [
        None, "flat", "disconnected", "disconnected", "not_finite", None, None,
    ]  # fmt: skip
    assert "µV, the others have" in verdicts[2][1]


@pytest.mark.parametrize("line", [50.0, 60.0])
def test_line_noise_is_measured(made, line: float) -> None:
    """Line noise is measured, and its frequency is found."""
    times = np.arange(16000) / SFREQ_HZ
    clean = made["eeg_uv"](4, 16000)
    checks = check_signal(clean + 5 * np.sin(2 * np.pi * line * times), SFREQ_HZ, whole(16000))
    assert checks.line_freq_hz == line
    assert min(checks.line_noise_ratio) > 50
    assert check_signal(clean, SFREQ_HZ, whole(16000)).line_freq_hz is None


def test_checks_read_a_long_signal_in_chunks(made) -> None:
    signal = made["eeg_uv"](2, 300_000)
    longest = 0

    def read(start: int, stop: int) -> np.ndarray:
        nonlocal longest
        longest = max(longest, stop - start)
        return signal[:, start:stop]

    lazy = check_signal(LazySignal(2, 300_000, read), SFREQ_HZ, whole(300_000))
    assert lazy == check_signal(signal, SFREQ_HZ, whole(300_000))
    assert longest <= 65_536


def test_filled_packet_is_missing_everywhere(made) -> None:
    """A lost packet that was filled in is missing in all channels."""
    signal = made["eeg_uv"](6, 8000)
    signal[:, 2000:2100] = signal[:, [2000]]
    signal[:, 4000:4015] = 0.0
    signal[0, 4010:4060] = np.nan
    signal[:3, 6000:6100] = 0.0
    signal[:, 7000:7100] = 0.0
    checks = check_signal(signal, SFREQ_HZ, whole(8000))
    held, zeros = Stretch(start_sample=2000, n_samples=100), Stretch(start_sample=7000, n_samples=100)
    assert (checks.held, checks.zeros) == ((held,), (zeros,))
    assert checks.not_finite == ((Stretch(start_sample=4010, n_samples=50),), *[()] * 5)
    assert all({held, zeros} <= set(checks.missing(row)) for row in range(6))
    assert checks.verdicts == (None,) * 6


def test_long_dropouts_count_once_as_flat(made) -> None:
    """Dropouts of a second and longer count once, as flat."""
    signal = made["eeg_uv"](6, 8000)
    signal[:, 1000:5000] = 0.0
    checks = check_signal(signal, SFREQ_HZ, whole(8000))
    assert (checks.zeros, checks.held) == ((), ())
    assert checks.verdicts == (None,) * 6, "half of it is left"


def test_held_channels_prove_no_lost_packet(made) -> None:
    """One or two channels that hold a value prove no lost packet."""
    signal = np.rint(made["eeg_uv"](2, 8000) / 50) * 50
    checks = check_signal(signal, SFREQ_HZ, whole(8000))
    assert (checks.zeros, checks.held) == ((), ())


@pytest.mark.parametrize("step_uv", [1 / 32, 25 / 512, 0.1, 0.5, 0.1526])
def test_hash_ignores_conversions(made, step_uv: float) -> None:
    """A signal hashes alike whatever conversions its samples went through."""
    whole_steps = np.rint(made["eeg_uv"](4, 20_000) / step_uv)
    plain = whole_steps * step_uv
    through_volts = (whole_steps * (step_uv * 1e-6)) * 1e6
    through_a_range = (whole_steps + 32768) * step_uv - 32768 * step_uv
    through_single_volts = (plain * 1e-6).astype(np.float32).astype(np.float64) * 1e6
    digests = {signal_hash(x, SFREQ_HZ) for x in (plain, through_volts, through_a_range, through_single_volts)}
    assert len(digests) == 1


def test_hash_ignores_the_channel_order(made) -> None:
    """The same signal hashes alike whatever the order of channels, and another one does not."""
    signal = made["eeg_uv"](4, 70_000)
    digest = signal_hash(signal, SFREQ_HZ)
    assert digest == signal_hash(signal[::-1], SFREQ_HZ)
    in_steps = np.rint(signal * 1000) / 1000
    assert signal_hash(in_steps, SFREQ_HZ) == signal_hash(in_steps + 3e-4, SFREQ_HZ)
    changed = signal.copy()
    changed[0, 69_999] += 0.01
    assert (
        len({digest, signal_hash(changed, SFREQ_HZ), signal_hash(signal, 256.0), signal_hash(signal[:3], SFREQ_HZ)})
        == 4
    )
