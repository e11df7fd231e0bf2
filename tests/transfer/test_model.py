"""Cached keys and values change nothing; neither do padding, order, or company in a batch."""

from __future__ import annotations

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.transfer_runs import settings
from torch.nn import functional as F

from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.heads import HeadSpec
from eegpt.model.lora import add_lora, merge_lora
from eegpt.model.teg import TEGConfig
from eegpt.model.views import N_SLICES, N_STATE_SLICES, signal_views, slice_means, view_slices
from eegpt.model.whitening import WHITENED_VIEWS, whitening
from eegpt.transfer.align import alignable_tasks, aligned
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import fit_scale
from eegpt.transfer.loop import Targets, trial_losses
from eegpt.transfer.model import TransferModel
from eegpt.transfer.rows import Encoded, encode, flatten, join
from eegpt.transfer.signals import SignalBatch, normalised_signals

CPU = torch.device("cpu")
HEADS = (HeadSpec(name="a", n_outputs=2), HeadSpec(name="b", n_outputs=3))


def config(**more):
    return ETEConfig(
        **{"n_layers": 2, "width": 16, "n_heads": 2, "n_electrodes": 6, "token_samples": 64, "objective": "new", **more}
    )


def batch(lengths, n_electrodes, seed=0):
    """Trials of these lengths with these numbers of electrodes, padded as `TrialIndex.gather` pads them."""
    random = np.random.default_rng(seed)
    N, E, S = len(lengths), max(n_electrodes), max(lengths)
    signal = np.zeros((N, E, S), np.int16)
    mask = np.zeros((N, E), bool)
    for i, (length, n) in enumerate(zip(lengths, n_electrodes, strict=True)):
        signal[i, :n, :length] = random.integers(-800, 800, (n, length))
        mask[i, :n] = True
    return SimpleNamespace(
        signal_i16=signal,
        scale_uv=np.full((N, E), 0.05, np.float32),
        sigma_uv=np.full((N, E), 15.0, np.float32),
        electrode=np.where(mask, np.arange(E), -1).astype(np.int32),
        electrode_mask=mask,
        n_samples=np.array(lengths, np.int32),
    )


def rows_of(b, c):
    return flatten(b, c, np.arange(6), CPU)


def model(readout="special", seed=3, electrode_heads=False, **more):
    torch.manual_seed(seed)
    return TransferModel(
        ETE(config(**more)),
        TEGConfig(n_layers=2, width=16, n_electrodes=6),
        HEADS,
        readout=readout,
        electrode_heads=electrode_heads,
    ).eval()


