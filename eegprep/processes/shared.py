"""Shared memory for blocks of samples between two processes, because a pipe copies each block four times.

An unnamed file in memory (Linux), else an unlinked temporary file; it disappears with its last descriptor, so a killed
process leaves nothing behind. One side writes a block and announces it over the pipe, the other reads it, never both
at once.
"""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np


class SharedBlock:
    """Room for one block of float64; `descriptor` is the other side's, or None to create it."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            if hasattr(os, "memfd_create"):
                descriptor = os.memfd_create("eegprep")
            else:
                made, name = tempfile.mkstemp()
                os.unlink(name)  # noqa: PTH108
                descriptor = made
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None

    def _mapped(self, n_bytes: int) -> mmap.mmap:
        if self._map is None or len(self._map) < n_bytes:
            if os.fstat(self.descriptor).st_size < n_bytes:
                os.ftruncate(self.descriptor, n_bytes)
            self._map = mmap.mmap(self.descriptor, n_bytes)
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
        os.close(self.descriptor)
