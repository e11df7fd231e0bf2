"""The index of a shard set as typed columns, used by the reader and the model side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eegprep.errors import InputError, RefusedError
from eegprep.manifest.recipe import Recipe, recipe_of_steps
from eegprep.recording import MontageFit
from eegprep.splits import SeenRecording


@dataclass(frozen=True, kw_only=True)
class ShardFile:
    """One shard: path inside the set, electrode id, size, hash."""

    name: str
    electrode: int
    n_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class BlockTable:
    """Blocks, (n_blocks,) each, sorted by shard and offset.

    `recording` and `electrode` are rows of the other tables. `reference` indexes `reference_names`, the
    references of the electrodes. `stretch` numbers the contiguous stretches of one electrode of one recording,
    continuing across references. `offset` is the byte of the first sample in its shard, `start_sample` its time.
    """

    recording: NDArray[np.int32]
    electrode: NDArray[np.int32]
    reference: NDArray[np.int32]
    stretch: NDArray[np.int32]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    n_samples: NDArray[np.int64]
    start_sample: NDArray[np.int64]
    scale_uv: NDArray[np.float32]
    sigma_uv: NDArray[np.float32]
    crc32: NDArray[np.uint32]
    reference_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.recording)


@dataclass(frozen=True, kw_only=True)
class RecordingTable:
    """Recordings, one entry per row of recordings.parquet.

    `facts(row)` gives reference and quality figures per electrode name, `attributes(row)` the attributes for tasks.
    """

    id: tuple[str, ...]
    dataset: tuple[str, ...]
    subject: tuple[str, ...]
    session: tuple[str, ...]
    run: tuple[str, ...]
    split: tuple[str, ...]
    within_subject: NDArray[np.bool_]
    sfreq_hz: NDArray[np.float64]
    n_samples: NDArray[np.int64]
    signal_sha256: tuple[str, ...]
    source_sha256: tuple[str, ...]
    fingerprint: tuple[str, ...]
    table: pa.Table

    def __len__(self) -> int:
        return len(self.id)

    def seen(self) -> tuple[SeenRecording, ...]:
        """Every recording in the form of the leakage check, in row order."""
        return tuple(
            SeenRecording(id=i, signal_sha256=sha256, fingerprint=fingerprint, within_subject=bool(within))
            for i, sha256, fingerprint, within in zip(
                self.id, self.signal_sha256, self.fingerprint, self.within_subject, strict=True
            )
        )

    def facts(self, row: int) -> Mapping[str, Mapping[str, Any]]:
        """Reference and quality figures of each input (see `RecordingInfo.inputs`) in this recording.

        Raises
        ------
        RefusedError
            If they are damaged.
        """
        found = self._json("electrodes", row)
        if not all(isinstance(own, dict) and all(map(_is_figure, own.values())) for own in found.values()):
            raise self._damaged("electrodes", row, "not a table of figures for each electrode")
        return found

    def attributes(self, row: int) -> Mapping[str, str]:
        """Attributes of the subject or run, with the manifest's names; RefusedError if damaged."""
        found = self._json("attributes", row)
        if not all(isinstance(value, str) for value in found.values()):
            raise self._damaged("attributes", row, "not texts")
        return found

    def montage(self, row: int) -> MontageFit | None:
        """How well the recording's signal matches the positions of its electrodes; None if unknown."""
        if not self.table["montage"][row].as_py():
            return None
        found = self._json("montage", row)
        try:
            fit = MontageFit(**{**found, "swap": tuple(found["swap"])})
        except (TypeError, KeyError) as error:
            raise self._damaged("montage", row, error) from None
        figures = (fit.figure, fit.likeness, fit.n_electrodes, fit.n_segments, fit.gain)
        if not all(map(_is_number, figures)) or [type(name) for name in fit.swap] != [str, str]:
            raise self._damaged("montage", row, "not figures")
        return fit

    def steps(self, row: int) -> Recipe:
        """The steps that standardised the recording; RefusedError if damaged."""
        try:
            found = json.loads(self.table["steps"][row].as_py())
            if not isinstance(found, list):
                raise self._damaged("steps", row, type(found).__name__)
            return recipe_of_steps(found)
        except (ValueError, TypeError, RecursionError, InputError) as error:
            raise self._damaged("steps", row, error) from None

    def _json(self, column: str, row: int) -> dict[str, Any]:
        try:
            value = json.loads(self.table[column][row].as_py())
        except (ValueError, RecursionError) as error:
            raise self._damaged(column, row, error) from None
        if not isinstance(value, dict):
            raise self._damaged(column, row, type(value).__name__)
        return value

    def _damaged(self, column: str, row: int, found: object) -> RefusedError:
        return RefusedError(
            f"the column {column!r} of recording {self.id[row]} is damaged",
            found=found,
            todo="download or build the shard set again",
        )


def _is_number(value: object) -> bool:
    """Whether a value is a finite number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_figure(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


@dataclass(frozen=True, kw_only=True)
class TrialTable:
    """Trials, (n_trials,) each; `task` and `label` index `task_names` and `label_names`."""

    recording: NDArray[np.int32]
    start_sample: NDArray[np.int64]
    n_samples: NDArray[np.int64]
    task: NDArray[np.int32]
    label: NDArray[np.int32]
    task_names: tuple[str, ...]
    label_names: tuple[str, ...]
    events: pa.ChunkedArray

    def __len__(self) -> int:
        return len(self.recording)


@dataclass(frozen=True, kw_only=True)
class SpanTable:
    """Contiguous stretches of one electrode, recording and reference: joined blocks, (n_spans,) each.

    All blocks of a span but the last have `block_samples` samples, so the block of sample i of a span is
    `first_block + i // block_samples`.
    """

    recording: NDArray[np.int32]
    electrode: NDArray[np.int32]
    reference: NDArray[np.int32]
    first_block: NDArray[np.int64]
    start_sample: NDArray[np.int64]
    n_samples: NDArray[np.int64]
    block_samples: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.recording)


def spans_of(blocks: BlockTable) -> SpanTable:
    """Join the blocks of each stretch."""
    n = len(blocks)
    first = np.ones(n, dtype=bool)
    if n:
        first[1:] = (
            (blocks.recording[1:] != blocks.recording[:-1])
            | (blocks.electrode[1:] != blocks.electrode[:-1])
            | (blocks.stretch[1:] != blocks.stretch[:-1])
        )
    rows = np.flatnonzero(first)
    return SpanTable(
        recording=blocks.recording[rows],
        electrode=blocks.electrode[rows],
        reference=blocks.reference[rows],
        first_block=rows.astype(np.int64),
        start_sample=blocks.start_sample[rows],
        n_samples=np.add.reduceat(blocks.n_samples, rows) if n else np.empty(0, np.int64),
        block_samples=blocks.n_samples[rows],
    )
