"""MNE is the reference: the filters are its filters, and `standardise` gives what its chain gives."""

from __future__ import annotations

import mne
import numpy as np
import pytest
from numpy.typing import NDArray

from eegprep.errors import InputError, UsageError
from eegprep.manifest.recipe import Recipe, describe_steps
from eegprep.recording import Stretch
from eegprep.standardise import apply_recipe, as_signal, lay_out, plan_chain, standardise
from eegprep.standardise.chain import Chain
from eegprep.standardise.fir import band_pass_taps, filter_zero_phase, notch_taps, odd_extension
from eegprep.standardise.long import is_long
from eegprep.standardise.resample import padding, ratio_of, resample_fourier

STEPS = [
    {"step": "remove_offset"},
    {"step": "band_pass", "low_hz": 0.3, "high_hz": 75.0},
    {"step": "notch"},
    {"step": "resample"},
    {"step": "reference", "to": "average"},
]
RECIPE = Recipe.model_validate({"name": "test", "steps": STEPS})


def eeg(n_channels: int, n_samples: int, sfreq_hz: float, *, offset_uv: float = 0.0) -> NDArray[np.float64]:
    """1/f noise with alpha, line noise and a drift, in microvolt."""
    rng = np.random.default_rng(3)
    signal = np.cumsum(rng.normal(0, 1, (n_channels, n_samples)), axis=1)
    signal = 30 * (signal - signal.mean(axis=1, keepdims=True)) / signal.std(axis=1, keepdims=True)
    t = np.arange(n_samples) / sfreq_hz
    signal += rng.normal(0, 3, signal.shape) + 10 * np.sin(2 * np.pi * 10 * t) + 5 * np.sin(2 * np.pi * 50 * t + 1)
    return signal + offset_uv * rng.uniform(-1, 1, (n_channels, 1))


def fused(signal: NDArray[np.float64], chain: Chain, stretches: list[Stretch]) -> NDArray[np.float32]:
    timeline = lay_out(stretches, signal.shape[1], chain.ratio)
    out = np.full((len(signal), timeline.n_samples), np.nan, np.float32)
    for start, chunk in standardise(signal, timeline, chain, rows=range(len(signal))):
        assert np.isnan(out[:, start : start + chunk.shape[1]]).all()
        out[:, start : start + chunk.shape[1]] = chunk
    return out


def mne_chain(signal: NDArray[np.float64], sfreq_hz: float, chain: Chain) -> NDArray[np.float64]:
    with mne.utils.use_log_level("ERROR"):
        high = 75.0 if sfreq_hz > 150 else None
        out = mne.filter.filter_data(signal - np.median(signal, axis=1, keepdims=True), sfreq_hz, 0.3, high)
        if len(chain.filters) == 2:
            out = mne.filter.notch_filter(out, sfreq_hz, 50.0)
        if sfreq_hz != 256:
            npad = padding(signal.shape[1], chain.ratio)
            assert npad[0] == npad[1]
            out = mne.filter.resample(out, 256.0, sfreq_hz, npad=npad[0])
    return out - out.mean(axis=0)


