"""Stage II as one module: encoder, special token, graph, heads, and each electrode's own readout.

The special token is one vector shared by all electrodes, placed at the END of each sequence; its state is the
electrode's representation z (paper, section on the TEG). Because it comes last and attention is causal, it uses cached
keys and values, and no gradient flows through a frozen encoder's tokens.

`readout` selects the initial state of a node: z as in the paper (`special`); z plus a linear map of the electrode's
views, possibly standardised by subject (`special+views`), or only that map (`views`); the same with the mean and last
encoder state (`special+states`, `states`); band powers instead of the encoder (a baseline).

Not in the paper: linear heads at every electrode and every pair of electrodes (`ElectrodeHeads`), whose logits are
added to the weighted logits of the graph, and edges that carry what two electrodes share. Without them and with
`special`, the model is the paper's.

Shapes: N trials, E electrodes (padded), R rows (electrodes of all trials), D width, F features, K outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegpt.model.ete import ETE
from eegpt.model.heads import ElectrodeHeads, ElectrodeScale, HeadSpec, TaskHeads
from eegpt.model.layers import Norm
from eegpt.model.pairs import N_PAIR_FEATURES, PAIRS, n_pairs
from eegpt.model.teg import TEG, TEGConfig
from eegpt.model.tokens import BANDS_HZ
from eegpt.model.views import VIEWS, view_slices
from eegpt.model.whitening import WHITENED_VIEWS, whitened_slices
from eegpt.transfer.rows import Encoded, Rows, encode

#: Views that are computed from the signal, without the encoder.
SIGNAL_VIEWS = ("spectrum", "course", "level", PAIRS, *WHITENED_VIEWS)
Readout = Literal["special", "special+views", "views", "special+states", "states", "band_power"]


class TransferModel(nn.Module):
    """Encoder, special token, graph, heads and the electrodes' own readouts.

    The encoder is trained if its parameters have `requires_grad`. Tasks are numbered in the order of `tasks`. `dropout`
    applies to the pooled vector before the heads; `electrode_heads` adds readouts of `views` at every electrode (of
    `pairs`, at every pair of electrodes), which are the only ones without `graph`; `compress` applies `compressed` to
    views that are standardised by subject, wherever they are standardised.
    """

    def __init__(
        self,
        ete: ETE,
        teg: TEGConfig,
        tasks: Sequence[HeadSpec],
        *,
        readout: Readout = "special+states",
        dropout: float = 0.0,
        electrode_heads: bool = False,
        views: Sequence[str] = VIEWS,
        graph: bool = True,
        compress: bool = False,
    ) -> None:
        super().__init__()
        D = ete.config.width
        self.ete = ete
        self.readout = readout
        self.dropout = dropout
        self.graph = graph
        self.compress = compress
        self.n_views = F_views = max(s.stop for s in view_slices(ete.config).values())
        self.views = tuple(views) if electrode_heads else ()
        n, n_edges = ete.config.n_electrodes, n_pairs(ete.config.n_electrodes)
        self.electrode_heads = ElectrodeHeads(F_views, n, tasks) if self.views else None
        self.pair_heads = ElectrodeHeads(N_PAIR_FEATURES, n_edges, tasks) if PAIRS in self.views else None
        n_whitened = max(s.stop for s in whitened_slices(ete.config).values())
        reads_whitened = bool(set(self.views) & set(WHITENED_VIEWS))
        self.whitened_heads = ElectrodeHeads(n_whitened, n, tasks) if reads_whitened else None
        has_edges = graph and bool(teg.n_edge_features)
        self.edge_scale = ElectrodeScale(N_PAIR_FEATURES, n_edges, len(tasks)) if has_edges else None
        self.special = nn.Parameter(torch.randn(D) * 0.5) if "special" in readout else None
        self.scale = ElectrodeScale(F_views, n, len(tasks)) if "views" in readout else None
        sizes = {"views": F_views, "states": 2 * D, "band_power": len(BANDS_HZ)}
        n_features = sizes.get(readout.removeprefix("special+"), 0)
        self.features_in = nn.Linear(n_features, D) if n_features else None
        if self.features_in is not None:
            nn.init.normal_(self.features_in.weight, std=n_features**-0.5)
            nn.init.zeros_(self.features_in.bias)
        self.z_norm = Norm(D)
        self.teg = TEG(teg)
        self.heads = TaskHeads(D, tasks)
        if not graph:
            # Without gradient the optimiser skips them.
            for part in (self.teg, self.heads, self.z_norm, self.features_in, self.special):
                if part is not None:
                    part.requires_grad_(False)

    @property
    def trains_encoder(self) -> bool:
        """Whether any parameter of the encoder gets a gradient."""
        return any(p.requires_grad for p in self.ete.parameters())

    def train(self, mode: bool = True) -> TransferModel:
        """As in torch, but a frozen encoder stays in evaluation mode: dropout would invalidate the cache."""
        super().train(mode)
        if not self.trains_encoder:
            self.ete.eval()
        return self

    @property
    def reads_electrodes(self) -> bool:
        """Whether the electrodes' own readouts are fitted and used."""
        return self.electrode_heads is not None and bool(self.electrode_heads.fitted)

    @property
    def sees_views(self) -> bool:
        """Whether trials need views, for the graph or for the electrodes' own readouts."""
        return self.reads_electrodes or self.scale is not None or self.edge_scale is not None

    @property
    def reads_states(self) -> bool:
        """Whether the encoder's states are among the views that are read; without them it need not run."""
        return bool(set(self.views) - set(SIGNAL_VIEWS)) or (self.graph and self.scale is not None)

    @property
    def reads_pairs(self) -> bool:
        """Whether anything reads pairs of electrodes."""
        return self.pair_heads is not None or self.edge_scale is not None

    @property
    def reads_whitened(self) -> bool:
        """Whether whitened signals are read, in the tasks that are standardised by subject."""
        return self.whitened_heads is not None

    def encode(self, rows: Rows, *, views_only: bool = False) -> Encoded:
        """Encode a group of trials for the graph; without gradient if the encoder is frozen.

        With `views_only`, compute only the views for the electrodes' own readouts.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trains_encoder):
            return encode(
                self.ete,
                rows,
                special=not views_only and self.special is not None,
                states=not views_only and "states" in self.readout,
                with_views=views_only or self.scale is not None,
                band_power=not views_only and self.readout == "band_power",
            )

    def represent(self, encoded: Encoded, task_N: Tensor | None = None) -> Tensor:
        """z of every row, (R, D); `task_N` is needed if nodes start from views."""
        z_RD: Tensor | None = None
        if self.special is not None and encoded.cache is not None:
            z_RD = self.ete.summarise(encoded.cache, self.special)
        features_RF = encoded.features_RF
        if self.scale is not None and encoded.views_RF is not None and task_N is not None:
            task_R = task_N.repeat_interleave(encoded.mask_NE.sum(dim=1))
            features_RF = self.scale(encoded.views_RF, encoded.electrode_R, task_R)
        if self.features_in is not None and features_RF is not None:
            mapped_RD = self.features_in(features_RF)
            z_RD = mapped_RD if z_RD is None else z_RD + mapped_RD
        if z_RD is None:
            raise ValueError(f"the encoded trials lack what the readout {self.readout!r} reads")
        return self.z_norm(z_RD)

    def nodes(self, group: Encoded, task_N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """z (N, E, D), ids of inputs (N, E) and mask (N, E) of a group's trials."""
        mask_NE = group.mask_NE
        z_RD = self.represent(group, task_N)
        place = mask_NE.flatten().nonzero().squeeze(1)
        z_NED = z_RD.new_zeros(mask_NE.numel(), z_RD.shape[1]).index_copy(0, place, z_RD).view(*mask_NE.shape, -1)
        return z_NED, group.electrodes(with_references=True), mask_NE

    def edges(self, group: Encoded, task_N: Tensor) -> Tensor | None:
        """Standardised features (N, E, E, F) of the pairs of each trial; None if the graph has none."""
        if self.edge_scale is None:
            return None
        x_PF, pair_P, _ = group.pair_rows()
        lower_NEE = (group.mask_NE.unsqueeze(2) & group.mask_NE.unsqueeze(1)).tril()
        x_PF = self.edge_scale(x_PF, pair_P, task_N[lower_NEE.nonzero()[:, 0]])
        edge_NEEF = x_PF.new_zeros(*lower_NEE.shape, x_PF.shape[1])
        edge_NEEF[lower_NEE] = x_PF
        diagonal = edge_NEEF.diagonal(dim1=1, dim2=2)
        return edge_NEEF + edge_NEEF.transpose(1, 2) - torch.diag_embed(diagonal, dim1=1, dim2=2)

    def pool(self, groups: Sequence[Encoded], task_N: Tensor) -> Tensor:
        """The graph's vector of each trial, (N, D), in the groups' order: the trial embedding.

        Groups run one by one: trials are independent, and padding two electrodes to sixty-four costs more than it
        saves. The batch is still mixed, since it has a single loss.
        """
        return torch.cat(
            [self.teg(*self.nodes(group, task), self.edges(group, task)) for group, task in _with_tasks(groups, task_N)]
        )

    def forward(self, groups: Sequence[Encoded], task_N: Tensor) -> Tensor:
        """Logits (N, K) of each trial's own task, -inf in columns beyond the task's outputs."""
        if not self.reads_electrodes or self.electrode_heads is None:
            return self.graph_logits(groups, task_N)
        own = []
        for group, task in _with_tasks(groups, task_N):
            if group.views_RF is None:
                raise ValueError("the electrodes' readouts need the trials' views")
            logits_NK = self.electrode_heads(group.views_RF, group.electrode_R, group.mask_NE, task)
            if self.pair_heads is not None:
                logits_NK = logits_NK + self.pair_heads(*group.pair_rows(), task)
            if self.whitened_heads is not None:
                if group.whitened_RF is not None:
                    logits_NK = logits_NK + self.whitened_heads(
                        group.whitened_RF, group.electrode_R, group.mask_NE, task
                    )
                elif bool(self.whitened_heads.weight[task.unique()].any()):
                    raise ValueError("the readouts of these tasks need the trials' whitened signals")
            own.append(logits_NK)
        own_NK = torch.cat(own)
        if not self.graph:
            return own_NK.masked_fill(self.heads.column_of[task_N] < 0, float("-inf"))
        share_N1 = self.electrode_heads.graph_share[task_N].unsqueeze(1)
        graph_NK = self.graph_logits(groups, task_N).float()
        # If the graph has no share, its -inf columns must stay, and 0 times -inf is NaN.
        return torch.where(graph_NK == float("-inf"), graph_NK, share_N1 * graph_NK + own_NK)

    def graph_logits(self, groups: Sequence[Encoded], task_N: Tensor) -> Tensor:
        """As `forward`, but only the graph's logits."""
        pooled_ND = F.dropout(self.pool(groups, task_N), self.dropout, self.training)
        return self.heads(pooled_ND, task_N)


def _with_tasks(groups: Sequence[Encoded], task_N: Tensor) -> Iterator[tuple[Encoded, Tensor]]:
    return zip(groups, task_N.split([len(group.mask_NE) for group in groups]), strict=True)
