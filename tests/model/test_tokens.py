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


def test_papers_window_gives_25_tokens(stored):
    """The papers window gives twenty five tokens of the right samples."""
    x = tokenise(*stored, clip=0)
    assert x.shape == (4, 25, 256)
    expected = stored[0].double() * (stored[1] / stored[2]).double().unsqueeze(1)
    for t in (0, 7, 24):
        torch.testing.assert_close(x[:, t].double(), expected[:, 32 * t : 32 * t + 256], rtol=1e-6, atol=1e-6)


def test_recording_keeps_window_mean(stored):
    """Recording normalisation keeps a windows mean."""
    signal, scale, sigma = stored
    shifted = (signal // 2 + 1000).to(torch.int16)
    out = normalised(shifted, scale, sigma, clip=0)
    expected = shifted.double().mean(dim=1) * (scale / sigma).double()
    torch.testing.assert_close(out.double().mean(dim=1), expected, rtol=1e-5, atol=1e-5)


def test_window_normalisation_is_zscore(stored):
    """Window normalisation gives mean zero and variance one and survives a flat window."""
    out = normalised(*stored, normalise="window", clip=0)
    torch.testing.assert_close(out.mean(dim=1), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(out.square().mean(dim=1), torch.ones(4), rtol=1e-5, atol=1e-5)
    flat = normalised(torch.full((1, 64), 5, dtype=torch.int16), stored[1][:1], stored[2][:1], normalise="window")
    assert torch.equal(flat, torch.zeros(1, 64))


def test_fixed_keeps_differences(stored):
    """Fixed normalisation keeps differences between recordings."""
    out = normalised(*stored, normalise="fixed", fixed_uv=10.0, clip=0)
    torch.testing.assert_close(out, stored[0] * (stored[1] / 10.0).unsqueeze(1))


def test_clip_cuts_and_flat_is_finite(stored):
    """Values are cut at the clip and a flat electrode stays finite."""
    signal, scale, _ = stored
    out = normalised(signal, scale, torch.tensor([20.0, 0.0, 5.0, 900.0]), clip=3.0)
    assert out.isfinite().all()
    assert out.abs().max() == 3.0


def test_leading_shape_is_kept(stored):
    """Trials of many electrodes keep their leading shape."""
    signal, scale, sigma = stored
    x = tokenise(signal.view(2, 2, 1024), scale.view(2, 2), sigma.view(2, 2), token_samples=64, token_stride=32)
    assert x.shape == (2, 2, 31, 64)


@pytest.mark.parametrize(("samples", "expected"), [(1024, 25), (256, 1), (255, 0), (287, 1), (288, 2)])
def test_number_of_tokens(samples, expected):
    assert n_tokens(samples, token_samples=256, token_stride=32) == expected
