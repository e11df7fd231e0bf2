"""Rolling the encoder forward: token by token, each from cached keys and values of all before it.

What enters: windows whose first part is known. What leaves: the samples that follow, as the model goes on with
its own predictions, and errors by how far ahead they are beside zero and persistence.

Shapes: B windows, T known tokens, C samples per token, K new samples per token, N forecast samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eegprep.errors import UsageError
from eegprep.report.figures import Drawing, Line, Mark, Page, Section, line_chart, write_page
from eegpt.model.ete import ETE
from eegpt.training.batches import Rows

__all__ = ["roll", "forecast_errors", "write_forecast_page"]


@torch.no_grad()
def roll(model: ETE, x_BTC: Tensor, electrode_B: Tensor, n_samples: int) -> Tensor:
    """The next `n_samples` samples after the known tokens, (B, N), equal to recomputing everything at each token."""
    config = model.config
    if not config.causal:
        raise UsageError("an encoder of the masked objective looks both ways and can't be rolled forward")
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


def forecast_errors(
    model: ETE,
    batches: Iterable[Rows],
    *,
    n_forecast: int,
    names: list[str],
    n_examples: int = 4,
    autocast: Callable[[], Any],
) -> dict[str, Any]:
    """Mean square errors of forecasts by samples ahead, and a few examples.

    Parameters
    ----------
    batches : iterable of Rows
        Windows of which all but the last `n_forecast` samples are known.

    Returns
    -------
    dict
        `n_windows`, `n_known`, `model`, `zero`, `persistence` (lists by samples ahead) and `examples`.
    """
    sums = {name: torch.zeros(n_forecast, dtype=torch.float64) for name in ("model", "zero", "persistence")}
    n_windows, n_known = 0, 0
    examples: list[dict[str, Any]] = []
    for rows in batches:
        x_BTC = model.tokenise(rows.signal_i16, rows.scale_uv, rows.sigma_uv)
        K, C = model.config.token_stride, model.config.token_samples
        signal_BS = torch.cat((x_BTC[:, 0], x_BTC[:, 1:, -K:].flatten(1)), dim=1)
        n_tokens = (signal_BS.shape[1] - n_forecast - C) // K + 1
        if n_tokens < 1:
            raise UsageError("the windows are too short for that forecast", found=f"{signal_BS.shape[1]} samples")
        n_known = C + (n_tokens - 1) * K
        truth = signal_BS[:, n_known : n_known + n_forecast]
        with autocast():
            forecast = roll(model, x_BTC[:, :n_tokens], rows.electrode, truth.shape[1]).float()
        last = signal_BS[:, n_known - 1 : n_known]
        for name, prediction in (("model", forecast), ("zero", torch.zeros_like(truth)), ("persistence", last)):
            sums[name] += (prediction - truth).double().square().sum(dim=0)
        n_windows += len(rows)
        for row in range(min(n_examples - len(examples), len(rows))):
            examples.append(
                {
                    "electrode": names[int(rows.electrode[row])],
                    "signal": _short(signal_BS[row, : n_known + n_forecast]),
                    "forecast": _short(forecast[row]),
                }
            )
    return {
        "n_windows": n_windows,
        "n_known": n_known,
        **{name: (total / max(1, n_windows)).tolist() for name, total in sums.items()},
        "examples": examples,
    }


def write_forecast_page(result: dict[str, Any], *, sfreq_hz: float, out: Path) -> Path:
    """Signal against forecast, and errors by how far ahead, as one page."""
    n_known, n_forecast = result["n_known"], len(result["model"])
    ahead_ms = [1000 * (i + 1) / sfreq_hz for i in range(n_forecast)]
    errors = [
        Line(label=name, x=ahead_ms, y=result[name], dashed=name != "model")
        for name in ("model", "persistence", "zero")
    ]
    parts = [
        Drawing(
            svg=line_chart(errors, label="Error by how far ahead", x_label="ms ahead", y_label="mean square error"),
            caption=f"Error by how far ahead, mean over {result['n_windows']:,} windows.",
        )
    ]
    for example in result["examples"]:
        seconds = [i / sfreq_hz for i in range(len(example["signal"]))]
        lines = [
            Line(label="signal", x=seconds, y=example["signal"]),
            Line(label="forecast", x=seconds[n_known:], y=example["forecast"]),
        ]
        label = f"A window of {example['electrode']}"
        begin = Mark(label="forecast", x=n_known / sfreq_hz)
        parts.append(
            Drawing(
                svg=line_chart(lines, label=label, x_label="s", y_label="signal", height=220.0, marks=[begin]),
                caption=f"{label}; everything right of the mark is the model's own.",
            )
        )
    section = Section(anchor="forecast", heading="Signal and forecast", parts=parts)
    page = Page(
        title="Forecast",
        subtitle=f"{n_forecast / sfreq_hz:g} s rolled forward from {n_known / sfreq_hz:g} s",
        kicker="EEGPT",
        sections=[section],
    )
    return write_page(page, out)


def _short(values: Tensor) -> list[float]:
    return [round(v, 4) for v in values.tolist()]
