"""Networks of braindecode on our trials; where it is absent or does not load, one clear error."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest

from eegprep.errors import UsageError
from eegpt.evaluation.baselines import BASELINES, FOREIGN, QUICK, chosen
from eegpt.evaluation.baselines import foreign as bd
from eegpt.evaluation.baselines.networks import train_network
from eegpt.evaluation.baselines.trials import TaskData

ELECTRODES = ("C3", "Cz", "C4", "LabSite")


def trials(n: int, n_samples: int, seed: int) -> TaskData:
    random = np.random.default_rng(seed)
    target = np.arange(n) % 2
    time = np.arange(n_samples) / 256
    wave = np.where(target[:, None] == 0, np.sin(2 * np.pi * 10 * time), np.sin(2 * np.pi * 22 * time))
    noise = random.normal(0, 10, (n, len(ELECTRODES), n_samples))
    return TaskData(
        rows=np.arange(n), signal_uv=(noise + 30 * wave[:, None]).astype(np.float32),
        sigma_uv=np.full((n, len(ELECTRODES)), 20, np.float32), target=target.astype(np.float32),
        subject=np.zeros(n, np.int64), electrodes=ELECTRODES, kind="classification", n_classes=2, notes=(),
    )  # fmt: skip


def test_all_excludes_braindecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group `braindecode` selects its networks."""
    monkeypatch.setattr(bd, "load_models", lambda: None)
    assert set(FOREIGN) == set(bd.BRAINDECODE) <= set(BASELINES)
    assert not set(chosen("all")) & set(FOREIGN)
    assert not set(QUICK) & set(FOREIGN)
    assert chosen("braindecode") == FOREIGN
    assert chosen("majority,biot") == ("majority", "biot")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ModuleNotFoundError("No module named 'braindecode'", name="braindecode"), "braindecode is not installed"),
        (OSError("libtorch_cuda.so: cannot open shared object file"), "libtorch_cuda.so"),
    ],
)
def test_a_broken_braindecode_is_one_error(monkeypatch: pytest.MonkeyPatch, error: Exception, told: str) -> None:
    def refuse(name: str, *more: Any) -> Any:
        raise error

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(UsageError) as caught:
        chosen("labram")
    assert told in str(caught.value)
    assert "make baselines" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "n_samples", "expected"),
    [
        ("labram", 1024, 800),
        ("cbramod", 200, 200),
        ("biot", 100, 200),
        ("eegconformer", 1024, 1000),
        ("eegpt_wang", 300, 256),
    ],
)
def test_networks_get_rate_and_whole_patches(name: str, n_samples: int, expected: int) -> None:
    x = bd.prepared(name, trials(4, n_samples, 0))
    assert x.shape == (4, len(ELECTRODES), expected)
    if name == "labram":  # units of 0.1 mV
        assert 0.1 < float(x.std()) < 0.5
    if name == "biot":
        assert float(x.abs().quantile(0.95)) == pytest.approx(1.0, abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in FOREIGN if n != "eegpt_wang"])
def test_networks_learn_two_rhythms(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("braindecode") is None:
        pytest.skip("braindecode is not installed (extra [baselines]): make baselines")
    monkeypatch.setattr(bd, "_STEPS", 40)
    train, test = trials(48, 512, 1), trials(24, 512, 2)
    probability = train_network(bd.braindecode_network(name), train, test, test, seed=0)
    assert probability.shape == (24, 2)
    assert (probability.argmax(axis=1) == test.target).mean() > 0.75
