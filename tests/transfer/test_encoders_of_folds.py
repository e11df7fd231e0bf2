"""k folds by k encoders: each division's encoder has seen nobody whom the division tests, and the guard looks."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from support.transfer_runs import settings

from eegprep.errors import RefusedError, UsageError
from eegprep.shards import ShardSet
from eegpt.data import TrialIndex
from eegpt.evaluation.evaluate import evaluate
from eegpt.evaluation.tables import results_table
from eegpt.model.config import ETEConfig
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.data import divided, open_windows
from eegpt.runs.checkpoint import load_encoder
from eegpt.runs.folder import shard_set_hashes
from eegpt.runs.settings import changed
from eegpt.transfer.folds import divide
from eegpt.transfer.run import transfer
from eegpt.transfer.setup import make_setup, open_trials

SCHEME = "kfold:4"
QUICK = settings(scheme=SCHEME, graph=False, tasks=("hand",))


def subjects_of(shards, number):
    index = TrialIndex([ShardSet.open(shards)])
    return {index.subject[r] for r in divide(index, SCHEME)[number].test}


def seen_of(shards, number):
    config = changed(
        PretrainConfig(),
        {"data.division": f"{SCHEME}/{number}", "encoder.token_samples": 64, "data.window_samples": (192,)},
    )
    return open_windows([shards], config).seen


@pytest.fixture(scope="module")
def encoders(shards, make_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    return [make_encoder(folder / str(k), seen_of(shards, k)) for k in range(4)]


def test_pretraining_skips_test_subjects(shards):
    """A division's subjects are the test split, and pre-training does not see them."""
    everybody = set()
    for number in range(4):
        (s,), _ = divided([ShardSet.open(shards)], f"{SCHEME}/{number}")
        names = [f"{d}/{p}" for d, p in zip(s.recordings.dataset, s.recordings.subject, strict=True)]
        test = {n for n, split in zip(names, s.recordings.split, strict=True) if split == "test"}
        assert test == subjects_of(shards, number)
        seen = {"/".join(r.id.split("/")[:2]) for r in seen_of(shards, number).recordings}
        assert seen
        assert seen.isdisjoint(test)
        everybody |= test
    assert len(everybody) == 8
    own = ShardSet.open(shards).recordings.split
    assert len(set(own)) == 3  # the set itself is as it was


def test_folds_do_not_depend_on_the_tasks(shards, other_shards, encoder):
    """A subject is in the same fold whatever tasks and data sets are chosen."""
    vocabulary = load_encoder(encoder).vocabulary

    def tested(**chosen):
        config = settings(scheme="kfold:3", mode="scratch", **chosen)
        sets, index = open_trials([shards, other_shards], config)
        divisions = make_setup(sets, index, vocabulary, config).divisions
        return [{index.subject[r] for r in d.test} for d in divisions]

    everybody = tested()
    assert tested(tasks=("hand",)) == everybody
    for dataset in ("alpha", "beta"):
        own = [{p for p in fold if p.startswith(dataset + "/")} for fold in everybody]
        assert tested(datasets=(dataset,)) == own
        assert tested(tasks=(f"{dataset}/load",)) == own


@pytest.mark.parametrize(
    ("division", "message"), [("kfold:4", "not a division"), ("kfold:4/9", "no division 9"), ("x/0", "unknown scheme")]
)
def test_unknown_divisions_are_refused(shards, division, message):
    with pytest.raises(UsageError, match=message):
        divided([ShardSet.open(shards)], division)


def test_divisions_use_their_own_encoders(shards, encoders, tmp_path):
    result = transfer(QUICK, shards=[shards], out=tmp_path / "run", encoder=encoders)
    assert [f.encoder for f in result.fits] == [0, 1, 2, 3]
    predictions, results = evaluate(tmp_path / "run", [shards])
    assert results.leakage == ""
    assert "LEAKAGE" not in results_table(results)
    assert results.tasks["alpha/hand"].n_test_subjects == 8
    assert np.isfinite(predictions.stacked("alpha/hand", "model")).all()


def test_swapped_encoders_are_refused(shards, encoders, tmp_path):
    with pytest.raises(RefusedError) as caught:
        transfer(QUICK, shards=[shards], out=tmp_path / "run", encoder=encoders[::-1])
    assert caught.value.exit_code == 3


def test_mismatched_encoders_are_refused(shards, encoders, make_encoder, tmp_path):
    """Wrong number, or different shapes."""
    with pytest.raises(UsageError, match="does not match the divisions"):
        transfer(QUICK, shards=[shards], out=tmp_path / "run", encoder=encoders[:3])
    wide = ETEConfig(n_layers=2, width=32, n_heads=2, token_samples=64, token_stride=32, objective="new")
    other = make_encoder(tmp_path / "wide", seen_of(shards, 3), wide)
    with pytest.raises(UsageError, match="differ in shape"):
        transfer(QUICK, shards=[shards], out=tmp_path / "run", encoder=[*encoders[:3], other])
    assert not (tmp_path / "run").exists()


def test_equal_folder_names_in_the_lock(shards, other_shards, encoder, tmp_path):
    """Two shard sets in folders of the same name are both in the lock."""
    for name, source in (("a", shards), ("b", other_shards)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shards").symlink_to(source)
    sets = [ShardSet.open(tmp_path / name / "shards") for name in ("a", "b")]
    named = shard_set_hashes([*sets, sets[0]])
    assert list(named.values()) == [sets[0].sha256, sets[1].sha256, sets[0].sha256]
    transfer(QUICK, shards=[s.path for s in sets], out=tmp_path / "run", encoder=encoder)
    locked = yaml.safe_load((tmp_path / "run" / "lock.yaml").read_text())["shard_sets"]
    assert sorted(locked.values()) == sorted(s.sha256 for s in sets)


def test_unknown_data_sets_get_a_hint(shards):
    config = changed(
        PretrainConfig(), {"encoder.token_samples": 64, "data.window_samples": (192,), "data.datasets": ("alfa",)}
    )
    with pytest.raises(UsageError, match=r"(?s)no data set 'alfa'.*alpha"):
        open_windows([shards], config)
