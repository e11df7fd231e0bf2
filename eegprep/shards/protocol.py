"""The store protocol of the shard writer: any object with these members can be sharded."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from eegprep.manifest.schema import Manifest
from eegprep.recording import RecordingInfo, Stretch


@runtime_checkable
class RecordingStore(Protocol):
    """A set of standardised recordings; `eegprep.store.Store` is one.

    Workers use copies (`copy.copy`, or pickled for another process), so a copy must work on its own.
    """

    @property
    def manifest(self) -> Manifest:
        """The manifest of the data set that the recordings are from."""

    def infos(self) -> list[RecordingInfo]:
        """All recordings, sorted by id."""

    def electrode_uv(
        self, info: RecordingInfo, electrode: str, stretch: Stretch | None = None
    ) -> NDArray[np.floating[Any]]:
        """One electrode's samples of one stretch, (stretch.n_samples,) float32 in microvolt."""

    def close(self) -> None:
        """Close open files; further reading opens them again."""
