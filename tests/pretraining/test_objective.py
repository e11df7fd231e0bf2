"""The objectives: what each scores, and what it must not see."""

from __future__ import annotations

import itertools

import pytest
import torch

from eegprep.errors import UsageError
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.objective import Pretraining, hidden_spans, log_spectrum, unseen_samples
from eegpt.runs.runtime import cosine
from eegpt.runs.settings import changed

CONFIG = {"n_layers": 2, "width": 16, "n_heads": 2, "token_samples": 32, "token_stride": 8}


def module(objective: str, **settings) -> Pretraining:
    torch.manual_seed(0)
    return Pretraining(ETE(ETEConfig(**CONFIG, objective=objective, **settings)), spectrum_weight=0.5)


def windows(n: int = 5) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    signal = torch.randint(-500, 500, (n, 128), generator=generator).to(torch.int16)
    return signal, torch.full((n,), 0.05), torch.full((n,), 10.0), torch.arange(n)


@pytest.mark.parametrize("skip", ["none", "last", "linear"])
def test_new_scores_last_samples(skip):
    """New is the error of the last samples of each next token."""
    model, batch = module("new", skip=skip), windows()
    x = model.ete.tokenise(*batch[:3])
    states = model.ete(x, batch[3])[:, 1:-1]
    expected = (model.ete.predict(states, x[:, :-1])[..., -8:] - x[:, 1:, -8:]).square().mean()
    torch.testing.assert_close(model(*batch)["loss"], expected)


def test_token_scores_whole_tokens():
    """Token is the error of whole next tokens."""
    model, batch = module("token"), windows()
    x = model.ete.tokenise(*batch[:3])
    expected = (model.ete.predict(model.ete(x, batch[3])[:, 1:-1], x[:, :-1]) - x[:, 1:]).square().mean()
    torch.testing.assert_close(model(*batch)["loss"], expected)


def test_spectrum_is_of_unseen_samples():
    """Spectrum looks at a token that shares no sample with what was seen."""
    model, batch = module("new+spectrum", sfreq_hz=64.0), windows()
    losses = model(*batch)
    torch.testing.assert_close(losses["loss"], losses["new"] + 0.5 * losses["spectrum"])
    x = model.ete.tokenise(*batch[:3])
    n_targets = x.shape[1] - 4
    predicted = model.ete.spectrum(model.ete(x, batch[3])[:, 1 : 1 + n_targets])
    # Position p + 1 has seen samples 0 .. 8 p + 31; its target starts at sample 8 (p + 4) = 8 p + 32.
    expected = (predicted - log_spectrum(x[:, 4:], model.ete.config)).square().mean()
    torch.testing.assert_close(losses["spectrum"], expected)


def test_white_noise_spectrum_is_flat():
    """Log spectrum of white noise is flat at the mean of a log chi square."""
    config = ETEConfig(**{**CONFIG, "token_samples": 256, "token_stride": 32})
    x = torch.randn(2000, 1, 256, generator=torch.Generator().manual_seed(1))
    spectrum = log_spectrum(x, config)
    assert spectrum.shape == (2000, 1, 45)
    # ln of an exponential variable of mean 1: minus Euler's constant
    torch.testing.assert_close(spectrum.mean(dim=(0, 1)), torch.full((45,), -0.5772), rtol=0, atol=0.12)


def test_log_spectrum_finds_a_sine():
    """Log spectrum finds the frequency of a sine."""
    config = ETEConfig(**{**CONFIG, "token_samples": 256, "token_stride": 32})
    sine = torch.sin(2 * torch.pi * 10 * torch.arange(256) / 256).view(1, 1, 256)
    assert config.spectrum_bins[0] + int(log_spectrum(sine, config).argmax()) == 10


def test_masked_scores_hidden_samples():
    """Masked scores only samples that no visible token shows."""
    model, batch = module("masked"), windows()
    config = model.ete.config
    hidden = hidden_spans(5, 13, config, share=0.6, generator=torch.Generator().manual_seed(2))
    unseen = unseen_samples(hidden, config)
    assert unseen.any(dim=(1, 2)).all()
    first = model(*batch, hidden_BT=hidden)["loss"]
    # Changing an unseen sample changes the target alone, so the prediction must stay: compare through the module.
    x = model.ete.tokenise(*batch[:3])
    prediction = model.ete.token_out(model.ete(x, batch[3], hidden_BT=hidden)[:, 1:])
    sample_unseen = torch.zeros(5, 128, dtype=torch.bool)
    for t in range(13):
        sample_unseen[:, 8 * t : 8 * t + 32] |= unseen[:, t]
    signal = batch[0].clone()
    signal[sample_unseen] = 0
    y = model.ete.tokenise(signal, *batch[1:3])
    torch.testing.assert_close(model.ete.token_out(model.ete(y, batch[3], hidden_BT=hidden)[:, 1:]), prediction)
    torch.testing.assert_close(first, (prediction - x)[unseen].square().mean())


