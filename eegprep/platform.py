"""What differs between operating systems: locks, memory limits, process trees, folders on disk, names of files.

Tested on Linux; written for Windows and macOS. No other module imports names that exist on one system only
(`tests/house/test_platform.py`): what is missing here is replaced by filelock and psutil.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import mmap
import operator
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

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
_CHUNK = 1 << 20
_PROT_NONE = 0
_MAP_FIXED = 0x10
_FAILED = ctypes.c_void_p(-1).value
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


def claim(path: Path) -> int | None:
    """Lock a file that is being written, which is made if needed; None if another process has it locked.

    Returns
    -------
    int or None
        For `release`. -1 where locks of open files would be in the way (Windows).
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if fcntl is None:
        return -1
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its holder may have renamed the file while we opened it.
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:  # a file system without locks
        return descriptor
    os.close(descriptor)
    return None


def release(descriptor: int) -> None:
    """Unlock what `claim` locked."""
    if descriptor >= 0:
        os.close(descriptor)


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


class SharedFile:
    """A file for memory that two processes share; it disappears with its last user.

    Unnamed and inherited by the other process on POSIX (in memory on Linux), a temporary file with a name elsewhere.

    Parameters
    ----------
    address : str, optional
        The other side's `address`; None creates the file.
    """

    def __init__(self, address: str | None = None) -> None:
        self._made: Path | None = None
        if address is not None and address.isdecimal():
            self.descriptor = int(address)
        elif address is not None:
            self.descriptor = os.open(address, os.O_RDWR | getattr(os, "O_BINARY", 0))
        elif fcntl is not None and hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("eegprep")
        else:
            self.descriptor, name = tempfile.mkstemp(prefix="eegprep-shared-")
            if fcntl is not None:
                Path(name).unlink()
            else:
                self._made = Path(name)
        self.address = str(self._made or address or self.descriptor)
        #: Descriptors that the other process must inherit.
        self.inherited: tuple[int, ...] = () if self._made is not None else (self.descriptor,)

    def close(self) -> None:
        """Free it."""
        os.close(self.descriptor)
        if self._made is not None:
            with contextlib.suppress(OSError):  # the other side has it open; the system's cleaning removes it
                self._made.unlink()


class AddressRange(Protocol):
    """A range of memory that shows files side by side, as one array of int16."""

    def place(self, start: int, n_bytes: int, descriptor: int) -> None:
        """Show a complete file at `start` of the range; descriptor -1 gives zeros."""
        ...

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


def address_range(n_bytes: int) -> AddressRange:
    """A range in which files are mapped; where that is impossible (Windows), one into which they are copied."""
    return _Copied(n_bytes) if fcntl is None else _Mapped(n_bytes)


class _Mapped:
    """A range of addresses that exists as long as an array refers to it.

    Python's `mmap` cannot choose an address, so this calls the C library: reserve the range, then map each file into
    its part of it.
    """

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
        """See `AddressRange`."""
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


class _Copied:
    """A range of memory into which files are copied."""

    def __init__(self, n_bytes: int) -> None:
        self._memory = mmap.mmap(-1, n_bytes)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self.n_bytes = n_bytes

    def place(self, start: int, n_bytes: int, descriptor: int) -> None:
        """See `AddressRange`."""
        with memoryview(self._memory) as whole:
            if descriptor < 0:
                for at in range(start, start + n_bytes, _CHUNK):
                    whole[at : min(at + _CHUNK, start + n_bytes)] = bytes(min(_CHUNK, start + n_bytes - at))
                return
            position = 0
            while position < n_bytes:
                data = pread(descriptor, min(_CHUNK, n_bytes - position), position)
                if not data:
                    raise OSError(errno.EIO, "the file has become shorter")
                whole[start + position : start + position + len(data)] = data
                position += len(data)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"version": 3, "shape": (self.n_bytes // 2,), "typestr": "<i2", "data": (self._address, True)}


def open_readonly(path: Path) -> int:
    """A descriptor for reading bytes. Does not wait for the writer of a pipe that stands in place of a file."""
    flags = ("O_CLOEXEC", "O_NONBLOCK", "O_BINARY", "O_NOINHERIT")
    return os.open(path, os.O_RDONLY | functools.reduce(operator.or_, (getattr(os, f, 0) for f in flags)))


_seeking = threading.Lock()


def pread(descriptor: int, n_bytes: int, position: int) -> bytes:
    """Up to `n_bytes` of a file from a position, for any number of threads."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, n_bytes, position)
    with _seeking:
        os.lseek(descriptor, position, os.SEEK_SET)
        return os.read(descriptor, n_bytes)


def read_into(descriptor: int, view: memoryview, position: int) -> int:
    """Fill a buffer from a position of a file; returns the number of bytes."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [view], position)
    data = pread(descriptor, len(view), position)
    view[: len(data)] = data
    return len(data)


def link(target: Path, name: Path) -> None:
    """Give a file a second name: a link where the user may make one, else a hard link, else a copy."""
    try:
        name.symlink_to(target)
    except (OSError, NotImplementedError):
        try:
            name.hardlink_to(target)
        except (OSError, NotImplementedError):
            shutil.copyfile(target, name)


def replace(source: Path, target: Path) -> None:
    """Rename a file over another; waits a little if the other is open, which Windows does not permit."""
    for left in reversed(range(20)):
        try:
            source.replace(target)
        except PermissionError:
            if fcntl is not None or left == 0:
                raise
            time.sleep(0.1)
        else:
            return


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that a rename in it survives a power failure; where folders cannot be opened, do nothing."""
    if fcntl is None:
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
        if path.is_file() and (own := path.read_text(encoding="ascii").strip()).isdecimal():
            total = min(total, int(own))
    return total


def unused_memory_bytes() -> int:
    """Memory that new processes can take."""
    return int(psutil.virtual_memory().available)


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
    adopted = fcntl is not None
    while os.getppid() == parent if adopted else process.is_running():
        time.sleep(WATCH_S)


def end_tree(pid: int) -> None:
    """Kill a process and all processes that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (*process.children(recursive=True), process):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask a long run to stop: Ctrl-C, SIGTERM, and SIGUSR1 of Slurm where it exists."""
    return tuple(s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGUSR1"))


def ignores_case(path: Path) -> bool:
    """Whether the file system of an existing file takes its name in other case for the same file."""
    other = path.with_name(path.name.swapcase())
    return other.name != path.name and other.exists() and other.samefile(path)


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
