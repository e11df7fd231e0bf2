"""Stage II as one module: encoder, special token, graph and heads.

What enters: groups of encoded trials (`Encoded`) and each trial's task. What leaves: logits of each trial's
own task. The special token is one vector shared by all electrodes, put at the END of each sequence; its state
is the electrode's representation z (paper, section on the TEG). Because it comes last and attention looks back
only, it runs against cached keys and values, and a frozen encoder's tokens are never differentiated.

`readout` decides what a node starts from: z alone as in the paper, or z plus a linear map of the mean and last
state of the same pass (`special+states`), the states alone, or band powers in the encoder's place (a baseline).

Shapes: N trials, E electrodes (padded), R rows (electrodes of all trials), D width, F features, K outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegpt.model.ete import ETE, Norm
from eegpt.model.heads import HeadSpec, TaskHeads
from eegpt.model.teg import TEG, TEGConfig

from .transfer_rows import BANDS_HZ, Encoded, Rows, band_power, encode

__all__ = ["Readout", "TransferModel"]

Readout = Literal["special", "special+states", "states", "band_power"]


class TransferModel(nn.Module):
    """Encoder, special token, graph and heads.

    Parameters
    ----------
    ete : ETE
        The encoder; whether it is trained is its parameters' `requires_grad`.
    teg : TEGConfig
    tasks : sequence of HeadSpec
        Their order is the tasks' numbering.
    readout : Readout
    dropout : float
        Of the pooled vector before the heads, in training only.
    """

    def __init__(
        self,
        ete: ETE,
        teg: TEGConfig,
        tasks: Sequence[HeadSpec],
        *,
        readout: Readout = "special+states",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        D = ete.config.width
        self.ete = ete
        self.readout = readout
        self.dropout = dropout
        self.special = nn.Parameter(torch.randn(D) * 0.5) if "special" in readout else None
        n_features = {"special": 0, "special+states": 2 * D, "states": 2 * D, "band_power": len(BANDS_HZ)}[readout]
        self.features_in = nn.Linear(n_features, D) if n_features else None
        if self.features_in is not None:
            nn.init.normal_(self.features_in.weight, std=n_features**-0.5)
            nn.init.zeros_(self.features_in.bias)
        self.z_norm = Norm(D)
        self.teg = TEG(teg)
        self.heads = TaskHeads(D, tasks)

    @property
    def trains_encoder(self) -> bool:
        """Whether any parameter of the encoder gets a gradient."""
        return any(p.requires_grad for p in self.ete.parameters())

    def train(self, mode: bool = True) -> TransferModel:
        """As in torch, except that a frozen encoder stays in evaluation mode: its dropout would spoil the cache."""
        super().train(mode)
        if not self.trains_encoder:
            self.ete.eval()
        return self

    def encode(self, rows: Rows) -> Encoded:
        """What the readout needs of a group of trials; without gradient where the encoder is frozen."""
        if self.readout == "band_power":
            return band_power(rows, self.ete.config)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trains_encoder):
            return encode(self.ete, rows, special=self.special is not None, states="states" in self.readout)

    def represent(self, encoded: Encoded) -> Tensor:
        """z of every row, (R, D)."""
        z_RD: Tensor | None = None
        if self.special is not None and encoded.cache is not None:
            z_RD = self.ete.summarise(encoded.cache, self.special)
        if self.features_in is not None and encoded.features_RF is not None:
            mapped_RD = self.features_in(encoded.features_RF)
            z_RD = mapped_RD if z_RD is None else z_RD + mapped_RD
        if z_RD is None:
            raise ValueError(f"the encoded trials hold nothing that the readout {self.readout!r} reads")
        return self.z_norm(z_RD)

    def nodes(self, group: Encoded) -> tuple[Tensor, Tensor, Tensor]:
        """z (N, E, D), electrode ids (N, E) and mask (N, E) of a group's trials."""
        mask_NE = group.mask_NE
        z_RD = self.represent(group)
        place = mask_NE.flatten().nonzero().squeeze(1)
        z_NED = z_RD.new_zeros(mask_NE.numel(), z_RD.shape[1]).index_copy(0, place, z_RD).view(*mask_NE.shape, -1)
        electrode_NE = group.electrode_R.new_full((mask_NE.numel(),), -1).index_copy(0, place, group.electrode_R)
        return z_NED, electrode_NE.view(mask_NE.shape), mask_NE

    def pool(self, groups: Sequence[Encoded]) -> Tensor:
        """The graph's vector of each trial, (N, D), in the groups' order: the embedding that a map of trials shows.

        Groups run one by one: trials do not see each other, and padding two electrodes to sixty-four costs more
        than it saves. The batch is mixed all the same, since its loss is one.
        """
        pooled = []
        for group in groups:
            z_NED, electrode_NE, mask_NE = self.nodes(group)
            pooled.append(self.teg(z_NED, electrode_NE, mask_NE))
        return torch.cat(pooled)

    def forward(self, groups: Sequence[Encoded], task_N: Tensor) -> Tensor:
        """Logits (N, K) of each trial's own task, -inf in columns that it does not have."""
        pooled_ND = F.dropout(self.pool(groups), self.dropout, self.training)
        return self.heads(pooled_ND, task_N)
