"""Whitening: weights that make the electrodes of a subject uncorrelated, and show what single electrodes hide."""

from __future__ import annotations

import numpy as np
import torch

from eegpt.model.config import ETEConfig
from eegpt.model.pairs import SHRINKAGE
from eegpt.model.views import signal_slices, signal_views, views
from eegpt.model.whitening import WHITENED_VIEWS, trial_covariances, whitened_slices, whitening

CONFIG = ETEConfig(n_layers=1, width=8, n_heads=1, token_samples=64, token_stride=32, objective="new")


def mixed(seed=0, n=5, electrodes=4, samples=512):
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(electrodes, electrodes))
    return torch.from_numpy((mixing @ random.normal(size=(n, electrodes, samples))).astype(np.float32))


def test_covariances_are_those_of_numpy():
    x = mixed() + 3
    found = trial_covariances(x, torch.full((5,), 512))
    for trial, own in zip(x.numpy(), found.numpy(), strict=True):
        np.testing.assert_allclose(own, np.cov(trial, bias=True), rtol=1e-4)


def test_padding_and_missing_electrodes_do_not_count():
    x = mixed()
    whole = trial_covariances(x[:, :, :300], torch.full((5,), 300))
    padded = x.clone()
    padded[:, :, 300:] = 7.0  # not the trial's own samples
    torch.testing.assert_close(trial_covariances(padded, torch.full((5,), 300)), whole)
    wider = torch.cat((x[:, :, :300], torch.zeros(5, 2, 300)), dim=1)
    found = trial_covariances(wider, torch.full((5,), 300))
    torch.testing.assert_close(found[:, :4, :4], whole)
    assert not found[:, 4:].any()


def test_whitened_signals_are_uncorrelated():
    x = mixed(n=1, samples=4096)
    covariance = trial_covariances(x, torch.tensor([4096]))[0]
    weight = whitening(covariance)
    torch.testing.assert_close(weight, weight.mT)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * covariance.diagonal().mean() * torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(weight @ shrunk @ weight, torch.eye(4, dtype=torch.float64), atol=1e-9, rtol=0)


def test_each_electrode_follows_its_name():
    """Another order of the electrodes is another order of the weights."""
    covariance, order = trial_covariances(mixed(n=1), torch.tensor([512]))[0], torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(whitening(covariance[order][:, order]), whitening(covariance)[order][:, order])


def test_silence_has_finite_weights():
    assert bool(whitening(torch.zeros(3, 3, dtype=torch.float64)).isfinite().all())
    one_flat = torch.diag(torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64))
    assert bool(whitening(one_flat).isfinite().all())


def test_a_rhythm_below_a_shared_one_is_found():
    """All electrodes share strong noise; what one of them has of its own stands out in its whitened spectrum."""
    random, time_s = np.random.default_rng(2), np.arange(2048) / 256
    x = np.repeat(20 * random.normal(size=(1, 1, 2048)), 6, axis=1) + 0.3 * random.normal(size=(1, 6, 2048))
    x[0, 2] += np.sin(2 * np.pi * 12 * time_s)
    x = torch.from_numpy(x.astype(np.float32))
    weight = whitening(trial_covariances(x, torch.tensor([2048]))[0]).float()
    first, _ = CONFIG.bins(256)

    def contrast(signal_ES):
        tokens = signal_ES.unfold(1, 64, 32)
        power = signal_views(tokens, None, torch.zeros(6, 16), CONFIG)[:, signal_slices(CONFIG)["spectrum"]]
        return power[2, 12 - first] - power[:, 12 - first].median()

    assert contrast(x[0]) < 0.5
    assert contrast(weight @ x[0]) > 1


def test_signal_views_are_those_of_the_electrodes():
    random = torch.Generator().manual_seed(0)
    tokens, course = torch.randn(3, 9, 64, generator=random), torch.randn(3, 16, generator=random)
    whole = views(torch.zeros(3, 80), tokens, None, course, torch.ones(3), CONFIG)
    found = signal_views(tokens, None, course, CONFIG)
    torch.testing.assert_close(whole[:, 80:-1], found)
    where = signal_slices(CONFIG)
    torch.testing.assert_close(found[:, where["course"]], course)
    assert list(whitened_slices(CONFIG).values()) == list(where.values())
    assert tuple(whitened_slices(CONFIG)) == WHITENED_VIEWS
