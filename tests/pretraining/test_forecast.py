"""Rolling forward with cached keys and values, and what the laws of scaling must recover."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

from eegprep.errors import UsageError
from eegpt.data.loader import in_batches
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.pages.pretraining import write_forecast_page
from eegpt.pretraining.forecast import forecast_errors, roll
from eegpt.studies.scaling import fit_power_law


def encoder(**settings) -> ETE:
    torch.manual_seed(0)
    shape = {"n_layers": 2, "width": 16, "n_heads": 2, "token_samples": 32, "token_stride": 8}
    return ETE(ETEConfig(**{**shape, **settings})).eval()


@pytest.mark.parametrize("position", ["rotary", "learned", "none"])
@pytest.mark.parametrize("skip", ["none", "last", "linear"])
def test_forecast_equals_recomputing(position, skip):
    """A forecast equals recomputing everything at each token."""
    model = encoder(position=position, skip=skip)
    x, electrode = torch.randn(3, 5, 32), torch.tensor([1, 7, 3])
    with torch.no_grad():
        tokens = x
        for _ in range(4):
            new = model.predict(model(tokens, electrode)[:, -1:], tokens[:, -1:], new_only=True)
            tokens = torch.cat((tokens, torch.cat((tokens[:, -1:, 8:], new), dim=2)), dim=1)
    expected = tokens[:, 5:, -8:].flatten(1)
    torch.testing.assert_close(roll(model, x, electrode, 32), expected)
    torch.testing.assert_close(roll(model, x, electrode, 27), expected[:, :27])


def test_trivial_forecast_errors(data, tmp_path):
    """Errors of the trivial forecasts are what they must be."""
    index = data.train[0][0]
    model = encoder(skip="last")
    with torch.no_grad():
        model.token_out.weight.zero_()
    rows = in_batches(index, np.arange(20), 8)
    names = list(data.vocabulary.names)
    result = forecast_errors(model, rows, n_forecast=24, names=names, autocast=contextlib.nullcontext)
    assert result.errors["model"] == pytest.approx(result.errors["persistence"], rel=1e-5)
    signal = torch.from_numpy(index.signal[:20]) * 0.005
    known = result.n_known
    assert known == 104
    torch.testing.assert_close(
        torch.tensor(result.errors["zero"]), signal[:, known : known + 24].square().mean(dim=0), rtol=1e-4, atol=1e-6
    )
    page = write_forecast_page(result, sfreq_hz=256.0, out=tmp_path / "forecast.html")
    assert "everything right of the mark" in page.read_text(encoding="utf-8")


def test_masked_encoder_cannot_forecast():
    """An encoder that looks both ways is refused."""
    with pytest.raises(UsageError, match="is bidirectional"):
        roll(encoder(objective="masked"), torch.randn(1, 3, 32), torch.tensor([0]), 8)


def test_power_law_is_recovered():
    """A law is recovered and too few points give none."""
    x = [1e4, 1e5, 1e6, 1e7]
    law = fit_power_law(x, [0.5 + 3 * v**-0.3 for v in x])
    assert law["floor"] == pytest.approx(0.5, rel=0.01)
    assert law["exponent"] == pytest.approx(0.3, rel=0.05)
    assert fit_power_law([1.0, 1.0, 2.0], [3.0, 2.0, 1.0]) is None
