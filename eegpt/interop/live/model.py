"""Apply a model to a live signal, one token at a time, with cached keys and values.

For each completed token (every 32 samples at 256 Hz by default, 1/8 s), `push` returns the features of every electrode
and the outputs of a transfer run. Memory is bounded: the oldest token is dropped for each new one (`ETE.slide`).

Until the window is full, the features equal those of the offline encoder for the tokens so far. Differences from
offline are the filters (`eegpt.interop.live.filters`) and the amplitude used for scaling: that of the recording is not
yet known, so it is measured over the last minute, unless it is given.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eegprep.electrodes.resolve import NamedChannel
from eegprep.errors import UsageError
from eegprep.files import count_of, number_of, one_of
from eegprep.manifest.recipe import Recipe, describe_steps
from eegprep.recording import STANDARD_SFREQ_HZ, seconds_to_samples
from eegprep.standardise.chain import plan_chain
from eegprep.standardise.measure import robust_sd
from eegpt.interop.arrays import averages, check_amplitude, factor_of, known_inputs, rate_of
from eegpt.interop.live.filters import CausalChain, Phase
from eegpt.interop.model import Model, as_model
from eegpt.interop.signals import check_line_freq
from eegpt.model.ete import Cache
from eegpt.model.heads import compressed
from eegpt.model.pairs import covariances, log_covariances
from eegpt.model.tokens import n_tokens, normalised
from eegpt.model.whitening import whitening
from eegpt.transfer.align import SMALLEST_SD
from eegpt.transfer.rows import Encoded, pairs_of, tokenised, whitened_of
from eegpt.transfer.signals import SignalBatch, normalised_signals

_VIEWS_KEPT = 480  # windows over which a subject's views are standardised: a minute of tokens
_JUDGED_SAMPLES = 512  # two seconds of the signal show whether its unit can be right
_EVERY = 4  # the amplitude is measured on every n-th sample


@dataclass(frozen=True, kw_only=True)
class LiveOutput:
    """The outputs after one more token."""

    time_s: float  # end of the token, from the first sample pushed
    features: NDArray[np.float32]  # (n_electrodes, 2 * width): mean over the tokens of the window, and last state
    # `probability_<task>` (n_classes,) and `value_<task>` (1,) of a transfer run; empty for an encoder
    outputs: dict[str, NDArray[np.float32]] = field(default_factory=dict)


class LiveModel:
    """Push chunks of a live signal and get outputs.

    Parameters
    ----------
    model : Model, str or Path
    ch_names : sequence of str
        Channel names in the order of the stream; unknown ones are ignored (`left_out`).
    sfreq_hz : float
    unit : {"uV", "V", "mV", "nV"}
        Unit of the chunks: MNE's readers give volt. An amplitude that cannot be EEG is refused after two seconds.
    recipe : str, Path or Recipe, optional
        By default the recipe of most of the model's training data.
    line_freq_hz : float, optional
        50 or 60, for the notch filter; none by default, since a live signal has no spectrum yet.
    phase : {"minimum", "linear"}
        See `eegpt.interop.live.filters`.
    window_tokens : int, optional
        Number of tokens in the window; by default as in training.
    sigma_uv : (n_channels,) array, optional
        Robust SD of each channel, from an earlier recording of the same subject and cap.
    sigma_s : float
        Otherwise it is measured once a second over this duration; there is no output in the first two seconds.
    reference : str, optional
        What the channels were measured against, for encoders that are told it: an electrode, `average`, `linked ears`,
        ... Names such as `Fp1-F7` say so themselves; unknown otherwise.
    """

    def __init__(
        self,
        model: Model | str | Path,
        ch_names: Sequence[str],
        sfreq_hz: float,
        *,
        unit: str = "uV",
        recipe: str | Path | Recipe | None = None,
        line_freq_hz: float | None = None,
        phase: Phase = "minimum",
        window_tokens: int | None = None,
        sigma_uv: NDArray[np.floating] | None = None,
        sigma_s: float = 60.0,
        reference: str | None = None,
    ) -> None:
        self.model = as_model(model)
        config = self.model.ete.config
        if not config.causal or config.position == "learned":
            raise UsageError(
                "this encoder cannot run on a live signal",
                found=f"objective {config.objective!r}, {config.position} positions",
                expected="a causal encoder with rotary positions or none",
            )
        if config.normalise == "window":
            raise UsageError("an encoder that normalises by window cannot run token by token", found="normalise=window")
        one_of(phase, "phase", ("minimum", "linear"))
        rate_of(sfreq_hz)
        number_of(sigma_s, "sigma_s")
        check_line_freq(line_freq_hz)
        if window_tokens is not None:
            count_of(window_tokens, "window_tokens")
        recipe = self.model.recipe(recipe)
        # Other kinds have filters, and so delays, of their own.
        found, left_out = known_inputs(
            [NamedChannel(name=str(n), kind="eeg") for n in ch_names],
            self.model.vocabulary,
            reference=reference,
            average=averages(recipe),
        )
        self.electrodes, self.references = found.names, found.references
        self.left_out = tuple(str(ch_names[i]) for i in sorted(left_out))
        self._rows, self._n_channels = np.array(found.columns, np.int64), len(ch_names)
        apart = self.model.transfer is not None  # states of one encoder do not depend on each other
        self._ids = torch.from_numpy(found.ids(config, self.model.vocabulary, apart=apart))
        self._unit, self._factor = unit, factor_of(unit)
        chain = plan_chain(recipe.for_kind("eeg"), sfreq_hz=sfreq_hz, line_freq_hz=line_freq_hz)
        self._chain = CausalChain(chain, len(self._rows), phase=phase)
        self.steps = describe_steps(recipe.steps_json(), sfreq_hz=sfreq_hz, line_freq_hz=line_freq_hz)
        C, stride = config.token_samples, config.token_stride
        usual = max(1, n_tokens(self.model.window_samples, token_samples=C, token_stride=stride))
        self.window_tokens = window_tokens or usual
        self._signal = np.zeros((len(self._rows), 0), np.float32)
        self._n_out = 0  # samples at 256 Hz so far
        self._judged = False
        self._amplitude = _Amplitude(
            len(self._rows), sigma_s, None if sigma_uv is None else np.asarray(sigma_uv)[self._rows]
        )
        self._cache: Cache | None = None
        self._states: list[Tensor] = []
        self._views: list[Tensor] = []
        self._covariances: list[Tensor] = []
        self._whitened: list[Tensor] = []
        self._signal_covariances: list[Tensor] = []
        self._whitened_views: list[Tensor] = []
        self._next_token = C

    @property
    def latency_s(self) -> float:
        """Delay of filters and resampling; tokens add up to their stride, and computation a few milliseconds."""
        return self._chain.latency_s

    @property
    def cache_bytes(self) -> int:
        """Memory of keys and values."""
        held = () if self._cache is None else (*self._cache.keys, *self._cache.values)
        return sum(t.numel() * t.element_size() for t in held)

    def push(self, chunk: NDArray[np.floating]) -> list[LiveOutput]:
        """Outputs of all tokens that the chunk (n_channels, n) completes, in order.

        Raises
        ------
        UsageError
            The chunk has the wrong number of channels or non-finite values.
        """
        chunk = np.asarray(chunk)
        if chunk.ndim != 2 or chunk.shape[0] != self._n_channels:
            raise UsageError("a chunk with the wrong shape", found=chunk.shape, expected=f"({self._n_channels}, n)")
        if not np.isfinite(chunk).all():
            raise UsageError("a chunk contains values that are not finite", todo="omit lost samples or repeat the last")
        out = self._chain.push(chunk[self._rows] * self._factor)
        self._amplitude.add(out)
        if not self._judged and self._n_out + out.shape[1] >= _JUDGED_SAMPLES:
            self._judged = True
            recent = np.concatenate((self._signal, out), axis=1)
            check_amplitude(recent[None, :, -_JUDGED_SAMPLES:], STANDARD_SFREQ_HZ, stated=self._unit)
        config = self.model.ete.config
        self._signal = np.concatenate((self._signal, out), axis=1)
        self._n_out += out.shape[1]
        found = []
        while self._next_token <= self._n_out:
            stop = self._signal.shape[1] - (self._n_out - self._next_token)
            sigma = self._amplitude.sigma_uv(self._next_token)
            if sigma is not None:
                found.append(self._token(self._signal[:, stop - config.token_samples : stop], stop, sigma))
            self._next_token += config.token_stride
        span = config.token_samples + (self.window_tokens - 1) * config.token_stride
        self._signal = self._signal[:, -(span + config.token_stride) :]
        return found

    @torch.inference_mode()
    def _token(self, signal_uv: NDArray[np.float32], stop: int, sigma: NDArray[np.float32]) -> LiveOutput:
        ete, c = self.model.ete, self.model.ete.config
        x_EC = normalised(
            torch.from_numpy(np.ascontiguousarray(signal_uv)), torch.ones(len(sigma)), torch.from_numpy(sigma),
            normalise=c.normalise, fixed_uv=c.fixed_uv, clip=c.clip,
        )  # fmt: skip
        if self._cache is None:
            h_EPD, self._cache = ete.prefill_states(x_EC.unsqueeze(1), self._ids)
            state_ED = h_EPD[:, 1]
        else:
            if self._cache.n_positions > self.window_tokens:
                self._cache = ete.slide(self._cache)
            state_ED, self._cache = ete.extend(self._cache, x_EC)
        self._states = [*self._states[-(self.window_tokens - 1) :], state_ED] if self.window_tokens > 1 else [state_ED]
        mean_ED = torch.stack(self._states).mean(dim=0)
        features = torch.cat((mean_ED, state_ED), dim=1)
        return LiveOutput(
            time_s=self._next_token / STANDARD_SFREQ_HZ - self._chain.filter_delay_s,
            features=features.numpy(),
            outputs=self._outputs(features, stop, sigma),
        )

    def _outputs(self, features_EF: Tensor, stop: int, sigma: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        model = self.model.transfer
        if model is None:
            return {}
        if model.readout == "band_power" or model.sees_views:
            encoded = self._whole_window(stop, sigma)
        else:
            encoded = Encoded(
                cache=self._cache if model.special is not None else None,
                features_RF=features_EF if "states" in model.readout else None,
                electrode_R=self.model.ete.config.electrode_of(self._ids),
                input_R=self._ids,
                mask_NE=torch.ones(1, len(self._ids), dtype=torch.bool),
            )
        out = {}
        for answer in self.model.answers:
            seen = self._aligned(encoded) if answer.head in self.model.aligned_heads else encoded
            logits = model([seen], torch.tensor([answer.head])).float()[0, : answer.n_outputs]
            out[answer.key] = answer.in_unit((logits.softmax(dim=0) if answer.classes else logits).numpy())
        return out

    def _aligned(self, encoded: Encoded) -> Encoded:
        """All that is read, standardised over the windows so far, up to the last minute."""
        views_RF, pairs_NEEF, whitened_RF = encoded.views_RF, encoded.pairs_NEEF, None
        if views_RF is not None:
            views_RF = _standardised(views_RF, self._views)
        if pairs_NEEF is not None:
            pairs_NEEF = _standardised(self._whitened[-1], self._whitened)
        if self._whitened_views:
            whitened_RF = _standardised(self._whitened_views[-1], self._whitened_views)
        if self.model.transfer is not None and self.model.transfer.compress:
            views_RF, pairs_NEEF, whitened_RF = (
                None if x is None else compressed(x) for x in (views_RF, pairs_NEEF, whitened_RF)
            )
        return dataclasses.replace(encoded, views_RF=views_RF, pairs_NEEF=pairs_NEEF, whitened_RF=whitened_RF)

    def _whole_window(self, stop: int, sigma: NDArray[np.float32]) -> Encoded:
        """Encode the window from its signal, for outputs that need more than the encoder's states."""
        assert self.model.transfer is not None
        c = self.model.ete.config
        n = min(len(self._states), self.window_tokens)
        signal = self._signal[None, :, stop - c.token_samples - (n - 1) * c.token_stride : stop]
        shape = (1, len(sigma))
        batch = SignalBatch(
            signal_uv=np.ascontiguousarray(signal),
            sigma_uv=sigma[None],
            electrode=c.electrode_of(self._ids.numpy()[None]),
            reference=self._ids.numpy()[None] // c.n_electrodes,
            electrode_mask=np.ones(shape, bool),
            n_samples=np.array([signal.shape[2]]),
        )
        signals = normalised_signals(batch, c, np.arange(c.n_electrodes), torch.device("cpu"))
        rows = tokenised(signals, c)
        encoded = self.model.transfer.encode(rows)
        views_RF = encoded.views_RF
        if views_RF is None:  # only used by the electrodes' readouts
            views_RF = self.model.transfer.encode(rows, views_only=True).views_RF
        if views_RF is not None:
            self._views = [*self._views[-(_VIEWS_KEPT - 1) :], views_RF]
        encoded = dataclasses.replace(encoded, views_RF=views_RF)
        if self.model.transfer.reads_whitened:
            self._signal_covariances = [*self._signal_covariances[-(_VIEWS_KEPT - 1) :], signals.covariances()[0]]
            weight_EE = whitening(torch.stack(self._signal_covariances).mean(dim=0))
            own_RF = whitened_of(signals, weight_EE.unsqueeze(0), c).whitened_RF
            assert own_RF is not None
            self._whitened_views = [*self._whitened_views[-(_VIEWS_KEPT - 1) :], own_RF]
        if not self.model.transfer.reads_pairs:
            return encoded
        found = pairs_of(batch, c, np.arange(c.n_electrodes), torch.device("cpu"))
        assert found.pairs_NEEF is not None
        covariance_NFEE = covariances(found.pairs_NEEF)
        self._covariances = [*self._covariances[-(_VIEWS_KEPT - 1) :], covariance_NFEE[0]]
        # A window is whitened once, by the mean of those before it: the mean changes little with each token.
        whitened = log_covariances(covariance_NFEE, torch.stack(self._covariances).mean(dim=0))
        self._whitened = [*self._whitened[-(_VIEWS_KEPT - 1) :], whitened]
        return dataclasses.replace(encoded, pairs_NEEF=log_covariances(covariance_NFEE))


