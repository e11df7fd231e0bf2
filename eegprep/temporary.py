"""Temporary folders that are removed even if their process was killed.

Each is protected by a system lock while in use. The next process to create one first removes unlocked folders of the
same user.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from pathlib import Path

from eegprep.platform import Lock, is_own

_PREFIX = "eegprep-"
_LOCK = ".lock"
_in_use: set[Path] = set()


class TemporaryFolder:
    """A folder that is deleted with this object, or on exit if used as a context manager."""

    def __init__(self) -> None:
        _remove_abandoned()
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            lock = Lock(self.path / _LOCK)
            if lock.acquire(wait=False):
                break
        _in_use.add(self.path)
        self._remove = weakref.finalize(self, _remove, self.path, lock)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *error: object) -> None:
        self._remove()


def remove_temporary_folders() -> None:
    """Remove the folders of this process, before it exits without cleanup."""
    for path in list(_in_use):
        shutil.rmtree(path, ignore_errors=True)


def _remove(path: Path, lock: Lock) -> None:
    shutil.rmtree(path, ignore_errors=True)
    _in_use.discard(path)
    lock.release()
    shutil.rmtree(path, ignore_errors=True)  # where the locked file could not be deleted


def _remove_abandoned() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if path not in _in_use and path.is_dir() and not path.is_symlink() and is_own(path):
                lock = Lock(path / _LOCK)
                if lock.acquire(wait=False):
                    _remove(path, lock)
