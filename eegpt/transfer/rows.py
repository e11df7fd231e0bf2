"""Convert trials to the encoder's rows, and the encoder's outputs for them.

A padded batch of trials becomes rows of tokens without padding (`Rows`), which the encoder turns into keys and values
of all positions, a few vectors per row, or both (`Encoded`). Trials of one group have the same number of tokens or are
masked; groups of different length are only joined in the graph, so that half a second is never padded to a minute.

Shapes: N trials, E electrodes of a trial (padded), S samples, R rows (electrodes of all trials), T tokens,
C samples per token, P positions, D width, F readout features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from eegpt.data import TaskInfo, TrialBatch
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE, Cache
from eegpt.model.pairs import band_pairs, pair_ids
from eegpt.model.tokens import n_tokens, unfold_tokens
from eegpt.model.views import N_SLICES, band_powers, signal_views, slice_means, state_views, views
from eegpt.transfer.signals import SignalBatch, Signals, drop_electrodes, normalised_signals


class Trials(Protocol):
    """The interface that fitting and prediction expect of trials, from shard sets (`TrialIndex`) or in memory."""

    tasks: tuple[TaskInfo, ...]
    task: NDArray[Any]
    label: NDArray[Any]
    target: NDArray[Any]
    n_samples: NDArray[Any]
    n_electrodes: NDArray[Any]
    subject: tuple[str, ...]

    def __len__(self) -> int: ...

    def gather(self, indices: NDArray[np.int64], /) -> TrialBatch | SignalBatch:
        """The trials at these rows."""

    def fingerprint(self, indices: NDArray[np.int64], /) -> str | None:
        """Hash of the trials' signals, by which encoded trials are kept on disk; None to keep none."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Electrodes of N trials as rows, in the order of the trials."""

    tokens_RTC: Tensor  # float32
    token_mask_RT: Tensor | None  # bool; None where no token is padding
    electrode_R: Tensor  # int64 inputs of the encoder: rows of its vocabulary, with references if it is told them
    mask_NE: Tensor  # electrodes of each trial; the true entries, in row-major order, are the R rows
    course_RF: Tensor  # float32 (R, N_SLICES): the signal's mean in equal slices of the trial, in the tokens' unit
    sigma_R: Tensor  # float32 robust SD of the row's recording and electrode, in microvolt


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """N encoded trials; fields that the model does not use are None."""

    cache: Cache | None  # for the special token
    features_RF: Tensor | None
    electrode_R: Tensor  # rows of the encoder's vocabulary
    mask_NE: Tensor
    views_RF: Tensor | None = None  # see `eegpt.model.views`
    pairs_NEEF: Tensor | None = None  # see `eegpt.model.pairs`; symmetric in the electrodes, 0 where one is missing
    input_R: Tensor | None = None  # with references, as in `Rows`; None where they are not used
    whitened_RF: Tensor | None = None  # see `eegpt.model.whitening`; None in tasks that are not standardised by subject

    @property
    def n_bytes(self) -> int:
        """Memory used by keys, values and features."""
        held = [] if self.cache is None else [*self.cache.keys, *self.cache.values]
        held += [t for t in (self.features_RF, self.views_RF, self.whitened_RF) if t is not None]
        return sum(t.numel() * t.element_size() for t in held)

    def compact(self) -> Encoded:
        """Copy keys and values to their own memory."""
        if self.cache is None:
            return self
        cache = Cache(
            keys=tuple(k.contiguous() for k in self.cache.keys),
            values=tuple(v.contiguous() for v in self.cache.values),
            n_positions_B=self.cache.n_positions_B,
        )
        return dataclasses.replace(self, cache=cache)

    def electrodes(self, *, with_references: bool = False) -> Tensor:
        """The electrodes (or inputs) of each trial, (N, E) int64, -1 where there is none."""
        id_R = self.input_R if with_references and self.input_R is not None else self.electrode_R
        return id_R.new_full(self.mask_NE.shape, -1).masked_scatter(self.mask_NE, id_R)

    def pair_rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features (P, F), pair numbers (P,) and mask (N, E * E) of all pairs, each unordered pair once."""
        if self.pairs_NEEF is None:
            raise ValueError("the trials' pairs of electrodes were not computed")
        mask_NEE = (self.mask_NE.unsqueeze(2) & self.mask_NE.unsqueeze(1)).tril()
        return self.pairs_NEEF[mask_NEE], pair_ids(self.electrodes())[mask_NEE], mask_NEE.flatten(1)

    def take(self, index: Tensor, *, electrode_dropout: float = 0.0) -> Encoded:
        """The trials at `index` (int64), in order, optionally dropping a random share of electrodes."""
        n_rows_N = self.mask_NE.sum(dim=1)
        first_N = n_rows_N.cumsum(0) - n_rows_N
        count = n_rows_N[index]
        # Rows of the chosen trials: each trial's first row plus offsets.
        step = torch.arange(int(count.sum()), device=index.device) - (count.cumsum(0) - count).repeat_interleave(count)
        row = first_N[index].repeat_interleave(count) + step
        mask_NE = self.mask_NE[index]
        pairs_NEEF = None if self.pairs_NEEF is None else self.pairs_NEEF[index]
        if electrode_dropout:
            kept_NE = drop_electrodes(mask_NE, electrode_dropout)
            row = row[kept_NE[mask_NE]]
            mask_NE, pairs_NEEF = to_the_left(kept_NE), _pairs_to_the_left(pairs_NEEF, kept_NE)
        cache = self.cache
        if cache is not None:
            cache = Cache(
                keys=tuple(k[row] for k in cache.keys),
                values=tuple(v[row] for v in cache.values),
                n_positions_B=None if cache.n_positions_B is None else cache.n_positions_B[row],
            )
        return Encoded(
            cache=cache,
            features_RF=None if self.features_RF is None else self.features_RF[row],
            views_RF=None if self.views_RF is None else self.views_RF[row],
            pairs_NEEF=pairs_NEEF,
            electrode_R=self.electrode_R[row],
            input_R=None if self.input_R is None else self.input_R[row],
            whitened_RF=None if self.whitened_RF is None else self.whitened_RF[row],
            mask_NE=mask_NE,
        )


def only(encoded: Encoded, kept_NE: Tensor) -> Encoded:
    """The trials' views and pairs at some of their electrodes; a trial may lose all."""
    kept_R = kept_NE[encoded.mask_NE]
    return Encoded(
        cache=None,
        features_RF=None,
        views_RF=None if encoded.views_RF is None else encoded.views_RF[kept_R],
        pairs_NEEF=_pairs_to_the_left(encoded.pairs_NEEF, kept_NE),
        electrode_R=encoded.electrode_R[kept_R],
        input_R=None if encoded.input_R is None else encoded.input_R[kept_R],
        whitened_RF=None if encoded.whitened_RF is None else encoded.whitened_RF[kept_R],
        mask_NE=to_the_left(kept_NE),
    )


