"""The loop: exact wherever it stops, clear when it fails, its folder whole."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.files import alone
from eegpt.pages.pretraining import write_pretraining_page
from eegpt.pretraining.loop import pretrain_on
from eegpt.runs.checkpoint import latest_checkpoint, load_encoder, load_tensors, read_progress, save_tensors
from eegpt.runs.log import read_log
from eegpt.runs.settings import changed


def losses(run: Path) -> list[tuple[int, float, float]]:
    return [(r["step"], r["loss"], r["grad_norm"]) for r in read_log(run) if "loss" in r]


@pytest.mark.parametrize(("objective", "steps"), [("token", 24), ("new", 24), ("new+spectrum", 24), ("masked", 8)])
def test_objectives_train_and_load(objective, steps, small, data, tmp_path):
    """Each objective trains reports and writes a run that loads."""
    config = small({"objective.kind": objective, "held_out.every": 4, "schedule.steps": steps})
    result = pretrain_on(data, config, out=tmp_path / "run")
    assert result.finished
    assert result.steps == steps
    found = losses(tmp_path / "run")
    assert [s for s, _, _ in found] == list(range(1, steps + 1))
    if objective != "masked":  # noise can't be filled in; that it learns is shown in test_objective.py
        assert np.mean([loss for _, loss, _ in found[-6:]]) < np.mean([loss for _, loss, _ in found[:6]])
    errors = result.results.splits["validation"]
    of = errors.predictors
    assert set(of) == {"model", "zero", "persistence", "linear", "linear_whole_context"}
    assert of["zero"].new == pytest.approx(errors.variance)
    assert of["linear"].new < of["persistence"].new
    encoder = load_encoder(tmp_path / "run")
    assert encoder.model.config.objective == objective
    assert len(encoder.vocabulary) == 138
    page = write_pretraining_page(tmp_path / "run").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "Error on new samples by electrode" in page


class StopAt:
    """An index that sends this process a signal when a certain batch is gathered."""

    def __init__(self, index, batch: int, number: int = signal.SIGTERM) -> None:
        self._index, self._left, self._number = index, batch, number

    def __getattr__(self, name):
        return getattr(self._index, name)

    def __len__(self) -> int:
        return len(self._index)

    def gather(self, indices, *, shift=None):
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._number)
        return self._index.gather(indices, shift=shift)


@pytest.mark.parametrize("objective", ["new+spectrum", "masked"])
def test_sigterm_resumes_bit_exactly(objective, small, data, tmp_path):
    """A run stopped by SIGTERM resumes to the last bit."""
    config = small({"objective.kind": objective, "encoder.dropout": 0.1, "augmentation.gain": 0.3})
    pretrain_on(data, config, out=tmp_path / "whole")
    (index, order), *_ = data.train
    stopping = dataclasses.replace(data, train=((StopAt(index, 5), order),))
    handler = signal.getsignal(signal.SIGTERM)
    first = pretrain_on(stopping, config, out=tmp_path / "broken")
    assert signal.getsignal(signal.SIGTERM) is handler
    assert not first.finished
    assert 0 < first.steps < 12
    assert pretrain_on(data, config, out=tmp_path / "broken").finished
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    one, other = (load_tensors(tmp_path / run / "model.safetensors") for run in ("broken", "whole"))
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_interrupt_loses_no_step(small, data, tmp_path):
    """Ctrl-C saves as SIGTERM does, then ends as Ctrl-C does."""
    config = small({})
    (index, order), *_ = data.train
    stopping = dataclasses.replace(data, train=((StopAt(index, 5, signal.SIGINT), order),))
    handler = signal.getsignal(signal.SIGINT)  # ignored if a script started the tests in the background
    with pytest.raises(KeyboardInterrupt):
        pretrain_on(stopping, config, out=tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is handler
    assert read_progress(latest_checkpoint(tmp_path / "run")).step == len(losses(tmp_path / "run")) > 0
    assert pretrain_on(data, config, out=tmp_path / "run").finished


def test_interrupt_in_the_last_errors(small, data, tmp_path, monkeypatch):
    """All steps are done: the same command only measures the errors."""
    config = small({})

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr("eegpt.pretraining.heldout.HeldOut.final", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pretrain_on(data, config, out=tmp_path / "run")
    done = losses(tmp_path / "run")
    assert read_progress(latest_checkpoint(tmp_path / "run")).step == len(done)
    assert pretrain_on(data, config, out=tmp_path / "run").finished
    assert losses(tmp_path / "run") == done


def test_two_runs_never_write_one_folder(small, data, tmp_path):
    with alone(tmp_path / "run"), pytest.raises(UsageError, match="another process is writing"):
        pretrain_on(data, small({}), out=tmp_path / "run")
    assert pretrain_on(data, small({}), out=tmp_path / "run").finished
    assert not (tmp_path / "run" / ".lock").exists()


def test_linear_skip_is_fitted_and_kept(small, data, tmp_path):
    """Predictions can start from the linear map that least squares fits and training keeps it."""
    config = small({"encoder.skip": "linear", "schedule.steps": 24})
    result = pretrain_on(data, config, out=tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    trained = load_encoder(tmp_path / "run").model
    assert not trained.skip.weight.requires_grad
    start = load_tensors(tmp_path / "run" / "checkpoints" / "step-00000020" / "model.safetensors")["skip.weight"]
    assert torch.equal(trained.skip.weight, start)
    errors = result.results.splits["validation"]
    of = errors.predictors
    assert of["model"].new < 1.05 * of["linear"].new < of["persistence"].new


def test_every_length_is_reported(small, make_data, tmp_path):
    """Windows of every trained length are reported on."""
    data = make_data(lengths=(128, 96))
    other = data.train[1][0]
    data = dataclasses.replace(data, others=((other, {"validation": other}),))
    result = pretrain_on(data, small({"schedule.steps": 2, "encoder.skip": "linear"}), out=tmp_path / "run")
    errors = result.results.other_lengths[96]["validation"]
    assert errors.n_windows == len(other)
    assert {"model", "linear", "persistence", "zero"} <= errors.predictors.keys()
    assert "windows of 96 samples" in write_pretraining_page(tmp_path / "run").read_text(encoding="utf-8")


def test_kill_between_checkpoints(small, data, tmp_path):
    """A kill between checkpoints repeats the steps since and logs each once."""
    config = small()
    pretrain_on(data, config, out=tmp_path / "whole")
    run = tmp_path / "killed"
    pretrain_on(data, config, out=run)
    # What a kill -9 at step 11 leaves: the state of step 8, more lines in the log, half a line, half a state.
    (run / "results.json").unlink()
    (run / "checkpoints" / "step-00000012" / "progress.json").unlink()
    lines = (run / "log.jsonl").read_text().splitlines()
    (run / "log.jsonl").write_text("\n".join(lines[:11]) + "\n" + lines[11][:20])
    assert latest_checkpoint(run).name == "step-00000008"
    assert pretrain_on(data, config, out=run).finished
    assert losses(run) == losses(tmp_path / "whole")
    assert (run / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_finished_run_is_left_alone(small, data, tmp_path):
    """The same command on a finished run does nothing."""
    config = small()
    first = pretrain_on(data, config, out=tmp_path / "run")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    again = pretrain_on(data, config, out=tmp_path / "run")
    assert again == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before


def test_accumulation_only_rounds(small, data, tmp_path):
    """Accumulation changes losses by rounding alone."""
    for micro in (16, 4):
        pretrain_on(data, small({"schedule.micro_batch": micro}), out=tmp_path / str(micro))
    whole, parts = (np.array(losses(tmp_path / str(m))) for m in (16, 4))
    np.testing.assert_allclose(parts, whole, rtol=1e-4)


def test_compile_needs_a_compiler(small, data, tmp_path, monkeypatch):
    """Compile without a compiler is one clear error."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(UsageError, match="cannot build its kernels") as caught:
        pretrain_on(data, small({"compute.compile": True}), out=tmp_path / "run")
    assert "no-such-compiler" in str(caught.value.found)
    assert not (tmp_path / "run").exists()


