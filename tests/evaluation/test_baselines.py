"""Each baseline finds what it is made to find, learns from train alone, and gives the same again."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from eegprep.errors import UsageError
from eegpt.evaluation.baselines import (
    BASELINES,
    FOREIGN,
    GRAPH,
    QUICK,
    chosen,
    networks,
    run_baseline,
)
from eegpt.evaluation.baselines.linear import balanced_loss, power_spectrum
from eegpt.evaluation.baselines.networks import EEGNet, ShallowConvNet
from eegpt.evaluation.baselines.trials import TaskData

SFREQ_HZ = 256
# What this project brings itself; braindecode's networks have their own tests.
OWN = [n for n in BASELINES if n not in FOREIGN]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    for name, network in networks.OWN.items():
        monkeypatch.setitem(networks.OWN, name, dataclasses.replace(network, steps=120))


def data(n, effect, *, seed=0, n_samples=256, kind="classification", n_classes=2):
    """Noise at four electrodes; `effect(signal, label, t)` writes what tells the classes apart."""
    random = np.random.default_rng(seed)
    label = np.arange(n) % n_classes
    signal = random.normal(0, 10, (n, 4, n_samples)).astype(np.float32)
    t = np.arange(n_samples) / SFREQ_HZ
    for i in range(n):
        effect(signal[i], label[i], t, random)
    return TaskData(
        rows=np.arange(n) + 1000 * seed,
        signal_uv=signal,
        sigma_uv=np.full((n, 4), 10.0, np.float32),
        target=label.astype(np.float32),
        subject=10 * seed + np.arange(n) // 10,
        electrodes=("C3", "Cz", "C4", "Pz"),
        kind=kind,
        n_classes=n_classes if kind == "classification" else 1,
        notes=(),
    )


def rhythm(signal, label, t, random):
    signal[1] += 15 * label * np.sin(2 * np.pi * 10 * t + random.uniform(0, 6))


def drift(signal, label, t, random):
    signal[2] += (2 * label - 1) * 8


def mixing(signal, label, t, random):
    """Equal power everywhere; only the sign of the correlation of two electrodes differs."""
    common = 20 * random.normal(size=len(t))
    signal[0] += common
    signal[3] += common * (2 * label - 1)


def accuracy(name, effect, **more):
    train, validation, test = (data(n, effect, seed=s, **more) for s, n in enumerate((80, 30, 40)))
    output = run_baseline(name, train, validation, test, 0)
    assert output.shape == (40, train.n_classes)
    np.testing.assert_allclose(output.sum(axis=1), 1, atol=1e-4)
    return (output.argmax(1) == test.target).mean()


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("band_power", rhythm),
        ("log_spectrum", rhythm),
        ("log_spectrum_by_subject", rhythm),
        ("slow_potentials", drift),
        ("tangent_space", mixing),
        ("eegnet", rhythm),
        ("shallow", rhythm),
    ],
)
def test_baselines_find_their_effect(name, effect):
    assert accuracy(name, effect) > 0.8


def test_by_subject_finds_small_changes():
    """Changes that are smaller than the differences between subjects."""
    parts = []
    for seed, n in enumerate((80, 30, 40)):
        part = data(n, lambda signal, label, t, random: None, seed=seed)
        strength = 4.0 ** (1.5 + np.random.default_rng(9).permutation(100)[part.subject] / 50)
        t = np.arange(256) / SFREQ_HZ
        part.signal_uv[:, 1] += (strength * (1 + part.target))[:, None] * np.sin(2 * np.pi * 10 * t)
        parts.append(part)
    score = {
        name: (run_baseline(name, *parts, 0).argmax(1) == parts[2].target).mean()
        for name in ("log_spectrum", "log_spectrum_by_subject")
    }
    assert score["log_spectrum_by_subject"] > 0.95
    assert score["log_spectrum"] < 0.8


def test_by_subject_keeps_identity_tasks():
    def of_people(seed, n):
        part = data(n, lambda signal, label, t, random: None, seed=seed)
        label = (part.subject % 2).astype(np.float32)
        part.signal_uv[:, 1] += 20 * label[:, None] * np.sin(2 * np.pi * 10 * np.arange(256) / SFREQ_HZ)
        return dataclasses.replace(part, target=label)

    parts = [of_people(seed, n) for seed, n in enumerate((80, 40, 40))]
    output = run_baseline("log_spectrum_by_subject", *parts, 0)
    assert (output.argmax(1) == parts[2].target).mean() > 0.9


def test_tangent_space_finds_correlations():
    """Power alone does not."""
    assert accuracy("band_power", mixing) < 0.75


@pytest.mark.parametrize("name", [n for n in OWN if n != "majority"])
def test_baselines_stay_at_chance_on_noise(name):
    def nothing(signal, label, t, random):
        pass

    assert 0.2 < accuracy(name, nothing) < 0.8


@pytest.mark.parametrize("name", OWN)
def test_one_trial_per_class_runs(name):
    """Or the baseline does not apply."""
    output = run_baseline(name, data(2, rhythm), data(2, rhythm, seed=1).take(np.arange(0)), data(6, rhythm, seed=2), 0)
    assert (output is None) == (name == "slow_potentials")
    if output is not None:
        assert output.shape == (6, 2)
        assert np.isfinite(output).all()


def test_three_classes_and_short_trials():
    def level(signal, label, t, random):
        signal[0] += 20 * (label - 1)

    assert accuracy("slow_potentials", level, n_classes=3, n_samples=100) > 0.8
    for name in ("eegnet", "shallow", "band_power"):
        accuracy(name, level, n_classes=3, n_samples=64)


@pytest.mark.parametrize("name", OWN)
def test_equal_seeds_give_equal_outputs(name):
    parts = [data(n, rhythm, seed=s) for s, n in enumerate((20, 8, 10))]
    np.testing.assert_array_equal(run_baseline(name, *parts, 3), run_baseline(name, *parts, 3))


def test_baselines_run_without_validation():
    train, test = data(30, rhythm), data(10, rhythm, seed=2)
    empty = train.take(np.zeros(0, np.int64))
    for name in QUICK:
        assert np.isfinite(run_baseline(name, train, empty, test, 0)).all()


def test_regressions_are_left_to_ridge():
    def amplitude(signal, label, t, random):
        signal[1] += 3 * label * np.sin(2 * np.pi * 10 * t)

    train, validation, test = (
        data(n, amplitude, seed=s, kind="regression", n_classes=6) for s, n in enumerate((90, 30, 40))
    )
    output = run_baseline("band_power", train, validation, test, 0)
    assert output.shape == (40, 1)
    assert np.corrcoef(output[:, 0], test.target)[0, 1] > 0.8
    assert run_baseline("eegnet", train, validation, test, 0) is None


def test_one_class_has_no_baseline():
    train = data(20, rhythm)
    one = train.take(train.rows[train.target == 0])
    assert run_baseline("band_power", one, train, train, 0) is None
    assert (run_baseline("majority", one, train, train, 0)[:, 0] == 1).all()


def test_the_spectrum_is_power_per_hertz():
    t = np.arange(1024) / SFREQ_HZ
    power, frequency_hz = power_spectrum((3 * np.sin(2 * np.pi * 20 * t))[None, None].astype(np.float32), SFREQ_HZ)
    assert frequency_hz[power[0, 0].argmax()] == 20
    assert power.sum() * (frequency_hz[1] - frequency_hz[0]) == pytest.approx(3**2 / 4, rel=0.02)  # one side of two


def test_baseline_names_are_checked():
    assert chosen("none") == ()
    assert chosen("band_power, eegnet") == ("band_power", "eegnet")
    assert set(chosen("all")) == {*OWN, GRAPH}
    assert chosen("teg_band_power") == (GRAPH,)
    assert chosen("none,quick,teg_band_power,band_power") == (*chosen("quick"), GRAPH)
    with pytest.raises(UsageError, match="unknown baseline 'bandpower'"):
        chosen("bandpower")


def test_balanced_loss_weighs_classes():
    probability = np.array([[0.9, 0.1]] * 9 + [[0.9, 0.1]])
    label = np.array([0] * 9 + [1])
    assert balanced_loss(probability, label) == pytest.approx((-np.log(0.9) - np.log(0.1)) / 2)


@pytest.mark.parametrize(
    ("network", "n_samples"), [(EEGNet, 448), (EEGNet, 64), (ShallowConvNet, 1024), (ShallowConvNet, 128)]
)
def test_networks_accept_all_lengths(network, n_samples):
    torch.manual_seed(0)
    out = network(6, n_samples, 3)(torch.randn(5, 6, n_samples))
    assert out.shape == (5, 3)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("n_samples", [448, 63])
def test_eegnet_sums_electrodes_first(n_samples):
    """Outputs, gradients and the kept moments equal the layers one after the other."""
    torch.manual_seed(0)
    network = EEGNet(6, n_samples, 3).double()
    for part in network.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    written = copy.deepcopy(network)
    x = torch.randn(5, 6, n_samples, dtype=torch.float64) + 0.3

    def as_written(x_NES):
        y = written.norm(written.time(written.pad(x_NES.unsqueeze(1).flatten(0, 1)).unflatten(0, (len(x_NES), 1))))
        return written.head(written.body(written.space(y)))

    for forward in (network, as_written):
        forward(x).square().sum().backward()
    torch.testing.assert_close([p.grad for p in network.parameters()], [p.grad for p in written.parameters()])
    for name, kept in written.named_buffers():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(network.get_buffer(name), kept)
    written.eval()
    torch.testing.assert_close(network.eval()(x), as_written(x))


def test_shallow_merges_its_two_filters():
    """One product equals the two layers one after the other."""
    torch.manual_seed(0)
    network, x = ShallowConvNet(6, 256, 3).double().eval(), torch.randn(5, 6, 256, dtype=torch.float64)

    def as_written(x_NES):
        y = network.norm(network.space(network.time(x_NES.unsqueeze(1)))).square()
        return network.head(network.pool(y).clamp_min(1e-6).log().flatten(1))

    def gradients(forward):
        network.zero_grad()
        forward(x).square().sum().backward()
        return [p.grad.clone() for p in network.parameters()]

    torch.testing.assert_close(network(x), as_written(x))
    torch.testing.assert_close(gradients(network), gradients(as_written))
