"""The encoder that is part of the package: small, complete, honest about what it has seen, allowed to be passed on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import eegpt
from eegprep.splits import SEEN_FILE, Seen
from eegpt.interop.card import refuse_passing_on
from eegpt.interop.model import open_model
from eegpt.runs.checkpoint import load_encoder
from eegpt.runs.folder import WEIGHTS

BASE = Path(eegpt.__file__).parent / "weights" / "base"
TRAINED_ON = {"eegmat", "eegmmidb", "guinea_bissau", "ssvep_exo", "uci_alcohol", "adhd_nasrabadi"}


def test_it_is_small_enough_for_a_wheel():
    assert sum(p.stat().st_size for p in BASE.iterdir()) < 4 << 20


def test_it_names_its_data_and_licences():
    """All of them may be passed on."""
    assert set(refuse_passing_on(open_model(BASE))) == TRAINED_ON


def test_it_lists_what_it_has_seen():
    """The leakage guard knows each of its recordings."""
    seen = Seen.from_json(json.loads((BASE / SEEN_FILE).read_text(encoding="utf-8")))
    assert {r.id.split("/")[0] for r in seen.recordings} == TRAINED_ON
    assert len(seen.recordings) == 168


def test_its_card_is_of_these_weights():
    card = (BASE / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256((BASE / WEIGHTS).read_bytes()).hexdigest() in card
    assert "must not be used" in card


@pytest.mark.parametrize("n_samples", [256, 1024])
def test_it_beats_trivial_predictions(n_samples):
    """New samples of a signal with memory are predicted better than by zero or by the last value."""
    ete = load_encoder(BASE).model
    noise = np.random.default_rng(0).standard_normal((64, n_samples + 64))
    signal = np.zeros_like(noise)
    for t in range(2, noise.shape[1]):
        signal[:, t] = 1.75 * signal[:, t - 1] - 0.8 * signal[:, t - 2] + noise[:, t]
    x = torch.from_numpy(signal[:, 64:] / signal.std()).float().unfold(1, 64, 32)
    with torch.no_grad():
        predicted = ete.predict(ete(x[:, :-1], torch.zeros(64, dtype=torch.long))[:, 1:], x[:, :-1], new_only=True)
    truth = x[:, 1:, -32:]
    error = (predicted - truth).square().mean()
    assert error < truth.square().mean()
    assert error < (x[:, :-1, -1:] - truth).square().mean()


def test_its_settings_are_the_defaults():
    """A run of `eegpt train` without settings has the same architecture."""
    from eegpt.pretraining.config import PretrainConfig

    encoder = json.loads((BASE / "config.json").read_text(encoding="utf-8"))["encoder"]
    own = PretrainConfig().ete(encoder["n_electrodes"])
    assert {k: getattr(own, k) for k in ("token_samples", "token_stride", "spectrum_input", "width", "n_layers")} == {
        k: encoder[k] for k in ("token_samples", "token_stride", "spectrum_input", "width", "n_layers")
    }
