"""Map many files back to back into memory as one flat, read-only int16 array.

One flat array turns "row i of shard k" into one index, so that a batch is one NumPy gather without a Python loop over
shards. The byte at which each file begins is returned too.

Python's `mmap` cannot choose an address, so this calls the C library: reserve the range, then map each file into its
part of it. The operating system loads pages on access and drops them when memory is short. Truncating a mapped file
kills the process at the next access (as with every mapping): shard sets are immutable.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.errors import RefusedError

_PROT_NONE = 0
_MAP_FIXED = 0x10
_FAILED = ctypes.c_void_p(-1).value


class _Region:
    """A range of addresses that exists as long as an array refers to it."""

    def __init__(self, n_bytes: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._mmap = self._libc.mmap
        self._mmap.restype = ctypes.c_void_p
        self._mmap.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64,
        ]  # fmt: skip
        self._munmap = self._libc.munmap
        self._munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self.n_bytes = n_bytes
        self.address = 0
        self.address = self._call(None, n_bytes, _PROT_NONE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)

    def place(self, start: int, n_bytes: int, descriptor: int) -> None:
        """Map a complete file at `start` of the range; descriptor -1 gives empty pages."""
        flags = mmap.MAP_SHARED if descriptor >= 0 else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._call(self.address + start, n_bytes, mmap.PROT_READ, flags | _MAP_FIXED, descriptor)

    def _call(self, address: int | None, n_bytes: int, protection: int, flags: int, descriptor: int) -> int:
        result = self._mmap(address, n_bytes, protection, flags, descriptor, 0)
        if result is None or result == _FAILED:
            number = ctypes.get_errno()
            raise OSError(number, f"mmap of {n_bytes} bytes: {os.strerror(number)}")
        return int(result)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"version": 3, "shape": (self.n_bytes // 2,), "typestr": "<i2", "data": (self.address, True)}

    def __del__(self) -> None:
        if self.address:
            self._munmap(self.address, self.n_bytes)


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
        region = _Region(total + tail)
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
    def _place(region: _Region, path: Path, n_bytes: int, start: int) -> None:
        try:
            # Without O_NONBLOCK, opening a pipe instead of a file would wait for a writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
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
