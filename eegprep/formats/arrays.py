"""The source kind `numpy`: arrays in .npy and .npz files, described by the manifest. Nothing is unpickled.

The manifest's `source` gives `sfreq_hz`, `channels` and `unit`; `orientation` says whether rows are samples or
channels; `variable` names the array of an .npz file, `event_column` the array of its labels: one for each sample of a
recording, as in a table, or for each trial. It may also name one of the channels, a trigger channel. Three-dimensional
arrays are trials: (trials, channels, samples), unless `orientation: row_per_sample` is given. Each trial is a separate
stretch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eegprep.errors import InputError, UsageError
from eegprep.formats.decoded import Decoded, SourceChannel, whole
from eegprep.formats.matlab.paths import texts_of
from eegprep.formats.tables.text import column_events
from eegprep.manifest.schema import Manifest
from eegprep.manifest.tasks import named_events
from eegprep.privacy import clean_message
from eegprep.recording import Stretch

#: With fewer trials or samples the order of the axes cannot be checked.
_FEWEST_ALONG = 16


def read_numpy(path: Path, manifest: Manifest) -> Decoded:
    """Read one array. Raises InputError if its data or shape is wrong, UsageError if the manifest is incomplete."""
    spec = manifest.source
    labels: list[str] | None = None
    try:
        # .npy files are memory-mapped, so a long recording is read on demand
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix.lower() == ".npy" else None)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                name = spec.variable or (loaded.files[0] if len(loaded.files) == 1 else None)
                if name is None or name not in loaded.files:
                    raise UsageError(
                        f"the manifest {manifest.name} must name the array in {path.name}",
                        found=", ".join(loaded.files),
                        expected="`source: variable:`",
                    )
                array = loaded[name]
                if spec.event_column is not None and spec.event_column in loaded.files:
                    labels = [str(v) for v in np.ravel(loaded[spec.event_column])]
                elif spec.event_column is not None and spec.event_column not in spec.channels:
                    raise InputError(
                        f"{path.name} has no array {spec.event_column!r}, its labels",
                        where=path,
                        found=", ".join(loaded.files),
                        expected=f"{spec.event_column} (`source: event_column:`), or a channel of that name",
                    )
        else:
            array = loaded
            if spec.event_column is not None and spec.event_column not in spec.channels:
                raise UsageError(
                    f"`event_column: {spec.event_column}` of the manifest {manifest.name} means nothing in {path.name}",
                    found="a single array",
                    expected="one of `source: channels:`, or an .npz file with the labels beside the samples",
                )
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise InputError(
            f"{path.name} cannot be read as a NumPy array",
            where=path,
            found=clean_message(error),
            expected="a complete .npy or .npz file of numbers",
        ) from error
    return described_array(array, manifest, path, format_name="numpy", labels=labels)


def described_array(
    array: np.ndarray, manifest: Manifest, path: Path, *, format_name: str, labels: list[str] | None = None
) -> Decoded:
    """A two- or three-dimensional array, interpreted as the manifest says."""
    array = _oriented(array, manifest, path)
    stretches = whole(array.shape[-1])
    channel = manifest.source.event_column
    if labels is None and channel in manifest.source.channels:
        if array.ndim != 2:
            raise InputError(
                f"{path.name} has trials, so the channel {channel!r} cannot mark them",
                where=path,
                expected="an array of two dimensions, or an array with a label for each trial",
            )
        labels = texts_of(array[manifest.source.channels.index(channel)])
    if array.ndim == 2 and labels is not None and len(labels) != 1:
        if len(labels) != array.shape[1]:
            raise InputError(
                f"{path.name} has {len(labels)} labels for {array.shape[1]} samples",
                where=path,
                expected="one label per sample, or trials in an array of three dimensions",
            )
        texts = ["" if text == "nan" else text for text in labels]
        named, second = named_events(manifest.tasks), round(manifest.source.sfreq_hz or 0.0)
        events = column_events(texts, named=named, shortest_state=second)
        return dataclasses.replace(_decoded(array, stretches, None, manifest, format_name), events=tuple(events))
    if array.ndim == 3:
        n_trials, n_channels, n_samples = array.shape
        stretches = tuple(Stretch(start_sample=i * n_samples, n_samples=n_samples) for i in range(n_trials))
        if labels is not None and len(labels) != n_trials:
            raise InputError(f"{path.name} has {len(labels)} labels for {n_trials} trials", where=path)
        array = np.ascontiguousarray(array.transpose(1, 0, 2)).reshape(n_channels, n_trials * n_samples)
    return _decoded(array, stretches, labels, manifest, format_name)


def described_trials(
    trials: Sequence[tuple[str, np.ndarray]], manifest: Manifest, path: Path, *, format_name: str
) -> Decoded:
    """Two-dimensional arrays of any length, one per trial; each becomes a stretch labelled with the trial number."""
    arrays = [_oriented(array, manifest, path) for _, array in trials]
    if any(array.ndim != 2 for array in arrays):
        raise InputError(f"{path.name} has trials with the wrong shape", where=path, expected="2 dimensions per trial")
    stretches: list[Stretch] = []
    for array in arrays:
        start = stretches[-1].stop_sample if stretches else 0
        stretches.append(Stretch(start_sample=start, n_samples=array.shape[1]))
    labels = [number for number, _ in trials]
    return _decoded(np.concatenate(arrays, axis=1), tuple(stretches), labels, manifest, format_name)


def _oriented(array: np.ndarray, manifest: Manifest, path: Path) -> np.ndarray:
    """The array with channels on the second to last axis and samples on the last."""
    spec = manifest.source
    if spec.sfreq_hz is None or not spec.channels:
        raise UsageError(
            f"the manifest {manifest.name} must describe the array",
            expected="`source: sfreq_hz:` and `source: channels:`",
        )
    if array.ndim not in (2, 3) or array.dtype.kind not in "fiu":
        raise InputError(
            f"{path.name} does not have the shape of a signal",
            where=path,
            found=f"{array.ndim} dimensions of {array.dtype}",
            expected="2 (recording) or 3 (trials) dimensions of numbers",
        )
    # default: (trials, channels, samples) in three dimensions, (samples, channels) in two
    by_default = spec.orientation is None and (array.ndim == 2 or array.shape[1] != len(spec.channels))
    if spec.orientation == "row_per_sample" or by_default:
        array = np.swapaxes(array, -1, -2)
    if array.shape[-2] != len(spec.channels):
        raise InputError(
            f"the number of channels in {path.name} does not match the manifest",
            where=path,
            found=f"{array.shape[-2]} channels, {array.shape[-1]} samples",
            expected=f"{len(spec.channels)} channels",
            todo="correct `source: channels:` or `source: orientation:`"
            + ("; trials must be the first axis" if array.ndim == 3 else ""),
        )
    if array.ndim == 3:
        _check_axes(array, path)
    return array


def _check_axes(array: np.ndarray, path: Path) -> None:
    """Refuse (trials, channels, samples) whose samples are along the first axis, as MATLAB's users often keep them.

    Successive samples are alike, and the same sample of successive trials is not. Line noise, which may be the other
    way round, repeats itself along the samples.
    """
    block = np.asarray(array[:128, :8, :128], dtype=np.float64)
    if min(block.shape[0], block.shape[2]) < _FEWEST_ALONG:
        return
    steps = np.diff(block, axis=2)
    power = np.nansum(steps**2)
    between = np.nansum(np.diff(block, axis=0) ** 2) * steps.size / (block.size - block[0].size)
    repeats = [abs(float(np.nansum(steps[..., k:] * steps[..., :-k]))) / power for k in range(2, 6)] if power else [1.0]
    if between < 0.3 * power and max(repeats) < 0.4:
        raise InputError(
            f"the axes of the array in {path.name} seem to be in another order",
            where=path,
            found=f"neighbours along the first axis ({array.shape[0]}) are more alike than along the last "
            f"({array.shape[2]})",
            expected="trials, channels, samples",
            todo="save the array with the trials first (numpy.moveaxis, permute), or correct `source: orientation:`",
        )


def _decoded(
    signal: np.ndarray, stretches: tuple[Stretch, ...], labels: list[str] | None, manifest: Manifest, format_name: str
) -> Decoded:
    return Decoded(
        format=format_name,
        sfreq_hz=manifest.source.sfreq_hz or 0.0,
        channels=tuple(
            SourceChannel(name=n, kind="stim" if n == manifest.source.event_column else "unknown")
            for n in manifest.source.channels
        ),
        signal=signal,
        stretches=stretches,
        trial_labels=tuple(zip(stretches, labels, strict=True)) if labels and len(labels) == len(stretches) else (),
        reference=manifest.reference,
    )
