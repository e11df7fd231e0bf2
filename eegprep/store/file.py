"""The signal of one stored recording, from a memory-mapped Arrow file, loaded on demand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eegprep.errors import InputError
from eegprep.recording import RecordingInfo
from eegprep.store.writer import FORMAT


class RecordingFile:
    """The signal of one stored recording, memory-mapped.

    Parameters
    ----------
    path : Path
        An `.arrow` file of a store.
    info : RecordingInfo
        Its sidecar; a contradicting file is refused.
    """

    def __init__(self, path: Path, info: RecordingInfo) -> None:
        try:
            reader = pa.ipc.open_file(pa.memory_map(os.fsencode(path)))
            metadata = reader.schema.metadata or {}
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(
                f"the stored signal of {info.id!r} cannot be read",
                where=path,
                found=str(error),
                todo="ingest this recording again: delete its .json and run the same command",
            ) from error
        found = ({k: metadata.get(k) for k in FORMAT}, tuple(reader.schema.names), sum(b.num_rows for b in batches))
        if found != (FORMAT, info.inputs, info.n_samples):
            raise InputError(
                f"the stored signal of {info.id!r} does not match its sidecar",
                where=path,
                found=f"format, electrodes, n_samples = {found}",
                expected=str((FORMAT, info.inputs, info.n_samples)),
                todo="ingest this recording again: delete its .json and run the same command",
            )
        self.shape = (len(info.electrodes), info.n_samples)
        self._batches = batches
        self._starts = np.cumsum([0, *(b.num_rows for b in batches)])

    def read(self, row: int, start_sample: int, n_samples: int) -> NDArray[np.float32]:
        """(n_samples,) float32 microvolt of one row; a view into the map if it is within one chunk."""
        if not (0 <= row < self.shape[0] and start_sample >= 0 and 0 <= n_samples <= self.shape[1] - start_sample):
            raise InputError(
                "samples outside a recording",
                found=f"row {row}, samples {start_sample} to {start_sample + n_samples}",
                expected=f"inside {self.shape}",
            )
        stop = start_sample + n_samples
        first = int(np.searchsorted(self._starts, start_sample, side="right")) - 1
        pieces = []
        for k in range(first, len(self._batches)):
            chunk_start = int(self._starts[k])
            if chunk_start >= stop:
                break
            column = self._batches[k].column(row).to_numpy(zero_copy_only=True)
            pieces.append(column[max(start_sample - chunk_start, 0) : stop - chunk_start])
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.empty(0, np.float32)
