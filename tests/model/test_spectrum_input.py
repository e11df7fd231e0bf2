"""The spectrum beside the tokens: it looks back only, is the same in a stream, and missing samples do not lower it."""

from __future__ import annotations

import pytest
import torch

from eegprep.errors import UsageError
from eegpt.model.config import ETEConfig, log_spectrum
from eegpt.model.ete import ETE


def encoder(**settings) -> ETE:
    torch.manual_seed(0)
    shape = {"n_layers": 2, "width": 32, "n_heads": 4, "n_electrodes": 10, "token_samples": 16, "token_stride": 8}
    return ETE(ETEConfig(**{**shape, "sfreq_hz": 64.0, "spectrum_hz": (1.0, 20.0), "spectrum_input": 64, **settings}))


def signal(n: int = 3, n_samples: int = 160) -> torch.Tensor:
    return torch.randn(n, n_samples, generator=torch.Generator().manual_seed(1))


def test_spectrum_is_of_the_last_samples():
    """From the first whole second on, it is that of the samples up to the end of the token."""
    model, x = encoder(), signal()
    seen = model.trailing_spectrum(x, 19)
    for token in (6, 12, 18):
        end = token * 8 + 16
        expected = (log_spectrum(x[:, None, end - 64 : end], model.config)[:, 0] + 1) / 2
        torch.testing.assert_close(seen[:, token], expected)


def test_missing_samples_do_not_lower_it():
    """White noise has the same mean power in the first tokens, of which most samples are missing, as later."""
    model, x = encoder(), signal(4000)
    power = torch.exp(2 * model.trailing_spectrum(x, 19) - 1).mean(dim=(0, 2))
    assert power.min() > 0.85
    assert power.max() < 1.15


def test_later_samples_change_nothing():
    """A state depends on no sample after its token."""
    model, x = encoder(), signal()
    changed = x.clone()
    changed[:, 100:] += 3
    states = [model(y.unfold(1, 16, 8), torch.arange(3)) for y in (x, changed)]
    torch.testing.assert_close(states[0][:, :11], states[1][:, :11], rtol=0, atol=0)
    assert (states[0][:, 13:] - states[1][:, 13:]).abs().max() > 1e-3


@pytest.mark.parametrize("known", [1, 3, 12])
def test_a_stream_equals_the_whole(known):
    """One token at a time from a cache, also where the cache holds less than a spectrum needs."""
    model, tokens, electrode = encoder(), signal().unfold(1, 16, 8), torch.arange(3)
    whole = model(tokens, electrode)
    states, cache = model.prefill_states(tokens[:, :known], electrode)
    torch.testing.assert_close(states, whole[:, : known + 1])
    for t in range(known, tokens.shape[1]):
        state, cache = model.extend(cache, tokens[:, t])
        torch.testing.assert_close(state, whole[:, t + 1])
    assert cache.recent_BS is not None
    assert cache.recent_BS.shape[1] == 64
    assert model.slide(cache).recent_BS is cache.recent_BS


def test_a_cache_without_samples_is_refused():
    model, tokens = encoder(), signal().unfold(1, 16, 8)
    cache = model.prefill(tokens, torch.arange(3), torch.ones(tokens.shape[:2], dtype=torch.bool))
    with pytest.raises(UsageError, match="padded"):
        model.extend(cache, tokens[:, 0])


@pytest.mark.parametrize("settings", [{"objective": "masked"}, {"spectrum_input": 8}])
def test_what_it_would_show_is_refused(settings):
    """The masked objective would see hidden tokens; less than a token is no further context."""
    with pytest.raises(UsageError, match="spectrum_input"):
        encoder(**settings)


def test_without_it_nothing_is_added():
    """Weights and states of earlier encoders stay as they are."""
    assert not [n for n, _ in encoder(spectrum_input=0).named_parameters() if "spectrum_in" in n]
