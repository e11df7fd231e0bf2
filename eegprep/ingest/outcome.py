"""The outcome of one planned recording: stored, skipped or failed; plain data that is passed between processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Job:
    """One planned recording: its position in the source's plan and the hash of its inputs."""

    key: str
    recording_id: str
    made_from: str
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a job ended.

    `error` has the parts of an `EEGPTError` (`as_dict`), or is empty. `fatal` means that all other jobs would fail too
    (full disk, wrong recipe), so the run stops. `inspected` is the result of a dry run, also for refused recordings.
    `seen` are the file's own `events` and `labels` with their counts, for local messages only, never stored.
    """

    key: str
    recording_id: str
    error: dict[str, str | None] | None = None
    fatal: bool = False
    errno: int | None = None
    inspected: dict[str, Any] | None = None
    seen: dict[str, dict[str, int]] | None = field(default=None, repr=False)
