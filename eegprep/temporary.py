"""Temporary folders that are removed even if their process was killed.

Each is protected by a system lock while in use. The next process to create one first removes unlocked folders of the
same user; not those of the last seconds, which may be about to be locked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import weakref
from pathlib import Path

from eegprep.platform import Lock, is_own

_PREFIX = "eegprep-"
_LOCK = ".lock"
_YOUNG_S = 10.0
_in_use: set[Path] = set()


class TemporaryFolder:
    """A folder that is deleted with this object, or on exit if used as a context manager."""

    def __init__(self) -> None:
        _remove_abandoned()
        while (made := _locked(Path(tempfile.mkdtemp(prefix=_PREFIX)))) is None:
            pass  # another process took the new folder, not locked yet, for an abandoned one
        self.path, lock = made
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


def _locked(path: Path) -> tuple[Path, Lock] | None:
    """A new folder with its lock; None if another process has removed it in the meantime."""
    lock = Lock(path / _LOCK)
    try:
        made = path.stat()
        if not lock.acquire(wait=False):
            return None
        if os.path.samestat(made, path.stat()):
            return path, lock
    except (FileNotFoundError, FileExistsError):  # it vanished between two system calls
        pass
    lock.release()
    return None


def _remove(path: Path, lock: Lock) -> None:
    shutil.rmtree(path, ignore_errors=True)
    _in_use.discard(path)
    lock.release()
    shutil.rmtree(path, ignore_errors=True)  # where the locked file could not be deleted


def _remove_abandoned() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if path not in _in_use and path.is_dir() and not path.is_symlink() and is_own(path):
                if time.time() - path.stat().st_mtime < _YOUNG_S:
                    continue
                lock = Lock(path / _LOCK)
                if lock.acquire(wait=False):
                    _remove(path, lock)
