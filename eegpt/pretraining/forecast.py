"""Forecasting: roll the encoder forward token by token, with cached keys and values.

Shapes: B windows, T known tokens, C samples per token, K new samples per token, N forecast samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.references import numbered_references, reference_numbers
from eegprep.errors import UsageError
from eegpt.data import WindowBatch
from eegpt.model.ete import ETE
from eegpt.model.tokens import fold_tokens
from eegpt.runs.results import Example, evenly


@torch.no_grad()
def roll(model: ETE, x_BTC: Tensor, electrode_B: Tensor, n_samples: int) -> Tensor:
    """The `n_samples` samples after the known tokens, (B, N), equal to recomputing everything for each token."""
    config = model.config
    if not config.causal:
        raise UsageError("an encoder with the masked objective is bidirectional and cannot forecast")
    K = config.token_stride
    states, cache = model.prefill_states(x_BTC, electrode_B)
    state_BD, token_BC = states[:, -1], x_BTC[:, -1]
    parts: list[Tensor] = []
    n_steps = -(-n_samples // K)
    for step in range(n_steps):
        new_BK = model.predict(state_BD.unsqueeze(1), token_BC.unsqueeze(1), new_only=True)[:, 0].to(x_BTC.dtype)
        parts.append(new_BK)
        token_BC = torch.cat((token_BC[:, K:], new_BK), dim=1)
        if step + 1 < n_steps:
            state_BD, cache = model.extend(cache, token_BC)
    return torch.cat(parts, dim=1)[:, :n_samples]


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Forecast errors: number of windows, known samples in each, mean squares by samples ahead, and examples."""

    n_windows: int
    n_known: int
    errors: dict[str, list[float]]
    examples: list[Example]
    sfreq_hz: float = 256.0


def forecast_errors(
    model: ETE,
    batches: Iterable[WindowBatch],
    *,
    n_forecast: int,
    names: list[str],
    n_examples: int = 4,
    autocast: Callable[[], Any],
) -> Forecast:
    """Mean square errors by samples ahead on windows of which all but the last `n_forecast` samples are known."""
    sums = {name: torch.zeros(n_forecast, dtype=torch.float64) for name in ("model", "persistence", "zero")}
    n_windows, n_known = 0, 0
    examples: dict[int, Example] = {}
    K, C = model.config.token_stride, model.config.token_samples
    for windows in batches:
        x_BTC = model.tokenise(windows.signal_i16, windows.scale_uv, windows.sigma_uv)
        signal_BS = fold_tokens(x_BTC, token_stride=K)
        n_tokens = (signal_BS.shape[1] - n_forecast - C) // K + 1
        if n_tokens < 1:
            raise UsageError("the windows are too short for this forecast", found=f"{signal_BS.shape[1]} samples")
        n_known = C + (n_tokens - 1) * K
        truth = signal_BS[:, n_known : n_known + n_forecast]
        with autocast():
            forecast = roll(model, x_BTC[:, :n_tokens], windows.input_ids(model.config), truth.shape[1]).float()
        last = signal_BS[:, n_known - 1 : n_known]
        for name, prediction in (("model", forecast), ("persistence", last), ("zero", torch.zeros_like(truth))):
            sums[name] += (prediction - truth).double().square().sum(dim=0)
        n_windows += len(windows)
        for row, electrode in enumerate(windows.electrode.tolist()):
            if electrode not in examples:
                examples[electrode] = Example(
                    electrode=names[electrode],
                    signal=_short(signal_BS[row, : n_known + n_forecast]),
                    predictions={"model": _short(forecast[row])},
                )
    errors = {name: (total / max(1, n_windows)).tolist() for name, total in sums.items()}
    return Forecast(
        sfreq_hz=model.config.sfreq_hz,
        n_windows=n_windows,
        n_known=n_known,
        errors=errors,
        examples=evenly(examples, n_examples),
    )


def _short(values: Tensor) -> list[float]:
    return [round(v, 4) for v in values.tolist()]


def with_vocabulary(windows: WindowBatch, own: Vocabulary, target: Vocabulary) -> WindowBatch:
    """Map electrodes and references of windows to another vocabulary; UsageError if it lacks an electrode."""
    ids = {e: target.id_of(own.name_of(e)) for e in set(windows.electrode.tolist())}
    electrode = torch.tensor([ids[e] for e in windows.electrode.tolist()])
    if windows.reference is None:
        return dataclasses.replace(windows, electrode=electrode)
    numbers = dict(enumerate(reference_numbers(target, numbered_references(own))))
    reference = torch.tensor([numbers.get(r, 0) for r in windows.reference.tolist()])
    return dataclasses.replace(windows, electrode=electrode, reference=reference)
