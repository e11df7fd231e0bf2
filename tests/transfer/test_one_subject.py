"""One subject's own data: blocks of its time are held out, in pre-training and in transfer."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from support.transfer_runs import LENGTH, N_TRIALS, build, settings, write_encoder

from eegprep.errors import RefusedError, UsageError
from eegprep.shards import ShardSet
from eegprep.splits import Seen, SeenRecording, find_leaks
from eegpt.data import WindowIndex
from eegpt.evaluation.evaluate import evaluate
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.data import GUARD_SAMPLES, divided, open_windows
from eegpt.runs.settings import changed
from eegpt.transfer.run import transfer

SCHEME = "within:3"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("one") / "alone", "alone", ("Fp1", "Cz", "O2"), n=1)


def small(number: int) -> PretrainConfig:
    return changed(
        PretrainConfig(),
        {
            "data.division": f"{SCHEME}/{number}", "data.window_samples": [96], "encoder.token_samples": 64,
            "encoder.token_stride": 32, "objective.kind": "new",
        },
    )  # fmt: skip


def test_blocks_of_time_are_held_out(alone):
    """Each trial is in the test blocks of one division, and no window trained on comes near a test window."""
    tested = np.zeros(N_TRIALS, int)
    for number in range(3):
        _, parts = divided([ShardSet.open(alone)], f"{SCHEME}/{number}")
        (own,) = parts.values()
        for first, stop in own["test"]:
            tested[first // LENGTH : stop // LENGTH] += 1
            assert all(b <= first - GUARD_SAMPLES or a >= stop + GUARD_SAMPLES for a, b in own["train"])
    assert (tested == 1).all()


def test_windows_lie_in_their_parts(alone):
    data = open_windows([alone], small(1))
    _, parts = divided([ShardSet.open(alone)], f"{SCHEME}/1")
    (own,) = parts.values()
    for index, split in ((data.reference, "train"), (data.heldout["test"], "test")):
        starts = index.start_samples(np.arange(len(index)))
        inside = [any(a <= s and s + 96 <= b for a, b in own[split]) for s in starts.tolist()]
        assert len(inside)
        assert all(inside)
        whole = WindowIndex([alone], n_samples=96, stride=96, splits=None)
        assert len(index) < len(whole)
    # Random offsets stay inside.
    late = data.reference.gather(np.array([len(data.reference) - 1]), shift=np.array([10_000]))
    assert len(late) == 1


def test_windows_have_the_right_samples(alone):
    """Reading a part gives the samples at that time."""
    parts = {"alone/00/-/1": {"train": [(500, 900)], "test": [(1000, 1100)]}}
    index = WindowIndex([alone], n_samples=100, stride=100, parts=parts, electrodes=["Cz"])
    signal = ShardSet.open(alone)["alone/00/-/1"].signal_uv.sel(electrode="Cz").values
    assert index.start_samples(np.arange(len(index))).tolist() == [500, 600, 700, 800]
    np.testing.assert_array_equal(index[1], signal[600:700])
    assert index.shard_sizes.sum() == 4


def test_an_encoder_of_the_fold_is_accepted(alone, tmp_path: Path):
    """One that has learned from the whole recording is refused, with the way out."""
    encoders = [write_encoder(tmp_path / f"e{n}", open_windows([alone], small(n)).seen) for n in range(3)]
    config = settings(steps=4, precision="float32", teg_layers=1, scheme=SCHEME)
    transfer(config, shards=[alone], out=tmp_path / "run", encoder=encoders)
    _, results = evaluate(tmp_path / "run", [alone])
    assert results.tasks["alone/hand"].n_test == N_TRIALS
    with pytest.raises(RefusedError, match="seen in pre-training"):
        transfer(config, shards=[alone], out=tmp_path / "turned", encoder=encoders[::-1])
    (whole,) = ShardSet.open(alone).recordings.seen()
    seen = write_encoder(tmp_path / "whole", Seen.of([whole]))
    with pytest.raises(RefusedError, match=r"--set data\.division=within:3/0"):
        transfer(config, shards=[alone], out=tmp_path / "other", encoder=seen)


def test_one_subject_is_told_the_way(alone, tmp_path: Path):
    encoder = write_encoder(tmp_path / "e", Seen.of([SeenRecording(id="x/y/-/-")]))
    transfer(settings(steps=4, precision="float32"), shards=[alone], out=tmp_path / "run", encoder=encoder)
    with pytest.raises(UsageError, match="--scheme within:5") as told:
        evaluate(tmp_path / "run", [alone])
    assert "by: run" in str(told.value)


def test_seen_parts_are_kept(tmp_path: Path):
    one = SeenRecording(id="a/b/-/-", signal_sha256="1" * 64, held_out=((0, 5), (9, 12)))
    Seen.of([one]).write(tmp_path)
    assert Seen.from_json(json.loads((tmp_path / "seen.json").read_text())) == Seen.of([one])


@pytest.mark.parametrize(
    ("seen", "tested", "leaks"),
    [
        ({"held_out": ((0, 100),)}, {"held_out": ((10, 20), (30, 100))}, 0),
        ({"held_out": ((0, 100),)}, {"held_out": ((10, 20), (90, 101))}, 1),
        ({"held_out": ((0, 100),)}, {}, 1),
        ({}, {"held_out": ((10, 20),)}, 1),
        ({"held_out": ((0, 100),), "signal_sha256": "2" * 64}, {"held_out": ((10, 20),)}, 1),
        ({"held_out": ((0, 100),), "id": "a/b/-/2"}, {"held_out": ((10, 20),)}, 1),
    ],
)
def test_only_held_out_parts_may_be_tested(seen, tested, leaks):
    """A copy of the signal under another name, other samples or another signal are leaks."""
    one = SeenRecording(id="a/b/-/1", signal_sha256="1" * 64, within_subject=True)
    found = find_leaks(Seen.of([dataclasses.replace(one, **seen)]), [dataclasses.replace(one, **tested)])
    assert len(found) == leaks
