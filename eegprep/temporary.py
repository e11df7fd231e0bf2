"""Temporary folders that are removed even if their process was killed.

Beside each lies a lock file, which its process locks before it makes the folder. So a folder whose lock is free was
left by a killed process; whoever makes the next temporary folder removes it, if it is of the same user.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import weakref
from pathlib import Path

from eegprep.platform import FamilyLock, is_own

_PREFIX = "eegprep-"
_LOCK = ".lock"
_in_use: dict[Path, FamilyLock] = {}


class TemporaryFolder:
    """A folder that is deleted with this object, or on exit if used as a context manager."""

    def __init__(self) -> None:
        remove_abandoned_folders()
        while (made := _make()) is None:
            pass
        self.path, lock = made
        _in_use[self.path] = lock
        self._remove = weakref.finalize(self, _remove, self.path, lock)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *error: object) -> None:
        self._remove()


def remove_temporary_folders() -> None:
    """Remove the folders of this process, before it exits without cleanup."""
    for path, lock in list(_in_use.items()):
        _remove(path, lock)


def remove_abandoned_folders() -> None:
    """Remove the folders of this user's killed processes."""
    found = Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")
    for path in {p.with_name(p.name.removesuffix(_LOCK)) for p in found}:
        with contextlib.suppress(OSError):
            if path not in _in_use and _is_abandonable(path):
                lock = FamilyLock(_lock_of(path))
                if lock.acquire():
                    _remove(path, lock)


def _make() -> tuple[Path, FamilyLock] | None:
    """A new private folder and its lock; None if the name is taken."""
    path = Path(tempfile.gettempdir()) / f"{_PREFIX}{secrets.token_hex(6)}"
    lock = FamilyLock(_lock_of(path))
    if not lock.acquire():
        return None
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        lock.release()
        return None
    except OSError:
        lock.release()
        raise
    return path, lock


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + _LOCK)


def _remove(path: Path, lock: FamilyLock) -> None:
    shutil.rmtree(path, ignore_errors=True)
    _in_use.pop(path, None)
    lock.release()


def _is_abandonable(path: Path) -> bool:
    """Whether a folder, or the lock of one that was never made, belongs to this user."""
    if path.is_symlink() or path.exists():
        return path.is_dir() and not path.is_symlink() and is_own(path)
    return is_own(_lock_of(path))
