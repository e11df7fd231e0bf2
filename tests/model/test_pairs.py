"""Pairs of electrodes: covariances in bands, keyed by pair, whitened as Riemannian methods do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import logm, sqrtm

from eegpt.model import pairs


def signals(seed=0, n=6, electrodes=4, samples=1024):
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(electrodes, electrodes))
    return torch.from_numpy((mixing @ random.normal(size=(n, electrodes, samples))).astype(np.float32))


def test_pair_numbers_are_unordered():
    ids = pairs.pair_ids(torch.tensor([[3, 0, 7]]))
    assert torch.equal(ids, ids.mT)
    every = pairs.pair_ids(torch.arange(5)[None])[0].tril()
    assert sorted(every[torch.ones(5, 5, dtype=torch.bool).tril()].tolist()) == list(range(pairs.n_pairs(5)))


def test_a_shared_rhythm_is_a_correlation():
    """In its own band only."""
    time_s = np.arange(1024) / 256
    random = np.random.default_rng(1)
    x = random.normal(size=(1, 3, 1024)).astype(np.float32)
    x[:, :2] += 10 * np.sin(2 * np.pi * 10 * time_s).astype(np.float32)
    found = pairs.band_pairs(torch.from_numpy(x), torch.tensor([1024]), 256.0)
    alpha = [low <= 10 < high for low, high in pairs.PAIR_BANDS_HZ].index(True)
    assert found[0, 0, 1, alpha] > 0.95
    assert found[0, 0, 2, alpha].abs() < 0.6
    assert found[0, 0, 1, -1].abs() < 0.6
    assert found[0, 0, 0, alpha] > found[0, 2, 2, alpha] + 2


def test_padding_does_not_change_a_trial():
    x = signals()
    whole = pairs.band_pairs(x[:, :, :512], torch.full((6,), 512), 256.0)
    padded = torch.cat((x[:, :, :512], torch.zeros(6, 4, 512)), dim=2)
    assert torch.allclose(pairs.band_pairs(padded, torch.full((6,), 512), 256.0), whole, atol=1e-5)
    wider = torch.cat((x, torch.zeros(6, 2, 1024)), dim=1)
    plain, found = (pairs.band_pairs(y, torch.full((6,), 1024), 256.0) for y in (x, wider))
    assert torch.allclose(found[:, :4, :4], plain, atol=1e-5)


def test_short_trials_have_pairs():
    found = pairs.band_pairs(signals(samples=100), torch.full((6,), 100), 256.0)
    assert bool(found.isfinite().all())


@pytest.mark.filterwarnings("ignore:logm result may be inaccurate")
def test_logarithms_are_those_of_scipy():
    c = pairs.covariances(pairs.band_pairs(signals(), torch.full((6,), 1024), 256.0))
    reference = c.mean(dim=0)
    found = pairs.log_covariances(c, reference)
    inverse = np.linalg.inv(np.real(sqrtm(reference[2].numpy())))
    np.testing.assert_allclose(found[3, :, :, 2], np.real(logm(inverse @ c[3, 2].numpy() @ inverse)), atol=1e-4)
    np.testing.assert_allclose(pairs.log_covariances(c)[1, :, :, 0], np.real(logm(c[1, 0].numpy())), atol=1e-4)


def test_whitening_removes_a_subjects_mixing():
    """Two subjects with the same sources and other heads are alike after whitening by their own means."""
    random = np.random.default_rng(3)
    sources = random.normal(size=(40, 4, 1024)).astype(np.float32)
    sources[20:, 0] *= 3
    seen = []
    for subject in range(2):
        mixing = np.eye(4) + 0.4 * random.normal(size=(4, 4))
        c = pairs.band_pairs(torch.from_numpy((mixing @ sources).astype(np.float32)), torch.full((40,), 1024), 256.0)
        c = pairs.covariances(c)
        logs = pairs.log_covariances(c, c.mean(dim=0))
        # Rotations stay, so compare what no rotation changes.
        seen.append(torch.linalg.eigvalsh(logs.permute(0, 3, 1, 2)).mean(dim=1))
        assert subject == len(seen) - 1
    assert float((seen[0] - seen[1]).abs().mean()) < 0.15 * float(seen[0].abs().mean()) + 0.1
