"""The views of rows: moments and slices of states, spectra that do not depend on the tokens' length."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from eegpt.model.config import ETEConfig
from eegpt.model.views import N_STATE_SLICES, VIEWS, slice_means, state_views, view_slices, views

CONFIG = {"n_layers": 1, "width": 8, "n_heads": 2}


def states(n_rows: int = 4, n_tokens: int = 20) -> torch.Tensor:
    return torch.randn(n_rows, n_tokens + 1, 8, generator=torch.Generator().manual_seed(0))


def test_states_are_mean_and_deviation():
    """Over the tokens, without the position before them; then the means of eight slices."""
    h = states()
    seen = state_views(h)
    torch.testing.assert_close(seen[:, :8], h[:, 1:].mean(dim=1))
    torch.testing.assert_close(seen[:, 8:16], h[:, 1:].std(dim=1, correction=0))
    slices = seen[:, 16:].unflatten(1, (N_STATE_SLICES, 8))
    torch.testing.assert_close(slices[:, 0], h[:, 1:3].mean(dim=1))  # 20 tokens: 0 to 2.5
    torch.testing.assert_close(slices[:, 7], h[:, 18:].mean(dim=1))


@pytest.mark.parametrize("n_tokens", [1, 3, 8, 13])
def test_padding_changes_no_view(n_tokens):
    """Rows that end early have the views that they have alone."""
    h = states(n_tokens=n_tokens)
    padded = F.pad(h, (0, 0, 0, 9), value=7.0)
    torch.testing.assert_close(state_views(padded, torch.full((4,), n_tokens + 1)), state_views(h))


def test_slices_of_one_dimension():
    """The signal's course uses the same function."""
    x = torch.arange(12.0).unsqueeze(0)
    assert slice_means(x, torch.tensor([12]), 4).tolist() == [[1, 4, 7, 10]]
    assert slice_means(x, torch.tensor([2]), 4).tolist() == [[0, 0, 1, 1]]


def test_slices_cover_the_whole_vector():
    where = view_slices(ETEConfig(**CONFIG))
    assert tuple(where) == VIEWS
    assert [s.stop - s.start for s in where.values()] == [16, 64, 45, 16, 1]
    assert [s.start for s in where.values()][1:] == [s.stop for s in where.values()][:-1]


def test_spectrum_does_not_blur_with_tokens():
    """Short tokens show the spectrum of whole seconds, 1 Hz apart, as tokens of a second do."""
    signal = torch.randn(3, 1024, generator=torch.Generator().manual_seed(0))
    found = {}
    for C in (32, 64, 256):
        config = ETEConfig(**CONFIG, token_samples=C)
        seen = views(torch.zeros(3, 80), signal.unfold(1, C, 32), None, torch.zeros(3, 16), torch.ones(3), config)
        found[C] = seen[:, view_slices(config)["spectrum"]]
    torch.testing.assert_close(found[64], found[256])
    torch.testing.assert_close(found[32], found[256])


@pytest.mark.parametrize("n_samples", [96, 256, 512])
def test_spectrum_of_padded_rows(n_samples):
    """Rows of several lengths have the spectrum that they have alone, also those shorter than a second."""
    config = ETEConfig(**CONFIG, token_samples=64)
    signal = torch.randn(3, n_samples, generator=torch.Generator().manual_seed(0))

    def spectrum(x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        rest = (torch.zeros(3, 80), x.unfold(1, 64, 32), mask, torch.zeros(3, 16), torch.ones(3), config)
        return views(*rest)[:, view_slices(config)["spectrum"]]

    alone = spectrum(signal, None)
    n_tokens = (n_samples - 64) // 32 + 1
    mask = (torch.arange(31) < n_tokens).expand(3, 31)
    torch.testing.assert_close(spectrum(F.pad(signal, (0, 1024 - n_samples)), mask), alone)
