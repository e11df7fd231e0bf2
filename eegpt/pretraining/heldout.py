"""Errors on held-out windows: the model compared with zero, persistence and linear autoregression.

Sums are float64, so results do not depend on the order of windows to six digits. Training reports the first held-out
split with windows, which may be used for decisions; the end of training reports every held-out split. The linear
predictor is fitted to the training split.

Shapes: N windows, T tokens, C samples per token, K new samples per token, J = T - 1 predicted tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from eegprep.recording import spread
from eegpt.data import WindowBatch, WindowSource
from eegpt.data.loader import in_batches
from eegpt.model.ete import ETE
from eegpt.model.tokens import BANDS_HZ, fold_tokens
from eegpt.pretraining.config import PretrainConfig
from eegpt.pretraining.data import PretrainData
from eegpt.pretraining.predictors import LinearPredictor, linear_for, new_samples, predict_persistence, predict_zero
from eegpt.runs.checkpoint import Progress
from eegpt.runs.results import Example, HeldOutErrors, PredictorErrors, PretrainingResults, evenly
from eegpt.runs.runtime import Runtime

_EXAMPLES = 4
_HIGHEST_HZ = 64.0


def predict_new(model: ETE, x_BTC: Tensor, electrode_B: Tensor) -> tuple[Tensor, Tensor]:
    """Predicted new samples (B, J, K) of tokens 1 .. T-1, and complete predicted tokens (B, J, C).

    An encoder with the masked objective predicts token p with all tokens from p on masked, in one pass each.
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

    def errors(self, names: list[str]) -> PredictorErrors:
        electrodes = torch.nonzero(self.electrode_count).flatten().tolist()
        return PredictorErrors(
            new=float(self.horizon_K.mean() / self.count),
            all=self.everything / self.everything_count,
            horizon=(self.horizon_K / self.count).tolist(),
            band={band: None if power is None else power / self.windows for band, power in self.band.items()},
            electrode={names[e]: float(self.electrode[e] / self.electrode_count[e]) for e in electrodes},
        )


def _power(signal_NS: Tensor) -> Tensor:
    """Power spectrum with a Hann window, (N, S/2 + 1) float64; white noise of variance v gives 2 v in every bin."""
    taper = torch.hann_window(signal_NS.shape[1])
    power = torch.fft.rfft(signal_NS.float() * taper, dim=1).abs().square().double()
    return 2 * power / taper.square().sum().double()


def _band_power(signal_NS: Tensor, sfreq_hz: float) -> dict[str, float | None]:
    """Power by band (variance within the band), summed over windows; None if no frequency is in the band."""
    power = _power(signal_NS) / signal_NS.shape[1]
    frequency = torch.fft.rfftfreq(signal_NS.shape[1], 1 / sfreq_hz)
    within = {band: (frequency >= low) & (frequency < high) for band, (low, high) in BANDS_HZ.items()}
    return {band: float(power[:, bins].sum()) if bins.any() else None for band, bins in within.items()}


