"""The encoder: what a position may see, what the cache must equal, that it can learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from eegprep.errors import UsageError
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.pretraining.objective import Pretraining

POSITIONS = ("rotary", "learned", "none")
NORMS = ("output", "pre")


def encoder(**settings) -> ETE:
    torch.manual_seed(0)
    shape = {"n_layers": 2, "width": 32, "n_heads": 4, "n_electrodes": 10, "token_samples": 16, "token_stride": 4}
    return ETE(ETEConfig(**{**shape, **settings}))


def tokens(n: int = 3, t: int = 9, c: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, t, c, generator=generator), torch.tensor([4, 0, 9])[:n]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("position", POSITIONS)
def test_a_position_sees_only_earlier_tokens(norm, position):
    model = encoder(norm=norm, position=position)
    x, electrode = tokens()
    changed = x.clone()
    changed[:, 5] += 1.0
    before, after = model(x, electrode), model(changed, electrode)
    torch.testing.assert_close(before[:, :6], after[:, :6], rtol=0, atol=0)
    assert (before[:, 6:] - after[:, 6:]).abs().amax(dim=-1).min() > 1e-4


def test_overlapping_tokens_are_copied():
    """Overlapping tokens are copied before they are multiplied."""
    model = encoder()
    signal = torch.randn(3, 48, generator=torch.Generator().manual_seed(2))
    view, electrode = signal.unfold(-1, 16, 4), torch.tensor([4, 0, 9])
    assert not view.is_contiguous()
    given: list[bool] = []
    model.token_in.register_forward_pre_hook(lambda module, args: given.append(args[0].is_contiguous()))
    torch.testing.assert_close(model(view, electrode), model(view.clone(), electrode), rtol=0, atol=0)
    assert given == [True, True]


def test_gradient_flows_backwards_only():
    """Gradient flows from a position to earlier tokens alone."""
    model = encoder()
    x, electrode = tokens()
    x.requires_grad_()
    model(x, electrode)[:, 4, 0].sum().backward()
    assert (x.grad[:, 4:] == 0).all()
    assert (x.grad[:, :4].abs().sum(dim=-1) > 0).all()


def test_masked_encoder_sees_both_ways():
    """Masked encoder sees both ways and no hidden token."""
    model = encoder(objective="masked")
    x, electrode = tokens()
    hidden = torch.zeros(3, 9, dtype=torch.bool)
    hidden[:, 5] = True
    changed = x.clone()
    changed[:, 5] += 1.0
    torch.testing.assert_close(model(x, electrode, hidden_BT=hidden), model(changed, electrode, hidden_BT=hidden))
    assert (model(x, electrode)[:, 1] - model(changed, electrode)[:, 1]).abs().max() > 1e-4


def test_electrode_changes_positions():
    """The electrode changes every position."""
    model = encoder()
    x, electrode = tokens()
    assert ((model(x, electrode) - model(x, electrode.roll(1))).abs().amax(dim=-1) > 1e-4).all()


@pytest.mark.parametrize("objective", ["new", "masked"])
def test_padding_changes_no_state(objective):
    """Padding at the end changes no earlier state."""
    model = encoder(objective=objective)
    x, electrode = tokens()
    padded = torch.cat((x, torch.full((3, 4, 16), 7.0)), dim=1)
    mask = torch.arange(13).expand(3, 13) < 9
    torch.testing.assert_close(model(padded, electrode, mask)[:, :10], model(x, electrode))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("position", POSITIONS)
def test_cached_special_token_is_exact(norm, position):
    """Special token against cache equals the whole pass in value and gradient."""
    model = encoder(norm=norm, position=position)
    x, electrode = tokens()
    special = nn.Parameter(torch.randn(32))

    embedded = model.embed(x, electrode)
    last = special.expand(3, 1, 32)
    if model.position is not None:
        last = last + model.position(torch.tensor([10]))
    whole = model.run(torch.cat((embedded, last), dim=1))[:, -1]
    whole.square().sum().backward()
    gradient, special.grad = special.grad, None

    with torch.no_grad():
        cache = model.prefill(x, electrode)
    z = model.summarise(cache, special)
    z.square().sum().backward()
    torch.testing.assert_close(z, whole)
    torch.testing.assert_close(special.grad, gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("objective", ["new", "masked"])
def test_padded_summary_is_unpadded(position, objective):
    """Padded sequences have the summary of their unpadded selves."""
    model = encoder(position=position, objective=objective)
    x, electrode = tokens()
    special, lengths = torch.randn(32), (9, 4, 6)
    mask = torch.arange(9) < torch.tensor(lengths).unsqueeze(1)
    together = model.summarise(model.prefill(x, electrode, mask), special)
    for i, n in enumerate(lengths):
        alone = model.summarise(model.prefill(x[i : i + 1, :n], electrode[i : i + 1]), special)
        torch.testing.assert_close(together[i : i + 1], alone)


@pytest.mark.parametrize("position", POSITIONS)
def test_cached_tokens_equal_whole_pass(position):
    """Tokens one by one against the cache equal the whole pass."""
    model = encoder(position=position)
    x, electrode = tokens()
    whole = model(x, electrode)
    states, cache = model.prefill_states(x[:, :3], electrode)
    torch.testing.assert_close(states, whole[:, :4])
    for t in range(3, 9):
        state, cache = model.extend(cache, x[:, t])
        torch.testing.assert_close(state, whole[:, t + 1])


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("way", ["states", "cached", "one by one", "masked", "objective"])
def test_no_product_of_overlapping_views(way, autocast, monkeypatch):
    """Such a product with a fixed weight is one small product for every row: seconds instead of milliseconds."""
    model = encoder(objective="masked" if way == "masked" else "new+spectrum", skip="linear", sfreq_hz=64.0)
    model.requires_grad_(False)
    stored = torch.randint(-300, 300, (3, 48), dtype=torch.int16, generator=torch.Generator().manual_seed(2))
    scale, sigma, electrode = torch.full((3,), 0.1), torch.full((3,), 10.0), torch.tensor([4, 0, 9])
    x = model.tokenise(stored, scale, sigma)
    assert not x.is_contiguous()

    def run(x: torch.Tensor) -> torch.Tensor:
        if way == "states":
            states = model(x[:, :-1], electrode)
            return torch.cat((model.predict(states[:, 1:], x[:, :-1]), model.spectrum(states[:, 1:]).float()), dim=-1)
        if way == "cached":
            return model.prefill_states(x, electrode)[0]
        if way == "one by one":
            return model.extend(model.prefill(x[:, :-1], electrode), x[:, -1])[0]
        if way == "masked":
            return model(x, electrode, hidden_BT=torch.arange(x.shape[1]).expand(x.shape[:2]) == 4)
        return Pretraining(model, spectrum_weight=0.5)(stored, scale, sigma, electrode)["loss"]

    taken: list[torch.Tensor] = []
    linear = F.linear

    def watched(x, weight, bias=None):
        if x.shape[-1] == model.config.token_samples:
            # What reaches the product is what autocast makes of it.
            cast = x.to(torch.bfloat16) if torch.is_autocast_enabled("cpu") else x
            taken.append(cast)
        return linear(x, weight, bias)

    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        expected = run(x.clone(memory_format=torch.contiguous_format))
        monkeypatch.setattr(F, "linear", watched)
        found = run(x)
    assert taken
    assert all(t.is_contiguous() or t.dim() == 2 for t in taken)
    assert torch.equal(found, expected)


def test_recompute_keeps_gradients():
    """Recomputed activations give the same gradients."""
    model = encoder().train()
    x, electrode = tokens()
    gradients = []
    for recompute in (False, True):
        model.recompute = recompute
        model.zero_grad()
        model(x, electrode).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.layers.parameters()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again)


@pytest.mark.parametrize("norm", NORMS)
def test_one_batch_can_be_learned_by_heart(norm):
    model = encoder(norm=norm, objective="new+spectrum", sfreq_hz=64.0)
    x, electrode = tokens()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(300):
        loss = (model.predict(model(x, electrode)[:, 1:-1], x[:, :-1]) - x[:, 1:]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05  # the data's variance is 1; nothing but memory predicts noise


@pytest.mark.parametrize("skip", ["none", "last", "linear"])
def test_new_samples_are_the_tail(skip):
    """New samples are the tail of the predicted token."""
    model = encoder(skip=skip)
    x, electrode = tokens()
    h = model(x, electrode)[:, 1:]
    torch.testing.assert_close(model.predict(h, x, new_only=True), model.predict(h, x)[..., -4:])


def test_zero_states_predict_the_skip():
    """Without states a prediction is what the skip starts from."""
    x, _ = tokens()
    nothing = torch.zeros(3, 9, 32)
    assert not encoder(skip="none").predict(nothing, x, new_only=True).any()
    assert torch.equal(encoder(skip="last").predict(nothing, x, new_only=True), x[..., -1:].expand(3, 9, 4))
    model = encoder(skip="linear")
    torch.testing.assert_close(model.predict(nothing, x)[..., -4:], x @ model.skip.weight.T)


def test_spectrum_bins_cover_the_band():
    """Spectrum bins cover the band and no more."""
    assert ETEConfig(n_layers=1, width=8, n_heads=2).spectrum_bins == (1, 46)
    short = ETEConfig(n_layers=1, width=8, n_heads=2, token_samples=64)
    assert short.spectrum_bins == (1, 12)  # 4 Hz to 44 Hz
    assert (short.n_spectrum, short.tokens_ahead) == (11, 2)


@pytest.mark.parametrize("settings", [{"n_heads": 5}, {"token_stride": 17}, {"token_stride": 0}])
def test_shapes_that_cannot_be_are_refused(settings):
    with pytest.raises(UsageError, match=r"heads|gap"):
        encoder(**settings)


def test_learned_positions_have_an_end():
    """Learned positions refuse longer sequences."""
    model = encoder(position="learned", max_tokens=6)
    with pytest.raises(UsageError, match="longer than the learned positions"):
        model(*tokens())
