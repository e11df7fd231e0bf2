"""Stage II, the Task-shared Electrode Graph: the electrodes' representations in, one vector per sample out.

The paper (arXiv 2410.19779, section on the TEG): the nodes of a fully connected graph are the electrodes of
pre-training, each with a learnable vector; a sample activates the nodes of its electrodes. A node's state is its vector
plus z, the electrode's representation. Graph attention: the score of m and n is ReLU(a^T [W h_m || W h_n]), defined if
both are in the sample (beta_mn = 1); alpha_mn is its softmax over the neighbours of m, and the node is updated by sum_n
alpha_mn W h_n. K layers, residual, pre-norm, each followed by a gated feed-forward network; nodes are pooled by their
mean. One graph serves all tasks.

Not in the paper: edges may carry what two electrodes share in the sample (`n_edge_features`, see `eegpt.model.pairs`).
A linear map of them is added to the score, and the messages are W h_n + g_n * U e_mn, where g_n is a learned vector of
the neighbour, so that what an edge means depends on its electrodes. With `electrode+reference`, a node's vector is the
sum of those of its electrode, reference and kind; the latter two start at zero.

A node is its own neighbour, so a sample with one electrode keeps its state. Samples with different montages can share a
batch: they are padded to the same number of electrodes and masked, and padded nodes have no effect.

Shapes: B samples, E electrodes of a sample (padded), D width, F features of an edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegprep.electrodes.references import SCHEMES
from eegprep.electrodes.vocabulary import KINDS
from eegpt.model.layers import Norm, SwiGLU


@dataclass(frozen=True, kw_only=True)
class TEGConfig:
    """The graph's shape: `n_electrodes` nodes, the rows of the encoder's vocabulary or more.

    `ffn_ratio` is the inner width of the gated network / D, fitted to the paper's parameter counts; `dropout` applies
    to the layers' outputs, in training only; `n_edge_features` is 0 in the paper's form; `condition` and `kinds` are as
    of `ETEConfig`.
    """

    n_layers: int
    width: int
    n_electrodes: int = 138
    ffn_ratio: float = 4.0
    dropout: float = 0.0
    n_edge_features: int = 0
    condition: Literal["electrode", "electrode+reference"] = "electrode"
    kinds: tuple[int, ...] = ()


class GraphAttention(nn.Module):
    """alpha-weighted sum of W h over the sample's electrodes, and of the edges' features if they have any."""

    def __init__(self, width: int, edge: EdgeFeatures | None = None) -> None:
        super().__init__()
        self.project = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 2, bias=False)  # a, as its two halves: for the node and for its neighbour
        self.edge = edge

    def forward(
        self, h_BED: Tensor, beta_BEE: Tensor, edge_BEEF: Tensor | None = None, electrode_BE: Tensor | None = None
    ) -> Tensor:
        w_BED = self.project(h_BED)
        alpha_BEE = self.coefficients(w_BED, beta_BEE, edge_BEEF).to(w_BED.dtype)
        if self.edge is None or edge_BEEF is None or electrode_BE is None:
            return alpha_BEE @ w_BED
        return alpha_BEE @ w_BED + self.edge(alpha_BEE, edge_BEEF, electrode_BE)

    def coefficients(self, w_BED: Tensor, beta_BEE: Tensor, edge_BEEF: Tensor | None = None) -> Tensor:
        """alpha_mn, (B, E, E): how much node m takes of node n."""
        # a^T [x || y] = a_1^T x + a_2^T y, so the (E, E) scores need no (E, E, 2D) array.
        node_BE, neighbour_BE = self.score(w_BED).unbind(-1)
        score_BEE = node_BE.unsqueeze(2) + neighbour_BE.unsqueeze(1)
        if self.edge is not None and edge_BEEF is not None:
            score_BEE = score_BEE + self.edge.score(edge_BEEF).squeeze(-1)
        return torch.relu(score_BEE).masked_fill(~beta_BEE, float("-inf")).softmax(dim=-1)


class EdgeFeatures(nn.Module):
    """The part of a node's message that comes from its edges: the sum over n of alpha_mn g_n * U e_mn."""

    def __init__(self, config: TEGConfig) -> None:
        super().__init__()
        self.score = nn.Linear(config.n_edge_features, 1, bias=False)
        self.value = nn.Linear(config.n_edge_features, config.width, bias=False)
        self.gate = nn.Embedding(config.n_electrodes, config.width)

    def forward(self, alpha_BEE: Tensor, edge_BEEF: Tensor, electrode_BE: Tensor) -> Tensor:
        own_BFEE = (alpha_BEE.unsqueeze(-1) * edge_BEEF).permute(0, 3, 1, 2)
        own_BFED = own_BFEE @ self.gate(electrode_BE).unsqueeze(1).to(own_BFEE.dtype)
        return torch.einsum("bfed,df->bed", own_BFED, self.value.weight.to(own_BFED.dtype))