def test_masked_learns_to_fill_gaps():
    """Masked learns to fill in what was hidden from both sides."""
    model = module("masked")
    phase = torch.rand(16, 1, generator=torch.Generator().manual_seed(3)) * 6.28
    sine = (200 * torch.sin(torch.arange(128) * 0.3 + phase)).to(torch.int16)  # variance 0.5 after scaling
    batch = (sine, torch.full((16,), 0.05), torch.full((16,), 10.0), torch.zeros(16, dtype=torch.long))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(4)
    for _ in range(300):
        hidden = hidden_spans(16, 13, model.ete.config, share=0.5, generator=generator)
        loss = model(*batch, hidden_BT=hidden)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1


def test_augmentation_scales_targets():
    """Augmentation factors scale signal and target alike."""
    model, batch = module("new", skip="last"), windows()
    with torch.no_grad():
        model.ete.token_out.weight.zero_()  # persistence: its error scales with the square of the factor
    plain = model(*batch)["loss"]
    torch.testing.assert_close(model(*batch, factor_B=torch.full((5,), -2.0))["loss"], 4 * plain)


def test_learning_rate_schedule():
    """Learning rate warms up and falls to its floor."""
    rate = [cosine(s, steps=100, warmup=10, floor=0.1) for s in range(100)]
    assert rate[0] == 0.1
    assert rate[9] == rate[10] == 1.0
    assert all(a >= b for a, b in itertools.pairwise(rate[10:]))
    assert 0.1 <= rate[-1] < 0.102


@pytest.mark.parametrize(
    "settings",
    [
        {"data.window_samples": (96,)},
        {"data.window_samples": (256,), "encoder.token_samples": 256},
        {"schedule.batch_size": 300, "schedule.micro_batch": 256},
        {"held_out.splits": ("train",)},
        {"optimiser.clip_norm": 0.0},
        {"encoder.size": "bass"},
    ],
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(UsageError):
        changed(PretrainConfig(), settings)


SPECTRA = {"sfreq_hz": 64.0, "spectra": (-32, -64, 64)}


def test_spectra_before_and_after_each_position():
    """Targets are the samples just before or just after the last one seen, by the signal itself."""
    model, batch = module("new+spectrum", **SPECTRA), windows()
    losses = model(*batch)
    x = model.ete.tokenise(*batch[:3])
    signal = torch.cat((x[:, 0], x[:, 1:, -8:].flatten(1)), dim=1)
    states = model.ete(x[:, :-1], batch[3])[:, 1:]
    for n, head in zip(model.ete.config.spectra, model.ete.spectra_out, strict=True):
        errors = []
        for p in range(states.shape[1]):
            seen = 32 + 8 * p
            start = seen + min(n, 0)
            if start >= 0 and start + abs(n) <= signal.shape[1]:
                truth = log_spectrum(signal[:, None, start : start + abs(n)], model.ete.config)[:, 0]
                errors.append((head(states[:, p]) - truth).square())
        torch.testing.assert_close(losses[f"spectrum{n:+d}"], torch.stack(errors).mean())
    parts = sum(losses[k] for k in ("spectrum", "spectrum-32", "spectrum-64", "spectrum+64"))
    torch.testing.assert_close(losses["loss"], losses["new"] + 0.5 * parts)


def test_spectra_that_do_not_fit_are_left_out():
    """Short windows train on the targets that they contain."""
    model = module("new+spectrum", sfreq_hz=64.0, spectra=(-32, -128, 128))
    assert set(model(*windows())) == {"loss", "new", "spectrum", "spectrum-32"}


def test_other_objectives_have_no_spectra():
    config = changed(PretrainConfig(), {"objective.kind": "new", "objective.spectra": (256,)})
    assert not config.ete(10).spectra
