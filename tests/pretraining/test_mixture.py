"""The order of training: complete, stateless, the same for any number of processes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from eegprep.errors import UsageError
from eegpt.data import SampleOrder, WindowBatch
from eegpt.pretraining.data import mixture


def fetch(source, epoch, number):
    """One batch: what a stream gives first from there."""
    stream = source.stream(epoch, number)
    place = next(stream)
    stream.close()
    assert place[:2] == (epoch, number)
    return place[2]


@pytest.fixture
def batches(make_data, small):
    def make(*, lengths=(128,), rank=0, world=1, **settings):
        paths = {"batch_size": "schedule.batch_size", "max_windows": "data.max_windows"}
        plain = {"schedule.micro_batch": 8, "schedule.batch_size": 8, "augmentation.random_offset": False}
        config = small({**plain, "seed": 3, **{paths[k]: v for k, v in settings.items()}})
        return mixture(make_data(n=50, lengths=lengths), config, rank=rank, world=world)

    return make


def epoch_rows(source, epoch):
    stream = source.stream(epoch)
    rows = [next(stream)[2].signal_i16 for _ in range(len(source))]
    stream.close()
    return rows


def test_epoch_has_every_window_once(batches):
    """An epoch holds every window once but for the rest of a batch."""
    source = batches()
    rows = torch.cat(epoch_rows(source, 0))
    assert len(rows) == source.windows_per_epoch == 48
    assert len({tuple(r.tolist()) for r in rows}) == 48


def test_orders_follow_seed_and_epoch(batches):
    """Epochs have different orders and equal seeds equal ones."""
    first, again = batches(), batches()
    assert torch.equal(torch.cat(epoch_rows(first, 1)), torch.cat(epoch_rows(again, 1)))
    assert not torch.equal(torch.cat(epoch_rows(first, 0)), torch.cat(epoch_rows(first, 1)))


def test_ranks_share_a_batch_by_rows(batches):
    """Processes share a global batch row by row."""
    source = batches()
    whole = fetch(source, 2, 3)
    parts = [fetch(batches(rank=r, world=3), 2, 3) for r in range(3)]
    assert sum(map(len, parts)) == len(whole)
    for r, part in enumerate(parts):
        assert torch.equal(part.signal_i16, whole.signal_i16[r::3])
        assert torch.equal(part.electrode, whole.electrode[r::3])


def test_lengths_take_turns(batches):
    """Lengths take turns and each goes through its windows."""
    source = batches(lengths=(128, 96))
    lengths = [rows.shape[1] for rows in epoch_rows(source, 0)]
    assert sorted(lengths) == [96] * 4 + [128] * 6
    assert lengths != sorted(lengths)
    rows = {tuple(r.tolist()) for rows in epoch_rows(source, 0) for r in rows}
    assert len(rows) == 96


def test_batches_predict_equally_much(batches):
    """Batches of every length have as many samples to predict."""
    source = batches(lengths=(128, 96))
    shapes = {tuple(rows.shape) for rows in epoch_rows(source, 0)}
    assert shapes == {(8, 128), (12, 96)}
    assert {n * (length - 32) for n, length in shapes} == {768}


def test_fraction_keeps_its_windows(batches):
    """A fraction is the same windows in every epoch in another order."""
    source = batches(max_windows=16)
    epochs = [torch.cat(epoch_rows(source, e)) for e in range(2)]
    assert [len(e) for e in epochs] == [16, 16]
    windows = [{tuple(r.tolist()) for r in e} for e in epochs]
    assert windows[0] == windows[1]
    assert not torch.equal(*epochs)


def test_stream_from_any_place(batches):
    """A stream resumes from any place and over the end of an epoch."""
    source = batches()
    stream = source.stream(0, 4)
    places = []
    for _ in range(4):
        epoch, number, rows = next(stream)
        places.append((epoch, number))
        assert torch.equal(rows.signal_i16, fetch(source, epoch, number).signal_i16)
    stream.close()
    assert places == [(0, 4), (0, 5), (1, 0), (1, 1)]


def test_offsets_follow_seed_and_epoch(make_data, small):
    class Offsets:
        n_samples, stride = 128, 10

        def __len__(self) -> int:
            return 40

        def fetch_ahead(self, indices):
            pass

        def gather(self, indices, *, shift=None):
            self.seen = getattr(self, "seen", (np.array(indices), np.array(shift)))
            empty, one = np.zeros((len(indices), 128), np.int16), np.ones(len(indices), np.float32)
            return WindowBatch(signal_i16=empty, scale_uv=one, sigma_uv=one, electrode=one, recording=one)

    seen = []
    config = small({"schedule.batch_size": 40, "schedule.micro_batch": 40, "seed": 2})
    for epoch in (0, 0, 1):
        index = Offsets()
        fetch(mixture(dataclasses.replace(make_data(), train=((index, SampleOrder(40, 1)),)), config), epoch, 0)
        seen.append(dict(zip(*map(np.ndarray.tolist, index.seen), strict=True)))
    assert seen[0] == seen[1] != seen[2]
    assert set(seen[0].values()) <= set(range(10))
    assert len(set(seen[0].values())) > 3


def test_nothing_to_train_on_is_refused(make_data, small):
    with pytest.raises(UsageError, match="no windows to train on"):
        mixture(make_data(n=0), small())


def test_more_processes_than_windows_refused(batches):
    with pytest.raises(UsageError, match="fewer windows than there are processes"):
        batches(world=9)
