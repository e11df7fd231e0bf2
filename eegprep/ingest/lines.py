"""What run and worker say to each other: one JSON object a line. No pickle, so nothing but data can travel."""

from __future__ import annotations

import json
from typing import IO, Any

__all__ = ["READY", "send", "receive"]

# The first thing that a worker says.
READY = {"ready": True}


def send(stream: IO[bytes], message: dict[str, Any]) -> None:
    """Write one message."""
    stream.write(json.dumps(message, ensure_ascii=True).encode("ascii") + b"\n")
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any] | None:
    """Read one message; None where the other side is gone, also in the middle of a line."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    message: dict[str, Any] = json.loads(line)
    return message
