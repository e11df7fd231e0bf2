"""Temporary folders that are removed even if their process was killed.

Each is protected by a system lock while in use. The next process to create one first removes unlocked folders of the
same user.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

_PREFIX = "eegprep-"
_in_use: set[Path] = set()


class TemporaryFolder:
    """A folder that is deleted with this object, or on exit if used as a context manager."""

    def __init__(self) -> None:
        _remove_abandoned()
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            if (descriptor := _lock(self.path)) is not None:
                break
        _in_use.add(self.path)
        self._remove = weakref.finalize(self, _remove, self.path, descriptor)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *error: object) -> None:
        self._remove()


def remove_temporary_folders() -> None:
    """Remove the folders of this process, before it exits without cleanup."""
    for path in list(_in_use):
        shutil.rmtree(path, ignore_errors=True)


def _remove(path: Path, descriptor: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    _in_use.discard(path)
    os.close(descriptor)


def _remove_abandoned() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if path not in _in_use and path.lstat().st_uid == os.getuid() and (held := _lock(path)) is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(held)


def _lock(path: Path) -> int | None:
    """A descriptor that locks the folder; None if another process has it locked or has just removed it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    os.close(descriptor)
    return None
