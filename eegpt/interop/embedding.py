"""Features of a signal: the encoder's states for every window and electrode, as an xarray.Dataset.

`mne.io.Raw` or `mne.Epochs` and a model give (window, electrode, feature) with times, names and the model's identity.
The signal is preprocessed like the model's training data, with the same code, and normalised by its own robust SD;
features equal those of the same window of a shard set, up to int16 rounding.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from eegprep.electrodes.references import reference_numbers
from eegprep.errors import InputError, UsageError
from eegprep.files import number_of, one_of, path_of
from eegprep.manifest.recipe import Recipe
from eegprep.recording import STANDARD_SFREQ_HZ, Stretch, seconds_to_samples
from eegpt.interop.arrays import SignalTrials, states_of
from eegpt.interop.feature_files import DIMENSIONS
from eegpt.interop.model import Model, as_model
from eegpt.interop.signals import UNKNOWN, Prepared, SignalFile, Unknown, check_line_freq, prepare
from eegpt.transfer.bank import TrialBank, chunk_size
from eegpt.transfer.inputs import rows_of
from eegpt.transfer.loop import Targets, predict
from eegpt.transfer.rows import Encoded
from eegpt.version import __version__

if TYPE_CHECKING:
    import mne
    import xarray as xr

    Signal: TypeAlias = mne.io.BaseRaw | mne.BaseEpochs | str | Path

_NO_STRETCH = Stretch(start_sample=0, n_samples=0)
# First samples of all windows, and their length.
Windows = tuple[NDArray[np.int64], int]


def embed(
    signal: Signal,
    model: Model | str | Path = "base",
    *,
    window_s: float | None = None,
    stride_s: float | None = None,
    recipe: str | Path | Recipe | None = None,
    unknown: Unknown = "leave_out",
    line_freq_hz: float | None = None,
    reference: str | None = None,
) -> xr.Dataset:
    """Features of a recording or of epochs.

    Parameters
    ----------
    signal : mne.io.Raw, mne.Epochs, str or Path
        Any montage, rate and reference, in volts as in MNE; bad channels are left out. Not modified. Or the path of a
        recording of any format.
    model : Model, str or Path
        The packaged weights `base` or `small`, the folder of a run of `eegpt train` or `eegpt transfer`, or `hf://owner/name`.
    window_s, stride_s : float, optional
        Length and stride of windows; by default as in the encoder's training, without overlap. Each of the Epochs is
        one window.
    recipe : str, Path or Recipe, optional
        By default that of most of the model's training data. Short epochs are shorter than the filters for continuous
        recordings: filter before epoching and pass `recipe="epochs"`.
    unknown : {"leave_out", "nearest", "refuse"}
        What to do with EEG channels unknown to the model.
    line_freq_hz : float, optional
        50 or 60; by default taken from `info["line_freq"]` or the spectrum.
    reference : str, optional
        What the EEG channels were measured against, for encoders that are told it: an electrode, `average`, `linked
        ears`, ... Names such as `Fp1-F7`, and files that state it, say so themselves; unknown otherwise.

    Returns
    -------
    xarray.Dataset
        `features` (window, electrode, feature) float32: mean and last state of the encoder, concatenated; NaN unless
        the electrode has signal for the entire window. For a transfer run also `graph` (window, dimension), the
        window's graph vector, and `probability_<task>` (window, <task>_class) or `value_<task>`, in the unit of the
        task's labels. Coordinates: `time` (start of the window in seconds), `electrode`, `channel`, and `label` for
        epochs. Attributes: the model's SHA-256, software, recipe, steps, `left_out` (JSON) and `notes`.

    Raises
    ------
    UsageError
        The model cannot be opened, or does not record how its data were preprocessed; or a path is not that of one
        recording.
    InputError
        The signal cannot be used.
    """
    check_options(window_s=window_s, stride_s=stride_s, unknown=unknown, line_freq_hz=line_freq_hz)
    opened = as_model(model)
    if isinstance(signal, (str, os.PathLike)):
        options: dict[str, Any] = {"window_s": window_s, "stride_s": stride_s, "recipe": recipe}
        options |= {"unknown": unknown, "line_freq_hz": line_freq_hz, "reference": reference}
        with _only_recording(path_of(signal, "the recording")) as recording:
            return embed(recording, opened, **options)
    chosen = opened.recipe(recipe)
    ready = prepare(
        signal, recipe=chosen, vocabulary=opened.vocabulary, unknown=unknown, line_freq_hz=line_freq_hz,
        reference=reference,
    )  # fmt: skip
    window = windows_of(ready, opened, window_s, stride_s)
    out, features = embedded(opened, ready, chosen, window)
    values = np.full(tuple(out.sizes[d] for d in DIMENSIONS), np.nan, np.float32)
    for first, some in features:
        values[first : first + len(some)] = some
    return out.assign(features=(DIMENSIONS, values))[["features", *out.data_vars]]


def check_options(
    *,
    window_s: float | None = None,
    stride_s: float | None = None,
    unknown: Unknown = "leave_out",
    line_freq_hz: float | None = None,
    **others: Any,
) -> None:
    """UsageError for an option that is wrong whatever the signal is."""
    one_of(unknown, "`unknown` (--unknown-electrodes)", UNKNOWN)
    check_line_freq(line_freq_hz)
    for name, value in (("window_s", window_s), ("stride_s", stride_s)):
        if value is not None:
            number_of(value, name)


def embedded(
    model: Model, ready: Prepared, recipe: Recipe, window: Windows
) -> tuple[xr.Dataset, Iterator[tuple[int, NDArray[np.float32]]]]:
    """Everything but the features, and the features as `features_of` gives them."""
    mask_NE = _covered(ready, *window)
    if not mask_NE.any():
        raise _nothing_usable(ready, window[1])
    trials = _trials(ready, model, window, mask_NE)
    found = _outputs(model, trials, np.asarray(mask_NE.any(axis=1))) if model.transfer is not None else {}
    return _dataset(model, ready, recipe, *window, found), features_of(model, trials, mask_NE)


def _nothing_usable(ready: Prepared, n_samples: int) -> InputError:
    """The error of a signal without a window that any electrode covers."""
    longest = max(s.n_samples for row in range(len(ready.electrodes)) for s in (*ready.kept(row), _NO_STRETCH))
    reasons = dict.fromkeys(f"{x.name}: {x.reason}" for x in ready.left_out if x.name in ready.channels)
    return InputError(
        "no window has usable signal",
        found=f"at most {longest / STANDARD_SFREQ_HZ:.2f} s without a rejected part ({'; '.join(list(reasons)[:4])})",
        expected=f"{n_samples / STANDARD_SFREQ_HZ:.2f} s of one electrode",
        todo="set window_s to less" if longest else "check the unit and the quality of the signal",
    )


def windows_of(ready: Prepared, model: Model, window_s: float | None, stride_s: float | None) -> Windows:
    """All windows of the signal."""
    if ready.labels:
        if window_s is not None or stride_s is not None:
            raise UsageError("epochs are already windows", todo="omit window_s and stride_s")
        return np.array([s.start_sample for s in ready.stretches], np.int64), ready.stretches[0].n_samples
    n = model.window_samples if window_s is None else seconds_to_samples(window_s, STANDARD_SFREQ_HZ)
    stride = n if stride_s is None else seconds_to_samples(stride_s, STANDARD_SFREQ_HZ)
    if n < 1 or stride < 1:
        raise UsageError("a window and its stride must have a sample or more", found=f"{window_s} s, {stride_s} s")
    starts = [np.arange(s.start_sample, s.stop_sample - n + 1, stride, dtype=np.int64) for s in ready.stretches]
    flat = np.concatenate(starts)
    if not len(flat):
        raise InputError(
            "the signal is shorter than one window",
            found=f"{max(s.n_samples for s in ready.stretches) / STANDARD_SFREQ_HZ:.2f} s without a gap",
            expected=f"{n / STANDARD_SFREQ_HZ:.2f} s",
            todo="set window_s to less",
        )
    return flat, n


def _covered(ready: Prepared, starts: NDArray[np.int64], n_samples: int) -> NDArray[np.bool_]:
    """Mask of the electrodes that cover each window, (n_windows, n_electrodes)."""
    out = np.zeros((len(starts), len(ready.electrodes)), bool)
    for row in range(len(ready.electrodes)):
        for part in ready.kept(row):
            out[:, row] |= (starts >= part.start_sample) & (starts + n_samples <= part.stop_sample)
    return out


@torch.inference_mode()
def features_of(
    model: Model, trials: SignalTrials, mask_NE: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """First window and (n, E, F) features of consecutive windows, NaN where masked; windows without signal are skipped.

    Raises
    ------
    InputError
        The features are not finite.
    """
    usable, E = np.flatnonzero(mask_NE.any(axis=1)), mask_NE.shape[1]
    size = chunk_size(E, int(trials.n_samples[0]))
    for first in range(0, len(usable), size):
        rows = np.arange(first, min(first + size, len(usable)))
        at = usable[rows]
        out = np.full((int(at[-1] - at[0]) + 1, E, 2 * model.ete.config.width), np.nan, np.float32)
        window, electrode = np.nonzero(mask_NE[at])
        values = states_of(model.ete, trials, rows, torch.device("cpu")).numpy()
        _check_finite("features", values, model)
        out[at[window] - at[0], electrode] = values
        yield int(at[0]), out


def _trials(ready: Prepared, model: Model, window: Windows, mask_NE: NDArray[np.bool_]) -> SignalTrials:
    """The windows in which any electrode has signal."""
    starts, n_samples = window
    apart = model.transfer is not None  # states of one encoder do not depend on each other
    rows = rows_of(model.vocabulary, ready.electrodes, ready.references, apart=apart)
    ids = np.array([model.vocabulary.id_of(row) for row in rows], np.int64)
    numbers = np.array(reference_numbers(model.vocabulary, ready.references), np.int64)
    if isinstance(ready.signal_uv, SignalFile):
        windows_NES: Any = ready.signal_uv.windows(n_samples)
    else:
        windows_NES = sliding_window_view(ready.signal_uv, n_samples, axis=1).swapaxes(0, 1)
    usable = np.flatnonzero(mask_NE.any(axis=1))
    return SignalTrials(windows_NES, ready.sigma_uv, ids, at=starts[usable], mask=mask_NE[usable], reference=numbers)


@torch.inference_mode()
def _outputs(model: Model, trials: SignalTrials, used: NDArray[np.bool_]) -> dict[str, NDArray[np.float32]]:
    """The graph's vector and all outputs for each window; NaN for windows without signal."""
    assert model.transfer is not None
    assert model.run is not None
    rows = np.arange(len(trials))
    views: dict[str, Encoded] = {}
    out: dict[str, NDArray[np.float32]] = {}
    for answer in model.answers:
        bank = TrialBank(
            trials,
            np.arange(len(model.vocabulary)),
            device=torch.device("cpu"),
            budget_bytes=0,
            aligned_tasks=(0,) if answer.head in model.aligned_heads else (),
            views=views,
        )
        targets = Targets.unknown(len(rows), answer.head, model.run.heads[answer.head])
        out[answer.key] = answer.in_unit(predict(model.transfer, bank, rows, targets)[:, : answer.n_outputs])
        if "graph" not in out and model.transfer.graph:
            pooled = [
                model.transfer.pool([encoded], torch.full((len(own),), answer.head))
                for own, encoded in bank.batches(model.transfer, rows)
            ]
            out["graph"] = torch.cat(pooled).float().numpy()
    whole = {}
    for name, values in out.items():
        _check_finite(name, values, model)
        whole[name] = np.full((len(used), values.shape[1]), np.nan, np.float32)
        whole[name][used] = values
    return whole


