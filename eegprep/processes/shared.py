"""Shared memory for blocks of samples between two processes, because a pipe copies each block four times.

One side writes a block and announces it over the pipe, the other reads it, never both at once. The file behind it is
`eegprep.platform.SharedFile`.
"""

from __future__ import annotations

import mmap
import os

import numpy as np

from eegprep.platform import SharedFile


class SharedBlock:
    """Room for one block of float64; `address` is the other side's, or None to create it."""

    def __init__(self, address: str | None = None) -> None:
        self._file = SharedFile(address)
        self._map: mmap.mmap | None = None

    @property
    def address(self) -> str:
        """What the other process opens it by."""
        return self._file.address

    @property
    def inherited(self) -> tuple[int, ...]:
        """Descriptors that the other process must inherit."""
        return self._file.inherited

    def _mapped(self, n_bytes: int) -> mmap.mmap:
        if self._map is None or len(self._map) < n_bytes:
            if os.fstat(self._file.descriptor).st_size < n_bytes:
                os.ftruncate(self._file.descriptor, n_bytes)
            self._map = mmap.mmap(self._file.descriptor, n_bytes)
        return self._map

    def put(self, block: np.ndarray) -> None:
        """Write a block for the other side."""
        if block.size:
            np.frombuffer(self._mapped(8 * block.size), dtype=np.float64, count=block.size).reshape(block.shape)[:] = (
                block
            )

    def take(self, out: np.ndarray) -> None:
        """Copy the other side's block into `out`, which has its shape."""
        if out.size:
            out[:] = np.frombuffer(self._mapped(8 * out.size), dtype=np.float64, count=out.size).reshape(out.shape)

    def close(self) -> None:
        """Free the memory."""
        self._map = None
        self._file.close()
