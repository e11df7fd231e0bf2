"""A recording of a store or a shard set as an `xarray.Dataset`.

`signal_uv` (electrode, time) is in microvolt, NaN in gaps, and read on demand; the trials are variables beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import nearest
from eegprep.manifest.recipe import describe_steps
from eegprep.recording import RecordingInfo, Trial, input_names
from eegprep.store.file import RecordingFile

if TYPE_CHECKING:
    import mne
    import xarray as xr

    from eegprep.electrodes import Vocabulary
    from eegprep.store.lazy import ReadRow


#: Longer recordings (36 hours at 256 Hz) have a time axis that is computed, not stored: the index of a shard set may
#: claim any length.
MAX_TIMES = 1 << 25


class RecordingMapping(Mapping[str, "xr.Dataset"]):
    """A mapping of recording ids to `xarray.Dataset`, each opened when it is asked for; base of `Store`, `ShardSet`.

    Two of them are equal if they are the same object: comparing all recordings would read them.
    """

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def ids(self) -> Sequence[str]:
        """Ids of the recordings, `dataset/subject/session/run`."""
        raise NotImplementedError

    def _dataset(self, recording_id: str) -> xr.Dataset:
        raise NotImplementedError

    def __getitem__(self, recording_id: str) -> xr.Dataset:
        if recording_id not in self:
            # A mapping must raise KeyError.
            raise KeyError(f"no recording {recording_id!r}. {nearest(str(recording_id), self.ids())}")
        return self._dataset(recording_id)

    def __len__(self) -> int:
        return len(self.ids())

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids())

    def __contains__(self, recording_id: object) -> bool:
        return recording_id in self.ids()

    def raw(self, recording_id: str) -> mne.io.RawArray:
        """A recording as `mne.io.RawArray` in volts; see `eegprep.to_raw`."""
        from eegprep.store.raw import to_raw

        return to_raw(self[recording_id])


def recording_dataset(
    read: ReadRow,
    *,
    electrodes: Sequence[str],
    kinds: Sequence[str],
    sigma_uv: Sequence[float],
    references: Sequence[str],
    n_samples: int,
    sfreq_hz: float,
    trials: Sequence[Trial],
    steps: Sequence[Mapping[str, Any]],
    source_sfreq_hz: float,
    line_freq_hz: float | None,
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """The dataset of one recording; `read` gives samples of a row, NaN in gaps.

    Rows are named by their electrode, or `electrode-reference` where an electrode has several. Up to `MAX_TIMES`
    samples, `time` can be selected as any coordinate; of longer recordings only by position or `method="nearest"`.
    """
    import xarray as xr
    from xarray.indexes import RangeIndex

    from eegprep.store.lazy import lazy_variable

    long = n_samples > MAX_TIMES
    dataset = xr.Dataset(
        {
            "signal_uv": lazy_variable((len(electrodes), n_samples), read),
            "trial_start_sample": ("trial", np.array([t.start_sample for t in trials], np.int64)),
            "trial_n_samples": ("trial", np.array([t.n_samples for t in trials], np.int64)),
            "trial_task": ("trial", [t.task for t in trials]),
            "trial_label": ("trial", [t.label for t in trials]),
        },
        coords={
            "electrode": list(input_names(electrodes, references)),
            **({} if long else {"time": ("time", np.arange(n_samples) / sfreq_hz, {"units": "s"})}),
            "sigma_uv": ("electrode", list(sigma_uv), {"units": "uV"}),
            "reference": ("electrode", list(references)),
            "kind": ("electrode", list(kinds)),
        },
        attrs={
            **attributes,
            "sfreq_hz": sfreq_hz,
            "line_freq_hz": math.nan if line_freq_hz is None else line_freq_hz,
            "source_sfreq_hz": source_sfreq_hz,
            "steps": list(describe_steps(steps, sfreq_hz=source_sfreq_hz, line_freq_hz=line_freq_hz)),
        },
    )
    if long:
        index = RangeIndex.linspace(0.0, n_samples / sfreq_hz, n_samples, endpoint=False, dim="time")
        dataset = dataset.assign_coords(xr.Coordinates.from_xindex(index))
        dataset["time"].attrs["units"] = "s"
    return dataset


def dataset_of(file: RecordingFile, info: RecordingInfo, vocabulary: Vocabulary) -> xr.Dataset:
    """A recording of a store."""
    kept = [info.kept(name) for name in info.inputs]

    def read(row: int, start: int, stop: int) -> NDArray[np.float32]:
        out = np.full(stop - start, np.nan, np.float32)
        for part in kept[row]:
            a, b = max(start, part.start_sample), min(stop, part.stop_sample)
            if a < b:
                out[a - start : b - start] = file.read(row, a, b - a)
        return out

    return recording_dataset(
        read,
        electrodes=info.electrodes,
        kinds=[vocabulary.kind_of(e) for e in info.electrodes],
        sigma_uv=info.sigma_uv or [math.nan] * len(info.electrodes),
        references=info.references,
        n_samples=info.n_samples,
        sfreq_hz=info.sfreq_hz,
        trials=info.trials,
        steps=info.steps,
        source_sfreq_hz=info.source_sfreq_hz,
        line_freq_hz=info.line_freq_hz,
        attributes={
            "recording": info.id,
            "subject": info.subject,
            "session": info.session,
            "run": info.run,
            **{f"attribute_{name}": value for name, value in sorted(info.attributes.items())},
        },
    )
