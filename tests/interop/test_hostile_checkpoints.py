"""A stranger's checkpoint gives one clear error: whatever it claims, no memory is filled and no code is run."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from eegprep.errors import EEGPTError, InputError, RefusedError, UsageError
from eegpt.interop import open_model
from eegpt.runs import checkpoint as ck


class Bomb:
    """A pickle that says so when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.write_text, (self.mark, "opened"))


@pytest.fixture
def run(encoder, tmp_path) -> Path:
    shutil.copytree(encoder, tmp_path / "run")
    return tmp_path / "run"


def change(run: Path, **values) -> None:
    config = json.loads((run / "config.json").read_text())
    config["encoder"] |= values
    (run / "config.json").write_text(json.dumps(config))


def test_pickles_are_not_opened(run, tmp_path):
    mark = tmp_path / "mark"
    data = pickle.dumps(Bomb(mark))
    for name in ("pytorch_model.bin", "model.pt", "optimizer.pkl"):
        (run / name).write_bytes(data)
    open_model(run)
    (run / "model.safetensors").rename(run / "weights.bin")
    (run / "weights.bin").write_bytes(data)
    with pytest.raises(InputError, match="no readable weights") as caught:
        open_model(run)
    assert "never opened" in str(caught.value)
    (run / "model.safetensors").write_bytes(data)
    with pytest.raises(EEGPTError):
        open_model(run)
    assert not mark.exists()


@pytest.mark.parametrize(
    "claim",
    [
        {"n_layers": 10**9},
        {"n_layers": 900, "width": 2**15},
        {"width": 2**20, "n_heads": 2**10},
        {"n_electrodes": 10**12},
        {"token_samples": 10**10},
        {"n_layers": 0},
        {"n_layers": -3},
        {"position": "learned", "max_tokens": 10**11},
        {"ffn_ratio": 1e9},
    ],
    ids=lambda c: ",".join(f"{k}={v}" for k, v in c.items()),
)
def test_absurd_sizes_are_refused(run, claim):
    """Before anything is built."""
    change(run, **claim)
    with pytest.raises(RefusedError, match=r"describes (an impossible|a larger) model"):
        open_model(run)


@pytest.mark.parametrize("claim", [{"width": "wide"}, {"norm": "none"}, {"unknown": 1}, {"width": 7}])
def test_invalid_configs_are_refused(run, claim):
    change(run, **claim)
    with pytest.raises(UsageError):
        open_model(run)


@pytest.mark.parametrize("lengths", ["long", 3, [0], ["x"], [{}]])
def test_invalid_window_lengths_are_refused(run, lengths):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"window_samples": lengths}))
    with pytest.raises(InputError, match="lacks a part"):
        open_model(run)


def test_wrong_tensors_are_named(run):
    tensors = ck.load_tensors(run / "model.safetensors")
    name = sorted(tensors)[3]
    ck.save_tensors(run / "model.safetensors", {**tensors, name: torch.zeros(3, 3)})
    with pytest.raises(InputError, match="do not match the model"):
        open_model(run)
    ck.save_tensors(run / "model.safetensors", {k: v for k, v in tensors.items() if k != name})
    with pytest.raises((InputError, RefusedError)):
        open_model(run)


def test_weights_must_be_finite(run):
    tensors = ck.load_tensors(run / "model.safetensors")
    name = next(n for n in sorted(tensors) if tensors[n].is_floating_point())
    tensors[name] = torch.full_like(tensors[name], float("nan"))
    ck.save_tensors(run / "model.safetensors", tensors)
    with pytest.raises(RefusedError, match="not finite"):
        open_model(run)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": 1}', '{"format": 1, "kind": "encoder"}', "[" * 100_000, '{"kind": "transfer"}']
)
def test_unreadable_config_is_one_error(run, text):
    (run / "config.json").write_text(text)
    with pytest.raises(EEGPTError):
        open_model(run)


@pytest.mark.parametrize(
    "text",
    [
        "data: 3", "data: [3]", "a: [", "- 1",
        "data: [{name: x, steps: [{steps: [{step: band_pass, low_hz: many}], hours: 1}]}]",
        "data: [{name: x, steps: [{steps: [{step: 'os.system', cmd: ls}], hours: 1}]}]",
        "!!python/object/apply:os.system ['true']",
    ],
)  # fmt: skip
def test_unreadable_lock_is_one_error(run, text, toy):
    (run / "lock.yaml").write_text(text)
    with pytest.raises(EEGPTError):
        open_model(run).recipe()


def test_other_folders_are_not_runs(tmp_path):
    with pytest.raises(UsageError, match="is not a run"):
        open_model(tmp_path)
    with pytest.raises(UsageError, match="is not a run"):
        open_model(tmp_path / "nothing")
