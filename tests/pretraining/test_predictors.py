"""The trivial predictors against what they must give on signals that are known."""

from __future__ import annotations

import pytest
import torch

from eegprep.errors import UsageError
from eegpt.pretraining.heldout import _band_power
from eegpt.pretraining.predictors import fit_linear, new_samples, predict_persistence, predict_zero

TOKENS = {"token_samples": 16, "token_stride": 4}


def autoregressive(n: int, samples: int, seed: int) -> torch.Tensor:
    """x_t = 1.6 x_(t-1) - 0.8 x_(t-2) + noise of variance 1."""
    noise = torch.randn(n, samples + 100, generator=torch.Generator().manual_seed(seed))
    x = torch.zeros(n, samples + 100)
    for t in range(2, samples + 100):
        x[:, t] = 1.6 * x[:, t - 1] - 0.8 * x[:, t - 2] + noise[:, t]
    return x[:, 100:]


def test_new_samples_of_each_token():
    """New samples are those that the token before does not show."""
    signal = torch.arange(32.0).expand(2, 32)
    new = new_samples(signal, **TOKENS)
    assert new.shape == (2, 4, 4)
    assert new[0].flatten().tolist() == list(range(16, 32))


def test_persistence_repeats_last_value():
    """Persistence repeats the last value before."""
    signal = torch.arange(32.0).expand(2, 32)
    assert predict_persistence(signal, **TOKENS)[0, :, 0].tolist() == [15, 19, 23, 27]
    assert not predict_zero(signal, **TOKENS).any()


def test_linear_reaches_noise_floor():
    """Linear predictor reaches the noise floor of an autoregressive process."""
    linear = fit_linear(autoregressive(6000, 64, 1).split(512), **TOKENS)
    test = autoregressive(2000, 64, 2)
    truth = new_samples(test, **TOKENS)
    # The best error k samples ahead is the sum of the first k squared terms of the impulse response.
    response = [1.0, 1.6]
    for _ in range(2):
        response.append(1.6 * response[-1] - 0.8 * response[-2])
    best = torch.tensor(response).square().cumsum(0)
    for whole_context in (False, True):
        error = (linear.predict(test, whole_context=whole_context) - truth).square().mean(dim=(0, 1))
        torch.testing.assert_close(error, best, rtol=0.05, atol=0)


def test_linear_uses_context_alone():
    """Linear predictor uses the context alone."""
    linear = fit_linear([autoregressive(200, 64, 1)], **TOKENS)
    test = autoregressive(3, 64, 2)
    changed = test.clone()
    changed[:, 28:] = 0
    for whole_context in (False, True):
        before = linear.predict(test, whole_context=whole_context)
        after = linear.predict(changed, whole_context=whole_context)
        torch.testing.assert_close(before[:, :4], after[:, :4], rtol=0, atol=0)
        assert (before[:, 4] - after[:, 4]).abs().max() > 0.1


def test_too_few_windows_are_refused():
    """Too few or too short windows are refused."""
    with pytest.raises(UsageError, match="too few windows"):
        fit_linear([torch.randn(3, 64)], **TOKENS)
    with pytest.raises(UsageError, match="too short"):
        fit_linear([torch.randn(300, 17)], **TOKENS)


def test_band_without_bins_is_none():
    """A band between the frequencies of a short string is nothing and not zero."""
    power = _band_power(torch.randn(4, 64), 256.0)  # frequencies every 4 Hz: none from 1 to below 4 Hz
    assert power["delta"] is None
    assert all(power[band] > 0 for band in ("theta", "alpha", "beta", "gamma"))
