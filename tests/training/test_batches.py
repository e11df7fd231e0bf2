"""The order of training: complete, stateless, the same for any number of processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eegprep.errors import UsageError
from eegpt.data import SampleOrder
from eegpt.training.batches import Batches


def batches(make_data, **settings) -> Batches:
    data = make_data(n=50, lengths=settings.pop("lengths", (128,)))
    settings = {"batch_size": 8, "seed": 3, **settings}
    return Batches([i for i, _ in data.train], [o for _, o in data.train], **settings)


def epoch_rows(source: Batches, epoch: int) -> list[torch.Tensor]:
    return [source.fetch(epoch, n).signal_i16 for n in range(source.per_epoch)]


def test_an_epoch_holds_every_window_once_but_for_the_rest_of_a_batch(make_data):
    source = batches(make_data)
    rows = torch.cat(epoch_rows(source, 0))
    assert len(rows) == source.windows_per_epoch == 48
    assert len({tuple(r.tolist()) for r in rows}) == 48


def test_epochs_have_different_orders_and_equal_seeds_equal_ones(make_data):
    first, again = batches(make_data), batches(make_data)
    assert torch.equal(torch.cat(epoch_rows(first, 1)), torch.cat(epoch_rows(again, 1)))
    assert not torch.equal(torch.cat(epoch_rows(first, 0)), torch.cat(epoch_rows(first, 1)))


def test_processes_share_a_global_batch_row_by_row(make_data):
    source = batches(make_data)
    whole = source.fetch(2, 3)
    parts = [source.fetch(2, 3, rank=r, world=3) for r in range(3)]
    assert sum(map(len, parts)) == len(whole)
    for r, part in enumerate(parts):
        assert torch.equal(part.signal_i16, whole.signal_i16[r::3])
        assert torch.equal(part.electrode, whole.electrode[r::3])


def test_lengths_take_turns_and_each_goes_through_its_windows(make_data):
    source = batches(make_data, lengths=(128, 96), token_samples=32)
    lengths = [source.fetch(0, n).signal_i16.shape[1] for n in range(source.per_epoch)]
    assert sorted(lengths) == [96] * 4 + [128] * 6
    assert lengths != sorted(lengths)
    rows = {tuple(r.tolist()) for n in range(source.per_epoch) for r in source.fetch(0, n).signal_i16}
    assert len(rows) == 96


def test_batches_of_every_length_have_as_many_samples_to_predict(make_data):
    source = batches(make_data, lengths=(128, 96), token_samples=32)
    shapes = {source.shape(0, n) for n in range(source.per_epoch)}
    assert shapes == {(8, 128), (12, 96)}
    assert {n * (length - 32) for n, length in shapes} == {768}
    assert source.smallest == 8


def test_a_fraction_is_the_same_windows_in_every_epoch_in_another_order(make_data):
    source = batches(make_data, max_windows=16)
    epochs = [torch.cat(epoch_rows(source, e)) for e in range(2)]
    assert [len(e) for e in epochs] == [16, 16]
    windows = [{tuple(r.tolist()) for r in e} for e in epochs]
    assert windows[0] == windows[1]
    assert not torch.equal(*epochs)


def test_a_stream_goes_on_from_any_place_and_over_the_end_of_an_epoch(make_data):
    source = batches(make_data)
    stream = source.stream(0, 4)
    places = []
    for _ in range(4):
        epoch, number, rows = next(stream)
        places.append((epoch, number))
        assert torch.equal(rows.signal_i16, source.fetch(epoch, number).signal_i16)
    stream.close()
    assert places == [(0, 4), (0, 5), (1, 0), (1, 1)]


def test_random_offsets_are_a_function_of_seed_and_epoch():
    class Offsets:
        n_samples, stride = 8, 10

        def __len__(self) -> int:
            return 40

        def gather(self, indices, *, shift=None):
            self.seen = (np.array(indices), np.array(shift))
            empty = np.zeros((len(indices), 8), np.int16)
            one = np.ones(len(indices), np.float32)
            return type(
                "Batch", (), {"signal_i16": empty, "scale_uv": one, "sigma_uv": one, "electrode": one, "recording": one}
            )

    seen = []
    for epoch in (0, 0, 1):
        index = Offsets()
        Batches([index], [SampleOrder(40, 1)], batch_size=40, seed=2, random_offset=True).fetch(epoch, 0)
        seen.append(dict(zip(*map(np.ndarray.tolist, index.seen), strict=True)))
    assert seen[0] == seen[1] != seen[2]
    assert set(seen[0].values()) <= set(range(10))
    assert len(set(seen[0].values())) > 3


def test_nothing_to_train_on_is_refused(make_data):
    data = make_data(n=0)
    with pytest.raises(UsageError, match="no window to train on"):
        Batches([data.train[0][0]], [None], batch_size=8, seed=1)
