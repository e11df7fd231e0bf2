"""Limits for a process that reads untrusted files: memory, and exiting with its parent.

A few compressed bytes can expand to any amount. Without a limit, the system may kill another process than the one that
ran out of memory. So a worker may use three quarters of the memory of the machine (or container), or
`EEGPREP_READER_MEMORY` bytes; beyond that it gets a MemoryError, and only the file fails.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from pathlib import Path

from eegprep.errors import UsageError
from eegprep.temporary import remove_temporary_folders

MEMORY_VARIABLE = "EEGPREP_READER_MEMORY"
_SHARE = 0.75
#: Files with a container's memory limit (cgroup 2 and 1).
_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_bytes() -> int:
    """Memory limit of a reading process. Raises UsageError if the variable is not a number of bytes."""
    text = os.environ.get(MEMORY_VARIABLE, "").strip()
    if text:
        if not text.isdigit() or int(text) < 1 << 28:
            raise UsageError(
                f"{MEMORY_VARIABLE} is not a valid number of bytes", found=text, expected=f"{1 << 28} or more, or unset"
            )
        return int(text)
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in map(Path, _CONTAINER):
        if path.is_file() and (own := path.read_text().strip()).isdigit():
            total = min(total, int(own))
    return int(_SHARE * total)


def limit_memory() -> None:
    """Limit this process's memory; mapped files do not count."""
    n_bytes = memory_bytes()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or n_bytes < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, hard))


def stop_with_parent(parent: int) -> None:
    """End this process soon after its parent exits, even if a reader is stuck in an endless loop."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        remove_temporary_folders()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
