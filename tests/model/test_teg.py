"""The graph: order and padding change nothing, the formula is the paper's, it can learn."""

from __future__ import annotations

import torch

from eegpt.model.heads import HeadSpec, TaskHeads
from eegpt.model.teg import TEG, GraphAttention, TEGConfig


def graph() -> TEG:
    torch.manual_seed(0)
    return TEG(TEGConfig(n_layers=2, width=16, n_electrodes=12))


def sample() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    z = torch.randn(3, 5, 16)
    electrode = torch.stack([torch.randperm(12)[:5] for _ in range(3)])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]], dtype=torch.bool)
    return z, electrode.masked_fill(~mask, -1), mask


def test_pooling_ignores_the_order():
    """Pooled vector does not depend on the order of electrodes."""
    model, (z, electrode, mask) = graph(), sample()
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(
        model(z[:, order], electrode[:, order], mask[:, order]), model(z, electrode, mask), rtol=1e-5, atol=1e-6
    )


def test_node_states_follow_electrodes():
    """Node states follow their electrodes when the order changes."""
    model, (z, electrode, mask) = graph(), sample()
    order = torch.tensor([3, 0, 4, 1, 2])
    there = model.states(z[:, order], electrode[:, order], mask[:, order])[mask[:, order]]
    here = model.states(z, electrode, mask)[:, order][mask[:, order]]
    torch.testing.assert_close(there, here, rtol=1e-5, atol=1e-6)


def test_padding_changes_nothing():
    model, (z, electrode, mask) = graph(), sample()
    together = model(z, electrode, mask)
    for i in range(3):
        n = int(mask[i].sum())
        alone = model(z[i : i + 1, :n], electrode[i : i + 1, :n], mask[i : i + 1, :n])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-5, atol=1e-6)
    dirty = z.masked_fill(~mask.unsqueeze(-1), 1e6)
    torch.testing.assert_close(model(dirty, electrode, mask), together)


def test_empty_sample_stays_finite():
    """A sample without electrodes is finite and gives finite gradients."""
    model, (z, electrode, _) = graph(), sample()
    pooled = model(z, electrode, torch.zeros(3, 5, dtype=torch.bool))
    pooled.sum().backward()
    assert torch.equal(pooled, torch.zeros_like(pooled))
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_attention_is_the_papers_formula():
    """Attention is the formula of the paper."""
    torch.manual_seed(2)
    layer, h = GraphAttention(8), torch.randn(1, 4, 8)
    beta = torch.tensor([[1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 1, 0], [1, 1, 0, 1]], dtype=torch.bool).unsqueeze(0)
    w = h[0] @ layer.project.weight.T
    a = layer.score.weight.flatten()
    expected = torch.zeros(4, 8)
    for m in range(4):
        score = torch.stack([torch.relu(a @ torch.cat((w[m], w[n]))) for n in range(4)])
        weight = torch.where(beta[0, m], score.exp(), torch.zeros(4))
        expected[m] = (weight / weight.sum()) @ w
    torch.testing.assert_close(layer(h, beta)[0], expected)


def test_every_electrode_reaches_others():
    """Every electrode of a sample reaches every other."""
    model, (z, electrode, mask) = graph(), sample()
    z.requires_grad_()
    model.states(z, electrode, mask)[0, 2, 0].backward()
    assert (z.grad[0].abs().sum(dim=-1) > 0).all()
    assert (z.grad[1:] == 0).all()


def test_graph_overfits_mixed_batch():
    """Graph and heads learn one mixed batch by heart."""
    model, (z, electrode, mask) = graph(), sample()
    heads = TaskHeads(16, [HeadSpec(name="a", n_outputs=2), HeadSpec(name="b", n_outputs=4)])
    task, label = torch.tensor([0, 1, 1]), torch.tensor([1, 3, 0])
    optimiser = torch.optim.AdamW([*model.parameters(), *heads.parameters()], lr=1e-2)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(heads(model(z, electrode, mask), task), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.02


def test_heads_mask_other_tasks():
    """A head gives no chance to classes of other tasks."""
    heads = TaskHeads(16, [HeadSpec(name="a", n_outputs=2), HeadSpec(name="b", n_outputs=3)])
    pooled = torch.randn(4, 16)
    logits = heads(pooled, torch.tensor([0, 1, 0, 1]))
    assert torch.isinf(logits[[0, 2], 2]).all()
    assert logits[[1, 3]].isfinite().all()
    torch.testing.assert_close(logits[1], pooled[1] @ heads.weight[2:5].T + heads.bias[2:5])