@pytest.mark.parametrize("sfreq_hz", [100, 128, 160, 173.61, 250, 256, 512, 1000, 2048])
@pytest.mark.parametrize("edges", [(0.1, 75.0), (0.3, 40.0), (None, 30.0), (0.5, None), (4.0, 8.0)])
def test_band_pass_is_mnes_default_design(sfreq_hz: float, edges: tuple[float | None, float | None]) -> None:
    if edges[1] is not None and edges[1] >= sfreq_hz / 2:
        pytest.skip("MNE has no such filter either")
    expected = mne.filter.create_filter(None, sfreq_hz, *edges, verbose="ERROR")
    np.testing.assert_allclose(band_pass_taps(*edges, sfreq_hz), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("sfreq_hz", [250.0, 512.0, 1000.0])
@pytest.mark.parametrize("freqs", [[50.0], [60.0], [50.0, 100.0], [60.0, 120.0]])
def test_notch_is_mnes_default_notch(sfreq_hz: float, freqs: list[float]) -> None:
    if freqs[-1] + 1 > sfreq_hz / 2:
        pytest.skip("above the Nyquist frequency")
    impulse = np.zeros(20001)
    impulse[10000] = 1.0
    expected = mne.filter.notch_filter(impulse, sfreq_hz, np.array(freqs), verbose="ERROR")
    taps = notch_taps(freqs, sfreq_hz)
    half = taps.size // 2
    np.testing.assert_allclose(taps, expected[10000 - half : 10001 + half], rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_samples", [500, 1000, 30000])
def test_filtered_stretch_equals_mne(n_samples: int) -> None:
    """A filtered stretch is MNE's, ends included."""
    signal = eeg(3, n_samples, 256.0)
    expected = mne.filter.filter_data(signal, 256.0, 4.0, 30.0, verbose="ERROR")
    np.testing.assert_allclose(filter_zero_phase(signal, band_pass_taps(4.0, 30.0, 256.0)), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("sfreq_hz", "n_samples"), [(100, 50), (128, 128), (512, 5000), (160, 20000), (100, 75), (512, 44)]
)
def test_resampling_equals_mne(sfreq_hz: float, n_samples: int) -> None:
    """Resampling is MNE's, also for trials of half a second."""
    signal = eeg(2, n_samples, sfreq_hz) + 20.0
    expected = mne.filter.resample(signal, 256.0, sfreq_hz, verbose="ERROR")
    found = resample_fourier(signal, ratio_of(sfreq_hz, 256.0), expected.shape[1])
    assert padding(n_samples, ratio_of(sfreq_hz, 256.0)) == (100, 100)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("sfreq_hz", [500.0, 250.0, 173.61, 499.8713])
def test_resampled_samples_are_in_place(sfreq_hz: float) -> None:
    """Resampled samples lie where they should."""
    n = 6007
    t = np.arange(n) / sfreq_hz
    n_out = int(n * 256 / sfreq_hz)
    found = resample_fourier(np.sin(2 * np.pi * 20 * t)[None], ratio_of(sfreq_hz, 256.0), n_out)[0]
    expected = np.sin(2 * np.pi * 20 * np.arange(n_out) / 256)
    assert np.abs(found - expected)[200:-200].max() < 5e-3


@pytest.mark.parametrize(
    ("sfreq_hz", "seconds"),
    [(512.0, 90), (512.0, 333), (1000.0, 120), (500.0, 200), (250.0, 150), (200.0, 150), (160.0, 124), (128.0, 60),
     (100.0, 60), (256.0, 100), (2048.0, 60)],
)  # fmt: skip
def test_standardise_equals_the_mne_chain(sfreq_hz: float, seconds: int) -> None:
    """The fused path gives what MNE's chain gives."""
    signal = eeg(5, int(sfreq_hz * seconds), sfreq_hz)
    chain = plan_chain(RECIPE, sfreq_hz=sfreq_hz, line_freq_hz=50.0)
    found = fused(signal, chain, [Stretch(start_sample=0, n_samples=signal.shape[1])])
    expected = mne_chain(signal, sfreq_hz, chain)
    # The medians differ where the recording is long; the high-pass takes that out.
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 0.002
    assert np.sqrt(np.mean((found - expected) ** 2)) < 1e-4


def test_offsets_cost_no_precision() -> None:
    signal = eeg(4, 60000, 512.0)
    shifted = signal + np.array([[50000.0], [-20000.0], [4300.0], [0.0]])
    chain = plan_chain(RECIPE, sfreq_hz=512.0, line_freq_hz=50.0)
    stretches = [Stretch(start_sample=0, n_samples=60000)]
    assert np.abs(fused(shifted, chain, stretches) - fused(signal, chain, stretches)).max() < 0.001


def test_apply_recipe_equals_standardise() -> None:
    """`apply_recipe` and the path that ingest runs agree."""
    signal = eeg(4, 50000, 512.0)
    chain = plan_chain(RECIPE, sfreq_hz=512.0, line_freq_hz=50.0)
    expected = apply_recipe(as_signal(signal, list("abcd"), 512.0), RECIPE, line_freq_hz=50.0)
    assert expected.attrs["sfreq_hz"] == 256.0
    found = fused(signal, chain, [Stretch(start_sample=0, n_samples=50000)])
    assert np.abs(found - expected.values).max() < 0.001


def test_no_filter_crosses_a_border() -> None:
    signal = eeg(2, 40000, 512.0)
    chain = plan_chain(RECIPE, sfreq_hz=512.0, line_freq_hz=None)
    stretches = [Stretch(start_sample=0, n_samples=20000), Stretch(start_sample=20000, n_samples=20000)]
    before = fused(signal, chain, stretches)
    signal[:, 20000:] = 1000 * np.sign(signal[:, 20000:])
    after = fused(signal, chain, stretches)
    # The median over the recording moves, and the high-pass takes that out again.
    np.testing.assert_allclose(before[:, :10000], after[:, :10000], rtol=0, atol=1e-4)
    assert np.abs(before[:, 10000:] - after[:, 10000:]).max() > 100


def test_short_trials_equal_one_at_a_time() -> None:
    """Hundreds of short trials equal one at a time."""
    recipe = Recipe.model_validate({"name": "trials", "steps": [{"step": "resample"}]})
    signal = eeg(6, 50 * 300, 100.0)
    chain = plan_chain(recipe, sfreq_hz=100.0, line_freq_hz=None)
    stretches = [Stretch(start_sample=50 * k, n_samples=50) for k in range(300)]
    found = fused(signal, chain, stretches)
    assert found.shape == (6, 300 * 128)
    for k in (0, 17, 299):
        expected = mne.filter.resample(signal[:, 50 * k : 50 * k + 50], 256.0, 100.0, verbose="ERROR")
        np.testing.assert_allclose(found[:, 128 * k : 128 * k + 128], expected, atol=1e-4)


def test_filter_beyond_stretch_is_refused() -> None:
    """A filter longer than the stretch is refused."""
    chain = plan_chain(RECIPE, sfreq_hz=256.0, line_freq_hz=50.0)
    timeline = lay_out([Stretch(start_sample=0, n_samples=896)], 896, chain.ratio)
    with pytest.raises(InputError, match="shorter than the filter"):
        next(standardise(eeg(1, 896, 256.0), timeline, chain, rows=[0]))
    with pytest.raises(InputError, match="shorter than the filter"):
        apply_recipe(as_signal(eeg(1, 896, 256.0), ["a"], 256.0), RECIPE)


@pytest.mark.parametrize(
    "steps",
    [
        [{"step": "resample"}, {"step": "notch"}],
        [{"step": "resample"}, {"step": "resample"}],
        [{"step": "resample"}, {"step": "remove_offset"}],
        [{"step": "notch"}],
        [{"step": "band_pass", "low_hz": 30.0, "high_hz": 10.0}, {"step": "resample"}],
    ],
)
def test_impossible_recipe_is_refused_first(steps: list[dict[str, object]]) -> None:
    """A recipe that cannot run is refused before anything is read."""
    recipe = Recipe.model_validate({"name": "wrong", "steps": steps})
    with pytest.raises(UsageError):
        plan_chain(recipe, sfreq_hz=512.0, line_freq_hz=50.0)


def test_edge_beyond_nyquist_is_left_open() -> None:
    """An upper edge beyond the Nyquist frequency is left open, and the result says so."""
    chain = plan_chain(RECIPE, sfreq_hz=128.0, line_freq_hz=50.0)
    np.testing.assert_array_equal(chain.filters[0], band_pass_taps(0.3, None, 128.0))
    described = describe_steps(RECIPE.steps_json(), sfreq_hz=128.0, line_freq_hz=50.0)
    assert "band_pass: 0.3 to open Hz (75 Hz is above the Nyquist frequency)" in described
    assert not plan_chain(RECIPE, sfreq_hz=100.0, line_freq_hz=50.0).filters[1:]


def test_result_does_not_depend_on_threads() -> None:
    """The result does not depend on threads."""
    from concurrent.futures import ThreadPoolExecutor

    signal = eeg(20, 120000, 512.0)
    chain = plan_chain(RECIPE, sfreq_hz=512.0, line_freq_hz=50.0)
    timeline = lay_out([Stretch(start_sample=0, n_samples=120000)], 120000, chain.ratio)
    alone = np.concatenate([c for _, c in standardise(signal, timeline, chain, rows=range(20))], axis=1)
    with ThreadPoolExecutor(2) as pool:
        beside = np.concatenate([c for _, c in standardise(signal, timeline, chain, rows=range(20), pool=pool)], axis=1)
    np.testing.assert_array_equal(alone, beside)


def test_long_recording_is_read_in_blocks() -> None:
    """A day at 512 Hz may not be asked for in one piece."""
    largest = 0

    class Noise:
        shape = (4, 2_000_000)

        def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.float64]:
            nonlocal largest
            start, stop, _ = key[1].indices(self.shape[1])
            largest = max(largest, stop - start)
            return np.sin(np.arange(start, stop) / 50.0)[None] * np.ones((4, 1))

    chain = plan_chain(RECIPE, sfreq_hz=512.0, line_freq_hz=50.0)
    assert is_long(2_000_000, chain)
    timeline = lay_out([Stretch(start_sample=0, n_samples=2_000_000)], 2_000_000, chain.ratio)
    n = sum(chunk.shape[1] for _, chunk in standardise(Noise(), timeline, chain, rows=range(4)))
    assert n == 1_000_000
    assert largest < 100_000


def test_odd_extension_equals_mne() -> None:
    """The odd extension is MNE's reflect_limited."""
    from mne.cuda import _smart_pad

    for n in (1, 2, 5, 50):
        signal = np.random.default_rng(n).normal(size=(2, n))
        np.testing.assert_array_equal(odd_extension(signal, 7, 9), _smart_pad(signal, np.array([7, 9])))


@pytest.mark.parametrize("sfreq_hz", [100, 128, 160, 200, 250, 256, 500, 512, 1000, 1024, 2048, 5000])
@pytest.mark.parametrize(
    ("seconds", "low_hz", "offset_uv", "mains_hz"), [(34.3, 0.5, 0.0, 50.0), (61.7, 0.5, 2e4, 60.0)]
)
def test_every_rate_and_length_equals_mne(
    sfreq_hz: float, seconds: float, low_hz: float, offset_uv: float, mains_hz: float
) -> None:
    """MNE filters; the resampling is MNE's too wherever its padding can be divided, as other tests show."""
    n = int(sfreq_hz * seconds) | 1
    signal = eeg(3, n, sfreq_hz, offset_uv=offset_uv)
    steps = [{**s, "low_hz": low_hz} if s["step"] == "band_pass" else s for s in STEPS[:-1]]
    recipe = Recipe.model_validate({"name": "odd", "steps": steps})
    chain = plan_chain(recipe, sfreq_hz=sfreq_hz, line_freq_hz=mains_hz)
    found = fused(signal, chain, [Stretch(start_sample=0, n_samples=n)])
    with mne.utils.use_log_level("ERROR"):
        expected = signal - np.median(signal, axis=1, keepdims=True)
        expected = mne.filter.filter_data(expected, sfreq_hz, low_hz, 75.0 if sfreq_hz > 150 else None)
        if mains_hz + 2 < sfreq_hz / 2:  # the harmonics lie above the band or the Nyquist frequency
            expected = mne.filter.notch_filter(expected, sfreq_hz, mains_hz)
    expected = resample_fourier(expected, chain.ratio, found.shape[1])
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 0.001