def _pairs_to_the_left(pairs_NEEF: Tensor | None, kept_NE: Tensor) -> Tensor | None:
    """The pairs of the kept electrodes, in the slots of `to_the_left`."""
    if pairs_NEEF is None:
        return None
    width = int(kept_NE.sum(dim=1).max())
    slot_NE = kept_NE.int().argsort(dim=1, descending=True, stable=True)[:, :width]
    trial_N11 = torch.arange(len(kept_NE), device=kept_NE.device)[:, None, None]
    pairs_NEEF = pairs_NEEF[trial_N11, slot_NE.unsqueeze(2), slot_NE.unsqueeze(1)]
    mask_NE = to_the_left(kept_NE)
    return pairs_NEEF * (mask_NE.unsqueeze(2) & mask_NE.unsqueeze(1)).unsqueeze(-1)


def to_the_left(mask_NE: Tensor) -> Tensor:
    """Close gaps in a mask: rows know their electrode, so slots can be moved."""
    count_N = mask_NE.sum(dim=1)
    return torch.arange(int(count_N.max()), device=mask_NE.device) < count_N.unsqueeze(1)


def pairs_of(
    batch: TrialBatch | SignalBatch, config: ETEConfig, electrode_of: np.ndarray, device: torch.device
) -> Encoded:
    """What the electrodes of each trial share, in `pairs_NEEF`, computed from the signal without the encoder."""
    signals = normalised_signals(batch, config, electrode_of, device)
    n_samples_N = torch.from_numpy(signals.n_samples_N).to(device)
    pairs_NEEF = band_pairs(signals.by_trial(), n_samples_N, config.sfreq_hz)
    row_R = config.electrode_of(signals.electrode_R)
    return Encoded(cache=None, features_RF=None, electrode_R=row_R, mask_NE=signals.mask_NE, pairs_NEEF=pairs_NEEF)


