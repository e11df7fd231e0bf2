"""The outcome of one planned recording: stored, skipped or failed; plain data that crosses process borders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Job:
    """One planned recording: its place in the source's plan and what it will be made from."""

    key: str
    recording_id: str
    made_from: str
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended.

    `error` holds the parts of an `EEGPTError` (`as_dict`), or is empty. `fatal` means that no other job can do better
    (full disk, wrong recipe): the run stops. `inspected` is what a dry run found, also of a recording that is refused.
    `seen` are the file's own `events` and `labels` with their counts: for messages on this machine, never stored.
    """

    key: str
    recording_id: str
    error: dict[str, str | None] | None = None
    fatal: bool = False
    errno: int | None = None
    inspected: dict[str, Any] | None = None
    seen: dict[str, dict[str, int]] | None = field(default=None, repr=False)
