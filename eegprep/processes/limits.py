"""Limits for a process that reads untrusted files: memory, and exiting with its parent.

A few compressed bytes can expand to any amount. Without a limit, the system may kill another process than the one that
ran out of memory. So a worker may use three quarters of the memory of the machine (or container), or
`EEGPREP_READER_MEMORY` bytes; beyond that it gets a MemoryError, and only the file fails.
"""

from __future__ import annotations

import os
import threading

from eegprep import platform
from eegprep.errors import UsageError
from eegprep.temporary import remove_temporary_folders

MEMORY_VARIABLE = "EEGPREP_READER_MEMORY"
_SHARE = 0.75


def memory_bytes() -> int:
    """Memory limit of a reading process. Raises UsageError if the variable is not a number of bytes."""
    text = os.environ.get(MEMORY_VARIABLE, "").strip()
    if text:
        if not text.isdecimal() or int(text) < 1 << 28:
            raise UsageError(
                f"{MEMORY_VARIABLE} is not a valid number of bytes", found=text, expected=f"{1 << 28} or more, or unset"
            )
        return int(text)
    return int(_SHARE * platform.memory_bytes())


def limit_memory() -> None:
    """Limit this process's memory; mapped files do not count."""
    platform.limit_memory(memory_bytes())


def stop_with_parent(parent: int) -> None:
    """End this process soon after its parent exits, even if a reader is stuck in an endless loop."""

    def watch() -> None:
        platform.wait_for_end(parent)
        remove_temporary_folders()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
