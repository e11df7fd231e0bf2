"""Write one recording to the store in chunks, complete or not at all.

Chunks are (n_electrodes, n) float32 microvolt of any length. They are regrouped into record batches of
`CHUNK_SAMPLES`, so the file's bytes depend on the signal only, not on how it was streamed.

A process killed at any time leaves a `.part` file, or an `.arrow` without its sidecar; no reader accepts either, and
the next attempt replaces it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eegprep.errors import InputError
from eegprep.files import PART, write_json
from eegprep.platform import replace, sync_folder
from eegprep.recording import RecordingInfo
from eegprep.store.keys import key_of_id

# 256 s at 256 Hz: a column of one chunk is 256 KiB, long enough for a disk, short enough for a random window.
# A multiple of 16 samples keeps the columns of a chunk (padded to 64 bytes each) back to back.
CHUNK_SAMPLES = 65536

MADE_FROM = b"made_from"
FORMAT = {b"format": b"eegprep-store", b"version": b"1", b"unit": b"uV"}


class StoredRecordingWriter:
    """Append time chunks, then `finish`. As a context manager it deletes its `.part` file on an error.

    Parameters
    ----------
    folder : Path
        The store's `recordings/`.
    recording_id : str
        `RecordingInfo.id` of the recording.
    electrodes : sequence of str
        Names of the inputs (`RecordingInfo.inputs`), one per row of every chunk.
    made_from : str
        Hash of the inputs, with which a later run decides whether to process the recording again.
    """

    def __init__(self, folder: Path, recording_id: str, electrodes: Sequence[str], made_from: str = "") -> None:
        if not electrodes or len(set(electrodes)) != len(electrodes):
            raise InputError(
                f"recording {recording_id!r} cannot be stored",
                found=f"electrodes {list(electrodes)}",
                expected="one or more electrodes, each once",
            )
        self.recording_id = recording_id
        self.electrodes = tuple(electrodes)
        self.n_samples = 0
        key = key_of_id(recording_id)
        self._arrow = folder / f"{key}.arrow"
        self._sidecar = folder / f"{key}.json"
        # A unique name: a process left over from a killed run must not write into this file.
        self._part = folder / f"{key}.arrow.{secrets.token_hex(4)}{PART}"
        self._pending: list[NDArray[np.float32]] = []
        self._n_pending = 0
        metadata = {**FORMAT, MADE_FROM: made_from.encode("utf-8")}
        schema = pa.schema([pa.field(e, pa.float32(), nullable=False) for e in self.electrodes], metadata=metadata)
        self._schema = schema
        self._sink: pa.NativeFile | None = pa.OSFile(os.fsencode(self._part), "wb")
        self._ipc = pa.ipc.new_file(self._sink, schema)

    def append(self, signal_uv: NDArray[np.float32]) -> None:
        """Add samples at the end of the recording.

        Parameters
        ----------
        signal_uv : ndarray, (n_electrodes, n) float32
            Microvolt; NaN in gaps of the time line. It is copied or written before this returns.
        """
        if signal_uv.ndim != 2 or signal_uv.shape[0] != len(self.electrodes) or signal_uv.dtype != np.float32:
            raise InputError(
                f"recording {self.recording_id!r}: a chunk has the wrong shape or type",
                found=f"shape {signal_uv.shape}, {signal_uv.dtype}",
                expected=f"shape ({len(self.electrodes)}, n), float32",
            )
        self.n_samples += signal_uv.shape[1]
        start = 0
        while start < signal_uv.shape[1]:
            n = min(CHUNK_SAMPLES - self._n_pending, signal_uv.shape[1] - start)
            piece = signal_uv[:, start : start + n]
            start += n
            self._n_pending += n
            if self._n_pending == CHUNK_SAMPLES:
                self._pending.append(piece)
                self._flush()
            else:
                self._pending.append(piece.copy())

    def finish(self, info: RecordingInfo) -> RecordingInfo:
        """Write the rest, sync, rename, and write the sidecar last."""
        expected = (self.recording_id, self.electrodes, self.n_samples)
        if (found := (info.id, info.inputs, info.n_samples)) != expected:
            raise InputError(
                f"recording {self.recording_id!r}: the description does not match the signal",
                found=f"id, electrodes, n_samples = {found}",
                expected=str(expected),
            )
        self._flush()
        self._ipc.close()
        self._close()
        with self._part.open("rb+") as handle:
            os.fsync(handle.fileno())
        # An older sidecar must never be next to the new signal, not even briefly.
        self._sidecar.unlink(missing_ok=True)
        replace(self._part, self._arrow)
        sync_folder(self._arrow.parent)
        write_json(self._sidecar, info.to_json())
        return info

    def abort(self) -> None:
        """Discard what was written; the store is unchanged."""
        self._pending.clear()
        try:
            self._close()
        finally:
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> StoredRecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sink is not None:
            self.abort()

    def _flush(self) -> None:
        if not self._n_pending:
            return
        block = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending, axis=1)
        # Not `pa.array`, which imports pandas (a quarter of a second per worker).
        columns = [
            pa.Array.from_buffers(pa.float32(), row.size, [None, pa.py_buffer(np.ascontiguousarray(row))])
            for row in block
        ]
        self._ipc.write_batch(pa.record_batch(columns, schema=self._schema))
        self._pending.clear()
        self._n_pending = 0

    def _close(self) -> None:
        if self._sink is not None:
            sink, self._sink = self._sink, None
            sink.close()
