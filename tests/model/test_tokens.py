"""From stored samples to tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eegpt.model.tokens import n_tokens, normalised, tokenise


@pytest.fixture
def stored() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(3)
    signal = torch.from_numpy(rng.integers(-3000, 3000, size=(4, 1024)).astype(np.int16))
    return signal, torch.tensor([0.05, 0.1, 0.02, 1.0]), torch.tensor([20.0, 50.0, 5.0, 900.0])


def test_the_papers_window_gives_twenty_five_tokens_of_the_right_samples(stored):
    x = tokenise(*stored, clip=0)
    assert x.shape == (4, 25, 256)
    expected = stored[0].double() * (stored[1] / stored[2]).double().unsqueeze(1)
    for t in (0, 7, 24):
        torch.testing.assert_close(x[:, t].double(), expected[:, 32 * t : 32 * t + 256], rtol=1e-6, atol=1e-6)


def test_recording_normalisation_keeps_a_windows_mean(stored):
    signal, scale, sigma = stored
    shifted = (signal // 2 + 1000).to(torch.int16)
    out = normalised(shifted, scale, sigma, clip=0)
    expected = shifted.double().mean(dim=1) * (scale / sigma).double()
    torch.testing.assert_close(out.double().mean(dim=1), expected, rtol=1e-5, atol=1e-5)


def test_window_normalisation_gives_mean_zero_and_variance_one_and_survives_a_flat_window(stored):
    out = normalised(*stored, normalise="window", clip=0)
    torch.testing.assert_close(out.mean(dim=1), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.square().mean(dim=1), torch.ones(4), rtol=1e-5, atol=1e-5)
    flat = normalised(torch.full((1, 64), 5, dtype=torch.int16), stored[1][:1], stored[2][:1], normalise="window")
    assert torch.equal(flat, torch.zeros(1, 64))


def test_fixed_normalisation_keeps_differences_between_recordings(stored):
    out = normalised(*stored, normalise="fixed", fixed_uv=10.0, clip=0)
    torch.testing.assert_close(out, stored[0] * (stored[1] / 10.0).unsqueeze(1))


def test_values_are_cut_at_the_clip_and_a_flat_electrode_stays_finite(stored):
    signal, scale, _ = stored
    out = normalised(signal, scale, torch.tensor([20.0, 0.0, 5.0, 900.0]), clip=3.0)
    assert out.isfinite().all()
    assert out.abs().max() == 3.0


def test_trials_of_many_electrodes_keep_their_leading_shape(stored):
    signal, scale, sigma = stored
    x = tokenise(signal.view(2, 2, 1024), scale.view(2, 2), sigma.view(2, 2), token_samples=64, token_stride=32)
    assert x.shape == (2, 2, 31, 64)


@pytest.mark.parametrize(("samples", "expected"), [(1024, 25), (256, 1), (255, 0), (287, 1), (288, 2)])
def test_number_of_tokens(samples, expected):
    assert n_tokens(samples, token_samples=256, token_stride=32) == expected
