"""Held-out errors of a run under way, and its last ones.

During training the first held-out split that has windows is reported on, so that decisions can rest on it;
every held-out split is reported at the end. The linear predictor is fitted to the training split, once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from eegpt.evaluation.heldout import heldout_errors
from eegpt.evaluation.predictors import LinearPredictor, fit_linear
from eegpt.model.ete import ETE
from eegpt.training.batches import Rows, as_rows
from eegpt.training.windows import spread

if TYPE_CHECKING:
    from eegpt.training.pretrain import _Trainer

__all__ = ["heldout_report", "final_report", "linear_for", "rows_of", "start_from_linear"]

_LINEAR_BATCH = 4096


def rows_of(index: Any, indices: np.ndarray, batch: int) -> Iterator[Rows]:
    """Windows of an index in batches, in order."""
    for start in range(0, len(indices), batch):
        yield as_rows(index.gather(indices[start : start + batch]))


def linear_for(ete: ETE, index: Any, n_windows: int) -> LinearPredictor | None:
    """The linear predictor of an encoder's tokens, fitted to evenly spread windows of the training split."""
    indices = spread(len(index), n_windows)
    if len(indices) < 20:
        return None
    K, C = ete.config.token_stride, ete.config.token_samples
    return fit_linear(_signals(ete, index, indices), token_samples=C, token_stride=K)


def start_from_linear(ete: ETE, indexes: Sequence[Any], n_windows: int) -> None:
    """Fit what the predictions start from (`skip=linear`) to the training windows of every length together."""
    if ete.skip is None:
        return
    K, C = ete.config.token_stride, ete.config.token_samples

    def pieces() -> Iterator[torch.Tensor]:
        # A token and the new samples after it, at every position: one map serves them all.
        for index in indexes:
            share = math.ceil(n_windows * len(index) / sum(map(len, indexes)))
            for signal_NS in _signals(ete, index, spread(len(index), share)):
                yield signal_NS.unfold(1, C + K, K).flatten(0, 1)

    linear = fit_linear(pieces(), token_samples=C, token_stride=K)
    with torch.no_grad():
        ete.skip.weight.copy_(linear.short_CK.T)


def _signals(ete: ETE, index: Any, indices: np.ndarray) -> Iterator[torch.Tensor]:
    """Normalised windows (N, S) of an index, cut to whole tokens."""
    K = ete.config.token_stride
    for rows in rows_of(index, indices, _LINEAR_BATCH):
        x_BTC = ete.tokenise(rows.signal_i16, rows.scale_uv, rows.sigma_uv)
        yield torch.cat((x_BTC[:, 0], x_BTC[:, 1:, -K:].flatten(1)), dim=1)


def heldout_report(trainer: _Trainer) -> dict[str, Any]:
    """Errors on the first held-out split, without the linear predictors; empty where there is none."""
    for split, index in trainer.data.heldout.items():
        errors = _errors(trainer, index, trainer.config.heldout_windows, None)
        # The log keeps curves; spectra and examples belong to the last report.
        return {"split": split, **{k: v for k, v in errors.items() if k not in ("spectra", "examples")}}
    return {}


def final_report(trainer: _Trainer) -> dict[str, Any]:
    """Errors on every held-out split beside zero, persistence and linear autoregression, and what they rest on."""
    config, data = trainer.config, trainer.data
    return {
        "steps": trainer.state.step,
        "windows_seen": trainer.state.windows,
        "windows_per_epoch": trainer.batches.windows_per_epoch,
        "parameters": sum(p.numel() for p in trainer.ete.parameters()),
        "unit": f"square of the normalised signal ({config.normalise})",
        "splits": _by_split(trainer, data.reference, data.heldout),
        "other_lengths": {
            str(index.n_samples): {
                split: {k: v for k, v in errors.items() if k not in ("spectra", "examples")}
                for split, errors in _by_split(trainer, index, heldout).items()
            }
            for index, heldout in data.others
        },
    }


def _by_split(trainer: _Trainer, train: Any, heldout: dict[str, Any]) -> dict[str, Any]:
    """Errors on held-out windows of one length, the linear predictor fitted to windows of that length."""
    config = trainer.config
    linear = linear_for(trainer.ete, train, config.linear_windows) if heldout else None
    return {split: _errors(trainer, index, config.final_windows, linear) for split, index in heldout.items()}


def _errors(trainer: _Trainer, index: Any, n_windows: int, linear: LinearPredictor | None) -> dict[str, Any]:
    return heldout_errors(
        trainer.ete,
        rows_of(index, spread(len(index), n_windows), trainer.config.micro_batch),
        linear=linear,
        names=list(trainer.data.vocabulary.names),
        autocast=trainer.here.autocast,
        device=trainer.here.device,
    )