def test_non_finite_batch_is_named(small, data, tmp_path):
    """A batch that is not a number is named and the last checkpoint kept."""
    index = data.train[0][0]
    index.scale_uv[17] = np.nan
    with pytest.raises(InputError, match="not a number") as caught:
        pretrain_on(data, small(), out=tmp_path / "run")
    assert "set/01/-/-" in caught.value.where
    assert data.vocabulary.name_of(int(index.electrode[17])) in caught.value.where
    assert "epoch 0, batch" in caught.value.where


def test_a_folder_of_another_run_is_refused(small, data, tmp_path):
    config = small()
    pretrain_on(data, config, out=tmp_path / "run")
    with pytest.raises(UsageError, match="other settings") as caught:
        pretrain_on(data, changed(config, {"optimiser.learning_rate": 1e-4}), out=tmp_path / "run")
    assert caught.value.found == "optimiser.learning_rate=0.003"
    other = dataclasses.replace(data, set_sha256={"set": "1" * 64})
    with pytest.raises(RefusedError, match="other shard sets"):
        pretrain_on(other, config, out=tmp_path / "run")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(UsageError, match="other files"):
        pretrain_on(data, config, out=tmp_path / "notes")


@pytest.mark.parametrize("damage", ["cut", "flip", "absent", "other"])
def test_damaged_weights_are_refused(damage, small, data, tmp_path):
    run = tmp_path / "run"
    pretrain_on(data, small({"schedule.steps": 2}), out=run)
    weights, config = run / "model.safetensors", run / "config.json"
    raw = weights.read_bytes()
    if damage == "cut":
        weights.write_bytes(raw[:-100])
    elif damage == "flip":
        weights.write_bytes(raw[:3] + bytes([raw[3] ^ 0xFF]) + raw[4:])
    elif damage == "absent":
        weights.unlink()
    else:
        plain = json.loads(config.read_text())
        plain["encoder"]["width"] = 32
        config.write_text(json.dumps(plain))
    with pytest.raises((RefusedError, InputError)):
        load_encoder(run)


def test_full_disk_keeps_the_last_file(tmp_path):
    """A disk that takes no more is the systems error and leaves the last file whole."""
    path = tmp_path / "model.safetensors"
    save_tensors(path, {"a": torch.ones(10)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="large") as caught:
            save_tensors(path, {"a": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert torch.equal(load_tensors(path)["a"], torch.ones(10))
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_folder_that_is_no_run_is_named():
    with pytest.raises(UsageError, match="is not a run"):
        load_encoder(Path("nowhere"))


def test_run_without_held_out_windows(small, make_data, tmp_path):
    """A run without held out windows says so."""
    result = pretrain_on(make_data(heldout=0), small({"schedule.steps": 2}), out=tmp_path / "run")
    assert result.finished
    assert result.results.splits == {}


def test_tensorboard_equals_the_log(small, data, tmp_path):
    """Tensorboard gets the numbers of the log."""
    pytest.importorskip("tensorboard")
    pretrain_on(data, small({"schedule.steps": 2, "run.tensorboard": True}), out=tmp_path / "run")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    found = [(e.step, pytest.approx(e.value, rel=1e-6)) for e in events.Scalars("loss")]
    assert [(r["step"], r["loss"]) for r in read_log(tmp_path / "run") if "loss" in r] == found
