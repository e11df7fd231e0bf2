"""Trials with all their electrodes at once: exact, masked where a gap or a missing electrode is, in any order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eegprep.errors import RefusedError, UsageError
from eegprep.recording import Stretch, Trial
from eegprep.shards import ShardSet, build_shard_set
from eegpt.data import TrialIndex


def covers(info, electrode, trial):
    return any(
        s.start_sample <= trial.start_sample and trial.start_sample + trial.n_samples <= s.stop_sample
        for s in info.kept(electrode)
    )


def check(index, store, indices, electrodes=None):
    infos = {i.id: i for i in store.infos()}
    batch = index.gather(indices, electrodes=electrodes)
    for k, i in enumerate(indices):
        info = infos[index.recording_ids[batch.recording[k]]]
        task = index.tasks[batch.task[k]]
        trial = next(
            t
            for t in info.trials
            if (t.start_sample, t.n_samples, t.task) == (index.start_sample[i], batch.n_samples[k], task.name)
        )
        if task.kind == "classification":
            assert task.classes[batch.label[k]] == trial.label
            assert batch.target[k] == batch.label[k]
        else:
            assert batch.label[k] == -1
            assert batch.target[k] == np.float32(trial.label)
        expected = {e for e in info.electrodes if covers(info, e, trial)}
        if electrodes is not None:
            expected &= set(electrodes)
            order = [e if e in expected else None for e in electrodes]
        else:
            order = sorted(expected, key=index.vocabulary.id_of)
            order += [None] * (batch.electrode.shape[1] - len(order))
        for slot, electrode in enumerate(order):
            if electrode is None:
                assert not batch.electrode_mask[k, slot]
                assert batch.electrode[k, slot] == -1
                assert not batch.signal_i16[k, slot].any()
                continue
            assert batch.electrode_mask[k, slot]
            assert index.vocabulary.name_of(int(batch.electrode[k, slot])) == electrode
            assert batch.sigma_uv[k, slot] == np.float32(info.sigma_uv[info.electrodes.index(electrode)])
            n = trial.n_samples
            signal = store.electrode_uv(info, electrode, Stretch(start_sample=trial.start_sample, n_samples=n))
            np.testing.assert_array_equal(batch.signal_i16[k, slot, :n] * batch.scale_uv[k, slot], signal)
            assert not batch.signal_i16[k, slot, n:].any()
    return batch


def test_every_covered_trial_is_exact(store, shard_set):
    """Every trial that some electrode has whole is there and exact."""
    index = TrialIndex([shard_set])
    trials = [(i, t) for i in store.infos() for t in i.trials]
    whole = [(i, t) for i, t in trials if any(covers(i, e, t) for e in i.electrodes)]
    assert len(index) == len(whole) > 80
    assert index.n_uncovered == len(trials) - len(whole) > 0
    shuffled = np.random.default_rng(0).permutation(len(index))
    batch = check(index, store, shuffled)
    # Cz of every second subject lacks samples that a trial needs, where other electrodes have them.
    assert batch.electrode_mask.sum(axis=1).tolist() == index.n_electrodes[shuffled].tolist()


@settings(max_examples=30)
@given(st.data())
def test_electrodes_in_order_asked_for(store, shard_set, data):
    """Electrodes come in the order asked for."""
    index = TrialIndex([shard_set])
    names = data.draw(st.lists(st.sampled_from(["Fp1", "Cz", "O2", "Pz", "F3"]), min_size=1, max_size=5, unique=True))
    indices = data.draw(st.lists(st.integers(0, len(index) - 1), min_size=1, max_size=12))
    check(index, store, np.array(indices), electrodes=names)


def test_trial_across_blocks_is_whole(store, shard_set):
    """Blocks have 512 samples here."""
    index = TrialIndex([shard_set], tasks=["load"])
    # Trials at 2500 lie in the stretch that begins at 2100, whose first block ends at 2612.
    crossing = np.flatnonzero((index.start_sample < 2612) & (index.start_sample + index.n_samples > 2612))
    assert len(crossing) > 5
    check(index, store, crossing)


def test_tasks_splits_and_datasets_choose(shard_set):
    everything = TrialIndex([shard_set])
    hand, load = TrialIndex([shard_set], tasks=["hand"]), TrialIndex([shard_set], tasks=["synthetic/load"])
    assert len(hand) + len(load) == len(everything)
    assert [t.name for t in hand.tasks] == ["hand"]
    assert hand.tasks[0].classes == ("left", "right")
    parts = [TrialIndex([shard_set], splits=[s]) for s in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(everything)
    subjects = [set(p.subject) for p in parts]
    assert not subjects[0] & subjects[1]
    assert not subjects[0] & subjects[2]
    assert len(TrialIndex([shard_set], datasets=["synthetic"])) == len(everything)
    with pytest.raises(UsageError, match="no task 'feet'"):
        TrialIndex([shard_set], tasks=["feet"])
    with pytest.raises(UsageError, match="no data set"):
        TrialIndex([shard_set], datasets=["x"])


@pytest.mark.parametrize("n", [1, 2, 100])
def test_at_most_so_many_of_each_class(store, shard_set, n):
    """Of each subject, task and class, evenly spread; what is left reads as before."""
    index = TrialIndex(shard_set)
    fewer = index.at_most(n)

    def counts(some):
        return Counter(zip(some.subject, some.task.tolist(), some.label.tolist(), strict=True))

    assert counts(fewer) == {key: min(n, count) for key, count in counts(index).items()}
    assert len(fewer.split) == len(fewer.n_electrodes) == len(fewer)
    check(fewer, store, np.arange(len(fewer)))
    if n == 100:
        assert fewer.fingerprint(np.arange(len(fewer))) == index.fingerprint(np.arange(len(index)))
    else:
        assert len(fewer) < len(index)
    with pytest.raises(UsageError, match="at least one trial"):
        index.at_most(0)


def test_spread_trials_include_the_first_and_last(shard_set):
    index = TrialIndex(shard_set)
    fewer = index.at_most(2)
    group, seen = Counter(), {}
    for k, key in enumerate(zip(index.subject, index.task.tolist(), index.label.tolist(), strict=True)):
        seen.setdefault(key, []).append((int(index.recording[k]), int(index.start_sample[k])))
    for k, key in enumerate(zip(fewer.subject, fewer.task.tolist(), fewer.label.tolist(), strict=True)):
        place = (int(fewer.recording[k]), int(fewer.start_sample[k]))
        assert place == seen[key][0 if not group[key] else -1]
        group[key] += 1


def test_unknown_label_is_refused(synthetic, tmp_path):
    """A label that the task does not know is refused."""
    trials = [Trial(start_sample=0, n_samples=100, task="load", label="much")]
    info, signal = synthetic.recording(np.random.default_rng(0), "1", trials=trials)
    store = synthetic.MemoryStore(synthetic.manifest(), [info], {info.id: signal})
    build_shard_set([store], tmp_path / "set", sync=False)
    with pytest.raises(RefusedError, match="has an unknown label"):
        TrialIndex([ShardSet.open(tmp_path / "set")])


def test_set_without_trials_is_empty(synthetic, tmp_path):
    """A set without trials gives an empty index."""
    info, signal = synthetic.recording(np.random.default_rng(0), "1")
    store = synthetic.MemoryStore(synthetic.manifest(), [info], {info.id: signal})
    build_shard_set([store], tmp_path / "set", sync=False)
    assert len(TrialIndex([ShardSet.open(tmp_path / "set")])) == 0
