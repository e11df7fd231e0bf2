"""What differs between operating systems: locks between processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout


class Lock:
    """A lock on a file name, for one holder in one process; the system releases it if the process dies.

    Parameters
    ----------
    path : Path
        The lock file; its folder is created.
    """

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path, thread_local=False)
        self._path = path

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait`, return False if another holder has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=-1 if wait else 0, poll_interval=0.05)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release(force=True)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the duration of the context."""
        self.acquire()
        try:
            yield
        finally:
            self.release()
