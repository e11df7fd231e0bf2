"""The readouts and their weights: no view may cost, and what is learned is the same however it is computed."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from eegpt.data import TaskInfo
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.heads import HeadSpec
from eegpt.model.pairs import N_PAIR_FEATURES
from eegpt.model.teg import TEGConfig
from eegpt.runs.settings import changed
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.folds import inner_folds
from eegpt.transfer.model import TransferModel
from eegpt.transfer.ridge import _STRENGTHS, RidgeView
from eegpt.transfer.rows import Encoded, only
from eegpt.transfer.weighting import Member, Problem, member_weights


def problem(labels, folds, n_units=8.0):
    count = np.bincount(labels)
    return Problem(
        y_NK=np.eye(len(count))[labels],
        weight_N=1.0 / count[labels],
        fold_N=np.asarray(folds),
        unit_N=np.asarray(folds) if len(set(folds)) > 5 else np.arange(len(folds)) // max(1, len(folds) // 8),
        regression=False,
        n_units=n_units,
    )


def member(name, output_NK, trials):
    scale, loss = trials.scaled(output_NK)
    return Member(name=name, output_NK=scale * output_NK, scale=scale, loss=loss)


def outputs(labels, strength, random):
    """Outputs that point to the label with some strength, in unit noise."""
    return random.normal(size=(len(labels), 2)) + strength * np.eye(2)[labels]


@pytest.fixture
def trials():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 400)
    return problem(labels, np.arange(400) % 5), labels, random


def balanced(output_NK, labels):
    return np.mean([(output_NK.argmax(axis=1) == labels)[labels == k].mean() for k in (0, 1)])


def test_noise_does_not_cost(trials):
    """One good view among eight of noise: the sum is as good as the good view alone."""
    one, labels, random = trials
    views = [member("good", outputs(labels, 3.0, random), one)]
    views += [member(f"noise {i}", outputs(labels, 0.0, random), one) for i in range(8)]
    weights, _ = member_weights(one, views, None)
    new = random.integers(0, 2, 4000)
    seen = [outputs(new, 3.0, random), *(outputs(new, 0.0, random) for _ in range(8))]
    summed = sum(w * m.scale * x for w, m, x in zip(weights, views, seen, strict=True))
    assert balanced(summed, new) >= balanced(seen[0], new) - 0.01
    assert weights[0] > 5 * max(weights[1:])


def test_independent_views_add_up(trials):
    one, labels, random = trials
    views = [member(str(i), outputs(labels, 1.5, random), one) for i in range(3)]
    weights, _ = member_weights(one, views, None)
    new = random.integers(0, 2, 4000)
    seen = [outputs(new, 1.5, random) for _ in views]
    summed = sum(w * m.scale * x for w, m, x in zip(weights, views, seen, strict=True))
    assert balanced(summed, new) > max(balanced(x, new) for x in seen) + 0.04
    assert min(weights) > 0.2


def test_an_answer_where_nothing_was_learned(trials):
    """Not the first class for every trial."""
    one, labels, random = trials
    views = [member(str(i), outputs(labels, 0.0, random), one) for i in range(3)]
    weights, _ = member_weights(one, views, None)
    assert weights.sum() > 0


@pytest.mark.parametrize(("strength", "used"), [(0.0, False), (2.0, True)])
def test_the_graph_is_used_where_it_helps(trials, strength, used):
    one, labels, random = trials
    views = [member("view", outputs(labels, 2.0, random), one)]
    output_NK = outputs(labels, strength, random)
    output_NK[200:] = np.nan  # the graph was fitted to the other half
    graph = Member(name="graph", output_NK=output_NK, scale=1.0, loss=0.9)
    _, weight = member_weights(one, views, graph)
    assert (weight > 0.1) is used


def test_one_fold_cannot_choose_the_graph(trials):
    """Its outputs are known for one subject only, who would choose its weight and confirm it."""
    one, labels, random = trials
    output_NK = outputs(labels, 3.0, random)
    output_NK[one.fold_N > 0] = np.nan
    views = [member("view", outputs(labels, 1.0, random), one)]
    assert member_weights(one, views, Member(name="graph", output_NK=output_NK, scale=1.0, loss=0.5))[1] == 0


def test_few_subjects_weigh_equally(trials):
    """Two views, one of which fails for every third subject: the fewer subjects, the nearer to equal weights."""
    one, labels, random = trials
    signs = np.where(one.unit_N % 3 == 0, -1.0, 3.0)[:, None]
    uneven = member("b", random.normal(size=(400, 2)) + signs * np.eye(2)[labels], one)
    views = [member("a", outputs(labels, 1.7, random), one), uneven]
    spread = [member_weights(dataclasses.replace(one, n_units=n), views, None)[0] for n in (0.5, 5.0, 500.0)]
    distance = [float(np.abs(w - 0.5).sum()) for w in spread]
    assert distance[0] < distance[1] < distance[2]


def test_few_subjects_choose_no_view():
    """Two equally good views, six subjects, each of whom one view reads wrongly: new subjects get the mean of both."""
    random = np.random.default_rng(3)
    labels = np.tile([0, 1], 120)
    subjects = np.arange(240) // 40

    def seen(wrong):
        signs = np.where(np.isin(subjects, wrong), -0.5, 2.0)[:, None]
        return random.normal(size=(240, 2)) + signs * np.eye(2)[labels]

    one = dataclasses.replace(problem(labels, subjects, 6.0), unit_N=subjects)
    views = [member("a", seen([0]), one), member("b", seen([1, 2]), one)]
    weights, _ = member_weights(one, views, None)
    assert 0.5 < weights[0] / weights[1] < 2.0


@pytest.mark.parametrize("regression", [False, True])
def test_slopes_are_those_of_the_loss(trials, regression):
    one, _, random = trials
    if regression:
        one = dataclasses.replace(
            one, y_NK=random.normal(size=(400, 1)), weight_N=np.full(400, 1 / 400), regression=True
        )
    output_NK, step_NK = random.normal(size=one.y_NK.shape), 1e-5 * random.normal(size=one.y_NK.shape)
    found = (one.slope(output_NK) * step_NK).sum()
    expected = one.loss(output_NK + step_NK) - one.loss(output_NK)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-11)


class Bank:
    """Views of 60 trials of four subjects and two or three electrodes, as a bank gives them."""

    def __init__(self, random, n_features):
        self.index = SimpleNamespace(
            tasks=(TaskInfo(name="t", dataset="d", kind="classification", classes=("a", "b"), within_subject=False),),
            task=np.zeros(60, np.int64),
            label=np.arange(60) % 2,
            subject=tuple(f"d/{i // 15}" for i in range(60)),
        )
        self.mask = torch.ones(60, 3, dtype=torch.bool)
        self.mask[::7, 2] = False
        self.electrode = torch.tensor([3, 5, 9]).expand(60, 3)
        self.x = torch.from_numpy(random.normal(size=(60, 3, n_features)).astype(np.float32)) * 4 + 2

    def views(self, model, rows):
        rows = torch.from_numpy(np.asarray(rows))
        mask = self.mask[rows]
        return Encoded(
            cache=None, features_RF=None, views_RF=self.x[rows][mask], electrode_R=self.electrode[rows][mask],
            mask_NE=mask,
        )  # fmt: skip


@pytest.mark.parametrize("width", [2, 40])
def test_the_map_is_ridge_regression(width):
    """In the space of the features (12, 60 trials) and of the trials (240 features); missing values are the mean."""
    random = np.random.default_rng(4)
    config = ETEConfig(n_layers=1, width=width, n_heads=1, token_samples=64, token_stride=32, objective="new")
    teg, heads = TEGConfig(n_layers=1, width=width), (HeadSpec(name="t", n_outputs=2),)
    model = TransferModel(ETE(config), teg, heads, electrode_heads=True, views=("states",), graph=False)
    bank = Bank(random, 2 * width)
    labels = bank.index.label
    view = RidgeView(model, bank, np.arange(60), "states")
    assert view.primal == (width == 2)  # `states` are two numbers per state
    one = problem(labels, np.arange(60) // 15)
    found = view.readout(one)
    found.write(model, 0, 1.0)
    x = np.where(bank.mask[:, :, None], bank.x.numpy(), np.nan)
    x = np.nan_to_num((x - np.nanmean(x, axis=0)) / np.nanstd(x, axis=0)).reshape(60, -1)
    solved = ((s, view.solved(one, np.arange(60), (s,))) for s in _STRENGTHS)
    strength = next(s for s, ((m, _),) in solved if np.allclose(view.unfolded(m)[0], found.map_VFK))
    # The kernel is divided by the number of features, and trials weigh one on average.
    ridge = Ridge(alpha=strength * x.shape[1]).fit(x, np.eye(2)[labels], sample_weight=one.weight_N * 30)
    full = torch.zeros(60, 3, model.n_views)
    full[:, :, : 2 * width] = bank.x
    logits = model.electrode_heads(
        full[bank.mask], bank.electrode[bank.mask], bank.mask, torch.zeros(60, dtype=torch.int64)
    )
    np.testing.assert_allclose(logits.numpy(), found.scale * ridge.predict(x), atol=1e-3 * found.scale)


def test_folds_are_of_subjects():
    random = np.random.default_rng(0)
    index = Bank(random, 1).index
    fold = inner_folds(index, np.arange(60), 4)
    assert [len(set(fold[15 * s : 15 * s + 15])) for s in range(4)] == [1] * 4
    assert len(set(fold)) == 4
    within = inner_folds(index, np.arange(60), 5, within=True)
    assert [len(set(within[index.label == k])) for k in (0, 1)] == [5, 5]
    alone = inner_folds(index, np.arange(15), 3)
    assert (np.diff(alone[index.label[:15] == 0]) >= 0).all()


def test_identity_folds_have_both_labels():
    """A task with one label per subject: each fold tests a subject of each label."""
    index = Bank(np.random.default_rng(0), 1).index
    index.label = np.repeat([0, 1, 0, 1], 15)
    fold = inner_folds(index, np.arange(60), 2)
    assert {tuple(sorted(set(index.label[fold == f]))) for f in range(2)} == {(0, 1)}


def encoded(n=3, electrodes=4):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(n, electrodes, electrodes, N_PAIR_FEATURES, generator=random)
    mask = torch.ones(n, electrodes, dtype=torch.bool)
    return Encoded(
        cache=None, features_RF=None, electrode_R=torch.arange(electrodes).repeat(n), mask_NE=mask,
        pairs_NEEF=x + x.transpose(1, 2), views_RF=torch.randn(n * electrodes, 2, generator=random),
    )  # fmt: skip


def test_pairs_follow_their_electrodes():
    """Dropped electrodes leave the other pairs unchanged, under their own numbers."""
    whole = encoded()
    kept = torch.tensor([[True, False, True, True], [False, True, False, True], [True] * 4])
    found = only(whole, kept)
    assert torch.equal(found.electrodes()[1], torch.tensor([1, 3, -1, -1]))
    x, number, mask = found.pair_rows()
    assert mask.sum(dim=1).tolist() == [6, 3, 10]
    every_x, every_number, every_mask = whole.pair_rows()
    trial, every_trial = mask.nonzero()[:, 0], every_mask.nonzero()[:, 0]
    place = {(int(t), int(p)): i for i, (t, p) in enumerate(zip(every_trial, every_number, strict=True))}
    same = [place[int(t), int(p)] for t, p in zip(trial, number, strict=True)]
    assert torch.equal(x, every_x[same])
    dropped = whole.take(torch.tensor([2, 0]), electrode_dropout=0.5)
    assert dropped.pairs_NEEF.shape[:3] == (2, dropped.mask_NE.shape[1], dropped.mask_NE.shape[1])


def graph_model(edges=True):
    config = ETEConfig(n_layers=1, width=8, n_heads=1, token_samples=64, token_stride=32, objective="new")
    torch.manual_seed(0)
    teg = TEGConfig(n_layers=2, width=8, n_edge_features=N_PAIR_FEATURES if edges else 0)
    return TransferModel(ETE(config), teg, (HeadSpec(name="t", n_outputs=2),), readout="views", graph=True)


def test_edges_change_the_graph():
    """What two electrodes share reaches the logits; the order of the electrodes and padding do not."""
    model, whole, task = graph_model(), encoded(), torch.zeros(3, dtype=torch.int64)
    whole = Encoded(
        cache=None, features_RF=None, electrode_R=whole.electrode_R, mask_NE=whole.mask_NE,
        pairs_NEEF=whole.pairs_NEEF, views_RF=torch.randn(12, model.n_views),
    )  # fmt: skip
    logits = model([whole], task)
    changed = whole.pairs_NEEF.clone()
    changed[0, 1, 2] += 3
    changed[0, 2, 1] += 3
    other = model([Encoded(**{**vars(whole), "pairs_NEEF": changed})], task)
    assert not torch.allclose(logits[0], other[0], atol=1e-4)
    assert torch.allclose(logits[1:], other[1:])
    order = torch.tensor([2, 0, 3, 1])
    moved = Encoded(
        cache=None,
        features_RF=None,
        mask_NE=whole.mask_NE,
        electrode_R=whole.electrode_R.view(3, 4)[:, order].flatten(),
        pairs_NEEF=whole.pairs_NEEF[:, order][:, :, order],
        views_RF=whole.views_RF.view(3, 4, -1)[:, order].flatten(0, 1),
    )
    assert torch.allclose(model([moved], task), logits, atol=1e-5)


@pytest.mark.parametrize(
    ("asked", "trained"),
    [
        ({}, False),
        ({"model.graph": True}, True),
        ({"model.views": []}, True),
        ({"model.readout": "special"}, True),
        ({"model.edges": "pairs"}, True),
        ({"mode": "full"}, True),
        ({"mode": "probe"}, False),
        ({"mode": "probe", "model.graph": True}, False),
    ],
)
def test_a_graph_where_it_is_needed(asked, trained):
    """Readouts of a frozen encoder need none; whoever sets its form or trains the encoder gets it."""
    assert changed(TransferConfig(), asked).uses_graph is trained


def test_the_papers_graph_has_no_edges():
    assert not any("edge" in name for name, _ in graph_model(edges=False).named_parameters())
