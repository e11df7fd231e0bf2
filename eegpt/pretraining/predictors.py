"""Three predictors of the new samples that need no network: zero, persistence, linear autoregression.

A model that does not beat the linear one has learned nothing useful: with overlapping tokens, the next-token loss
mostly measures copying. Predictors predict the new samples of tokens 1 .. T-1 of normalised windows from the preceding
samples.

Shapes: N windows, S samples, T tokens, C samples per token, K new samples per token (the stride).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from eegprep.errors import UsageError
from eegprep.recording import spread
from eegpt.data import WindowSource
from eegpt.data.loader import in_batches
from eegpt.model.ete import ETE
from eegpt.model.tokens import fold_tokens

_BATCH = 4096
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)  # shares of the mean variance


def new_samples(signal_NS: Tensor, *, token_samples: int, token_stride: int) -> Tensor:
    """The new samples of tokens 1 .. T-1, (N, T-1, K): a view."""
    tail = signal_NS[:, token_samples:]
    return tail[:, : tail.shape[1] // token_stride * token_stride].unflatten(1, (-1, token_stride))


def predict_zero(signal_NS: Tensor, *, token_samples: int, token_stride: int) -> Tensor:
    """Zero for every new sample."""
    return torch.zeros_like(new_samples(signal_NS, token_samples=token_samples, token_stride=token_stride))


def predict_persistence(signal_NS: Tensor, *, token_samples: int, token_stride: int) -> Tensor:
    """The last value before the new samples, repeated."""
    shape = new_samples(signal_NS, token_samples=token_samples, token_stride=token_stride).shape
    return signal_NS[:, token_samples - 1 :: token_stride][:, : shape[1], None].expand(shape)


@dataclass(frozen=True, kw_only=True)
class LinearPredictor:
    """Linear maps from the last samples to the new ones, by least squares.

    `short_CK` maps the last token, with the same map at all positions. `long[p]`, (C + p K, K), maps all samples since
    the window's start, the context available to a model; it needs many windows to beat the short map.
    """

    token_samples: int
    token_stride: int
    short_CK: Tensor
    long: tuple[Tensor, ...]

    def predict(self, signal_NS: Tensor, *, whole_context: bool = False) -> Tensor:
        """Predictions (N, T-1, K), from the last token or the full context."""
        C, K = self.token_samples, self.token_stride
        n_positions = (signal_NS.shape[1] - C) // K
        if not whole_context:
            # Copy first: multiplying an overlapping view is one small product per window.
            return signal_NS.unfold(1, C, K)[:, :n_positions].contiguous() @ self.short_CK
        if n_positions > len(self.long):
            raise UsageError(
                "the linear predictor was fitted to shorter windows",
                found=f"{n_positions} positions",
                expected=f"{len(self.long)} at most",
            )
        return torch.stack([signal_NS[:, : C + p * K] @ self.long[p] for p in range(n_positions)], dim=1)


def fit_linear(batches: Iterable[Tensor], *, token_samples: int, token_stride: int) -> LinearPredictor:
    """Fit both maps to normalised windows (N, S) of one length, in one pass.

    Least squares only needs the second moment of the window, (S, S), summed in float64: all contexts and targets are
    blocks of it. The ridge of `RIDGES` with the lowest error on every tenth window is used; the maps are then fitted to
    all windows.
    """
    C, K = token_samples, token_stride
    fit, check = _moments(batches)
    S = fit.shape[0]
    starts = [p * K for p in range((S - C) // K)]
    if not starts:
        raise UsageError("windows too short for a linear predictor", found=f"{S} samples", expected=f">= {C + K}")

    def shared(moment: Tensor) -> Tensor:
        """The second moment of C samples and the K after them, summed over positions."""
        return torch.stack([moment[s : s + C + K, s : s + C + K] for s in starts]).sum(dim=0)

    long = tuple(_best(fit[: s + C + K, : s + C + K], check[: s + C + K, : s + C + K], s + C) for s in starts)
    return LinearPredictor(token_samples=C, token_stride=K, short_CK=_best(shared(fit), shared(check), C), long=long)


def _moments(batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Second moments of nine out of ten windows, and of every tenth."""
    moments: list[Tensor | None] = [None, None]
    n_windows = 0
    for signal_NS in batches:
        for part in signal_NS.split(_BATCH):
            tenth = (torch.arange(part.shape[0]) + n_windows) % 10 == 9
            for i, rows in enumerate((part[~tenth], part[tenth])):
                # Products of a few thousand rows in float32, sums in float64: accurate enough and four times faster.
                product = (rows.T @ rows).double()
                previous = moments[i]
                moments[i] = product if previous is None else previous + product
            n_windows += part.shape[0]
    if moments[0] is None or moments[1] is None or n_windows < 20:
        raise UsageError("too few windows to fit the linear predictor to", found=n_windows, expected="at least 20")
    return moments[0], moments[1]


def _best(fit: Tensor, check: Tensor, n_known: int) -> Tensor:
    """The map from the first `n_known` samples to the rest, with the ridge chosen on `check`."""

    def error(weight: Tensor) -> float:
        # sum |y - W^T x|^2 computed from second moments
        xx, xy, yy = check[:n_known, :n_known], check[:n_known, n_known:], check[n_known:, n_known:]
        return float(yy.trace() - 2 * (weight * xy).sum() + (weight * (xx @ weight)).sum())

    ridge = min(RIDGES, key=lambda r: error(_solve(fit, n_known, r)))
    return _solve(fit + check, n_known, ridge).float()


def _solve(moment: Tensor, n_known: int, ridge: float) -> Tensor:
    xx = moment[:n_known, :n_known]
    load = ridge * float(xx.diagonal().mean()) + 1e-12
    return torch.linalg.solve(xx + load * torch.eye(n_known, dtype=xx.dtype), moment[:n_known, n_known:])


def linear_for(ete: ETE, index: WindowSource, n_windows: int) -> LinearPredictor | None:
    """Fit the linear predictor for an encoder's tokens to evenly spread windows of the training split."""
    indices = spread(len(index), n_windows)
    if len(indices) < 20:
        return None
    C, K = ete.config.token_samples, ete.config.token_stride
    return fit_linear(_signals(ete, index, indices), token_samples=C, token_stride=K)


def start_from_linear(ete: ETE, indexes: Sequence[WindowSource], n_windows: int) -> None:
    """Fit the starting point of predictions (`skip=linear`) to the training windows of all lengths."""
    if ete.skip is None:
        return
    C, K = ete.config.token_samples, ete.config.token_stride

    def pieces() -> Iterator[Tensor]:
        # A token and the new samples after it, at every position, with one map for all.
        for index in indexes:
            share = math.ceil(n_windows * len(index) / sum(map(len, indexes)))
            for signal_NS in _signals(ete, index, spread(len(index), share)):
                yield signal_NS.unfold(1, C + K, K).flatten(0, 1)

    linear = fit_linear(pieces(), token_samples=C, token_stride=K)
    with torch.no_grad():
        ete.skip.weight.copy_(linear.short_CK.T)


def _signals(ete: ETE, index: WindowSource, indices: Sequence[int]) -> Iterator[Tensor]:
    """Normalised windows (N, S) of an index, cut to complete tokens."""
    for windows in in_batches(index, indices, _BATCH):
        x_BTC = ete.tokenise(windows.signal_i16, windows.scale_uv, windows.sigma_uv)
        yield fold_tokens(x_BTC, token_stride=ete.config.token_stride)