@torch.no_grad()
def heldout_errors(
    model: ETE,
    batches: Iterable[WindowBatch],
    *,
    linear: LinearPredictor | None,
    names: list[str],
    autocast: Callable[[], Any],
    device: torch.device,
) -> HeldOutErrors:
    """Errors of the model and the trivial predictors on the same held-out windows of one length.

    `linear` is fitted to the training split; None skips `linear` and `linear_whole_context`. `names` are the
    vocabulary's names by id; `autocast` returns the context for the model, which is in evaluation mode.
    """
    config = model.config
    C, K = config.token_samples, config.token_stride
    sums: dict[str, _Sums] = {}
    spectra: dict[str, Tensor] = {}
    examples: dict[int, Example] = {}
    training = model.training
    model.eval()
    for windows in batches:
        on_device = windows.to(device)
        x_BTC = model.tokenise(on_device.signal_i16, on_device.scale_uv, on_device.sigma_uv)
        with autocast():
            new_BJK, whole_BJC = predict_new(model, x_BTC, on_device.input_ids(config))
        whole_error = float((whole_BJC.float() - x_BTC[:, 1:]).double().square().sum())
        T = x_BTC.shape[1]
        signal = fold_tokens(x_BTC, token_stride=K).cpu()
        truth = new_samples(signal, token_samples=C, token_stride=K)
        predictions = {
            "model": new_BJK.float().cpu(),
            "zero": predict_zero(signal, token_samples=C, token_stride=K),
            "persistence": predict_persistence(signal, token_samples=C, token_stride=K),
        }
        if linear is not None:
            predictions["linear"] = linear.predict(signal)
            predictions["linear_whole_context"] = linear.predict(signal, whole_context=True)
        electrode = windows.electrode.long().cpu()
        n_values = signal.shape[0] * (T - 1) * C
        for name, string in {"signal": truth, **predictions}.items():
            if name != "zero":
                density = _power(string.flatten(1)).sum(dim=0)
                spectra[name] = spectra[name] + density if name in spectra else density
        for row, e in enumerate(electrode.tolist()):
            if e not in examples:
                examples[e] = _example(truth, predictions, row, names[e])
        for name, prediction in predictions.items():
            of = sums.setdefault(name, _Sums(len(names), K))
            error = prediction - truth
            of.add(error, electrode, config.sfreq_hz)
            # Models that predict only new samples copy the overlap, as the trivial predictors do.
            copied = name != "model" or config.objective in ("new", "new+spectrum", "masked")
            of.add_everything(float(error.double().square().sum()) if copied else whole_error, n_values)
    model.train(training)
    n_windows = sums["model"].windows
    hz = torch.fft.rfftfreq((T - 1) * K, 1 / config.sfreq_hz)
    kept = hz <= _HIGHEST_HZ
    densities = {name: (density[kept] / (n_windows * config.sfreq_hz)).tolist() for name, density in spectra.items()}
    return HeldOutErrors(
        n_windows=n_windows,
        variance=float(sums["zero"].horizon_K.mean() / sums["zero"].count),
        predictors={name: of.errors(names) for name, of in sums.items()},
        spectra={"hz": hz[kept].tolist(), **densities},
        examples=evenly(examples, _EXAMPLES),
    )


def _example(truth_NJK: Tensor, predictions: dict[str, Tensor], row: int, electrode: str) -> Example:
    return Example(
        electrode=electrode,
        signal=_short(truth_NJK[row]),
        predictions={name: _short(predictions[name][row]) for name in ("model", "linear") if name in predictions},
    )


def _short(values: Tensor) -> list[float]:
    return [round(v, 4) for v in values.flatten().tolist()]


class HeldOut:
    """Reports on held-out windows during a run."""

    def __init__(self, ete: ETE, data: PretrainData, config: PretrainConfig, here: Runtime) -> None:
        self.ete, self.data, self.config, self.here = ete, data, config, here

    def due(self, step: int) -> bool:
        """Whether to report after this number of steps."""
        every = self.config.held_out.every
        return bool(every and step % every == 0 and self.data.heldout)

    def report(self) -> tuple[str, HeldOutErrors]:
        """The first held-out split and its errors, without the linear predictors."""
        split, index = next(iter(self.data.heldout.items()))
        return split, self._errors(index, self.config.held_out.windows, None)

    def final(self, progress: Progress, *, windows_per_epoch: int) -> PretrainingResults:
        """Errors on every held-out split, with zero, persistence and linear autoregression."""
        return PretrainingResults(
            steps=progress.step,
            windows_seen=progress.windows,
            windows_per_epoch=windows_per_epoch,
            parameters=sum(p.numel() for p in self.ete.parameters()),
            unit=f"square of the normalised signal ({self.config.encoder.normalise})",
            splits=self._by_split(self.data.reference, self.data.heldout),
            other_lengths={
                index.n_samples: {s: errors.figures() for s, errors in self._by_split(index, heldout).items()}
                for index, heldout in self.data.others
            },
        )

    def _by_split(self, train: WindowSource, heldout: dict[str, WindowSource]) -> dict[str, HeldOutErrors]:
        """Errors on held-out windows of one length, with a linear predictor fitted to that length."""
        settings = self.config.held_out
        linear = linear_for(self.ete, train, settings.linear_windows) if heldout else None
        return {split: self._errors(index, settings.final_windows, linear) for split, index in heldout.items()}

    def _errors(self, index: WindowSource, n_windows: int, linear: LinearPredictor | None) -> HeldOutErrors:
        return heldout_errors(
            self.ete,
            in_batches(index, spread(len(index), n_windows), self.config.schedule.micro_batch),
            linear=linear,
            names=list(self.data.vocabulary.names),
            autocast=self.here.autocast,
            device=self.here.device,
        )
