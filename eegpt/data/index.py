"""The protocols of window and trial indexes that training code uses.

`WindowIndex` and `TrialIndex` read shard sets; for a signal in memory, write a class with the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """N windows of one electrode each; NumPy arrays from an index, torch tensors from a loader.

    `signal_i16` (N, n_samples) int16 times `scale_uv` (N,) is the signal in microvolt; `sigma_uv` (N,) is the
    electrode's robust standard deviation over the recording. `electrode` and `recording` (N,) are ids in the index's
    `vocabulary` and rows of its `recording_ids`; `reference` (N,) is a number of its `references`
    (None: unknown).
    """

    signal_i16: Any
    scale_uv: Any
    sigma_uv: Any
    electrode: Any
    recording: Any
    reference: Any = None

    def __len__(self) -> int:
        return len(self.electrode)

    def signal_uv(self, out: Any = None) -> Any:
        """The signal in microvolt, (N, n_samples) float32; written to `out` if given, and returned."""
        if out is None:
            return self.signal_i16 * self.scale_uv[:, None]
        out[...] = self.signal_i16
        out *= self.scale_uv[:, None]
        return out

    def input_ids(self, config: Any) -> Any:
        """The windows' inputs as an encoder numbers them, for `electrode_B`; see `ETEConfig.input_ids`."""
        return self.electrode if self.reference is None else config.input_ids(self.electrode, self.reference)

    def tensors(self) -> WindowBatch:
        """The batch as torch tensors; arrays are not copied."""
        import torch

        return self._each(torch.as_tensor)

    def to(self, device: Any) -> WindowBatch:
        """Tensors on a torch device; copies to a GPU use pinned memory and are asynchronous."""
        pinned = self._each(lambda value: value.contiguous().pin_memory()) if device.type == "cuda" else self
        return pinned._each(lambda value: value.to(device, non_blocking=True))

    def part(self, start: int, stop: int) -> WindowBatch:
        """Rows start <= i < stop, as views."""
        return self._each(lambda value: value[start:stop])

    def _each(self, of: Callable[[Any], Any]) -> WindowBatch:
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        return WindowBatch(**{name: None if value is None else of(value) for name, value in held.items()})


class WindowSource(Protocol):
    """Windows of one length, numbered from 0. `gather` must be thread-safe."""

    n_samples: int
    stride: int

    def __len__(self) -> int: ...

    def gather(self, indices: NDArray[np.int64], *, shift: NDArray[np.int64] | None = None) -> WindowBatch:
        """Gather windows; each starts `shift` samples later, but never extends beyond its stretch."""

    def fetch_ahead(self, indices: NDArray[np.int64]) -> None:
        """Announce the windows that are needed next, in order."""


@dataclass(frozen=True, kw_only=True)
class TaskInfo:
    """A task of one data set. `kind` is `classification` or `regression`; `classes` is empty for the latter."""

    name: str
    dataset: str
    kind: str
    classes: tuple[str, ...]
    within_subject: bool

    @property
    def key(self) -> str:
        """`dataset/name`, unique in an index."""
        return f"{self.dataset}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class TrialBatch:
    """N trials with up to E electrodes and S samples; missing data are zero and masked.

    Attributes
    ----------
    signal_i16 : (N, E, S) int16
    scale_uv, sigma_uv : (N, E) float32
        Microvolt per step; robust standard deviation in microvolt. 1 where masked.
    electrode, electrode_mask : (N, E) int32 and bool
        Id in the index's vocabulary, -1 where masked; whether a signal is present.
    reference : (N, E) int32
        What each electrode was measured against, in the index's `references`; -1 where masked. None: unknown.
    n_samples, task, recording : (N,) int32
        Length of each trial, and its rows in the index's `tasks` and `recording_ids`.
    label, target : (N,) int32 and float32
        Class (-1 for a regression); class number or regression value.
    """

    signal_i16: Any
    scale_uv: Any
    sigma_uv: Any
    electrode: Any
    electrode_mask: Any
    n_samples: Any
    task: Any
    label: Any
    target: Any
    recording: Any
    reference: Any = None

    def __len__(self) -> int:
        return len(self.task)

    def signal_uv(self) -> Any:
        """The signal in microvolt, (N, E, S) float32, zero where masked."""
        return self.signal_i16 * self.scale_uv[:, :, None]


class TrialSource(Protocol):
    """Trials numbered from 0, with their metadata; see `TrialIndex` for the columns."""

    tasks: tuple[TaskInfo, ...]
    task: NDArray[np.int32]
    label: NDArray[np.int32]
    target: NDArray[np.float32]
    recording: NDArray[np.int32]
    start_sample: NDArray[np.int64]
    n_samples: NDArray[np.int32]
    n_electrodes: NDArray[np.int32]
    recording_ids: tuple[str, ...]
    subject: tuple[str, ...]
    split: tuple[str, ...]

    def __len__(self) -> int: ...

    def gather(self, indices: NDArray[np.int64], *, electrodes: Sequence[str] | None = None) -> TrialBatch:
        """Gather trials, each with its own inputs or with the given electrodes or inputs (`Fp1`, `Fp1-F7`)."""
