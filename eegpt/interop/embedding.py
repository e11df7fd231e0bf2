"""A signal to features: what the encoder makes of every window of every electrode, as an xarray.Dataset.

What enters: `mne.io.Raw` or `mne.Epochs`, and a model. What leaves: (window, electrode, feature) with times, names and
the model's identity. The signal is prepared as the model's own data were (its lock says how), by the same code, and
normalised by its own robust SD as training did; a window gives what the same window of a shard set gives, up to the
rounding of int16.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

import eegpt
from eegprep.errors import InputError, UsageError
from eegprep.manifest.recipe import Recipe
from eegprep.recording import STANDARD_SFREQ_HZ, seconds_to_samples
from eegpt.data.trials import TrialBatch
from eegpt.interop.model import Model, as_model
from eegpt.interop.names import class_names, head_names
from eegpt.interop.signals import Prepared, Unknown, prepare
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.loop import Targets, predict
from eegpt.transfer.rows import Encoded, encode, flatten

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["embed", "batch_of", "features_of"]

_ROWS_AT_ONCE = 512


def embed(
    signal: Any,
    *,
    model: Model | str | Path,
    window_s: float | None = None,
    stride_s: float | None = None,
    recipe: str | Path | Recipe | None = None,
    unknown: Unknown = "leave_out",
    line_freq_hz: float | None = None,
) -> xr.Dataset:
    """Features of a recording or of epochs.

    Parameters
    ----------
    signal : mne.io.Raw or mne.Epochs
        Any montage, rate and reference, in volts as MNE has it. Nothing is changed in it.
    model : Model, str or Path
        A run of `eegpt train` or `eegpt transfer`: a folder, or `hf://owner/name`.
    window_s, stride_s : float, optional
        Length of a window, and distance between two; the windows that the encoder was trained on, side by side, by
        default. Epochs are taken whole.
    recipe : str, Path or Recipe, optional
        Instead of the steps that most of the model's own data went through. Short epochs are shorter than the filters
        of a continuous recording: cut them from a filtered recording and pass `recipe="epochs"`.
    unknown : {"leave_out", "nearest", "refuse"}
        What becomes of EEG channels that the model has no electrode for.
    line_freq_hz : float, optional
        50 or 60; by default what `info["line_freq"]` or the spectrum says.

    Returns
    -------
    xarray.Dataset
        `features` (window, electrode, feature) float32, NaN where an electrode has no signal for the whole window:
        mean and last state of the encoder, side by side. For a transfer run also `graph` (window, dimension), the
        graph's vector of the window, and `probability_<task>` (window, <task>_class) or `value_<task>`. Coordinates:
        `time` (window's begin in seconds), `electrode`, `channel`, and `label` for epochs. Attributes: model's SHA-256,
        software, recipe, steps, `left_out` (JSON) and `notes`.

    Raises
    ------
    UsageError
        The model cannot be opened, or does not say how its data were prepared.
    InputError
        The signal cannot be used.
    """
    opened = as_model(model)
    chosen = opened.recipe(recipe)
    ready = prepare(signal, recipe=chosen, vocabulary=opened.vocabulary, unknown=unknown, line_freq_hz=line_freq_hz)
    starts, n_samples = _windows(ready, opened, window_s, stride_s)
    mask_NE = _covered(ready, starts, n_samples)
    found = features_of(opened, ready, starts, n_samples, mask_NE)
    return _dataset(opened, ready, chosen, starts, n_samples, found)


def _windows(
    ready: Prepared, model: Model, window_s: float | None, stride_s: float | None
) -> tuple[NDArray[np.int64], int]:
    """First samples of all windows, and their length."""
    if ready.labels:
        if window_s is not None or stride_s is not None:
            raise UsageError("epochs are windows already", todo="leave window_s and stride_s out")
        return np.array([s.start_sample for s in ready.stretches], np.int64), ready.stretches[0].n_samples
    n = model.window_samples if window_s is None else seconds_to_samples(window_s, STANDARD_SFREQ_HZ)
    stride = n if stride_s is None else seconds_to_samples(stride_s, STANDARD_SFREQ_HZ)
    if n < 1 or stride < 1:
        raise UsageError("a window and its stride are longer than nothing", found=f"{window_s} s, {stride_s} s")
    starts = [np.arange(s.start_sample, s.stop_sample - n + 1, stride, dtype=np.int64) for s in ready.stretches]
    flat = np.concatenate(starts)
    if not len(flat):
        raise InputError(
            "the signal holds no whole window",
            found=f"{max(s.n_samples for s in ready.stretches) / STANDARD_SFREQ_HZ:.2f} s at most in one piece",
            expected=f"{n / STANDARD_SFREQ_HZ:.2f} s",
            todo="set window_s to less",
        )
    return flat, n


def _covered(ready: Prepared, starts: NDArray[np.int64], n_samples: int) -> NDArray[np.bool_]:
    """Whether an electrode has a window whole, (n_windows, n_electrodes)."""
    out = np.zeros((len(starts), len(ready.electrodes)), bool)
    for row in range(len(ready.electrodes)):
        for part in ready.kept(row):
            out[:, row] |= (starts >= part.start_sample) & (starts + n_samples <= part.stop_sample)
    return out


def batch_of(
    ready: Prepared, ids: NDArray[np.int64], starts: NDArray[np.int64], n_samples: int, mask_NE: NDArray[np.bool_]
) -> TrialBatch:
    """Some windows as the model side's batch, in microvolt with a step of 1."""
    place = starts[:, None] + np.arange(n_samples)
    signal = np.ascontiguousarray(ready.signal_uv[:, place].transpose(1, 0, 2))
    n = len(starts)
    return TrialBatch(
        signal_i16=signal,
        scale_uv=np.ones(mask_NE.shape, np.float32),
        sigma_uv=np.broadcast_to(ready.sigma_uv, mask_NE.shape),
        electrode=np.where(mask_NE, ids, -1),
        electrode_mask=mask_NE,
        n_samples=np.full(n, n_samples, np.int32),
        task=np.zeros(n, np.int32),
        label=np.zeros(n, np.int32),
        target=np.zeros(n, np.float32),
        recording=np.zeros(n, np.int32),
    )


@torch.inference_mode()
def features_of(
    model: Model, ready: Prepared, starts: NDArray[np.int64], n_samples: int, mask_NE: NDArray[np.bool_]
) -> dict[str, NDArray[np.float32]]:
    """`features` (N, E, F) with NaN where masked, and of a transfer run `graph` and one array of outputs per head."""
    ids = np.array([model.vocabulary.id_of(e) for e in ready.electrodes], np.int64)
    identity = np.arange(len(model.vocabulary))
    N, E = mask_NE.shape
    out = {"features": np.full((N, E, 2 * model.ete.config.width), np.nan, np.float32)}
    for part in _parts(mask_NE, n_samples):
        batch = batch_of(ready, ids, starts[part], n_samples, mask_NE[part])
        rows = flatten(batch, model.ete.config, identity, torch.device("cpu"))
        features_RF = encode(model.ete, rows, special=False, states=True).features_RF
        assert features_RF is not None  # states=True makes them
        window, electrode = np.nonzero(mask_NE[part])
        out["features"][part[window], electrode] = features_RF.float().numpy()
    if model.transfer is not None:
        out |= _outputs(model, ready, ids, starts, n_samples, mask_NE)
    return out


def _outputs(
    model: Model,
    ready: Prepared,
    ids: NDArray[np.int64],
    starts: NDArray[np.int64],
    n_samples: int,
    mask_NE: NDArray[np.bool_],
) -> dict[str, NDArray[np.float32]]:
    """The graph's vector and every head's output of each window."""
    assert model.transfer is not None
    N, usable = len(starts), np.flatnonzero(mask_NE.any(axis=1))
    windows = _Windows(ready, ids, starts[usable], n_samples, mask_NE[usable])
    rows = np.arange(len(usable))
    views: dict[int, Encoded] = {}
    out: dict[str, NDArray[np.float32]] = {}
    for number, (name, head) in enumerate(head_names(model).items()):
        bank = TrialBank(
            windows,
            np.arange(len(model.vocabulary)),
            device=torch.device("cpu"),
            budget_bytes=0,
            aligned_tasks=(0,) if number in model.aligned_heads else (),
            views=views,
        )
        targets = Targets(
            head_N=np.full(len(rows), number, np.int64),
            n_outputs_N=np.full(len(rows), head.n_outputs, np.int64),
            regression_N=np.full(len(rows), head.kind == "regression"),
            label_N=np.zeros(len(rows), np.int64),
            value_N=np.zeros(len(rows), np.float32),
            weight_N=np.ones(len(rows), np.float32),
        )
        out[name] = np.full((N, head.n_outputs), np.nan, np.float32)
        out[name][usable] = predict(model.transfer, bank, rows, targets)[:, : head.n_outputs]
        if "graph" not in out and model.transfer.graph:
            pooled = [
                model.transfer.pool([encoded], torch.full((len(own),), number))
                for own, encoded in bank.batches(model.transfer, rows)
            ]
            out["graph"] = np.full((N, model.ete.config.width), np.nan, np.float32)
            out["graph"][usable] = torch.cat(pooled).float().numpy()
    return out


class _Windows:
    """Windows of one recording with the columns of a `TrialIndex`: one person, one task."""

    def __init__(
        self,
        ready: Prepared,
        ids: NDArray[np.int64],
        starts: NDArray[np.int64],
        n_samples: int,
        mask_NE: NDArray[np.bool_],
    ) -> None:
        self._ready, self._ids, self._starts, self._n, self._mask = ready, ids, starts, n_samples, mask_NE
        n = len(starts)
        self.task = self.label = self.recording = np.zeros(n, np.int32)
        self.target = np.zeros(n, np.float32)
        self.n_samples = np.full(n, n_samples, np.int32)
        self.n_electrodes = np.full(n, len(ids), np.int32)
        self.subject = ("signal/signal",) * n

    def __len__(self) -> int:
        return len(self.task)

    def gather(self, indices: NDArray[np.int64], **_: Any) -> TrialBatch:
        """A batch."""
        return batch_of(self._ready, self._ids, self._starts[indices], self._n, self._mask[indices])


def _parts(mask_NE: NDArray[np.bool_], n_samples: int) -> Iterator[NDArray[np.int64]]:
    """Windows that have an electrode, in groups small enough to run at once."""
    usable = np.flatnonzero(mask_NE.any(axis=1))
    size = max(1, int(_ROWS_AT_ONCE * min(1.0, 2048 / n_samples)) // max(1, mask_NE.shape[1]))
    for first in range(0, len(usable), size):
        yield usable[first : first + size]


def _dataset(
    model: Model,
    ready: Prepared,
    recipe: Recipe,
    starts: NDArray[np.int64],
    n_samples: int,
    found: dict[str, NDArray[np.float32]],
) -> xr.Dataset:
    import xarray as xr

    classes = dict(zip(head_names(model), class_names(model), strict=True))
    variables: dict[str, Any] = {"features": (("window", "electrode", "feature"), found["features"])}
    D = model.ete.config.width
    coordinates: dict[str, Any] = {
        "time": ("window", starts / STANDARD_SFREQ_HZ, {"units": "s", "long_name": "begin of the window"}),
        "electrode": list(ready.electrodes),
        "channel": ("electrode", list(ready.channels)),
        "sigma_uv": ("electrode", ready.sigma_uv, {"units": "uV"}),
        "feature": [f"{kind}_{d}" for kind in ("mean", "last") for d in range(D)],
    }
    if ready.labels:
        coordinates["label"] = ("window", list(ready.labels))
    for name, values in found.items():
        if name == "graph":
            variables[name] = (("window", "dimension"), values)
        elif name.startswith("value_"):
            variables[name] = ("window", values[:, 0])
        elif name != "features":
            axis = name.removeprefix("probability_") + "_class"
            variables[name] = (("window", axis), values)
            coordinates[axis] = list(classes[name])
    left_out = [
        {"kind": x.kind, "name": x.name, "code": x.code, "reason": x.reason,
         "start_sample": x.start_sample, "n_samples": x.n_samples}
        for x in ready.left_out
    ]  # fmt: skip
    attributes = {
        "model_sha256": model.sha256,
        "model_kind": model.kind,
        "eegpt": eegpt.__version__,
        "recipe": recipe.name,
        "steps": list(ready.steps),
        "sfreq_hz": STANDARD_SFREQ_HZ,
        "window_samples": n_samples,
        "normalise": model.ete.config.normalise,
        "left_out": json.dumps(left_out),
        "notes": json.dumps(list(ready.notes), ensure_ascii=False),
    }
    return xr.Dataset(variables, coords=coordinates, attrs=attributes)