def whitened_of(signals: Signals, weight_NEE: Tensor, config: ETEConfig) -> Encoded:
    """The views of whitened signals, in `whitened_RF`; `weight_NEE` is 0 where an electrode is missing."""
    rows = tokenised(signals.mixed(weight_NEE), config)
    return Encoded(
        cache=None,
        features_RF=None,
        electrode_R=config.electrode_of(rows.electrode_R),
        mask_NE=rows.mask_NE,
        whitened_RF=signal_views(rows.tokens_RTC, rows.token_mask_RT, rows.course_RF, config),
    )


def flatten(
    batch: TrialBatch | SignalBatch,
    config: ETEConfig,
    electrode_of: np.ndarray,
    device: torch.device,
    *,
    electrode_dropout: float = 0.0,
) -> Rows:
    """Convert a batch to rows of tokens on `device`, optionally dropping a random share of each trial's electrodes."""
    return tokenised(normalised_signals(batch, config, electrode_of, device, electrode_dropout), config)


def tokenised(signals: Signals, config: ETEConfig) -> Rows:
    """Cut signals into tokens.

    Samples after the last complete token are ignored, as in pre-training; trials shorter than one token are zero-padded
    to one.
    """
    x_RS, device = signals.x_RS, signals.x_RS.device
    n_samples_R = np.repeat(signals.n_samples_N, signals.mask_NE.sum(dim=1).cpu().numpy())
    course_RF = slice_means(x_RS, torch.from_numpy(n_samples_R).to(device), N_SLICES)
    C, stride = config.token_samples, config.token_stride
    if x_RS.shape[1] < C:
        x_RS = F.pad(x_RS, (0, C - x_RS.shape[1]))
    tokens_RTC = unfold_tokens(x_RS, token_samples=C, token_stride=stride)
    count = {int(n): max(1, n_tokens(int(n), token_samples=C, token_stride=stride)) for n in np.unique(n_samples_R)}
    n_tokens_R = torch.tensor([count[int(n)] for n in n_samples_R], device=device)
    T = max(count.values(), default=1)
    tokens_RTC = tokens_RTC[:, :T]
    token_mask_RT = None
    if len(set(count.values())) > 1:
        token_mask_RT = torch.arange(T, device=device) < n_tokens_R.unsqueeze(1)
    return Rows(
        tokens_RTC=tokens_RTC,
        token_mask_RT=token_mask_RT,
        electrode_R=signals.electrode_R,
        mask_NE=signals.mask_NE,
        course_RF=course_RF,
        sigma_R=signals.sigma_R,
    )