@pytest.mark.parametrize("position", ["rotary", "learned", "none"])
@pytest.mark.parametrize("norm", ["output", "pre"])
def test_cached_special_token_equals_naive(position, norm):
    """In value and gradient, for every position and norm."""
    torch.manual_seed(0)
    ete = ETE(config(position=position, norm=norm)).double()
    special = torch.randn(16, dtype=torch.float64, requires_grad=True)
    rows = rows_of(batch([256, 160], [3, 2]), ete.config)
    tokens = rows.tokens_RTC.double()
    with torch.no_grad():
        cache = ete.prefill(tokens, rows.electrode_R, rows.token_mask_RT)
    z = ete.summarise(cache, special)
    weight = torch.randn_like(z)
    (gradient,) = torch.autograd.grad((z * weight).sum(), special)

    naive = []
    for r in range(len(tokens)):  # every sequence alone, without padding, the token at its end
        n = tokens.shape[1] if rows.token_mask_RT is None else int(rows.token_mask_RT[r].sum())
        x = torch.cat((ete.electrode(rows.electrode_R[r : r + 1]).unsqueeze(1), ete.token_in(tokens[r : r + 1, :n])), 1)
        x = torch.cat((x, special.view(1, 1, -1)), dim=1)
        x = ete._placed(x, torch.arange(n + 2), n + 2)
        naive.append(ete.run(x)[:, -1])
    naive_z = torch.cat(naive)
    (naive_gradient,) = torch.autograd.grad((naive_z * weight).sum(), special)
    torch.testing.assert_close(z, naive_z, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(gradient, naive_gradient, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("readout", ["special", "special+views", "views", "special+states", "states", "band_power"])
def test_padding_does_not_change_logits(readout):
    """A trial gets the same logits alone and in a mixed, padded batch."""
    m = model(readout)
    if m.scale is not None:
        torch.nn.init.normal_(m.scale.mean)
    both = batch([256, 160, 40], [3, 2, 5])
    together = m([m.encode(rows_of(both, m.ete.config))], torch.tensor([0, 1, 1]))
    for i, task in enumerate((0, 1, 1)):
        n, length = int(both.electrode_mask[i].sum()), int(both.n_samples[i])
        alone = SimpleNamespace(
            signal_i16=both.signal_i16[i : i + 1, :n, :length],
            n_samples=both.n_samples[i : i + 1],
            **{k: getattr(both, k)[i : i + 1, :n] for k in ("scale_uv", "sigma_uv", "electrode", "electrode_mask")},
        )
        logits = m([m.encode(rows_of(alone, m.ete.config))], torch.tensor([task]))
        torch.testing.assert_close(together[i : i + 1], logits, rtol=1e-4, atol=1e-5)


def test_signals_in_memory_equal_stored_ones():
    """Microvolt as float32 gives the rows that int16 and its scale give, up to rounding."""
    b = batch([192, 160], [3, 2])
    signal_uv = b.signal_i16 * b.scale_uv[:, :, None]
    names = ("sigma_uv", "electrode", "electrode_mask", "n_samples")
    memory = SignalBatch(signal_uv=signal_uv, **{name: getattr(b, name) for name in names})
    stored, ours = rows_of(b, config()), rows_of(memory, config())
    assert ours.electrode_R.tolist() == stored.electrode_R.tolist()
    torch.testing.assert_close(ours.tokens_RTC, stored.tokens_RTC, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.course_RF, stored.course_RF, rtol=1e-5, atol=1e-5)


def test_electrode_order_does_not_matter():
    m = model("special+states")
    b = batch([192, 192], [4, 4])
    order = np.array([2, 0, 3, 1])
    turned = SimpleNamespace(
        signal_i16=b.signal_i16[:, order],
        n_samples=b.n_samples,
        **{k: getattr(b, k)[:, order] for k in ("scale_uv", "sigma_uv", "electrode", "electrode_mask")},
    )
    task = torch.tensor([0, 1])
    torch.testing.assert_close(
        m([m.encode(rows_of(b, m.ete.config))], task),
        m([m.encode(rows_of(turned, m.ete.config))], task),
        rtol=1e-4,
        atol=1e-5,
    )


def test_joined_groups_equal_their_parts():
    m = model("special+states")
    first, second = batch([160, 256], [2, 3]), batch([256, 64, 192], [4, 1, 2], seed=1)
    parts = [m.encode(rows_of(b, m.ete.config)) for b in (first, second)]
    task = torch.tensor([0, 1, 0, 1, 1])
    apart = m(parts, task)
    whole = join(parts)
    torch.testing.assert_close(m([whole], task), apart, rtol=1e-5, atol=1e-5)
    order = torch.tensor([4, 0, 2, 2])
    torch.testing.assert_close(m([whole.take(order)], task[order]), apart[order], rtol=1e-5, atol=1e-5)


def test_short_trials_are_padded_to_a_token():
    b = batch([40], [2])
    rows = rows_of(b, config())
    assert rows.tokens_RTC.shape == (2, 1, 64)
    assert (rows.tokens_RTC[:, 0, 40:] == 0).all()
    assert (rows.tokens_RTC[:, 0, :40] != 0).any()


def test_left_out_electrodes_are_not_rows():
    b = batch([64], [3])
    rows = flatten(b, config(), np.array([4, -1, 1, -1, -1, -1]), CPU)
    assert rows.electrode_R.tolist() == [4, 1]
    assert rows.mask_NE.tolist() == [[True, False, True]]


def test_trials_of_sixty_seconds_run():
    m = model()
    encoded = m.encode(rows_of(batch([60 * 256], [1]), m.ete.config))
    assert encoded.cache.n_positions == (60 * 256 - 64) // 32 + 2
    assert torch.isfinite(m([encoded], torch.tensor([1]))).all()


def test_frozen_encoders_get_no_gradient():
    """They also stay in evaluation mode."""
    m = model()
    m.ete.requires_grad_(False)
    m.train()
    assert not m.ete.training
    assert m.teg.training
    m([m.encode(rows_of(batch([128], [2]), m.ete.config))], torch.tensor([0])).nan_to_num(neginf=0).sum().backward()
    assert m.special.grad is not None
    assert all(p.grad is None for p in m.ete.parameters())


def test_trained_encoders_get_naive_gradient():
    m = model()
    rows = rows_of(batch([128, 128], [2, 2]), m.ete.config)
    z = m.ete.summarise(encode(m.ete, rows).cache, m.special)
    weight = torch.randn_like(z)
    ours = torch.autograd.grad((z * weight).sum(), m.ete.layers[0].attention.qkv.weight)[0]
    x = m.ete.embed(rows.tokens_RTC, rows.electrode_R)
    naive = m.ete.run(torch.cat((x, m.special.expand(len(x), 1, -1)), dim=1))[:, -1]
    theirs = torch.autograd.grad((naive * weight).sum(), m.ete.layers[0].attention.qkv.weight)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [0.4, 0.999])
def test_dropped_electrodes_are_not_computed(share):
    """One electrode always stays, and the others' logits are unchanged."""
    m = model()
    rows = rows_of(batch([128] * 40, [4] * 40), m.ete.config)
    whole = m.encode(rows)
    index = torch.arange(40)
    torch.manual_seed(0)
    part = whole.take(index, electrode_dropout=share)
    count = part.mask_NE.sum(dim=1)
    assert count.min() >= 1
    assert len(part.electrode_R) == count.sum() == part.cache.keys[0].shape[0]
    assert abs(float(count.float().mean()) - max(1.0, 4 * (1 - share))) < 0.4
    # A trial's remaining electrodes are its own: their logits are those of the same trial with the others left out.
    at = int(count[:7].sum())
    kept = part.electrode_R[at : at + int(count[7])].numpy()
    alone = batch([128] * 40, [4] * 40)
    alone.electrode_mask[7] = np.isin(np.arange(4), kept)
    expected = m([m.encode(rows_of(alone, m.ete.config)).take(torch.tensor([7]))], torch.tensor([1]))
    torch.testing.assert_close(m([part.take(torch.tensor([7]))], torch.tensor([1])), expected, rtol=1e-4, atol=1e-5)


def test_lora_starts_equal_and_merges():
    torch.manual_seed(0)
    ete = ETE(config())
    rows = rows_of(batch([128], [2]), ete.config)
    before = ete(rows.tokens_RTC, rows.electrode_R)
    add_lora(ete, 4)
    torch.testing.assert_close(ete(rows.tokens_RTC, rows.electrode_R), before)
    learning = [n for n, p in ete.named_parameters() if p.requires_grad]
    assert len(learning) == 8
    assert all(n.endswith((".a", ".b")) for n in learning)
    for layer in ete.layers:
        torch.nn.init.normal_(layer.attention.qkv.b)
        torch.nn.init.normal_(layer.attention.out.b)
    tuned = ete(rows.tokens_RTC, rows.electrode_R)
    assert not torch.allclose(tuned, before)
    merge_lora(ete)
    torch.testing.assert_close(ete(rows.tokens_RTC, rows.electrode_R), tuned, rtol=1e-4, atol=1e-5)
    assert set(ete.state_dict()) == set(ETE(config()).state_dict())


def test_electrode_heads_add_to_the_graph():
    torch.manual_seed(0)
    m = model(electrode_heads=True)
    own = m.electrode_heads
    for tensor in (own.weight, own.offset, own.bias):
        torch.nn.init.normal_(tensor)
    own.graph_share[:] = torch.tensor([0.25, 0.0])
    rows = rows_of(batch([128, 128], [2, 3]), m.ete.config)
    encoded, seen = m.encode(rows), m.encode(rows, views_only=True)
    task = torch.tensor([0, 1])
    graph = m([encoded], task)
    torch.testing.assert_close(graph, m.graph_logits([encoded], task))  # not fitted yet: the graph alone
    own.fitted.fill_(True)
    with pytest.raises(ValueError, match="views"):
        m([encoded], task)
    logits = m([dataclasses.replace(encoded, views_RF=seen.views_RF)], task)
    assert logits[0, 2] == float("-inf")
    first = own.bias[0] + sum(seen.views_RF[e] @ own.weight[0, e] + own.offset[0, e] for e in range(2))
    second = own.bias[1] + sum(seen.views_RF[2 + e] @ own.weight[1, e] + own.offset[1, e] for e in range(3))
    torch.testing.assert_close(logits[0, :2], first[:2] + 0.25 * graph[0, :2], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits[1], second, rtol=1e-4, atol=1e-4)


def test_views_equal_their_definition():
    """States, their dynamics, spectrum of whole seconds, course and level of each trial's own samples."""
    m = model()
    b = batch([330, 256, 160, 40], [1, 1, 1, 1])
    c = m.ete.config
    where = view_slices(c)
    together = m.encode(rows_of(b, c), views_only=True).views_RF
    for i, length in enumerate((330, 256, 160, 40)):
        x = torch.from_numpy(b.signal_i16[i, 0, :length].astype(np.float32)) * 0.05 / 15.0
        edges = [length * k // N_SLICES for k in range(N_SLICES + 1)]
        course = torch.stack([x[p:q].mean() for p, q in itertools.pairwise(edges)])
        torch.testing.assert_close(together[i, where["course"]], course, rtol=1e-4, atol=1e-5)
        tokens = F.pad(x, (0, max(0, 64 - length))).unfold(0, 64, 32)
        whole = F.pad(x, (0, max(0, 64 - length)))[: 64 + 32 * (len(tokens) - 1)]
        seconds = F.pad(whole, (0, max(0, 256 - len(whole)))).unfold(0, 256, 32)
        centred = seconds - seconds.mean(1, keepdim=True)
        power = torch.fft.rfft(centred * torch.hann_window(256)).abs().square().mean(0)
        first, stop = c.bins(256)
        torch.testing.assert_close(
            together[i, where["spectrum"]], (power[first:stop] + 1e-6).log(), rtol=1e-4, atol=1e-4
        )
        h = m.ete(tokens.unsqueeze(0), torch.tensor([0]))[0, 1:]
        states = torch.cat((h.mean(dim=0), h.std(dim=0, correction=0)))
        torch.testing.assert_close(together[i, where["states"]], states, rtol=1e-4, atol=1e-4)
        edges = [len(h) * k // N_STATE_SLICES for k in range(N_STATE_SLICES + 1)]
        dynamics = torch.cat([h[p : max(q, p + 1)].mean(dim=0) for p, q in itertools.pairwise(edges)])
        torch.testing.assert_close(together[i, where["dynamics"]], dynamics, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together[:, where["level"]].flatten(), torch.full((4,), 15.0).log())


def test_alignment_standardises_by_subject():
    index = SimpleNamespace(subject=("x", "x", "y", "y", "y"))
    torch.manual_seed(0)
    mask = torch.tensor([[True, True], [True, False], [True, True], [True, True], [False, True]])
    electrode = torch.tensor([0, 1, 0, 0, 1, 0, 1, 1])
    views = torch.randn(8, 3) * 5 + 7
    encoded = Encoded(cache=None, features_RF=None, views_RF=views, electrode_R=electrode, mask_NE=mask)
    out = aligned(index, np.arange(5), encoded).views_RF
    for rows in ([0, 2], [3, 5], [4, 6, 7]):  # electrode 0 of x, of y, electrode 1 of y
        expected = (views[rows] - views[rows].mean(0)) / views[rows].std(0, correction=0)
        torch.testing.assert_close(out[rows], expected, rtol=1e-2, atol=1e-3)
    assert out[1].abs().max() == 0  # the one trial of x with electrode 1 is its own mean


def test_identity_tasks_are_not_aligned():
    """Only training trials decide whether a task has one label per subject."""
    index = SimpleNamespace(
        task=np.array([0, 0, 0, 0, 1, 1, 1, 1]),
        subject=("x", "x", "y", "y") * 2,
        target=np.array([0, 1, 0, 1, 0, 0, 1, 1]),
    )
    assert alignable_tasks(index, np.arange(8)) == (0,)
    assert alignable_tasks(index, np.array([0, 1, 4])) == ()  # a single subject
    assert alignable_tasks(index, np.array([0, 2, 4])) == ()  # what the test trials would tell is not looked at


def targets(n_outputs, label, *, regression=False, value=0.0):
    n = len(label)
    return Targets(
        head_N=np.zeros(n, np.int64),
        n_outputs_N=np.full(n, n_outputs),
        regression_N=np.full(n, regression),
        label_N=np.array(label),
        value_N=np.full(n, value, np.float32),
        weight_N=np.ones(n, np.float32),
    )


def test_smoothing_stays_within_a_task():
    logits = torch.tensor([[1.0, -1.0, float("-inf")]])
    ours = trial_losses(logits, targets(2, [0]), np.array([0]), smoothing=0.2)
    expected = F.cross_entropy(logits[:, :2], torch.tensor([0]), label_smoothing=0.2)
    torch.testing.assert_close(ours[0], expected)


def test_regression_loss_is_squared_error():
    logits = torch.tensor([[0.5, float("-inf")]])
    assert trial_losses(logits, targets(1, [0], regression=True, value=2.0), np.array([0])).item() == pytest.approx(
        2.25
    )


def test_class_weights_balance_a_task():
    index = SimpleNamespace(
        task=np.zeros(10, np.int64),
        label=np.array([0] * 8 + [1] * 2),
        target=np.zeros(10, np.float32),
        tasks=[SimpleNamespace(kind="classification", classes=("x", "y"))],
    )
    t = Targets.of(index, np.array([0]), np.arange(10), class_weights=True)
    assert t.weight_N[:8].sum() == pytest.approx(t.weight_N[8:].sum())
    assert t.weight_N.mean() == pytest.approx(1.0)


class _Index:
    """Trials of two lengths for the bank."""

    def __init__(self):
        self.batch = batch([128] * 5 + [256] * 4, [3] * 5 + [2] * 4)
        self.task = np.array([0] * 5 + [1] * 4)
        self.n_samples = self.batch.n_samples
        self.n_electrodes = self.batch.electrode_mask.sum(1)

    def __len__(self):
        return 9

    def gather(self, rows):
        longest, widest = self.n_samples[rows].max(), self.n_electrodes[rows].max()
        return SimpleNamespace(
            signal_i16=self.batch.signal_i16[rows][:, :widest, :longest],
            n_samples=self.n_samples[rows],
            **{
                k: getattr(self.batch, k)[rows][:, :widest]
                for k in ("scale_uv", "sigma_uv", "electrode", "electrode_mask")
            },
        )


@pytest.mark.parametrize(("budget", "n_kept"), [(0, 0), (20_000, 4), (1 << 30, 9)])
def test_bank_is_equal_with_and_without_room(budget, n_kept):
    m = model()
    m.requires_grad_(False)
    bank = TrialBank(_Index(), np.arange(6), device=CPU, budget_bytes=budget)
    assert bank.keep(m, np.arange(9)) == n_kept
    rows = np.array([7, 1, 1, 8, 3])
    order, groups = zip(*bank.groups(m, rows), strict=True)
    assert np.concatenate(order).tolist() == [1, 1, 3, 7, 8]
    logits = m(groups, torch.from_numpy(_Index().task[np.concatenate(order)]))
    alone = m([m.encode(rows_of(_Index().gather(np.array([3])), m.ete.config))], torch.tensor([0]))
    torch.testing.assert_close(logits[2:3], alone, rtol=1e-4, atol=1e-5)


def test_trained_encoders_are_not_cached():
    m = model()
    bank = TrialBank(_Index(), np.arange(6), device=CPU, budget_bytes=1 << 30)
    assert bank.keep(m, np.arange(9)) == 0


@pytest.mark.parametrize("budget", [0, 1 << 30])
def test_views_are_dropped_with_electrodes(budget):
    """With and without room in the cache."""
    m = model("special+views")
    m.requires_grad_(False)
    bank = TrialBank(_Index(), np.arange(6), device=CPU, budget_bytes=budget)
    bank.keep(m, np.arange(9))
    views = {int(task): bank.views(m, np.flatnonzero(_Index().task == task)) for task in (0, 1)}
    for order, group in bank.groups(m, np.array([8, 2, 6]), electrode_dropout=0.5):
        whole = views[int(_Index().task[order[0]])]
        assert len(group.views_RF) == len(group.electrode_R) == int(group.mask_NE.sum())
        trial_R = order[group.mask_NE.nonzero()[:, 0].numpy()]
        place = np.flatnonzero(_Index().task == _Index().task[order[0]])
        owner_R = place[whole.mask_NE.nonzero()[:, 0].numpy()]
        for trial, electrode, row in zip(trial_R, group.electrode_R, group.views_RF, strict=True):
            same = (torch.from_numpy(owner_R) == int(trial)) & (whole.electrode_R == electrode)
            torch.testing.assert_close(row, whole.views_RF[same][0])


def test_only_aligned_views_are_compressed():
    """Within 2 SD, in the tasks that are standardised by subject; models of both kinds share a bank."""
    index = _Index()
    index.subject = ("x",) * 9
    bank = TrialBank(index, np.arange(6), device=CPU, budget_bytes=0, aligned_tasks=(1,))
    plain, compact = (pairs_model(compress=compress) for compress in (False, True))
    for task, rows in enumerate((np.arange(5), np.arange(5, 9))):
        seen, found = bank.views(plain, rows), bank.views(compact, rows)
        for x, y in ((seen.views_RF, found.views_RF), (seen.pairs_NEEF, found.pairs_NEEF)):
            expected = 2 * torch.tanh(x / 2) if task else x
            torch.testing.assert_close(y, expected)
            assert bool(x.abs().max() > 1)


def pairs_model(*, compress):
    torch.manual_seed(3)
    teg, views = TEGConfig(n_layers=1, width=16, n_electrodes=6), ("spectrum", "pairs")
    return TransferModel(
        ETE(config()), teg, HEADS, electrode_heads=True, views=views, graph=False, compress=compress
    ).eval()


def whitened_model():
    torch.manual_seed(3)
    teg, views = TEGConfig(n_layers=1, width=16, n_electrodes=6), ("spectrum", *WHITENED_VIEWS)
    return TransferModel(ETE(config()), teg, HEADS, electrode_heads=True, views=views, graph=False).eval()


def whitened_index():
    index = _Index()
    index.subject = ("x", "x", "y", "y", "y", "x", "x", "y", "y")
    return index


def test_signals_are_whitened_by_subject(monkeypatch):
    """By the mean covariance of the subject's trials of the task, however the trials are divided for computation."""
    index, m = whitened_index(), whitened_model()
    bank = TrialBank(index, np.arange(6), device=CPU, budget_bytes=0, aligned_tasks=(0, 1))
    found = bank.views(m, np.arange(5))
    signals = normalised_signals(index.gather(np.arange(5)), m.ete.config, np.arange(6), CPU)
    covariance = signals.covariances()
    expected = []
    for trial, own in enumerate(([0, 1], [0, 1], [2, 3, 4], [2, 3, 4], [2, 3, 4])):
        weight = whitening(covariance[own].mean(dim=0)).float()
        signal = weight @ signals.by_trial()[trial]
        tokens = signal.unfold(1, 64, m.ete.config.token_stride)
        expected.append(signal_views(tokens, None, slice_means(signal, torch.full((3,), 128), N_SLICES), m.ete.config))
    encoded = Encoded(
        cache=None, features_RF=None, electrode_R=found.electrode_R, mask_NE=found.mask_NE,
        whitened_RF=torch.cat(expected).half().float(),
    )  # fmt: skip
    same = aligned(index, np.arange(5), encoded).whitened_RF
    torch.testing.assert_close(found.whitened_RF, same, atol=2e-2, rtol=1e-2)
    monkeypatch.setattr("eegpt.transfer.bank._ROWS_AT_ONCE", 6)
    apart = TrialBank(index, np.arange(6), device=CPU, budget_bytes=0, aligned_tasks=(0, 1)).views(m, np.arange(5))
    torch.testing.assert_close(apart.whitened_RF, found.whitened_RF, atol=2e-2, rtol=1e-2)


def test_whitened_signals_follow_the_trials_that_are_taken():
    index, m = whitened_index(), whitened_model()
    bank = TrialBank(index, np.arange(6), device=CPU, budget_bytes=0, aligned_tasks=(0, 1))
    whole = bank.views(m, np.arange(5)).whitened_RF.view(5, 3, -1)
    torch.testing.assert_close(bank.views(m, np.array([3, 1])).whitened_RF.view(2, 3, -1), whole[[3, 1]])
    ((order, dropped),) = bank.groups(m, np.array([3, 1]), electrode_dropout=0.5)
    rows = [(t, int(e)) for t, own in zip(order, dropped.electrodes(), strict=True) for e in own if e >= 0]
    torch.testing.assert_close(dropped.whitened_RF, torch.stack([whole[t, e] for t, e in rows]))


def test_electrodes_that_are_not_read_whiten_no_others():
    index, m = whitened_index(), whitened_model()
    bank = TrialBank(index, np.arange(6), device=CPU, budget_bytes=0, aligned_tasks=(0,), without=(1,))
    found = bank.views(m, np.arange(5))
    index.batch.signal_i16[:, 1] = 0
    changed = TrialBank(index, np.arange(6), device=CPU, budget_bytes=0, aligned_tasks=(0,), without=(1,))
    torch.testing.assert_close(changed.views(m, np.arange(5)).whitened_RF, found.whitened_RF)
    assert found.electrode_R.tolist() == [0, 2] * 5


def test_tasks_on_identity_have_no_whitened_views():
    """Whitening by subject could remove the answer; the readouts of the other views still answer."""
    m = whitened_model()
    bank = TrialBank(whitened_index(), np.arange(6), device=CPU, budget_bytes=0, aligned_tasks=(1,))
    seen = [bank.views(m, rows) for rows in (np.arange(5), np.arange(5, 9))]
    assert seen[0].whitened_RF is None
    assert len(seen[1].whitened_RF) == 8
    assert [bank.aligns(rows) for rows in (np.arange(5), np.arange(5, 9), np.arange(9))] == [False, True, False]
    for heads in (m.electrode_heads, m.whitened_heads):
        heads.weight.normal_()
        heads.fitted.fill_(True)
    m.whitened_heads.weight[0] = 0  # never fitted to them
    plain = m(seen, torch.tensor([0] * 5 + [1] * 4))
    own = m.electrode_heads(seen[0].views_RF, seen[0].electrode_R, seen[0].mask_NE, torch.zeros(5, dtype=torch.int64))
    torch.testing.assert_close(plain[:5, :2], own[:, :2])
    more = m.whitened_heads(seen[1].whitened_RF, seen[1].electrode_R, seen[1].mask_NE, torch.ones(4, dtype=torch.int64))
    assert more.abs().max() > 0.1
    own = m.electrode_heads(seen[1].views_RF, seen[1].electrode_R, seen[1].mask_NE, torch.ones(4, dtype=torch.int64))
    torch.testing.assert_close(plain[5:], own + more)


def test_missing_whitened_signals_are_an_error():
    """A task whose readouts were fitted to them is never answered without them."""
    m = whitened_model()
    seen = TrialBank(whitened_index(), np.arange(6), device=CPU, budget_bytes=0).views(m, np.arange(5, 9))
    m.electrode_heads.fitted.fill_(True)
    m.whitened_heads.weight[0].normal_()
    m([seen], torch.ones(4, dtype=torch.int64))  # only the other task reads them
    with pytest.raises(ValueError, match="whitened"):
        m([seen], torch.zeros(4, dtype=torch.int64))


def test_scale_is_fitted_by_electrode():
    """An electrode without training trials gets the scale over all electrodes."""
    m = model("views")
    bank = TrialBank(_Index(), np.arange(6), device=CPU, budget_bytes=0)
    t = SimpleNamespace(head_N=_Index().task)
    fit_scale(m, bank, np.array([0, 1, 2, 5, 6]), t)
    for head, rows in ((0, [0, 1, 2]), (1, [5, 6])):
        seen = bank.views(m, np.array(rows))
        for electrode in range(6):
            own = seen.views_RF[seen.electrode_R == electrode]
            own = own if len(own) else seen.views_RF
            torch.testing.assert_close(m.scale.mean[head, electrode], own.mean(dim=0), rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(
                m.scale.sd[head, electrode], own.std(dim=0, correction=0) + 1e-3, rtol=1e-3, atol=1e-3
            )


def test_readout_depends_on_the_mode():
    """Nodes start from views where the encoder is frozen and a graph is asked for, and not where it learns."""
    from eegprep.errors import UsageError

    assert settings(graph=True).readout == "views"
    assert TransferConfig().readout == "special"
    assert not TransferConfig().uses_graph
    assert [TransferConfig(mode=mode).readout for mode in ("full", "lora", "scratch")] == ["special"] * 3
    assert settings(graph=False).readout == "special"
    assert not settings(readout="special", views=()).sees_views
    with pytest.raises(UsageError, match="cannot start from views"):
        settings(mode="lora", readout="views")


def test_invalid_settings_are_refused():
    from eegprep.errors import UsageError

    for wrong in (
        {"steps": 0},
        {"dropout": 1.0},
        {"seeds": (1, 1)},
        {"train_fraction": 0.0},
    ):
        with pytest.raises(UsageError):
            settings(**wrong)
