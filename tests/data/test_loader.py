"""The loader: the same global order for any number of ranks, resumable at any sample, no buffer handed out twice."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegprep.errors import UsageError

torch = pytest.importorskip("torch")

from eegpt.data import SampleOrder, WindowIndex, WindowLoader  # noqa: E402


@pytest.fixture(scope="module")
def index(shard_set):
    return WindowIndex([shard_set], n_samples=64, stride=64, splits=None)


class Numbers:
    """An index of plain numbers: a batch shows which samples it holds."""

    n_samples = stride = 4

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def fetch_ahead(self, indices):
        assert len(indices)

    def gather(self, indices, *, shift=None):
        from eegpt.data import WindowBatch

        zeros = np.zeros(len(indices), np.float32)
        return WindowBatch(
            signal_i16=np.asarray(indices)[:, None],
            scale_uv=zeros,
            sigma_uv=zeros,
            electrode=np.zeros(len(indices), np.int32),
            recording=zeros if shift is None else np.asarray(shift),
        )


def loaders(n, seed, batch, world, state=None, **more):
    """One loader per rank."""
    out = []
    for rank in range(world):
        loader = WindowLoader(Numbers(n), SampleOrder(n, seed), batch, rank=rank, world=world, prefetch=0, **more)
        if state is not None:
            loader.load_state_dict(json.loads(json.dumps(state)))
        out.append(loader)
    return out


def run(group, steps=None):
    """Samples in global order: step by step, position p from rank p mod world; and the state after them."""
    iterators = [iter(g) for g in group]
    order, done = [], 0
    while steps is None or done < steps:
        batches = [next(i, None) for i in iterators]
        rows = [[] if b is None else b.signal_i16[:, 0].tolist() for b in batches]
        if not any(rows):
            break
        for k in range(max(map(len, rows))):
            order += [r[k] for r in rows if k < len(r)]
        done += 1
    ended = [next(i, None) is None for i in iterators] if steps is None else []
    states = [g.state_dict() for g in group]
    assert not ended or all(s == states[0] for s in states)
    for i in iterators:
        i.close()
    return order, states[0]


@settings(max_examples=60)
@given(st.integers(1, 400), st.integers(0, 99), st.integers(1, 40), st.integers(1, 5))
def test_epoch_order_for_any_world(n, seed, batch, world):
    """An epoch is the order whatever the number of ranks."""
    order, state = run(loaders(n, seed, batch, world, drop_last=False))
    assert order == SampleOrder(n, seed).indices(0, 0, n).tolist()
    assert state["epoch"] == 1
    whole, _ = run(loaders(n, seed, batch, world))
    assert whole == order[: n - n % (batch * world)]


@settings(max_examples=60)
@given(st.integers(50, 400), st.integers(0, 99), st.data())
def test_resume_with_other_ranks(n, seed, data):
    """A run that stops and resumes with other ranks sees the same order."""
    seen, state = [], None
    for _ in range(data.draw(st.integers(1, 4))):
        world, batch = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
        part, state = run(loaders(n, seed, batch, world, state, drop_last=False), data.draw(st.integers(0, 4)))
        seen += part
        if state["epoch"] == 1:
            break
    if state["epoch"] == 0:
        part, _ = run(loaders(n, seed, 7, 2, state, drop_last=False))
        seen += part
    assert seen == SampleOrder(n, seed).indices(0, 0, n).tolist()


def test_epochs_have_own_orders():
    """Epochs follow each other with orders of their own."""
    (loader,) = loaders(100, 0, 10, 1)
    epochs = [[x for b in loader for x in b.signal_i16[:, 0].tolist()] for _ in range(3)]
    assert epochs == [SampleOrder(100, 0).indices(e, 0, 100).tolist() for e in range(3)]
    assert len(loader) == 10


def test_prefetched_is_not_seen(index):
    """What was gathered ahead does not count as seen."""
    loader = WindowLoader(index, SampleOrder(len(index), 0), 16, prefetch=4)
    iterator = iter(loader)
    next(iterator)
    next(iterator)
    assert loader.state_dict()["position"] == 32
    iterator.close()
    resumed = WindowLoader(index, SampleOrder(len(index), 0), 16, prefetch=0)
    resumed.load_state_dict(loader.state_dict())
    expected = index.gather(SampleOrder(len(index), 0).indices(0, 32, 16))
    assert torch.equal(next(iter(resumed)).signal_i16, torch.from_numpy(expected.signal_i16))


def test_other_orders_state_refused():
    """The state of another order is refused."""
    (loader,) = loaders(100, 0, 10, 1)
    with pytest.raises(UsageError, match="another order"):
        loaders(100, 1, 10, 1, loader.state_dict())


def test_prefetch_same_batches(index):
    """Prefetching gives the same batches and its thread ends."""

    def batches(prefetch, n=6):
        loader = WindowLoader(index, SampleOrder(len(index), 3), 32, prefetch=prefetch)
        iterator = iter(loader)
        out = [next(iterator) for _ in range(n)]
        iterator.close()
        return out

    for a, b in zip(batches(0), batches(3), strict=True):
        assert torch.equal(a.signal_i16, b.signal_i16)
        assert torch.equal(a.electrode, b.electrode)
    assert not [t for t in threading.enumerate() if t.name == "window-loader"]


def test_a_batch_in_use_is_never_overwritten(index):
    loader = WindowLoader(index, SampleOrder(len(index), 1), 8, prefetch=2)
    kept = list(loader)
    expected = SampleOrder(len(index), 1).indices(0, 0, len(kept) * 8)
    for k, batch in enumerate(kept):
        again = index.gather(expected[8 * k : 8 * k + 8])
        np.testing.assert_array_equal(batch.signal_i16.numpy(), again.signal_i16)


def test_thread_error_reaches_caller(index):
    """An error in the thread reaches the caller."""

    class Broken(SampleOrder):
        def at(self, epoch, positions):
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        next(iter(WindowLoader(index, Broken(len(index), 0), 8)))


def test_random_offsets_repeat():
    """Random offsets repeat exactly and change with the epoch."""

    def shifts(seed):
        (loader,) = loaders(4000, 0, 4000, 1, random_offset=True, offset_seed=seed)
        return [next(iter(loader)).recording.tolist() for _ in range(2)]

    a, b = shifts(1)
    assert [a, b] == shifts(1)
    assert a != b
    assert set(a) == {0, 1, 2, 3}
    assert np.abs(np.bincount(a) / 4000 - 0.25).max() < 0.03


def test_a_rank_outside_the_world_is_refused(index):
    with pytest.raises(UsageError, match="rank below"):
        WindowLoader(index, SampleOrder(len(index), 0), 8, rank=2, world=2)