def encode(
    ete: ETE,
    rows: Rows,
    *,
    special: bool = True,
    states: bool = False,
    with_views: bool = False,
    band_power: bool = False,
) -> Encoded:
    """Run the encoder on rows of tokens, with gradients unless the caller disables them.

    Returns keys and values for the special token (`special`), mean and last state of each row as features (`states`),
    the views (`with_views`), or log band powers as features without running the encoder (`band_power`).
    """
    mask = rows.token_mask_RT
    n_positions_R = None if mask is None else mask.sum(dim=1) + 1
    features = band_powers(rows.tokens_RTC, mask, ete.config) if band_power else None
    cache, h_RPD = None, None
    if states or with_views:
        if mask is not None and not ete.config.causal:
            h_RPD = ete(rows.tokens_RTC, rows.electrode_R, mask)
            cache = ete.prefill(rows.tokens_RTC, rows.electrode_R, mask) if special else None
        else:
            # Padding is at the end, which causal attention never sees.
            h_RPD, bare = ete.prefill_states(rows.tokens_RTC, rows.electrode_R)
            cache = Cache(keys=bare.keys, values=bare.values, n_positions_B=n_positions_R) if special else None
        features = _pool(h_RPD, n_positions_R) if states else features
    elif special:
        cache = ete.prefill(rows.tokens_RTC, rows.electrode_R, mask)
    seen = None
    if with_views and h_RPD is not None:
        seen = views(state_views(h_RPD, n_positions_R), rows.tokens_RTC, mask, rows.course_RF, rows.sigma_R, ete.config)
    return Encoded(
        cache=cache,
        features_RF=features,
        views_RF=seen,
        electrode_R=ete.config.electrode_of(rows.electrode_R),
        input_R=rows.electrode_R if ete.config.n_references else None,
        mask_NE=rows.mask_NE,
    )


def _pool(h_RPD: Tensor, n_positions_R: Tensor | None) -> Tensor:
    """Mean over the tokens' positions (without v_e) and last state, concatenated (R, 2D)."""
    if n_positions_R is None:
        return torch.cat((h_RPD[:, 1:].mean(dim=1), h_RPD[:, -1]), dim=1)
    position_P = torch.arange(h_RPD.shape[1], device=h_RPD.device)
    inside_RP1 = ((position_P > 0) & (position_P < n_positions_R.unsqueeze(1))).unsqueeze(-1).to(h_RPD.dtype)
    mean_RD = (h_RPD * inside_RP1).sum(dim=1) / inside_RP1.sum(dim=1)
    last_RD = h_RPD[torch.arange(len(h_RPD), device=h_RPD.device), n_positions_R - 1]
    return torch.cat((mean_RD, last_RD), dim=1)


def join(parts: Sequence[Encoded]) -> Encoded:
    """Join groups with the same number of positions into one; electrodes are padded to the largest number."""
    if len(parts) == 1:
        return parts[0]
    E = max(p.mask_NE.shape[1] for p in parts)
    caches = [p.cache for p in parts if p.cache is not None]
    cache = _join_caches(caches) if len(caches) == len(parts) else None

    def padded(pairs_NEEF: Tensor | None) -> Tensor | None:
        if pairs_NEEF is None:
            return None
        n = E - pairs_NEEF.shape[1]
        return F.pad(pairs_NEEF, (0, 0, 0, n, 0, n))

    def whole(vectors: list[Tensor | None]) -> Tensor | None:
        held = [v for v in vectors if v is not None]
        return torch.cat(held) if held else None

    return Encoded(
        cache=cache,
        features_RF=whole([p.features_RF for p in parts]),
        views_RF=whole([p.views_RF for p in parts]),
        pairs_NEEF=whole([padded(p.pairs_NEEF) for p in parts]),
        electrode_R=torch.cat([p.electrode_R for p in parts]),
        input_R=whole([p.input_R for p in parts]),
        whitened_RF=whole([p.whitened_RF for p in parts]),
        mask_NE=torch.cat([F.pad(p.mask_NE, (0, E - p.mask_NE.shape[1])) for p in parts]),
    )


def _join_caches(caches: Sequence[Cache]) -> Cache:
    P = max(c.n_positions for c in caches)

    def stack(of: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        return tuple(torch.cat([F.pad(t, (0, 0, 0, P - t.shape[2])) for t in layer]) for layer in zip(*of, strict=True))

    n_positions = [
        c.n_positions_B if c.n_positions_B is not None else c.keys[0].new_full((len(c.keys[0]),), c.n_positions).long()
        for c in caches
    ]
    plain = all(c.n_positions_B is None and c.n_positions == P for c in caches)
    return Cache(
        keys=stack([c.keys for c in caches]),
        values=stack([c.values for c in caches]),
        n_positions_B=None if plain else torch.cat(n_positions),
    )
