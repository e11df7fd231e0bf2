"""A request handler for worker processes that ends its process in a given way."""

from __future__ import annotations

import os
import time
from typing import Any


def exiting(shared: Any) -> Any:
    """A handler that ends its process with a code, or by a signal."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if "signal" in request:
            os.kill(os.getpid(), request["signal"])
        # As for a process with much memory: it has stopped answering, but takes a while to exit.
        os.closerange(3, 64)
        time.sleep(request["takes_s"])
        os._exit(request["code"])

    return answer