def _standardised(x: Tensor, held: list[Tensor]) -> Tensor:
    every = torch.stack(held)
    return (x - every.mean(dim=0)) / (every.std(dim=0, correction=0) + SMALLEST_SD)


class _Amplitude:
    """Robust SD of the last seconds, or a given one."""

    def __init__(self, n_electrodes: int, seconds: float, given: NDArray[np.floating] | None) -> None:
        self._given = None if given is None else np.asarray(given, np.float32)
        if self._given is not None and (self._given.shape != (n_electrodes,) or not (self._given > 0).all()):
            raise UsageError("sigma_uv must have one number above 0 for each channel", found=self._given.shape)
        self._n = max(2, seconds_to_samples(seconds, STANDARD_SFREQ_HZ) // _EVERY)
        self._kept = np.zeros((n_electrodes, 0), np.float32)
        self._seen = 0
        self._value: NDArray[np.float32] | None = None
        self._of = -1

    def add(self, signal_uv: NDArray[np.float32]) -> None:
        first = -self._seen % _EVERY
        self._kept = np.concatenate((self._kept, signal_uv[:, first::_EVERY]), axis=1)[:, -self._n :]
        self._seen += signal_uv.shape[1]

    def sigma_uv(self, position: int) -> NDArray[np.float32] | None:
        """None in the first two seconds; measured once a second."""
        if self._given is not None:
            return self._given
        second = int(position // STANDARD_SFREQ_HZ)
        if position < 2 * STANDARD_SFREQ_HZ:
            return None
        if self._value is None or second != self._of:
            self._value, self._of = robust_sd(self._kept, (1,)), second
        return self._value