def _dataset(
    model: Model,
    ready: Prepared,
    recipe: Recipe,
    starts: NDArray[np.int64],
    n_samples: int,
    found: dict[str, NDArray[np.float32]],
) -> xr.Dataset:
    import xarray as xr

    variables: dict[str, Any] = {}
    D = model.ete.config.width
    coordinates: dict[str, Any] = {
        "time": ("window", starts / STANDARD_SFREQ_HZ, {"units": "s", "long_name": "start of the window"}),
        "electrode": list(ready.inputs),
        "reference": ("electrode", list(ready.references)),
        "channel": ("electrode", list(ready.channels)),
        "sigma_uv": ("electrode", ready.sigma_uv, {"units": "uV"}),
        "feature": [f"{kind}_{d}" for kind in ("mean", "last") for d in range(D)],
    }
    if ready.labels:
        coordinates["label"] = ("window", list(ready.labels))
    if "graph" in found:
        variables["graph"] = (("window", "dimension"), found["graph"])
    for answer in model.answers:
        if answer.classes:
            axis = f"{answer.task}_class"
            variables[answer.key] = (("window", axis), found[answer.key])
            coordinates[axis] = list(answer.classes)
        else:
            variables[answer.key] = ("window", found[answer.key][:, 0])
    left_out = [dataclasses.asdict(x) for x in ready.left_out]
    attributes = {
        "model_sha256": model.sha256,
        "model_kind": model.kind,
        "eegpt": __version__,
        "recipe": recipe.name,
        "steps": list(ready.steps),
        "sfreq_hz": STANDARD_SFREQ_HZ,
        "window_samples": n_samples,
        "normalise": model.ete.config.normalise,
        "left_out": json.dumps(left_out),
        "notes": json.dumps(list(ready.notes), ensure_ascii=False),
    }
    return xr.Dataset(variables, coords=coordinates, attrs=attributes)


def _check_finite(name: str, values: NDArray[np.float32], model: Model) -> None:
    """Finite weights can still give non-finite features if they are very large."""
    if not np.isfinite(values).all():
        raise InputError(
            "the model gives features that are not finite",
            where=model.folder,
            found=name,
            todo="its weights are damaged, or the signal is far from microvolt: try another file, then fetch the "
            "model again",
        )


@contextlib.contextmanager
def _only_recording(path: Path) -> Iterator[Any]:
    """The recording of a file or folder; UsageError if there is none, or several."""
    from eegprep.processes import isolated_reader
    from eegprep.sources import manifest_for_path, open_source

    if not path.exists():
        raise UsageError("no such file or folder", where=path)
    manifest = manifest_for_path(path)
    planned = open_source(manifest, path).plan()
    if len(planned) != 1:
        see = f"see why: eegprep inspect {path}"
        raise UsageError(
            "not a single recording",
            where=path,
            found=f"{len(planned)} recordings",
            todo="pass the path of one recording, or all paths to eegpt.embed_files" if planned else see,
        )
    with isolated_reader(manifest, path) as reader:
        yield reader.read(planned[0])
