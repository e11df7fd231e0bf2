"""What a PyTorch user expects of an index: paths in, microvolt out, a length, workers of any kind, threads."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from eegprep.shards import ShardSet
from eegpt.data import TrialIndex, TwoLevelOrder, WindowIndex


@pytest.fixture(scope="module")
def windows(shard_folder):
    return WindowIndex(shard_folder, n_samples=256, stride=128, splits=None)


def test_opens_folder_text_or_list(shard_folder, shard_set, windows):
    """A folder a text or a list of them is opened."""
    for sets in (str(shard_folder), [shard_folder], shard_set, [shard_set]):
        again = WindowIndex(sets, n_samples=256, stride=128, splits=None)
        np.testing.assert_array_equal(again[7], windows[7])
    assert len(TrialIndex(shard_folder)) == len(TrialIndex([shard_set])) > 0


def test_window_item_is_microvolt(windows):
    """One window is its signal in microvolt."""
    batch = windows.gather(np.array([0, 5, len(windows) - 1]))
    expected = batch.signal_i16 * batch.scale_uv[:, None]
    for row, number in enumerate((0, 5, -1)):
        assert windows[number].dtype == np.float32
        np.testing.assert_array_equal(windows[number], expected[row])
    out = np.empty((3, 256), np.float32)
    assert batch.signal_uv(out=out) is out
    np.testing.assert_array_equal(out, expected)
    for bad in (len(windows), -len(windows) - 1):
        with pytest.raises(IndexError):
            windows[bad]


def test_trial_item_is_signal_and_target(shard_set):
    """One trial is its electrodes in microvolt and its target."""
    trials = TrialIndex(shard_set, tasks=["hand"])
    signal_uv, target = trials[3]
    batch = trials.gather(np.array([3]))
    np.testing.assert_array_equal(signal_uv, batch.signal_i16[0] * batch.scale_uv[0][:, None])
    assert signal_uv.shape == (trials.n_electrodes[3], trials.n_samples[3])
    assert target == trials.label[3]
    with pytest.raises(IndexError):
        trials[len(trials)]


def test_repr_says_what_is_inside(windows, shard_set):
    """The text of an index says what is in it."""
    assert f"{len(windows):,} windows of 256 samples, stride 128" in repr(windows)
    assert "4 electrodes, 10 recordings, 1 sets" in repr(windows)
    trials = TrialIndex(shard_set, tasks=["hand"])
    assert f"{len(trials)} trials of 10 subjects; tasks synthetic/hand" in repr(trials)


def test_pickled_index_carries_no_signal(windows, shard_set):
    """A copy through pickle gives the same windows and carries no signal."""
    data = pickle.dumps(windows)
    assert len(data) < 200_000
    numbers = np.arange(0, len(windows), 3)
    np.testing.assert_array_equal(
        pickle.loads(data).gather(numbers).signal_i16, windows.gather(numbers).signal_i16
    )  # our own bytes
    trials = TrialIndex([shard_set])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(trials))[2][0], trials[2][0])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_data_loader_workers_agree(windows, method):
    """The workers of a data loader give the same windows."""
    torch = pytest.importorskip("torch")
    part = torch.utils.data.Subset(windows, range(0, len(windows), 5))
    made = torch.utils.data.DataLoader(part, batch_size=32, num_workers=2, multiprocessing_context=method)
    got = torch.cat(list(made))
    expected = windows.gather(np.arange(0, len(windows), 5)).signal_uv()
    assert got.dtype == torch.float32
    np.testing.assert_array_equal(got.numpy(), expected)


def test_threads_may_read_at_once(windows):
    everything = windows.gather(np.arange(len(windows))).signal_i16
    order = TwoLevelOrder(windows.shard_sizes, 3, 0)
    expected = [order.at(e, np.arange(len(order))) for e in range(4)]

    def read(k: int) -> bool:
        drawn = order.at(k % 4, np.arange(len(order)))
        same = np.array_equal(drawn, expected[k % 4])
        return same and np.array_equal(windows.gather(drawn).signal_i16, everything[drawn])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(64)))


def test_opening_imports_no_pandas(shard_folder):
    """They take four times as long to import as a large set takes to open."""
    import subprocess
    import sys

    program = (
        "import sys; from eegpt.data import TrialIndex, WindowIndex\n"
        f"WindowIndex({str(shard_folder)!r}, n_samples=64, stride=64); TrialIndex({str(shard_folder)!r})\n"
        "sys.exit(any(m in sys.modules for m in ('pandas', 'pyarrow.compute', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_copied_set_reopens_same_place(shard_folder):
    """A set is opened by its copy from the same place."""
    again = pickle.loads(pickle.dumps(ShardSet.open(shard_folder)))
    assert again.path == shard_folder
    assert len(again.blocks) > 0
