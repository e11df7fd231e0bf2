"""Map many files back to back into memory as one flat, read-only int16 array.

One flat array turns "row i of shard k" into one index, so that a batch is one NumPy gather without a Python loop over
shards. The byte at which each file begins is returned too.

The range of addresses is `eegprep.platform.address_range`: files are mapped where the system can map them side by
side, and copied elsewhere. The operating system loads mapped pages on access and drops them when memory is short.
Truncating a mapped file kills the process at the next access (as with every mapping): shard sets are immutable.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import RefusedError
from eegprep.platform import AddressRange, address_range, open_readonly


class FlatMap:
    """One read-only array over many files.

    Parameters
    ----------
    files : sequence of (Path or None, int)
        Files and their expected sizes in bytes. The range of a file that is None is reserved for `put`.
    tail_bytes : int
        Readable zeros after the last file, so that a gather may run past its end.

    Attributes
    ----------
    samples : ndarray, (n,) int16
        All files in order, each beginning on a page.
    starts : ndarray, (n_files,) int64
        The byte at which each file begins.

    Raises
    ------
    RefusedError
        A file is missing or has another size.
    """

    def __init__(self, files: Sequence[tuple[Path | None, int]], *, tail_bytes: int = 1 << 20) -> None:
        page = mmap.PAGESIZE
        rounded = [-(-n_bytes // page) * page for _, n_bytes in files]
        tail = -(-(tail_bytes + 1) // page) * page
        self.starts: NDArray[np.int64] = np.cumsum([0, *rounded], dtype=np.int64)[:-1]
        total = sum(rounded)
        region = address_range(total + tail)
        region.place(total, tail, -1)
        self._region = region
        self._sizes = [n_bytes for _, n_bytes in files]
        for k, (path, _) in enumerate(files):
            # Free places are readable too, since a gather may touch any byte of the range.
            if path is None:
                self.drop(k)
            else:
                self.put(k, path)
        self.samples: NDArray[np.int16] = np.asarray(region)

    def put(self, number: int, path: Path) -> None:
        """Map a file into its reserved range."""
        self._place(self._region, path, self._sizes[number], int(self.starts[number]))

    def drop(self, number: int) -> None:
        """Unmap a file; its range reads as zeros until `put`. No view into it may be in use."""
        n_bytes = -(-self._sizes[number] // mmap.PAGESIZE) * mmap.PAGESIZE
        if n_bytes:
            self._region.place(int(self.starts[number]), n_bytes, -1)

    @staticmethod
    def _place(region: AddressRange, path: Path, n_bytes: int, start: int) -> None:
        try:
            descriptor = open_readonly(path)
        except FileNotFoundError:
            raise RefusedError("a shard is missing", where=path, todo="download or build the shard set again") from None
        try:
            found = os.fstat(descriptor).st_size
            if found != n_bytes:
                raise RefusedError(
                    f"the size of shard {path.name} does not match the index", where=path, found=f"{found} bytes",
                    expected=f"{n_bytes} bytes", todo="download or build the shard set again",
                )  # fmt: skip
            if n_bytes:
                region.place(start, n_bytes, descriptor)
        finally:
            os.close(descriptor)

    def windows(self, n_samples: int) -> NDArray[np.void]:
        """Every window of `n_samples` as one element of an overlapping view; index it to gather windows."""
        record = np.dtype((np.void, 2 * n_samples))
        count = len(self.samples) - n_samples + 1
        return np.ndarray(shape=(count,), dtype=record, buffer=self.samples, strides=(2,))
