"""The encoders that are part of the package are complete, small, and what their cards say."""

from __future__ import annotations

import mne
import numpy as np
import pytest

import eegpt
from eegprep.files import sha256_file
from eegpt.runs.folder import read_lock, read_seen
from eegpt.runs.weights import FOLDER, packaged

_LARGEST_BYTES = 4 << 20


def test_names():
    """Both sizes are there."""
    assert set(packaged()) == {"base", "small"}


@pytest.mark.parametrize("name", packaged())
def test_packaged_encoder_embeds(name):
    """A recording is embedded offline, and other signals give other features."""
    rng = np.random.default_rng(0)
    info = mne.create_info(["Fz", "Cz", "Pz"], 256.0, "eeg")
    found = eegpt.embed(mne.io.RawArray(rng.normal(0, 2e-5, (3, 2048)), info, verbose="ERROR"), model=name)
    values = found.features.values
    assert np.isfinite(values).all()
    assert values.std(axis=(0, 1)).min() > 0
    assert values.shape[-1] == 2 * {"base": 128, "small": 64}[name]


@pytest.mark.parametrize("name", packaged())
def test_card_matches_the_weights(name):
    """The card names the weights' SHA-256 and every data set; the file is small enough for a package."""
    folder = FOLDER / name
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert sha256_file(folder / "model.safetensors") in card
    assert f'model="{name}"' in card
    assert (folder / "model.safetensors").stat().st_size <= _LARGEST_BYTES
    assert read_seen(folder)
    assert len(read_lock(folder).data) == 6
    assert "must not be used" in card
