"""What differs between operating systems: locks, memory limits, process trees, folders on disk, names of files.

Tested on Linux; written for Windows and macOS. No other module imports names that exist on one system only
(`tests/house/test_platform.py`): what is missing here is replaced by filelock and psutil.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: How often a process looks whether its parent still runs.
WATCH_S = 0.2
# Where locks end with the process, workers of a killed process end this much later.
_ORPHANS_S = 1.0
_MEMORY_EXIT_CODE = 137
#: Files with a container's memory limit (cgroup 2 and 1).
_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]')


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


class FamilyLock:
    """A lock that is held until this process and the workers that it starts have all ended.

    Where a lock cannot be inherited (Windows), it is held by this process; whoever takes it over from a killed process
    waits until the workers have noticed.

    Raises
    ------
    IsADirectoryError, OSError (ELOOP)
        The lock file is a folder or a link.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._lock: FileLock | None = None

    def acquire(self) -> bool:
        """Take the lock; False if others hold it. FileNotFoundError if its folder does not exist."""
        if self._path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self._path))
        if fcntl is None:
            return self._acquire_alone()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another holder may have deleted the file while we opened it.
            same = os.path.samestat(os.fstat(descriptor), self._path.stat())
        except (BlockingIOError, FileNotFoundError):
            same = False
        if not same:
            os.close(descriptor)
            return False
        os.set_inheritable(descriptor, True)
        self._descriptor = descriptor
        return True

    def _acquire_alone(self) -> bool:
        if not self._path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path.parent))
        killed = self._path.exists()
        lock = FileLock(self._path, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        if killed:
            time.sleep(_ORPHANS_S)
        self._lock = lock
        return True

    def release(self) -> None:
        """Give the lock back, and delete its file."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # processes forked in the meantime hold it too
            os.close(self._descriptor)
            self._descriptor = None
        elif self._lock is not None:
            self._lock.release(force=True)
            with contextlib.suppress(OSError):  # taken by the next
                self._path.unlink(missing_ok=True)
            self._lock = None


def replace(source: Path, target: Path) -> None:
    """Rename a file over another; waits a little if the other is open, which Windows does not permit."""
    for left in reversed(range(20)):
        try:
            source.replace(target)
        except PermissionError:
            if os.name != "nt" or left == 0:
                raise
            time.sleep(0.1)
        else:
            return


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that a rename in it survives a power failure; where folders cannot be opened, do nothing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_own(path: Path) -> bool:
    """Whether a file belongs to the user of this process; True where files have no such owner."""
    user = getattr(os, "getuid", None)
    return user is None or path.lstat().st_uid == user()


def memory_bytes() -> int:
    """The memory of this machine, or of its container."""
    total = int(psutil.virtual_memory().total)
    for path in map(Path, _CONTAINER):
        if path.is_file() and (own := path.read_text(encoding="ascii").strip()).isdigit():
            total = min(total, int(own))
    return total


def limit_memory(n_bytes: int) -> None:
    """Limit this process's memory: a MemoryError on Linux, else the end of the process. Mapped files do not count."""
    if resource is not None and sys.platform.startswith("linux"):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or n_bytes < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, hard))
        return
    own = psutil.Process()

    def watch() -> None:
        while _used(own) <= n_bytes:
            time.sleep(0.1)
        os._exit(_MEMORY_EXIT_CODE)

    threading.Thread(target=watch, daemon=True).start()


def _used(process: psutil.Process) -> int:
    """Memory of a process alone: `private` on Windows, `uss` elsewhere."""
    info = process.memory_info()
    return int(getattr(info, "private", 0) or process.memory_full_info().uss)


def wait_for_end(parent: int) -> None:
    """Return soon after a process, the parent of this one, has ended."""
    try:
        process = psutil.Process(parent)
    except psutil.NoSuchProcess:
        return
    # On POSIX orphans get a new parent at once, even while the old one is not yet collected.
    adopted = os.name == "posix"
    while os.getppid() == parent if adopted else process.is_running():
        time.sleep(WATCH_S)


def end_tree(pid: int) -> None:
    """Kill a process and all processes that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (*process.children(recursive=True), process):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def portable_name(name: str) -> bool:
    """Whether a file name can be used on every system: no reserved word or character, no dot or space at its end."""
    return not (
        _RESERVED.fullmatch(name)
        or _FORBIDDEN.search(name)
        or name.endswith((".", " "))
        or len(name.encode("utf-8", "surrogateescape")) > 255
    )


def alike_names(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of paths that differ by case or by the form of their letters only: one file on Windows and macOS."""
    import unicodedata

    seen: dict[str, str] = {}
    found = []
    for path in paths:
        folded = unicodedata.normalize("NFC", path).casefold()
        if (other := seen.setdefault(folded, path)) != path:
            found.append((other, path))
    return found
