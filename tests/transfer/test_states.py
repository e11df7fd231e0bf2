"""Encoded trials on disk: read instead of computed, never wrong, bounded, and safe for several processes."""

from __future__ import annotations

import multiprocessing
import os

import numpy as np
import pytest
import torch
from support.transfer_runs import settings

from eegprep.errors import UsageError
from eegpt.evaluation.evaluate import evaluate
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.transfer import ridge, states
from eegpt.transfer.model import TransferModel
from eegpt.transfer.run import transfer

TINY = ETEConfig(n_layers=1, width=8, n_heads=2, token_samples=64, token_stride=32, objective="new")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EEGPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def encoded(monkeypatch):
    """Counts the trials that the encoder runs on."""
    counted = []
    real = TransferModel.encode

    def encode(self, rows, **options):
        counted.append(len(rows.mask_NE))
        return real(self, rows, **options)

    monkeypatch.setattr(TransferModel, "encode", encode)
    return counted


def run(shards, encoder, out, **more):
    transfer(settings(graph=False, **more), shards=[shards], out=out, encoder=encoder)
    return evaluate(out, [shards])[0].stacked("alpha/hand", "model")


def test_each_trial_is_encoded_once(shards, encoder, tmp_path, encoded):
    """Tasks with the same windows, folds, seeds, evaluation, another run with other readouts: one pass of 96 trials."""
    first = run(shards, encoder, tmp_path / "a", scheme="kfold:4", seeds=(0, 1))
    assert sum(encoded) == 8 * 12
    run(shards, encoder, tmp_path / "b", views=("states", "pairs"), align="none")
    assert sum(encoded) == 8 * 12
    states.clear()
    again = run(shards, encoder, tmp_path / "c", scheme="kfold:4", seeds=(0, 1))
    assert sum(encoded) == 2 * 8 * 12
    np.testing.assert_array_equal(first, again)


def test_readouts_are_fitted_once(shards, encoder, tmp_path, monkeypatch):
    """Other views, seeds: each view's readout is read. Other penalties' folds, alignment or trials: fitted again."""
    fitted = []
    real = ridge.RidgeView.readout
    monkeypatch.setattr(ridge.RidgeView, "readout", lambda self, p: fitted.append(self.name) or real(self, p))
    first = run(shards, encoder, tmp_path / "a")
    n = len(fitted)
    assert n == 7 * 2  # views, tasks
    run(shards, encoder, tmp_path / "b", views=("pairs", "states"), seeds=(0, 1))
    np.testing.assert_array_equal(first, run(shards, encoder, tmp_path / "c"))
    assert len(fitted) == n
    run(shards, encoder, tmp_path / "d", align="none", views=("states",))
    run(shards, encoder, tmp_path / "e", train_fraction=0.5, views=("states",))
    run(shards, encoder, tmp_path / "f", views=("spectrum",))  # computed without the encoder's states
    assert len(fitted) == n + 3 * 2
    run(shards, encoder, tmp_path / "g", views=("states",), compress=False)
    assert len(fitted) == n + 4 * 2


def test_results_do_not_depend_on_it(shards, encoder, tmp_path, monkeypatch, own_cache):
    kept = run(shards, encoder, tmp_path / "a")
    monkeypatch.setenv("EEGPT_STATES_BYTES", "0")
    np.testing.assert_array_equal(kept, run(shards, encoder, tmp_path / "b"))
    states.clear()
    np.testing.assert_array_equal(kept, run(shards, encoder, tmp_path / "c"))
    assert not states.entries()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_damaged_entries_are_computed(shards, encoder, tmp_path, encoded, damage):
    """Also a sound entry under another name, which would be the states of other trials."""
    kept = run(shards, encoder, tmp_path / "a")
    entries = sorted(states.entries())
    raws = [path.read_bytes() for path in entries]
    for path, raw, other in zip(entries, raws, raws[1:] + raws[:1], strict=True):
        flipped = raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:]
        path.write_bytes({"flip": flipped, "cut": raw[:-7], "empty": b"", "other": other}[damage])
    before = sum(encoded)
    np.testing.assert_array_equal(kept, run(shards, encoder, tmp_path / "b"))
    assert sum(encoded) == 2 * before
    assert sorted(path.read_bytes() for path in states.entries()) == sorted(raws)


def test_the_key_covers_weights_and_settings():
    torch.manual_seed(0)
    one = ETE(TINY)
    other = ETE(TINY)
    other.load_state_dict(one.state_dict())
    assert states.encoder_key(one) == states.encoder_key(other)
    with torch.no_grad():
        other.token_out.weight[0, 0] += 1e-6
    assert states.encoder_key(one) != states.encoder_key(other)
    assert states.entry_key("a", "bc") != states.entry_key("ab", "c")


def test_other_code_reads_no_entry(monkeypatch):
    key = states.entry_key("states", 1)
    monkeypatch.setattr(states, "_code", lambda: b"another version")
    assert states.entry_key("states", 1) != key


def test_the_oldest_entries_are_deleted(monkeypatch):
    monkeypatch.setenv("EEGPT_STATES_BYTES", str(250_000))
    for number in range(4):
        states.write(f"{number}", {"x": torch.full((25_000,), float(number))})
        os.utime(states.folder() / f"{number}.states", (number, number))
    assert states.read("0") is states.read("1") is None
    assert states.read("3")["x"][0] == 3
    states.write("large", {"x": torch.zeros(60_000)})
    assert states.read("large") is None
    monkeypatch.setenv("EEGPT_STATES_BYTES", "8 GB")
    with pytest.raises(UsageError, match="EEGPT_STATES_BYTES"):
        states.read("3")


def _write(number):
    for _ in range(20):
        states.write("same", {"x": torch.full((5_000,), 7.0)})
        held = states.read("same")
        assert held is not None
        assert bool((held["x"] == 7.0).all())


def test_many_processes_share_an_entry():
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(n,)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert [path.name for path in states.folder().iterdir()] == ["same.states"]


def test_a_full_disk_only_costs_time(monkeypatch, own_cache):
    own_cache.mkdir()
    (own_cache / "states").write_text("a file where the folder should be")
    states.write("x", {"x": torch.zeros(3)})
    assert states.read("x") is None