class GraphLayer(nn.Module):
    """Graph attention and a gated feed-forward network, both residual and pre-norm."""

    def __init__(self, config: TEGConfig) -> None:
        super().__init__()
        self.attention = GraphAttention(config.width, EdgeFeatures(config) if config.n_edge_features else None)
        self.ffn = SwiGLU(config.width, int(config.ffn_ratio * config.width))
        self.attention_norm = Norm(config.width)
        self.ffn_norm = Norm(config.width)
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()

    def forward(
        self, h_BED: Tensor, beta_BEE: Tensor, edge_BEEF: Tensor | None = None, electrode_BE: Tensor | None = None
    ) -> Tensor:
        message_BED = self.attention(self.attention_norm(h_BED), beta_BEE, edge_BEEF, electrode_BE)
        h_BED = h_BED + self.dropout(message_BED)
        return h_BED + self.dropout(self.ffn(self.ffn_norm(h_BED)))


class TEG(nn.Module):
    """The graph. `forward` gives one pooled vector per sample."""

    def __init__(self, config: TEGConfig) -> None:
        super().__init__()
        self.config = config
        self.node = nn.Embedding(config.n_electrodes, config.width)
        self.layers = nn.ModuleList(GraphLayer(config) for _ in range(config.n_layers))
        self.last_norm = Norm(config.width)
        told = config.condition == "electrode+reference"
        n_references = config.n_electrodes + len(SCHEMES)
        self.reference = nn.Parameter(torch.zeros(n_references, config.width)) if told else None
        self.kind = nn.Parameter(torch.zeros(len(KINDS), config.width)) if told else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise all weights: variance 1 / inputs, smaller if the output is added to a residual.

        Vectors of references and kinds are zero and draw no random numbers.
        """
        nn.init.normal_(self.node.weight, std=0.5)
        for name, weight in self.layers.named_parameters():
            if name.endswith("norm.weight"):
                nn.init.ones_(weight)
            elif name.endswith("edge.gate.weight"):
                nn.init.normal_(weight)
            elif name.endswith("edge.score.weight"):
                nn.init.zeros_(weight)
            else:
                std = weight.shape[1] ** -0.5
                if name.endswith(("attention.project.weight", "ffn.out.weight")):
                    std /= (2 * self.config.n_layers) ** 0.5
                nn.init.normal_(weight, std=std)

    def forward(self, z_BED: Tensor, electrode_BE: Tensor, mask_BE: Tensor, edge_BEEF: Tensor | None = None) -> Tensor:
        """Pooled state of each sample's graph, (B, D): the mean over its electrodes, independent of their order.

        Parameters
        ----------
        z_BED : Tensor (B, E, D)
            The electrodes' representations, from `ETE.summarise`.
        electrode_BE, mask_BE : Tensor (B, E) int and bool
            Rows of the vocabulary, or with `electrode+reference` ids of inputs (`ETEConfig.input_ids`), and a mask of
            valid entries.
        edge_BEEF : Tensor (B, E, E, F), optional
            The edges' features, 0 where padded.
        """
        h_BED = self.states(z_BED, electrode_BE, mask_BE, edge_BEEF)
        keep_BE1 = mask_BE.unsqueeze(-1).to(h_BED.dtype)
        return (h_BED * keep_BE1).sum(dim=1) / keep_BE1.sum(dim=1).clamp_min(1.0)

    def states(self, z_BED: Tensor, electrode_BE: Tensor, mask_BE: Tensor, edge_BEEF: Tensor | None = None) -> Tensor:
        """The nodes' states (B, E, D) after the last layer; padded rows are meaningless."""
        electrode_BE = electrode_BE.masked_fill(~mask_BE, 0)
        added_BED: Tensor | float = 0.0
        if self.reference is not None and self.kind is not None:
            n = self.config.n_electrodes
            electrode_BE, reference_BE = electrode_BE % n, electrode_BE // n
            kind_BE = torch.tensor(self.config.kinds or (0,) * n, device=electrode_BE.device)[electrode_BE]
            added_BED = F.embedding(reference_BE, self.reference) + F.embedding(kind_BE, self.kind)
        h_BED = z_BED + (self.node(electrode_BE) + added_BED).to(z_BED.dtype)
        # A padded node sees itself, so that no row of the softmax is empty; no other node sees it.
        itself_EE = torch.eye(mask_BE.shape[1], dtype=torch.bool, device=mask_BE.device)
        beta_BEE = (mask_BE.unsqueeze(2) & mask_BE.unsqueeze(1)) | itself_EE
        for layer in self.layers:
            h_BED = layer(h_BED, beta_BEE, edge_BEEF, electrode_BE)
        return self.last_norm(h_BED)
