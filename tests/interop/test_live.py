"""A live signal gives what the offline encoder gives, token by token, in bounded memory, with a stated delay."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from support.transfer_runs import settings

from eegprep.errors import UsageError
from eegprep.manifest import load_recipe
from eegprep.standardise import apply_recipe, as_signal
from eegprep.standardise.chain import plan_chain
from eegpt.interop import LiveModel, open_model
from eegpt.interop.live.filters import CausalChain, minimum_phase
from eegpt.model.ete import ETE
from eegpt.model.tokens import normalised, unfold_tokens
from eegpt.model.views import N_SLICES, signal_views, slice_means
from eegpt.model.whitening import trial_covariances, whitening
from eegpt.transfer.run import transfer

NAMES = ("C3", "Cz", "O2")


def chunks(signal: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    """The signal in pieces of random length."""
    random, out, start = np.random.default_rng(seed), [], 0
    while start < signal.shape[1]:
        n = int(random.integers(1, 90))
        out.append(signal[:, start : start + n])
        start += n
    return out


def test_live_features_equal_offline(encoder, toy):
    """Until the window is full."""
    model = open_model(encoder)
    signal = toy.eeg(1, 3, 2 * 256, 256.0)
    live = LiveModel(model, NAMES, 256.0, unit="uV", recipe="as_recorded", sigma_uv=np.full(3, 20.0), window_tokens=20)
    found = [o for c in chunks(signal) for o in live.push(c)]
    assert len(found) == (512 - 64) // 32 + 1
    x = normalised(torch.tensor(signal, dtype=torch.float32), torch.ones(3), torch.full((3,), 20.0))
    tokens = unfold_tokens(x, token_samples=64, token_stride=32)
    ids = torch.tensor([model.vocabulary.id_of(n) for n in NAMES])
    with torch.no_grad():
        states = model.ete(tokens, ids)
    for t, one in enumerate(found):
        expected = torch.cat((states[:, 1 : t + 2].mean(dim=1), states[:, t + 1]), dim=1)
        np.testing.assert_allclose(one.features, expected, atol=1e-5)
        assert one.time_s == pytest.approx((64 + 32 * t) / 256)


def test_live_views_are_compressed(recorded, encoder, toy, tmp_path):
    """As in training: what is standardised over the windows so far stays within 2 SD."""
    transfer(
        settings(graph=False, views=("spectrum", "pairs", "whitened_spectrum", "whitened_course"), compress=True),
        shards=[recorded.shards], out=tmp_path / "run", encoder=encoder,
    )  # fmt: skip
    model = open_model(tmp_path / "run")
    live = LiveModel(model, NAMES, 256.0, unit="uV", recipe="as_recorded", sigma_uv=np.full(3, 20.0), window_tokens=8)
    live.push(toy.eeg(1, 3, 4 * 256, 256.0))
    encoded = live._whole_window(512, np.full(3, 20.0, np.float32))
    found = live._aligned(encoded)
    model.transfer.compress = False
    plain = live._aligned(encoded)
    for name in ("views_RF", "pairs_NEEF", "whitened_RF"):
        x, y = getattr(plain, name), getattr(found, name)
        torch.testing.assert_close(y, 2 * torch.tanh(x / 2))
        assert bool(x.abs().max() > 2)


def test_live_signals_are_whitened_as_offline(recorded, encoder, toy, tmp_path):
    """By the mean covariance of the windows so far."""
    transfer(settings(graph=False, views=("whitened_spectrum",)), shards=[recorded.shards], out=tmp_path / "run")
    model = open_model(tmp_path / "run")
    signal = toy.eeg(1, 3, 3 * 256, 256.0).astype(np.float32)
    live = LiveModel(model, NAMES, 256.0, unit="uV", recipe="as_recorded", sigma_uv=np.full(3, 20.0), window_tokens=1)
    C, stride = model.ete.config.token_samples, model.ete.config.token_stride
    live.push(signal)
    x = torch.from_numpy(signal / 20)
    windows = x.unfold(1, C, stride).transpose(0, 1)
    covariance = trial_covariances(windows, torch.full((len(windows),), C))
    expected = whitening(covariance.mean(dim=0)).float() @ windows[-1]
    found = live._whitened_views[-1]
    assert len(live._whitened_views) == len(windows)
    course = slice_means(expected, torch.full((3,), C), N_SLICES)
    whole = signal_views(expected.unsqueeze(1), None, course, model.ete.config)
    torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-4)


def test_a_slid_cache_has_the_newest_tokens(toy):
    torch.manual_seed(0)
    # With one layer a token's key and value have seen nothing but the token: sliding is exact.
    ete = ETE(dataclasses.replace(toy.config, n_layers=1)).eval()
    tokens, ids = torch.randn(2, 9, 64), torch.tensor([3, 7])
    with torch.no_grad():
        _, cache = ete.prefill_states(tokens[:, :5], ids)
        for t in range(5, 9):
            cache = ete.slide(cache)
            state, cache = ete.extend(cache, tokens[:, t])
            expected = ete(tokens[:, t - 4 : t + 1], ids)[:, -1]
            torch.testing.assert_close(state, expected, atol=1e-5, rtol=0)
    with pytest.raises(UsageError, match="invalid number of tokens"):
        ete.slide(cache, 6)


def test_endless_streams_have_bounded_memory(encoder, toy):
    live = LiveModel(encoder, NAMES, 200.0, unit="uV", window_tokens=6, sigma_s=5.0)
    signal = toy.eeg(2, 3, 200 * 60, 200.0)
    sizes = set()
    outputs = []
    for second in range(60):
        outputs += live.push(signal[:, second * 200 : (second + 1) * 200])
        if second > 5:
            sizes.add((live.cache_bytes, live._signal.nbytes, live._amplitude._kept.nbytes, len(live._states)))
    assert len(sizes) == 1
    assert np.isfinite(outputs[-1].features).all()


def test_states_do_not_drift(toy):
    """Keys are turned back a bounded number of times each: a constant signal ends in a constant state."""
    torch.manual_seed(0)
    ete = ETE(toy.config).eval()
    token, ids = torch.randn(1, 64), torch.tensor([3])
    with torch.no_grad():
        _, cache = ete.prefill_states(token[:, None].expand(1, 6, 64), ids)
        states = []
        for _ in range(400):
            cache = ete.slide(cache)
            state, cache = ete.extend(cache, token)
            states.append(state)
    torch.testing.assert_close(states[100], states[-1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("sfreq_hz", [160.0, 256.0, 500.0])
def test_linear_phase_is_offline_but_later(toy, sfreq_hz):
    signal = toy.eeg(3, 2, int(sfreq_hz * 40), sfreq_hz)
    recipe = load_recipe("default")
    chain = plan_chain(recipe, sfreq_hz=sfreq_hz, line_freq_hz=50.0)
    causal = CausalChain(chain, 2, phase="linear")
    out = np.concatenate([causal.push(c) for c in chunks(signal)], axis=1)
    offline = apply_recipe(as_signal(signal, ["Cz", "Pz"], sfreq_hz), recipe, line_freq_hz=50.0).values
    delay = round(causal.filter_delay_s * 256)
    assert causal.latency_s > 3
    # Away from the ends, where the offline filter sees the signal mirrored and the live one silence.
    exact = causal.filter_delay_s * 256
    middle = slice(12 * 256, 24 * 256)
    shifted = out[:, middle.start + delay : middle.stop + delay]
    error = (shifted - offline[:, middle]).std() / offline[:, middle].std()
    # The delay is no whole number of output samples at other rates: up to half a sample is left.
    assert error < (0.02 if abs(exact - delay) < 1e-6 and sfreq_hz == 256.0 else 0.2)


def test_minimum_phase_attenuates_alike():
    """It is early."""
    chain = plan_chain(load_recipe("default"), sfreq_hz=256.0, line_freq_hz=50.0)
    taps = chain.joined()
    early = minimum_phase(taps)
    hz = np.fft.rfftfreq(1 << 15, 1 / 256)
    same = (hz > 1) & (hz < 70) & (np.abs(hz - 50) > 1)
    a, b = (np.abs(np.fft.rfft(t, 1 << 15))[same] for t in (taps, early))
    np.testing.assert_allclose(a, b, rtol=0.01)
    causal = CausalChain(chain, 1)
    assert causal.latency_s < 0.05
    assert CausalChain(chain, 1, phase="linear").latency_s > 3


def test_chunk_length_does_not_matter(toy):
    signal = toy.eeg(4, 2, 4000, 500.0)
    chain = plan_chain(load_recipe("default"), sfreq_hz=500.0, line_freq_hz=50.0)
    one, other = CausalChain(chain, 2), CausalChain(chain, 2)
    first = chunks(signal)[0].shape[1]
    a = np.concatenate([one.push(c) for c in chunks(signal)], axis=1)
    b = np.concatenate([other.push(signal[:, :first]), other.push(signal[:, first:])], axis=1)
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_a_sine_has_the_stated_delay():
    """Minimum phase, 500 Hz: a 10 Hz wave leaves as much later as `filter_delay_s` says, resampling adds no shift."""
    n, sfreq_hz = 500 * 30, 500.0
    wave = 50 * np.sin(2 * np.pi * 10 * np.arange(n) / sfreq_hz)[None]
    causal = CausalChain(plan_chain(load_recipe("default"), sfreq_hz=sfreq_hz, line_freq_hz=None), 1)
    out = causal.push(wave)[0, 20 * 256 : 25 * 256]
    t = np.arange(20 * 256, 25 * 256) / 256
    phase = np.angle(np.sum(out * np.exp(-2j * np.pi * 10 * t)) / np.sum(np.exp(2j * np.pi * 0 * t))) + np.pi / 2
    assert np.abs(out).max() == pytest.approx(50, rel=0.02)
    # Group and phase delay differ a little near the high-pass; a tenth of a period holds both.
    assert abs(phase) < 2 * np.pi * 0.1


def test_invalid_chunks_are_refused(encoder, toy):
    live = LiveModel(encoder, ("C3", "Foo9", "Cz"), 200.0)
    assert (live.electrodes, live.left_out) == (("C3", "Cz"), ("Foo9",))
    with pytest.raises(UsageError, match="wrong shape"):
        live.push(np.zeros((2, 10)))
    with pytest.raises(UsageError, match="not finite"):
        live.push(np.full((3, 10), np.nan))
    with pytest.raises(UsageError, match="unknown unit"):
        LiveModel(encoder, NAMES, 200.0, unit="bogus")
