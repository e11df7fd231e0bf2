"""Honest errors on held-out windows: the model beside zero, persistence and linear autoregression.

What enters: an encoder, held-out windows (int16), a linear predictor fitted to the training split. What
leaves: a plain dictionary with mean square errors, in units of the normalisation squared,

- `new`: on the new samples alone, at every position from the first token on;
- `all`: on all values of the next token (a trivial predictor copies what it has seen, without error);
- `horizon`: on the new samples by how far ahead they are;
- `band`: power of the error by frequency band, from the string of consecutive predictions (None for a band that
  falls between the frequencies of so short a string);
- `electrode`: `new` by electrode;

and `variance`, the new samples' own, `spectra` (mean power density of the signal and of each string of
predictions) and `examples`, a few windows with their predictions. Sums are float64, so the order of windows
does not matter to six digits.

Shapes: N windows, T tokens, C samples per token, K new samples per token, J = T - 1 predicted tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from eegpt.evaluation.predictors import LinearPredictor, new_samples, predict_persistence, predict_zero
from eegpt.model.ete import ETE

__all__ = ["BANDS_HZ", "heldout_errors", "predict_new"]

BANDS_HZ = {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}
_EXAMPLES = 4
_HIGHEST_HZ = 64.0


def predict_new(model: ETE, x_BTC: Tensor, electrode_B: Tensor) -> tuple[Tensor, Tensor]:
    """Predicted new samples (B, J, K) of tokens 1 .. T-1, and whole predicted tokens (B, J, C).

    An encoder of the masked objective predicts token p with all tokens from p on hidden, one pass each.
    """
    K = model.config.token_stride
    if model.config.causal:
        seen_BTC = x_BTC[:, :-1].contiguous()  # one copy for both products
        whole = model.predict(model(seen_BTC, electrode_B)[:, 1:], seen_BTC).float()
    else:
        token = torch.arange(x_BTC.shape[1], device=x_BTC.device)
        parts = []
        for p in range(1, x_BTC.shape[1]):
            hidden_BT = (token >= p).expand(x_BTC.shape[:2])
            parts.append(model.token_out(model(x_BTC, electrode_B, hidden_BT=hidden_BT)[:, p + 1]).float())
        whole = torch.stack(parts, dim=1)
    return whole[..., -K:], whole


class _Sums:
    """Error sums of one predictor."""

    def __init__(self, n_electrodes: int, n_horizon: int) -> None:
        self.count = 0
        self.horizon_K = torch.zeros(n_horizon, dtype=torch.float64)
        self.electrode = torch.zeros(n_electrodes, dtype=torch.float64)
        self.electrode_count = torch.zeros(n_electrodes, dtype=torch.float64)
        self.band: dict[str, float | None] = dict.fromkeys(BANDS_HZ, 0.0)
        self.windows = 0
        self.everything = 0.0
        self.everything_count = 0

    def add(self, error_NJK: Tensor, electrode_N: Tensor, sfreq_hz: float) -> None:
        square = error_NJK.double().square()
        self.count += square.shape[0] * square.shape[1]
        self.horizon_K += square.sum(dim=(0, 1))
        self.electrode.index_add_(0, electrode_N, square.mean(dim=(1, 2)))
        self.electrode_count.index_add_(0, electrode_N, torch.ones_like(electrode_N, dtype=torch.float64))
        self.windows += square.shape[0]
        for band, power in _band_power(error_NJK.flatten(1), sfreq_hz).items():
            self.band[band] = None if power is None else (self.band[band] or 0.0) + power

    def add_everything(self, square_sum: float, count: int) -> None:
        self.everything += square_sum
        self.everything_count += count

    def report(self, names: list[str]) -> dict[str, Any]:
        electrodes = torch.nonzero(self.electrode_count).flatten().tolist()
        return {
            "new": float(self.horizon_K.mean() / self.count),
            "all": self.everything / self.everything_count,
            "horizon": (self.horizon_K / self.count).tolist(),
            "band": {band: None if power is None else power / self.windows for band, power in self.band.items()},
            "electrode": {names[e]: float(self.electrode[e] / self.electrode_count[e]) for e in electrodes},
        }


def _power(signal_NS: Tensor) -> Tensor:
    """Power by frequency, (N, S/2 + 1) float64: white noise of variance v gives 2 v in every bin; Hann window."""
    taper = torch.hann_window(signal_NS.shape[1])
    power = torch.fft.rfft(signal_NS.float() * taper, dim=1).abs().square().double()
    return 2 * power / taper.square().sum().double()


def _band_power(signal_NS: Tensor, sfreq_hz: float) -> dict[str, float | None]:
    """Power by band (variance within the band), summed over windows; None where no frequency lies in the band."""
    power = _power(signal_NS) / signal_NS.shape[1]
    frequency = torch.fft.rfftfreq(signal_NS.shape[1], 1 / sfreq_hz)
    within = {band: (frequency >= low) & (frequency < high) for band, (low, high) in BANDS_HZ.items()}
    return {band: float(power[:, bins].sum()) if bins.any() else None for band, bins in within.items()}


@torch.no_grad()
def heldout_errors(
    model: ETE,
    batches: Iterable[Any],
    *,
    linear: LinearPredictor | None,
    names: list[str],
    autocast: Callable[[], Any],
    device: torch.device,
) -> dict[str, Any]:
    """Errors of the model and of the trivial predictors on the same held-out windows.

    Parameters
    ----------
    model : ETE
        In evaluation mode or not: it is put into evaluation mode and back.
    batches : iterable of Rows
        Held-out windows; all of one length.
    linear : LinearPredictor or None
        Fitted to the training split; None leaves `linear` and `linear_whole_context` out.
    names : list of str
        The vocabulary's names by id.
    autocast : callable
        Makes the context in which the model runs.
    device : torch.device
        Where the model is.

    Returns
    -------
    dict
        `n_windows`, `variance`, and per predictor (`model`, `zero`, `persistence`, `linear`,
        `linear_whole_context`) the errors named in the module's text.
    """
    config = model.config
    C, K = config.token_samples, config.token_stride
    sums: dict[str, _Sums] = {}
    spectra: dict[str, Tensor] = {}
    examples: list[dict[str, Any]] = []
    training = model.training
    model.eval()
    for rows in batches:
        on_device = rows.to(device)
        x_BTC = model.tokenise(on_device.signal_i16, on_device.scale_uv, on_device.sigma_uv)
        with autocast():
            new_BJK, whole_BJC = predict_new(model, x_BTC, on_device.electrode)
        whole_error = float((whole_BJC.float() - x_BTC[:, 1:]).double().square().sum())
        T = x_BTC.shape[1]
        signal = torch.cat((x_BTC[:, 0], x_BTC[:, 1:, -K:].flatten(1)), dim=1).cpu()
        truth = new_samples(signal, token_samples=C, token_stride=K)
        predictions = {
            "model": new_BJK.float().cpu(),
            "zero": predict_zero(signal, token_samples=C, token_stride=K),
            "persistence": predict_persistence(signal, token_samples=C, token_stride=K),
        }
        if linear is not None:
            predictions["linear"] = linear.predict(signal)
            predictions["linear_whole_context"] = linear.predict(signal, whole_context=True)
        electrode = rows.electrode.long().cpu()
        n_values = signal.shape[0] * (T - 1) * C
        for name, string in {"signal": truth, **predictions}.items():
            if name != "zero":
                density = _power(string.flatten(1)).sum(dim=0)
                spectra[name] = spectra[name] + density if name in spectra else density
        if len(examples) < _EXAMPLES:
            examples.extend(_examples(truth, predictions, electrode, names, _EXAMPLES - len(examples)))
        for name, prediction in predictions.items():
            of = sums.setdefault(name, _Sums(len(names), K))
            error = prediction - truth
            of.add(error, electrode, config.sfreq_hz)
            # A model of new samples alone leaves the overlap to copying, as the trivial predictors do.
            copied = name != "model" or config.objective in ("new", "new+spectrum", "masked")
            of.add_everything(float(error.double().square().sum()) if copied else whole_error, n_values)
    model.train(training)
    n_windows = sums["model"].windows
    hz = torch.fft.rfftfreq((T - 1) * K, 1 / config.sfreq_hz)
    kept = hz <= _HIGHEST_HZ
    return {
        "n_windows": n_windows,
        "variance": float(sums["zero"].horizon_K.mean() / sums["zero"].count),
        "spectra": {
            "hz": hz[kept].tolist(),
            **{name: (density[kept] / (n_windows * config.sfreq_hz)).tolist() for name, density in spectra.items()},
        },
        "examples": examples,
        **{name: of.report(names) for name, of in sums.items()},
    }


def _examples(
    truth_NJK: Tensor, predictions: dict[str, Tensor], electrode_N: Tensor, names: list[str], n: int
) -> list[dict[str, Any]]:
    """The first windows of other electrodes than the ones before, as strings of samples."""
    chosen: dict[int, int] = {}
    for row, electrode in enumerate(electrode_N.tolist()):
        chosen.setdefault(electrode, row)
    return [
        {
            "electrode": names[electrode],
            "signal": _short(truth_NJK[row]),
            **{name: _short(p[row]) for name, p in predictions.items() if name in ("model", "linear")},
        }
        for electrode, row in list(chosen.items())[:n]
    ]


def _short(values: Tensor) -> list[float]:
    return [round(v, 4) for v in values.flatten().tolist()]
