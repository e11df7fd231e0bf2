"""Weights filled into an encoder without memory are those of an encoder that was made in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.sizes import ete_config
from eegpt.model.weights import bare_encoder, fill
from eegpt.runs.checkpoint import load_tensors

SHAPE = {"n_layers": 2, "width": 24, "n_heads": 2, "token_samples": 32, "token_stride": 8, "sfreq_hz": 64.0}
SETTINGS = [
    {},
    {"objective": "masked", "position": "learned"},
    {"norm": "pre", "position": "none", "skip": "linear", "objective": "new"},
    {"objective": "token", "skip": "last", "n_electrodes": 7},
]


def made_in_memory(config: ETEConfig, seed: int) -> ETE:
    torch.manual_seed(seed)
    return ETE(config)


@pytest.mark.parametrize("settings", SETTINGS)
def test_filled_weights_match_the_seed(settings):
    """Filled weights are those of the same seed to the last bit."""
    config = ETEConfig(**{**SHAPE, **settings})
    expected = made_in_memory(config, 7)
    after = torch.rand(3)
    ete = bare_encoder(config)
    assert all(p.is_meta for p in ete.parameters())
    fill(ete, torch.device("cpu"), seed=7)
    assert torch.equal(torch.rand(3), after)  # what is drawn next is the same, too
    own = ete.state_dict()
    assert own.keys() == expected.state_dict().keys()
    for name, weight in expected.state_dict().items():
        assert torch.equal(own[name], weight), name
    assert [p.requires_grad for p in ete.parameters()] == [p.requires_grad for p in expected.parameters()]


def test_base_weights_never_change():
    """Base begins with the weights that it always had."""
    ete = bare_encoder(ete_config("base"))
    fill(ete, torch.device("cpu"), seed=0)
    expected = made_in_memory(ete_config("base"), 0)
    for name, weight in expected.state_dict().items():
        assert torch.equal(ete.state_dict()[name], weight), name


@pytest.mark.slow
def test_filling_divided_weights(tmp_path):
    """Divided first and filled then two processes hold the same weights in halves."""
    out = tmp_path / "weights.safetensors"
    script = Path(__file__).parents[1] / "support" / "filled_run.py"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script), str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    expected = made_in_memory(ETEConfig(**SHAPE, skip="linear", n_electrodes=7), 7)
    for name, weight in load_tensors(out).items():
        assert torch.equal(weight, expected.state_dict()[name]), name
    found = json.loads(out.with_suffix(".json").read_text())
    total = sum(p.numel() for p in expected.parameters())
    fixed = sum(p.numel() for p in expected.parameters() if not p.requires_grad)
    assert sum(found["held"]) == total + fixed  # what is not trained stays whole in both
    assert max(found["held"]) < 0.6 * total
    assert found["loss"] > 0  # and a step can be taken
